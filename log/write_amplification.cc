// How many bytes the store writes per byte of entries, as the kernel counts them.
//
//   write_amplification --dir=DIR [--mib=1024] [--entry_bytes=1024] [--batch_bytes=131072]

#include <gflags/gflags.h>
#include <glog/logging.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "log/store.h"
#include "wire/value.h"

DEFINE_string(dir, "", "A directory to make the store in; must be missing or empty.");
DEFINE_uint64(mib, 1024, "MiB of payload to write.");
DEFINE_uint64(entry_bytes, 1024, "Bytes of an entry.");
DEFINE_uint64(batch_bytes, 128 << 10, "Bytes of the entries of a value.");
DEFINE_uint64(values_per_write, 1, "Values of a group.");

namespace distlog {
namespace {

uint64_t WriteBytes() {
  std::ifstream io("/proc/self/io");
  std::string name;
  uint64_t number;
  while (io >> name >> number) {
    if (name == "write_bytes:") return number;
  }
  LOG(FATAL) << "/proc/self/io has no write_bytes";
}

// Entries that do not compress.
paxos::Value MakeBatch(std::mt19937_64* random) {
  v1::Batch batch;
  for (uint64_t bytes = 0; bytes < FLAGS_batch_bytes; bytes += FLAGS_entry_bytes) {
    std::string* payload = batch.add_appends()->add_payloads();
    for (uint64_t i = 0; i < FLAGS_entry_bytes; ++i) payload->push_back((*random)());
  }
  return MakeValue(batch);
}

absl::Status Run() {
  const auto genesis = MakeGenesis({{.uuid = {1, 1}, .address = "localhost:1"}});
  absl::Status status = Store::Format({}, FLAGS_dir);
  if (!status.ok()) return status;
  auto store = Store::Open({}, FLAGS_dir);
  if (!store.ok()) return store.status();
  status = (*store)->Assign(*genesis, ClusterId(*genesis));
  if (!status.ok()) return status;
  Sequencer sequencer(*genesis);

  std::mt19937_64 random(1);
  std::vector<paxos::Value> values;
  for (int i = 0; i < 16; ++i) values.push_back(MakeBatch(&random));
  const auto begin = std::chrono::steady_clock::now();
  auto marked = begin;
  const uint64_t written_before = WriteBytes();
  const uint64_t payload = FLAGS_mib << 20;
  uint64_t done = 0;
  while (done < payload) {
    std::vector<paxos::Record> records;
    for (uint64_t i = 0; i < FLAGS_values_per_write; ++i, done += FLAGS_batch_bytes) {
      const paxos::Slot slot = sequencer.applied_through() + 1 + i;
      records.push_back(paxos::AcceptRecord{.accepted = {.slot = slot,
                                                         .ballot = {1, paxos::ReplicaId{1}},
                                                         .value = values[slot % 16]},
                                            .chosen_through = sequencer.applied_through()});
    }
    const std::optional<paxos::Slot> cut = (*store)->CutBefore(records);
    status = (*store)->Write(records);
    // All is applied at once here, so that a cut is always right above what is applied.
    if (status.ok() && cut.has_value()) {
      status = (*store)->SaveCheckpoint(*cut, sequencer.Snapshot());
    }
    if (!status.ok()) return status;
    for (const paxos::Record& record : records) {
      const auto applied = sequencer.Apply(std::get<paxos::AcceptRecord>(record).accepted);
      if (!applied.ok()) return applied.status();
      (*store)->NoteApplied(*applied);
    }
    const auto now = std::chrono::steady_clock::now();
    if (now - marked > std::chrono::milliseconds(100)) {
      marked = now;
      status = (*store)->SaveMark(sequencer.applied_through());
      if (!status.ok()) return status;
    }
  }
  status = (*store)->SaveMark(sequencer.applied_through());
  if (!status.ok()) return status;
  const size_t segments = (*store)->segments();
  const uint64_t used = (*store)->disk_used_bytes();
  const uint64_t last = sequencer.last_position();
  const std::chrono::duration<double> write_time = std::chrono::steady_clock::now() - begin;

  const auto read_begin = std::chrono::steady_clock::now();
  for (uint64_t position = 1; position <= last;) {
    const auto entries = (*store)->ReadEntries(position, last, 1 << 20);
    if (!entries.ok()) return entries.status();
    position = entries->back().position + 1;
  }
  const std::chrono::duration<double> read_time = std::chrono::steady_clock::now() - read_begin;
  store->reset();  // Background flushes end here.
  const double written = WriteBytes() - written_before;
  std::printf("%.1f MiB of entries in %zu segments: %.3f bytes written per byte, %.1f MiB used\n",
              done / 1048576.0, segments, written / done, used / 1048576.0);
  std::printf("write %.1f MiB/s, scan %.1f MiB/s\n", done / 1048576.0 / write_time.count(),
              done / 1048576.0 / read_time.count());
  return absl::OkStatus();
}

}  // namespace
}  // namespace distlog

int main(int argc, char** argv) {
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  const absl::Status status = distlog::Run();
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
