// Reading, from any thread.

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "log/store_rep.h"
#include "proto/distlog/v1/record.pb.h"
#include "wire/checksum.h"
#include "wire/value.h"

namespace distlog {
namespace {

// Slots looked up in the position index at a time.
constexpr paxos::Slot kSlotsAtATime = 256;

// What a run of slots appended, as the index tells.
struct SlotContents {
  uint64_t first_position = 0;
  uint32_t entries = 0;
  std::vector<uint32_t> skipped;
};

// Collects entries from `from` to `to` until they have max_bytes.
class EntryCollector {
 public:
  EntryCollector(uint64_t from, uint64_t to, size_t max_bytes)
      : next_(from), to_(to), max_bytes_(max_bytes) {}

  bool is_done() const { return is_full_ || next_ > to_; }
  uint64_t next() const { return next_; }
  size_t bytes_left() const { return max_bytes_ - std::min(bytes_, max_bytes_); }
  std::vector<LogEntry> Take() { return std::move(entries_); }

  // Adds what the slot holds of the range. DataLoss if it is not what was applied.
  absl::Status Add(const paxos::AcceptedValue& accepted, const SlotContents& contents) {
    if (contents.entries == 0) return absl::OkStatus();
    const auto differs = [&] {
      return absl::DataLossError(
          absl::StrCat("slot ", accepted.slot, ": its value is not the one that was applied"));
    };
    v1::Batch batch;
    if (accepted.value.kind != paxos::Value::Kind::kBatch ||
        !batch.ParseFromString(*accepted.value.payload)) {
      return differs();
    }
    uint64_t position = contents.first_position;
    auto skipped = contents.skipped.begin();
    for (int i = 0; i < batch.appends_size(); ++i) {
      if (skipped != contents.skipped.end() && *skipped == static_cast<uint32_t>(i)) {
        ++skipped;
        continue;
      }
      for (std::string& payload : *batch.mutable_appends(i)->mutable_payloads()) {
        AddEntry(position++, batch.timestamp_ms(), &payload);
      }
    }
    if (position != contents.first_position + contents.entries) return differs();
    return absl::OkStatus();
  }

 private:
  void AddEntry(uint64_t position, int64_t timestamp_ms, std::string* payload) {
    if (position < next_ || is_done()) return;
    if (!entries_.empty() && bytes_ + payload->size() > max_bytes_) {
      is_full_ = true;
      return;
    }
    bytes_ += payload->size();
    next_ = position + 1;
    entries_.push_back(
        {.position = position, .timestamp_ms = timestamp_ms, .payload = std::move(*payload)});
    if (bytes_ >= max_bytes_) is_full_ = true;
  }

