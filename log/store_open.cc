// Formatting and opening a store: all that is checked before it may vote.

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "log/store_rep.h"
#include "proto/distlog/v1/record.pb.h"
#include "wire/checksum.h"
#include "wire/value.h"

namespace distlog {
namespace {

// Stands in a directory while it is formatted. It is renamed at the end, not removed: a rename is
// durable when it returns, and a marker that came back would give a whole store up.
constexpr char kFormatting[] = "/formatting";
constexpr char kFormatted[] = "/formatted";

constexpr size_t kCacheBytes = 8 << 20;

Env* EnvOf(const Store::Options& options) {
  return options.env != nullptr ? options.env : PosixEnv();
}

bool StartsWith(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

// The first 8 bytes of a cluster's id.
uint64_t ShortId(const std::string& cluster_id) {
  uint64_t number = 0;
  for (size_t i = 0; i < 8 && i < cluster_id.size(); ++i) {
    number = number << 8 | static_cast<uint8_t>(cluster_id[i]);
  }
  return number;
}

absl::Status Lock(Env* env, const std::string& dir, leveldb::FileLock** lock) {
  const leveldb::Status status = env->LockFile(dir + "/LOCK", lock);
  if (status.ok()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(dir, " is in use by another process, or cannot be locked: ", status.ToString()));
}

absl::Status FormatLocked(const Store::Options& options, Env* env, const std::string& dir) {
  const bool sync = !options.unsafe_no_sync;
  leveldb::Status status = WriteFile(env, dir + kFormatting, "", sync);
  const std::string segments = dir + "/segments";
  if (status.ok() && !env->FileExists(segments)) status = env->CreateDir(segments);
  if (!status.ok()) return ToAbsl(status, dir);

  v1::SideFile contents;
  contents.set_uuid(ToBytes(NewUuid()));
  contents.add_segments()->set_first(1);
  Segment::Options segment_options;
  segment_options.env = env;
  segment_options.sync = sync;
  char name[24];
  std::snprintf(name, sizeof(name), "/%020d", 1);
  absl::Status made = Segment::Create(segment_options, segments + name);
  if (made.ok()) made = SideFile::Create(env, dir, sync, contents);
  if (!made.ok()) return made;
  return ToAbsl(env->RenameFile(dir + kFormatting, dir + kFormatted), dir);
}

}  // namespace

absl::Status Regressed(const std::string& dir, const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  return absl::DataLossError(
      absl::StrCat("store ", dir, " has lost what was durable: ", std::string(status.message()),
                   ". This server must not vote: give its seat to a server with an empty data "
                   "directory (distlog "
                   "member replace)"));
}

absl::StatusOr<bool> Store::IsEmpty(const Options& options, const std::string& dir) {
  Env* const env = EnvOf(options);
  if (!env->FileExists(dir)) return true;
  if (env->FileExists(dir + kFormatting)) return true;
  std::vector<std::string> names;
  const leveldb::Status status = env->GetChildren(dir, &names);
  if (!status.ok()) return ToAbsl(status, dir);
  return std::all_of(names.begin(), names.end(), [](const std::string& name) {
    return name == "." || name == ".." || name == "lost+found" || name == "LOCK";
  });
}

absl::Status Store::Format(const Options& options, const std::string& dir) {
  Env* const env = EnvOf(options);
  if (!env->FileExists(dir)) {
    const leveldb::Status made = env->CreateDir(dir);
    if (made.IsNotFound()) {
      return absl::NotFoundError(absl::StrCat(dir, " cannot be made: its parent does not exist"));
    }
    if (!made.ok()) return ToAbsl(made, dir);
  }
  const absl::StatusOr<bool> is_empty = IsEmpty(options, dir);
  if (!is_empty.ok()) return is_empty.status();
  if (!*is_empty) {
    return absl::FailedPreconditionError(
        absl::StrCat(dir, " is not empty: a new store needs an empty directory"));
  }
  leveldb::FileLock* lock = nullptr;
  absl::Status status = Lock(env, dir, &lock);
  if (!status.ok()) return status;
  status = FormatLocked(options, env, dir);
  env->UnlockFile(lock);
  return status;
}

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const Options& options, const std::string& dir) {
  Env* const env = EnvOf(options);
  std::vector<std::string> names;
  if (env->FileExists(dir)) {
    const leveldb::Status status = env->GetChildren(dir, &names);
    if (!status.ok()) return ToAbsl(status, dir);
  }
  const bool is_store = std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name == "segments" || StartsWith(name, "side.") || StartsWith(name, "mark.");
  });
  if (!is_store || env->FileExists(dir + kFormatting)) {
    return absl::FailedPreconditionError(absl::StrCat(dir, " is not a distlog store"));
  }

  leveldb::FileLock* lock = nullptr;
  absl::Status status = Lock(env, dir, &lock);
  if (!status.ok()) return status;
  std::vector<std::string> notes;
  absl::StatusOr<SideFile> side = SideFile::Open(env, dir, !options.unsafe_no_sync, &notes);
  if (!side.ok()) {
    env->UnlockFile(lock);
    return Regressed(dir, side.status());
  }
  auto rep = std::make_unique<Rep>(options, dir, *std::move(side));
  rep->lock = lock;
  rep->recovered.notes = std::move(notes);
  status = rep->OpenSegments();
  if (status.ok()) status = rep->LoadCheckpoint();
  if (status.ok()) status = rep->CheckMark();
  if (!status.ok()) return Regressed(dir, status);
  status = rep->BeginRun();
  if (!status.ok()) return status;
  return std::unique_ptr<Store>(new Store(std::move(rep)));
}

