#include "log/segment.h"

#include <glog/logging.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "leveldb/write_batch.h"
#include "wire/checksum.h"
#include "wire/value.h"

namespace distlog {
namespace {

std::string_view View(const leveldb::Slice& slice) { return {slice.data(), slice.size()}; }

// No write goes farther beyond the others than this: the caller's window is far smaller.
constexpr paxos::Slot kMaxGap = 1 << 24;

// Read between two calls of a Pace.
constexpr size_t kPacedBytes = 1 << 20;

leveldb::Options DbOptions(const Segment::Options& options) {
  leveldb::Options db;
  db.env = options.env;
  db.info_log = QuietLogger();
  db.paranoid_checks = true;
  db.compression = leveldb::kNoCompression;
  db.write_buffer_size = options.memtable_bytes;
  db.block_cache = options.cache;
  db.max_open_files = 100;
  // Keys only grow, so that a table never overlaps the ones before: compactions only move it. Large
  // tables keep it so when a few slots near a boundary were written again.
  db.max_file_size = 64 << 20;
  db.reuse_logs = false;
  return db;
}

leveldb::ReadOptions ScanOptions() {
  leveldb::ReadOptions options;
  options.verify_checksums = true;
  options.fill_cache = false;
  return options;
}

}  // namespace

// What following the chain of writes needs of a record.
struct Segment::Seen {
  paxos::Slot slot;
  uint64_t write;
  uint64_t previous_write;
  uint64_t digest;
  uint64_t checksum;
  uint32_t index;
  uint32_t count;
};

Segment::Segment(std::string dir, paxos::Slot first, std::shared_ptr<leveldb::DB> db, bool sync)
    : dir_(std::move(dir)),
      first_(first),
      db_(std::move(db)),
      sync_(sync),
      highest_slot_(first - 1),
      stored_through_(first - 1) {}

absl::Status Segment::Create(const Options& options, const std::string& dir) {
  if (!options.env->FileExists(dir)) {
    const leveldb::Status made = options.env->CreateDir(dir);
    if (!made.ok()) return ToAbsl(made, dir);
  }
  leveldb::Status status = EmptyDir(options.env, dir);
  if (!status.ok()) return ToAbsl(status, dir);
  leveldb::Options db_options = DbOptions(options);
  db_options.create_if_missing = true;
  db_options.error_if_exists = true;
  leveldb::DB* db = nullptr;
  status = leveldb::DB::Open(db_options, dir, &db);
  delete db;
  return ToAbsl(status, dir);
}

absl::StatusOr<std::shared_ptr<leveldb::DB>> Segment::OpenDb(const Options& options,
                                                             const std::string& dir) {
  if (!options.env->FileExists(dir)) return absl::DataLossError(absl::StrCat(dir, " is missing"));
  leveldb::DB* db = nullptr;
  const leveldb::Status status = leveldb::DB::Open(DbOptions(options), dir, &db);
  if (!status.ok()) return ToAbsl(status, dir);
  return std::shared_ptr<leveldb::DB>(db);
}

absl::StatusOr<std::unique_ptr<Segment>> Segment::Open(const Options& options,
                                                       const std::string& dir, paxos::Slot first) {
  absl::StatusOr<std::shared_ptr<leveldb::DB>> db = OpenDb(options, dir);
  if (!db.ok()) return db.status();
  return std::make_unique<Segment>(dir, first, *std::move(db), options.sync);
}

absl::Status Segment::Damaged(paxos::Slot slot, const std::string& what) const {
  return absl::DataLossError(absl::StrCat(dir_, ": slot ", slot, ": ", what));
}

void Segment::Note(const RecordHeader& header) {
  if (header.slot - first_ >= present_.size()) present_.resize(header.slot - first_ + 1);
  present_[header.slot - first_] = true;
  while (stored_through_ + 1 - first_ < present_.size() && present_[stored_through_ + 1 - first_]) {
    ++stored_through_;
  }
  highest_slot_ = std::max(highest_slot_, header.slot);
  highest_ballot_ = std::max(highest_ballot_, header.ballot);
  chosen_through_ = std::max(chosen_through_, header.chosen_through);
  bytes_ += kRecordHeaderBytes + header.payload_bytes;
}

absl::StatusOr<std::vector<Segment::Seen>> Segment::ReadAll(const Owners& owners, paxos::Slot last,
                                                            const Pace& pace) {
  std::vector<Seen> records;
  size_t unpaced = 0;
  const std::unique_ptr<leveldb::Iterator> it(db_->NewIterator(ScanOptions()));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const std::optional<RecordKey> key = DecodeKey(View(it->key()));
    if (!key.has_value() || key->slot < first_ || (last != 0 && key->slot > last) ||
        key->slot > highest_slot_ + kMaxGap) {
      return absl::DataLossError(absl::StrCat(dir_, ": holds a key that does not belong there"));
    }
    const absl::StatusOr<RecordHeader> header = DecodeHeader(*key, View(it->value()));
    if (!header.ok()) return Damaged(key->slot, std::string(header.status().message()));
    if (!owners.Has(header->owner, key->slot)) {
      return Damaged(key->slot, "its record belongs to another store or cluster");
    }
    const absl::StatusOr<paxos::AcceptedValue> value = DecodeRecord(*header, View(it->value()));
    if (!value.ok()) return Damaged(key->slot, std::string(value.status().message()));
    records.push_back({.slot = key->slot,
                       .write = key->write,
                       .previous_write = header->previous_write,
                       .digest = header->digest,
                       .checksum = HeaderChecksum(View(it->value())),
                       .index = header->index,
                       .count = header->count});
    Note(*header);
    unpaced += it->value().size();
    if (unpaced < kPacedBytes || pace == nullptr) continue;
    if (!pace(std::exchange(unpaced, 0))) return absl::CancelledError(dir_ + ": stopped reading");
  }
  // An iterator skips a block that it cannot read, and only this tells.
  if (!it->status().ok()) return ToAbsl(it->status(), dir_);
  return records;
}