  uint64_t next_;
  const uint64_t to_;
  const size_t max_bytes_;
  size_t bytes_ = 0;
  bool is_full_ = false;
  std::vector<LogEntry> entries_;
};

}  // namespace

// The segment that `slot` belongs to; null below the first.
std::shared_ptr<SegmentPlace> Store::Rep::PlaceOfSlot(paxos::Slot slot) {
  const std::lock_guard guard(mutex);
  const auto after =
      std::upper_bound(row.begin(), row.end(), slot,
                       [](paxos::Slot wanted, const auto& place) { return wanted < place->first; });
  return after == row.begin() ? nullptr : *std::prev(after);
}

// The segment that holds `position`; null if it is not applied yet.
std::shared_ptr<SegmentPlace> Store::Rep::PlaceOfPosition(uint64_t position) {
  const std::lock_guard guard(mutex);
  // Only the newest segments may have applied nothing yet.
  auto end = row.end();
  while (end != row.begin() && !(*std::prev(end))->sealed && (*std::prev(end))->index->is_empty()) {
    --end;
  }
  const auto found = std::partition_point(row.begin(), end, [position](const auto& place) {
    const uint64_t end_position =
        place->sealed ? place->entry.end_position() : place->index->end_position();
    return end_position <= position;
  });
  return found == end ? nullptr : *found;
}

absl::StatusOr<Store::Rep::Pinned> Store::Rep::Pin(const std::shared_ptr<SegmentPlace>& place) {
  {
    const std::lock_guard guard(mutex);
    place->last_used = ++uses;
    if (place->segment != nullptr) return Pinned{place->segment, place->index};
    if (place->is_unreadable) return absl::DataLossError(place->damage);
  }
  absl::StatusOr<Pinned> opened = OpenSealed(place.get());
  CloseUnused();
  return opened;
}

Segment::Chain SealedChain(const v1::SegmentEntry& entry) {
  return {.last_write = entry.rebuilt() > 0 ? entry.rebuilt_writes() : entry.last_write(),
          .digest = entry.digest()};
}

bool IsDamage(const absl::Status& status) {
  const std::string message(status.message());
  return absl::IsDataLoss(status) || message.find(std::strerror(EIO)) != std::string::npos;
}

// What could not be read of a sealed segment is chosen, so that others have it. (What has become
// unreadable of an unsealed one may be more than that.)
absl::Status Store::Rep::Lost(SegmentPlace* place, const absl::Status& status, bool is_unreadable) {
  if (status.ok() || !IsDamage(status)) return status;
  const std::lock_guard guard(mutex);
  if (!place->sealed) return Regressed(dir, status);
  place->damage = absl::StrCat("store ", dir, ": the segment of slots ", place->first, " to ",
                               place->entry.last(), " is damaged: ", std::string(status.message()),
                               ". The other members have the same entries, and it is to be "
                               "repaired from them");
  place->is_unreadable |= is_unreadable;
  return absl::DataLossError(place->damage);
}

// The LevelDB of a sealed segment, opened unless it is already. With `opening` held.
absl::StatusOr<std::unique_ptr<Segment>> Store::Rep::OpenRecords(SegmentPlace* place) {
  std::shared_ptr<leveldb::DB> db = place->db.lock();
  if (db == nullptr) {
    absl::StatusOr<std::shared_ptr<leveldb::DB>> opened =
        Segment::OpenDb(segment_options(), place->dir);
    if (!opened.ok()) return opened.status();
    db = *std::move(opened);
    place->db = db;
  }
  return std::make_unique<Segment>(place->dir, place->first, std::move(db),
                                   !options.unsafe_no_sync);
}

absl::Status Store::Rep::VerifyRecords(Segment* segment, const v1::SegmentEntry& entry,
                                       const Pace& pace) {
  const Segment::Chain sealed = SealedChain(entry);
  Owners owners;
  {
    const std::lock_guard guard(mutex);
    owners = OwnersOf(side.contents);
  }
  const absl::Status status = segment->Verify(owners, entry.last(), sealed, pace);
  if (!status.ok()) return status;
  if (segment->chain() != sealed || segment->stored_through() != entry.last()) {
    return absl::DataLossError(absl::StrCat(segment->dir(), " is not what was sealed"));
  }
  return absl::OkStatus();
}

absl::StatusOr<PositionIndex> Store::Rep::ReadIndex(const v1::SegmentEntry& entry) const {
  const std::string path = SegmentDir(entry.first(), entry.rebuilt()) + "/index";
  std::string bytes;
  const leveldb::Status status = leveldb::ReadFileToString(env, path, &bytes);
  if (!status.ok()) return ToAbsl(status, path);
  if (bytes.size() != entry.index_bytes() || Checksum(bytes) != entry.index_checksum()) {
    return absl::DataLossError(absl::StrCat(path, " has a bad checksum"));
  }
  return PositionIndex::Decode(bytes);
}

absl::StatusOr<std::string> Store::Rep::ReadCheckpoint(const v1::SegmentEntry& entry) const {
  const std::string path = SegmentDir(entry.first(), entry.rebuilt()) + "/checkpoint";
  std::string bytes;
  const leveldb::Status status = leveldb::ReadFileToString(env, path, &bytes);
  if (!status.ok()) return ToAbsl(status, path);
  if (bytes.size() != entry.checkpoint_bytes() || Checksum(bytes) != entry.checkpoint_checksum()) {
    return absl::DataLossError(absl::StrCat(path, " has a bad checksum"));
  }
  v1::AppliedState state;
  if (!state.ParseFromString(bytes) || state.applied_through() != entry.first() - 1) {
    return absl::DataLossError(absl::StrCat(path, " is not the state before that segment"));
  }
  return bytes;
}

// A sealed segment may have been damaged since it was sealed, and LevelDB would not tell
// everything: all of it is read and compared with its digest when this process first opens it.
absl::StatusOr<Store::Rep::Pinned> Store::Rep::OpenSealed(SegmentPlace* place) {
  const std::lock_guard opening(place->opening);
  v1::SegmentEntry entry;
  {
    const std::lock_guard guard(mutex);
    if (place->segment != nullptr) return Pinned{place->segment, place->index};
    entry = place->entry;
  }
  absl::StatusOr<std::unique_ptr<Segment>> segment = OpenRecords(place);
  if (!segment.ok()) return Lost(place, segment.status());
  if (!place->verified) {
    const absl::Status status = VerifyRecords(segment->get(), entry, /*pace=*/nullptr);
    if (!status.ok()) return Lost(place, status);
    place->verified = true;
  }
  absl::StatusOr<PositionIndex> index = ReadIndex(entry);
  if (!index.ok()) return Lost(place, index.status());
  const std::lock_guard guard(mutex);
  place->segment = *std::move(segment);
  place->index = std::make_shared<PositionIndex>(*std::move(index));
  return Pinned{place->segment, place->index};
}

void Store::Rep::CloseUnused() {
  for (;;) {
    std::shared_ptr<SegmentPlace> oldest;  // Lives until it is closed.
    std::shared_ptr<Segment> segment;
    std::unique_lock<std::mutex> opening;
    {
      const std::lock_guard guard(mutex);
      size_t open = 0;
      for (const auto& place : row) {
        if (!place->sealed || place->segment == nullptr) continue;
        ++open;
        // Nobody can begin to use it while the mutex is held.
        if (place->segment.use_count() > 1) continue;
        if (oldest == nullptr || place->last_used < oldest->last_used) oldest = place;
      }
      if (open <= options.open_segments || oldest == nullptr) return;
      opening = std::unique_lock(oldest->opening, std::try_to_lock);
      if (!opening.owns_lock()) return;
      segment = std::move(oldest->segment);
      oldest->segment = nullptr;
      oldest->index = nullptr;
    }
    segment.reset();  // Under `opening`: nobody opens it before it is closed.
  }
}

absl::StatusOr<std::vector<paxos::AcceptedValue>> Store::ReadSlots(paxos::Slot first,
                                                                   paxos::Slot through,
                                                                   size_t max_bytes) const {
  Rep& rep = *rep_;
  std::vector<paxos::AcceptedValue> values;
  size_t bytes = 0;
  while (first <= through) {
    const std::shared_ptr<SegmentPlace> place = rep.PlaceOfSlot(first);
    if (place == nullptr) {
      return absl::OutOfRangeError(
          absl::StrCat("store ", rep.dir, ": slot ", first, " is trimmed"));
    }
    const absl::StatusOr<Rep::Pinned> pinned = rep.Pin(place);
    if (!pinned.ok()) return pinned.status();
    const paxos::Slot last = rep.LastOf(*place);
    const size_t before = values.size();
    const absl::Status status = pinned->segment->Read(first, std::min(through, last),
                                                      /*allow_gaps=*/false, max_bytes, &values);
    if (!status.ok()) return rep.Lost(place.get(), status);
    for (size_t i = before; i < values.size(); ++i) bytes += values[i].value.size();
    if (values.size() == before || bytes >= max_bytes || values.back().slot != last) break;
    first = last + 1;
  }
  return values;
}

// The last slot that belongs to it: below the next one's first.
paxos::Slot Store::Rep::LastOf(const SegmentPlace& place) const {
  const std::lock_guard guard(mutex);
  const auto next =
      std::upper_bound(row.begin(), row.end(), place.first,
                       [](paxos::Slot first, const auto& other) { return first < other->first; });
  return next == row.end() ? ~paxos::Slot{0} : (*next)->first - 1;
}

absl::StatusOr<std::vector<paxos::AcceptedValue>> Store::ReadAccepted(paxos::Slot first) const {
  Rep& rep = *rep_;
  std::vector<paxos::AcceptedValue> values;
  std::shared_ptr<SegmentPlace> place = rep.PlaceOfSlot(first);
  while (place != nullptr) {
    const absl::StatusOr<Rep::Pinned> pinned = rep.Pin(place);
    if (!pinned.ok()) return pinned.status();
    const paxos::Slot last = rep.LastOf(*place);
    const absl::Status status = pinned->segment->Read(std::max(first, place->first), last,
                                                      /*allow_gaps=*/true, SIZE_MAX, &values);
    if (!status.ok()) return rep.Lost(place.get(), status);
    place = last == ~paxos::Slot{0} ? nullptr : rep.PlaceOfSlot(last + 1);
  }
  return values;
}

absl::StatusOr<std::vector<LogEntry>> Store::ReadEntries(uint64_t from, uint64_t to,
                                                         size_t max_bytes) const {
  Rep& rep = *rep_;
  if (from < 1) return absl::OutOfRangeError("positions begin at 1");
  EntryCollector collector(from, to, max_bytes);
  while (!collector.is_done()) {
    const std::shared_ptr<SegmentPlace> place = rep.PlaceOfPosition(collector.next());
    if (place == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("store ", rep.dir, ": position ", collector.next(), " is not applied"));
    }
    const absl::StatusOr<Rep::Pinned> pinned = rep.Pin(place);
    if (!pinned.ok()) return pinned.status();

    paxos::Slot first;
    std::vector<SlotContents> contents;
    {
      const std::lock_guard guard(rep.mutex);
      const PositionIndex& index = *pinned->index;
      const PositionIndex::Place found = index.Find(collector.next());
      first = found.slot;
      uint64_t position = found.first_position;
      const paxos::Slot last = std::min(index.last_slot(), first + kSlotsAtATime - 1);
      for (paxos::Slot slot = first; slot <= last && position <= to; ++slot) {
        contents.push_back({position, index.Entries(slot), index.Skipped(slot)});
        position += contents.back().entries;
      }
    }
    std::vector<paxos::AcceptedValue> values;
    absl::Status status = pinned->segment->Read(
        first, first + contents.size() - 1, /*allow_gaps=*/false, collector.bytes_left(), &values);
    for (size_t i = 0; status.ok() && i < values.size() && !collector.is_done(); ++i) {
      status = collector.Add(values[i], contents[i]);
    }
    if (!status.ok()) return rep.Lost(place.get(), status);
  }
  return collector.Take();
}