Store::Rep::Rep(const Options& options, std::string dir, SideFile side)
    : options(options),
      dir(std::move(dir)),
      env(EnvOf(options)),
      cache(leveldb::NewLRUCache(kCacheBytes)),
      side(std::move(side)) {
  for (const v1::PeerStartEntry& peer : this->side.contents.peers()) {
    peers[UuidFromBytes(peer.uuid())] = {.start_counter = peer.start_counter(),
                                         .start_nonce = peer.start_nonce()};
  }
}

Store::Rep::~Rep() {
  row.clear();
  replaced.clear();
  if (lock != nullptr) env->UnlockFile(lock);
}

Segment::Options Store::Rep::segment_options() const {
  return {.env = env,
          .cache = cache.get(),
          .memtable_bytes = options.memtable_bytes,
          .sync = !options.unsafe_no_sync};
}

std::string Store::Rep::SegmentDir(paxos::Slot first, uint64_t rebuilt) const {
  char name[24];
  std::snprintf(name, sizeof(name), "%020llu", static_cast<unsigned long long>(first));
  std::string path = absl::StrCat(dir, "/segments/", name);
  if (rebuilt > 0) absl::StrAppend(&path, ".", rebuilt);
  return path;
}

Owners OwnersOf(const v1::SideFile& contents) {
  Owners owners;
  owners.now = {.cluster = ShortId(contents.cluster_id()), .uuid = UuidFromBytes(contents.uuid())};
  for (const v1::RecoveredFrom& recovery : contents.recovered()) {
    owners.parents.push_back(
        {.cluster = ShortId(recovery.parent_cluster_id()), .last = recovery.slot()});
  }
  return owners;
}

absl::Status Store::Rep::OpenSegments() {
  if (side.contents.segments().empty()) return absl::DataLossError("it lists no segments");
  absl::Status status = CheckUnlisted();
  if (!status.ok()) return status;
  std::vector<uint64_t> writes;
  for (const v1::SegmentEntry& entry : side.contents.segments()) {
    status = OpenPlace(entry, &writes);
    if (!status.ok()) return status;
  }
  for (const v1::SegmentMark& mark : side.mark.segments()) {
    const bool is_listed = std::any_of(
        row.begin(), row.end(), [&](const auto& place) { return place->first == mark.first(); });
    if (!is_listed) {
      return absl::DataLossError(
          absl::StrCat("its list lacks the segment that begins at slot ", mark.first()));
    }
  }
  if (row.back()->sealed) return absl::DataLossError("its list ends in a sealed segment");
  return CheckWrites(std::move(writes));
}

// A sealed segment is verified when it is first read; but it must be there.
absl::Status Store::Rep::OpenPlace(const v1::SegmentEntry& entry, std::vector<uint64_t>* writes) {
  auto place = std::make_shared<SegmentPlace>();
  place->first = entry.first();
  place->dir = SegmentDir(entry.first(), entry.rebuilt());
  place->sealed = entry.sealed();
  place->entry = entry;
  row.push_back(place);
  if (entry.sealed()) {
    last_write = std::max(last_write, entry.last_write());
    accepted_through = std::max<paxos::Slot>(accepted_through, entry.last());
    if (env->FileExists(place->dir)) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(place->dir, " is missing"));
  }

  Segment::Chain known;
  for (const v1::SegmentMark& mark : side.mark.segments()) {
    if (mark.first() == entry.first()) known = {mark.last_write(), mark.digest()};
  }
  absl::StatusOr<std::unique_ptr<Segment>> segment =
      Segment::Open(segment_options(), place->dir, entry.first());
  if (!segment.ok()) return segment.status();
  paxos::Slot last = 0;
  for (const v1::SegmentEntry& other : side.contents.segments()) {
    if (other.first() > entry.first() && last == 0) last = other.first() - 1;
  }
  const absl::Status status = (*segment)->Verify(OwnersOf(side.contents), last, known);
  if (!status.ok()) return status;
  place->segment = *std::move(segment);
  place->index = std::make_shared<PositionIndex>(entry.first());
  const std::vector<uint64_t>& own = place->segment->verified_writes();
  writes->insert(writes->end(), own.begin(), own.end());
  accepted_through = std::max<paxos::Slot>(accepted_through, place->segment->highest_slot());
  return absl::OkStatus();
}