absl::Status Segment::FollowChain(const std::vector<Seen>& records, const Chain& known) {
  const auto hole = [this](uint64_t write, const std::string& what) {
    return absl::DataLossError(absl::StrCat(dir_, ": write ", write, " ", what));
  };
  bool is_known_found = known.last_write == 0;
  for (size_t i = 0; i < records.size();) {
    const Seen& head = records[i];
    if (head.previous_write != chain_.last_write || head.digest != chain_.digest) {
      return hole(head.write, absl::StrCat("does not follow write ", chain_.last_write,
                                           ": what was written between them is lost"));
    }
    std::string checksums;
    for (uint32_t index = 0; index < head.count; ++index, ++i) {
      if (i == records.size() || records[i].write != head.write || records[i].index != index ||
          records[i].count != head.count || records[i].digest != head.digest) {
        return hole(head.write, "is not complete");
      }
      for (int shift = 0; shift < 64; shift += 8) {
        checksums.push_back(static_cast<char>(records[i].checksum >> shift));
      }
    }
    chain_ = {.last_write = head.write, .digest = Checksum(checksums, chain_.digest)};
    verified_writes_.push_back(head.write);
    if (chain_.last_write == known.last_write) {
      if (chain_ != known) return hole(head.write, "is not the one that was made durable");
      is_known_found = true;
    }
  }
  if (!is_known_found) {
    return hole(known.last_write,
                absl::StrCat("was durable and is lost; the last one left is ", chain_.last_write));
  }
  return absl::OkStatus();
}

absl::Status Segment::Verify(const Owners& owners, paxos::Slot last, const Chain& known,
                             const Pace& pace) {
  absl::StatusOr<std::vector<Seen>> records = ReadAll(owners, last, pace);
  if (!records.ok()) return records.status();
  for (const Seen& seen : *records) {
    if (seen.count == 0) return Damaged(seen.slot, "its record is of a write of none");
  }
  std::sort(records->begin(), records->end(), [](const Seen& a, const Seen& b) {
    return std::tie(a.write, a.index) < std::tie(b.write, b.index);
  });
  return FollowChain(*records, known);
}