// ---- For status. -------------------------------------------------------------------------------

Store::Store(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
Store::~Store() = default;

Identity Store::identity() const {
  const std::lock_guard lock(rep_->mutex);
  const v1::SideFile& contents = rep_->side.contents;
  Identity identity;
  identity.uuid =
      UuidFromBytes(contents.incarnation().empty() ? contents.uuid() : contents.incarnation());
  identity.recovered.assign(contents.recovered().begin(), contents.recovered().end());
  identity.cluster_id = contents.cluster_id();
  identity.start_counter = contents.start_counter();
  identity.start_nonce = contents.start_nonce();
  if (contents.has_genesis()) {
    // It was made by ToProto of a valid one, and came through a checksum.
    absl::StatusOr<paxos::Configuration> genesis = FromProto(contents.genesis());
    if (genesis.ok()) identity.genesis = *std::move(genesis);
  }
  if (contents.has_joined()) {
    absl::StatusOr<paxos::Configuration> joined = FromProto(contents.joined());
    if (joined.ok()) identity.joined = *std::move(joined);
  }
  identity.replica = paxos::ReplicaId{contents.replica_id()};
  if (identity.replica == paxos::kNoReplica && identity.genesis.has_value()) {
    identity.replica = identity.genesis->SeatOf(identity.uuid);
  }
  return identity;
}

const Recovered& Store::recovered() const { return rep_->recovered; }

Store::PeerStart Store::RememberedPeer(const paxos::Uuid& peer) const {
  const std::lock_guard lock(rep_->mutex);
  const auto found = rep_->peers.find(peer);
  return found == rep_->peers.end() ? PeerStart{} : found->second;
}

uint64_t Store::disk_used_bytes() const {
  std::vector<std::string> dirs = {rep_->dir};
  {
    const std::lock_guard lock(rep_->mutex);
    for (const auto& place : rep_->row) dirs.push_back(place->dir);
    for (const auto& place : rep_->replaced) dirs.push_back(place->dir);
  }
  uint64_t used = 0;
  for (const std::string& dir : dirs) {
    std::vector<std::string> names;
    if (!rep_->env->GetChildren(dir, &names).ok()) continue;
    for (const std::string& name : names) {
      uint64_t size = 0;
      if (rep_->env->GetFileSize(dir + "/" + name, &size).ok()) used += size;
    }
  }
  return used;
}

absl::StatusOr<uint64_t> Store::FreeBytes() const {
  uint64_t bytes = 0;
  const leveldb::Status status = rep_->env->FreeBytes(rep_->dir, &bytes);
  if (!status.ok()) return ToAbsl(status, rep_->dir);
  return bytes;
}

size_t Store::segments() const {
  const std::lock_guard lock(rep_->mutex);
  return rep_->row.size();
}

paxos::Slot Store::accepted_through() const { return rep_->accepted_through; }

}  // namespace distlog