// A directory that is not listed is what a crash left of a segment's creation, if it has no
// records. With records it was listed once: the list is an old one. But of a segment that was
// rebuilt, or was about to be, the one that is not listed is of no use whatever it holds.
absl::Status Store::Rep::CheckUnlisted() const {
  std::vector<std::string> names;
  leveldb::Status status = env->GetChildren(dir + "/segments", &names);
  for (const std::string& name : names) {
    if (!status.ok()) break;
    if (name.find_first_not_of("0123456789.") != std::string::npos || name[0] == '.') continue;
    const std::string path = absl::StrCat(dir, "/segments/", name);
    bool is_listed = false;
    bool is_rebuilt = name.find('.') != std::string::npos;
    for (const v1::SegmentEntry& entry : side.contents.segments()) {
      is_listed |= SegmentDir(entry.first(), entry.rebuilt()) == path;
      is_rebuilt |= entry.rebuilt() > 0 && SegmentDir(entry.first()) == path;
    }
    if (is_listed) continue;
    std::vector<std::string> files;
    if (!is_rebuilt) status = env->GetChildren(path, &files);
    for (const std::string& file : files) {
      uint64_t size = 0;
      if (!status.ok()) break;
      const bool is_table = file.ends_with(".ldb") || file.ends_with(".sst");
      if (file.ends_with(".log")) status = env->GetFileSize(path + "/" + file, &size);
      if (is_table || size > 0) {
        return absl::DataLossError(absl::StrCat(path, " holds records and is not listed"));
      }
    }
    // A creation at that slot starts over; one elsewhere would leave it for ever.
    if (status.ok()) status = EmptyDir(env, path);
    if (status.ok()) status = env->RemoveDir(path);
  }
  return ToAbsl(status, dir + "/segments");
}

// Every number above those of the sealed segments is in an unsealed one: a write lost at the end of
// one of two is found by its number.
absl::Status Store::Rep::CheckWrites(std::vector<uint64_t> writes) {
  uint64_t sealed_through = 0;
  for (const auto& place : row) {
    if (place->sealed) sealed_through = std::max(sealed_through, place->entry.last_write());
  }
  std::sort(writes.begin(), writes.end());
  uint64_t next = sealed_through + 1;
  for (uint64_t write : writes) {
    if (write < next && write <= sealed_through) continue;
    if (write != next) return absl::DataLossError(absl::StrCat("write ", next, " is lost"));
    ++next;
  }
  if (next - 1 < side.mark.last_write()) {
    return absl::DataLossError(absl::StrCat("write ", side.mark.last_write(),
                                            " was durable and is lost; the last one left is ",
                                            next - 1));
  }
  last_write = next - 1;
  return absl::OkStatus();
}

// The newest checkpoint is that of the first unsealed segment: saving one seals all before it. If
// it is damaged, an older one does as well, with the slots from there on. The promise needs none:
// sealing took over the ballots of all that a checkpoint stands for.
absl::Status Store::Rep::LoadCheckpoint() {
  const auto newest =
      std::find_if(row.begin(), row.end(), [](const auto& p) { return !p->sealed; });
  recovered.chosen_through = (*newest)->first - 1;
  absl::Status damage;
  for (auto place = newest; (*place)->first != 1; --place) {
    absl::StatusOr<std::string> checkpoint = ReadCheckpoint((*place)->entry);
    if (checkpoint.ok()) {
      recovered.checkpoint = *std::move(checkpoint);
      return absl::OkStatus();
    }
    recovered.notes.push_back(absl::StrCat(
        std::string(checkpoint.status().message()),
        "; what it held is made again from the log, from the last checkpoint before it on"));
    damage.Update(checkpoint.status());
    // RecoverLog gives it back.
    if (place == newest) (*place)->entry.set_has_checkpoint(false);
    if (place == row.begin()) return damage;
  }
  return absl::OkStatus();
}

absl::Status Store::Rep::CheckMark() {
  recovered.promised = std::max(recovered.promised, FromProto(side.contents.promised()));
  recovered.chosen_through =
      std::max<paxos::Slot>(recovered.chosen_through, side.mark.chosen_through());
  for (const auto& place : row) {
    if (place->sealed) continue;
    recovered.promised = std::max(recovered.promised, place->segment->highest_ballot());
    recovered.chosen_through = std::max(recovered.chosen_through, place->segment->chosen_through());
  }
  if (StoredThrough() < recovered.chosen_through) {
    return absl::DataLossError(absl::StrCat("slots were known chosen and stored through ",
                                            recovered.chosen_through, ", and slot ",
                                            StoredThrough() + 1, " is missing"));
  }
  return absl::OkStatus();
}

absl::Status Store::Rep::BeginRun() {
  side.mark.set_chosen_through(recovered.chosen_through);
  handed_through = std::max<paxos::Slot>(accepted_through, row.back()->first - 1);
  handed_bytes = row.back()->segment->bytes();
  side.contents.set_start_counter(side.contents.start_counter() + 1);
  side.contents.set_start_nonce(NewNonce());
  // Whole again in both copies, before anything rests on either. What the segments told about the
  // promise is told again by them.
  absl::Status status = side.Save();
  if (status.ok() && !recovered.notes.empty()) {
    status = WriteMark(recovered.chosen_through, /*both=*/true);
  }
  return status;
}

}  // namespace distlog