absl::Status Segment::Write(const Owner& owner, std::span<const paxos::AcceptRecord* const> records,
                            uint64_t write) {
  std::map<paxos::Slot, const paxos::AcceptRecord*> newest;
  for (const paxos::AcceptRecord* record : records) newest[record->accepted.slot] = record;
  if (newest.empty()) return absl::OkStatus();
  if (newest.begin()->first < first_ || newest.rbegin()->first > highest_slot_ + kMaxGap) {
    return absl::InternalError(absl::StrCat(dir_, ": slots ", newest.begin()->first, " .. ",
                                            newest.rbegin()->first, " do not belong there"));
  }
  leveldb::WriteBatch batch;
  std::string checksums;
  std::vector<RecordHeader> headers;
  for (const auto& [slot, record] : newest) {
    const paxos::Value& value = record->accepted.value;
    const RecordHeader header = {.owner = owner,
                                 .slot = slot,
                                 .ballot = record->accepted.ballot,
                                 .chosen_through = record->chosen_through,
                                 .write = write,
                                 .previous_write = chain_.last_write,
                                 .digest = chain_.digest,
                                 .index = static_cast<uint32_t>(headers.size()),
                                 .count = static_cast<uint32_t>(newest.size()),
                                 .kind = static_cast<uint32_t>(value.kind),
                                 .value_checksum = value.checksum,
                                 .payload_bytes = value.size()};
    std::string bytes = EncodeHeader(header);
    checksums.append(bytes, kRecordHeaderBytes - 8, 8);
    if (value.payload != nullptr) bytes += *value.payload;
    batch.Put(EncodeKey({.slot = slot, .write = write}), bytes);
    headers.push_back(header);
  }
  leveldb::WriteOptions options;
  options.sync = sync_;
  const leveldb::Status status = db_->Write(options, &batch);
  if (!status.ok()) return ToAbsl(status, dir_);
  chain_ = {.last_write = write, .digest = Checksum(checksums, chain_.digest)};
  for (const RecordHeader& header : headers) Note(header);
  return absl::OkStatus();
}

absl::Status Segment::StartFlush() {
  // A write of no batch makes LevelDB begin a new memtable.
  return ToAbsl(db_->Write(leveldb::WriteOptions(), nullptr), dir_);
}

absl::Status Segment::Read(paxos::Slot first, paxos::Slot through, bool allow_gaps,
                           size_t max_bytes, std::vector<paxos::AcceptedValue>* values) const {
  size_t bytes = 0;
  for (const paxos::AcceptedValue& value : *values) bytes += value.value.size();
  paxos::Slot next = first;
  const std::unique_ptr<leveldb::Iterator> it(db_->NewIterator(ScanOptions()));
  for (it->Seek(EncodeKey({.slot = first, .write = 0})); it->Valid(); it->Next()) {
    const std::optional<RecordKey> key = DecodeKey(View(it->key()));
    if (!key.has_value()) return absl::DataLossError(absl::StrCat(dir_, ": holds a bad key"));
    if (key->slot > through) break;
    // Records of a slot come in the order they were written: the last counts.
    const bool is_newer = next > first && key->slot == next - 1;
    if (!is_newer && key->slot != next && !allow_gaps)
      return Damaged(next, "its record is missing");
    const absl::StatusOr<RecordHeader> header = DecodeHeader(*key, View(it->value()));
    if (!header.ok()) return Damaged(key->slot, std::string(header.status().message()));
    if (!is_newer && !values->empty() && bytes + header->payload_bytes > max_bytes) {
      return absl::OkStatus();
    }
    absl::StatusOr<paxos::AcceptedValue> value = DecodeRecord(*header, View(it->value()));
    if (!value.ok()) return Damaged(key->slot, std::string(value.status().message()));
    if (is_newer) {
      bytes -= values->back().value.size();
      values->pop_back();
    }
    bytes += value->value.size();
    values->push_back(*std::move(value));
    next = key->slot + 1;
  }
  if (!it->status().ok()) return ToAbsl(it->status(), dir_);
  if (next <= through && !allow_gaps) return Damaged(next, "its record is missing");
  return absl::OkStatus();
}

}  // namespace distlog
