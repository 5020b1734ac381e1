// Rebuilding damaged sealed segments.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "log/sequencer.h"
#include "log/store_rep.h"
#include "wire/checksum.h"
#include "wire/value.h"

namespace distlog {
namespace {

// Of the payloads read and written at a time.
constexpr size_t kChunkBytes = 4 << 20;

absl::Status CheckRun(const std::vector<paxos::AcceptedValue>& values, paxos::Slot first,
                      paxos::Slot through) {
  paxos::Slot next = first;
  for (const paxos::AcceptedValue& value : values) {
    if (value.slot != next++) break;
  }
  if (!values.empty() && next == first + values.size() && next - 1 <= through) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat("slots from ", first, " on were asked for, and others were supplied"));
}

}  // namespace

// One run of Rebuild: from the checkpoint before the damage to the one after it.
class Store::Rep::Rebuilding {
 public:
  Rebuilding(Rep* rep, const FetchChosen& fetch, uint64_t reserve_bytes, const Pace& pace)
      : rep_(*rep), fetch_(fetch), reserve_bytes_(reserve_bytes), pace_(pace) {}
  ~Rebuilding();

  // The directories made go with *this unless it is OK.
  absl::Status Run(paxos::Slot first);
  std::shared_ptr<const Rebuilt> Take();

 private:
  struct Source {
    std::shared_ptr<SegmentPlace> place;
    v1::SegmentEntry entry;
  };

  absl::Status FindBase(size_t* at);
  // Applies the segment, and makes another one if anything is wrong with it.
  absl::Status GoThrough(const Source& source);
  // Through segment `at`: whether the checkpoint after it is there to tell, and agrees.
  absl::StatusOr<bool> IsConfirmed(size_t at) const;

  absl::StatusOr<std::vector<paxos::AcceptedValue>> Values(const Segment* own, paxos::Slot first,
                                                           paxos::Slot last) const;
  absl::Status Write(std::vector<paxos::AcceptedValue> values, paxos::Slot last, Segment* segment);
  absl::Status CheckSpace(uint64_t bytes) const;
  absl::Status WriteSideFiles(const PositionIndex& index, const std::string& checkpoint,
                              v1::SegmentEntry* entry);

  Rep& rep_;
  const FetchChosen& fetch_;
  const uint64_t reserve_bytes_;
  const Pace& pace_;
  std::vector<Source> row_;
  paxos::Ballot promised_;
  Owner owner_;
  std::optional<Sequencer> sequencer_;
  std::vector<v1::SegmentEntry> made_;
};

Store::Rep::Rebuilding::~Rebuilding() {
  for (const v1::SegmentEntry& entry : made_) {
    // What cannot be removed now is removed by the next start.
    rep_.RemoveDir(rep_.SegmentDir(entry.first(), entry.rebuilt())).IgnoreError();
  }
}

std::shared_ptr<const Store::Rebuilt> Store::Rep::Rebuilding::Take() {
  return std::make_shared<const Rebuilt>(Rebuilt{std::exchange(made_, {})});
}

absl::Status Store::Rep::Rebuilding::Run(paxos::Slot first) {
  size_t at = 0;
  {
    const std::lock_guard guard(rep_.mutex);
    promised_ = FromProto(rep_.side.contents.promised());
    owner_ = OwnersOf(rep_.side.contents).now;
    for (const auto& place : rep_.row) {
      if (place->first == first) at = row_.size();
      row_.push_back({place, place->entry});
    }
  }
  if (row_[at].entry.first() != first || !row_[at].entry.sealed()) {
    return absl::FailedPreconditionError(
        absl::StrCat("store ", rep_.dir, ": no sealed segment begins at slot ", first));
  }
  absl::Status status = FindBase(&at);
  for (bool is_confirmed = false; status.ok() && !is_confirmed; ++at) {
    status = GoThrough(row_[at]);
    if (!status.ok()) break;
    const absl::StatusOr<bool> confirmed = IsConfirmed(at);
    status = confirmed.status();
    is_confirmed = confirmed.ok() && *confirmed;
  }
  return status;
}

// The nearest whole checkpoint at or before the segment; its own, as a rule.
absl::Status Store::Rep::Rebuilding::FindBase(size_t* at) {
  for (;; --*at) {
    const v1::SegmentEntry& entry = row_[*at].entry;
    if (entry.first() == 1) {
      sequencer_.emplace(*FromProto(rep_.side.contents.genesis()));
      return absl::OkStatus();
    }
    const absl::StatusOr<std::string> checkpoint = rep_.ReadCheckpoint(entry);
    if (checkpoint.ok()) {
      absl::StatusOr<Sequencer> restored = Sequencer::Restore(*checkpoint);
      if (!restored.ok()) return restored.status();
      sequencer_.emplace(*std::move(restored));
      return absl::OkStatus();
    }
    if (*at == 0 || !IsDamage(checkpoint.status())) return checkpoint.status();
  }
}

absl::StatusOr<bool> Store::Rep::Rebuilding::IsConfirmed(size_t at) const {
  const v1::SegmentEntry& next = row_[at + 1].entry;  // One that is sealed is never the last.
  const absl::StatusOr<std::string> checkpoint = rep_.ReadCheckpoint(next);
  if (!checkpoint.ok() && IsDamage(checkpoint.status()) && next.sealed()) return false;
  if (!checkpoint.ok()) return checkpoint.status();
  const absl::StatusOr<Sequencer> after = Sequencer::Restore(*checkpoint);
  if (!after.ok()) return after.status();
  if (after->applied_through() != sequencer_->applied_through() ||
      after->digest() != sequencer_->digest()) {
    return absl::DataLossError(
        absl::StrCat("the values supplied for slots through ", sequencer_->applied_through(),
                     " do not come to the state that was recorded after them"));
  }
  return true;
}

absl::Status Store::Rep::Rebuilding::GoThrough(const Source& source) {
  v1::SegmentEntry entry = source.entry;
  const absl::StatusOr<std::shared_ptr<Segment>> own =
      rep_.CheckRecords(source.place, entry, pace_);
  if (!own.ok() && !IsDamage(own.status())) return own.status();
  absl::StatusOr<std::string> checkpoint = std::string();
  if (entry.has_checkpoint()) checkpoint = rep_.ReadCheckpoint(entry);
  const bool is_whole = own.ok() && rep_.ReadIndex(entry).ok() && checkpoint.ok();
  if (!checkpoint.ok()) checkpoint = sequencer_->Snapshot();

  std::unique_ptr<Segment> segment;
  if (!is_whole) {
    entry.set_rebuilt(entry.rebuilt() + 1);
    const std::string dir = rep_.SegmentDir(entry.first(), entry.rebuilt());
    made_.push_back(entry);
    const absl::Status made = Segment::Create(rep_.segment_options(), dir);
    if (!made.ok()) return made;
    absl::StatusOr<std::unique_ptr<Segment>> opened =
        Segment::Open(rep_.segment_options(), dir, entry.first());
    if (!opened.ok()) return opened.status();
    segment = *std::move(opened);
  }

  PositionIndex index(entry.first());
  while (sequencer_->applied_through() < entry.last()) {
    absl::StatusOr<std::vector<paxos::AcceptedValue>> values =
        Values(own.ok() ? own->get() : nullptr, sequencer_->applied_through() + 1, entry.last());
    if (!values.ok()) return values.status();
    for (const paxos::AcceptedValue& value : *values) {
      const absl::StatusOr<Applied> applied = sequencer_->Apply(value);
      if (!applied.ok()) return applied.status();
      index.Add(*applied);
    }
    if (is_whole) continue;
    const absl::Status written = Write(*std::move(values), entry.last(), segment.get());
    if (!written.ok()) return written;
  }
  if (is_whole) return absl::OkStatus();
  if (index.end_position() != entry.end_position()) {
    return absl::DataLossError(absl::StrCat("the values supplied for slots ", entry.first(), " to ",
                                            entry.last(), " hold other entries than were sealed"));
  }
  entry.set_rebuilt_writes(segment->chain().last_write);
  entry.set_digest(segment->chain().digest);
  const absl::Status status = WriteSideFiles(index, *checkpoint, &entry);
  if (!status.ok()) return status;
  // As it will be found: closed, opened and read.
  segment.reset();
  absl::StatusOr<std::unique_ptr<Segment>> opened = Segment::Open(
      rep_.segment_options(), rep_.SegmentDir(entry.first(), entry.rebuilt()), entry.first());
  if (!opened.ok()) return opened.status();
  made_.back() = entry;
  return rep_.VerifyRecords(opened->get(), entry, pace_);
}

absl::StatusOr<std::vector<paxos::AcceptedValue>> Store::Rep::Rebuilding::Values(
    const Segment* own, paxos::Slot first, paxos::Slot last) const {
  if (own != nullptr) {
    std::vector<paxos::AcceptedValue> values;
    const absl::Status status = own->Read(first, last, /*allow_gaps=*/false, kChunkBytes, &values);
    if (!status.ok()) return status;
    return values;
  }
  absl::StatusOr<std::vector<paxos::AcceptedValue>> values = fetch_(first, last);
  if (!values.ok()) return values.status();
  const absl::Status status = CheckRun(*values, first, last);
  if (!status.ok()) return status;
  // Its supplier may have learned it again at a higher ballot than this replica has promised, and
  // nothing may be stored above the promise. The promise itself is one that the value may be stored
  // with: this replica promised no less when it learned the value (B4).
  for (paxos::AcceptedValue& value : *values) value.ballot = std::min(value.ballot, promised_);
  return values;
}

absl::Status Store::Rep::Rebuilding::Write(std::vector<paxos::AcceptedValue> values,
                                           paxos::Slot last, Segment* segment) {
  std::vector<paxos::AcceptRecord> records;
  size_t bytes = 0;
  for (paxos::AcceptedValue& value : values) {
    bytes += kRecordHeaderBytes + value.value.size();
    records.push_back({.accepted = std::move(value), .chosen_through = last});
  }
  std::vector<const paxos::AcceptRecord*> pointers;
  for (const paxos::AcceptRecord& record : records) pointers.push_back(&record);
  absl::Status status = CheckSpace(bytes);
  if (status.ok()) {
    status = segment->Write(owner_, pointers, segment->chain().last_write + 1);
  }
  if (status.ok() && pace_ != nullptr && !pace_(bytes)) {
    return absl::CancelledError(absl::StrCat(segment->dir(), ": stopped writing"));
  }
  return status;
}

absl::Status Store::Rep::Rebuilding::CheckSpace(uint64_t bytes) const {
  uint64_t free = 0;
  const leveldb::Status status = rep_.env->FreeBytes(rep_.dir, &free);
  if (!status.ok()) return ToAbsl(status, rep_.dir);
  // LevelDB writes it twice before it lets go of the first.
  if (free >= reserve_bytes_ + 2 * bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the disk of ", rep_.dir, " has too little space for a copy of the segment; make space"));
}

absl::Status Store::Rep::Rebuilding::WriteSideFiles(const PositionIndex& index,
                                                    const std::string& checkpoint,
                                                    v1::SegmentEntry* entry) {
  const std::string dir = rep_.SegmentDir(entry->first(), entry->rebuilt());
  const bool sync = !rep_.options.unsafe_no_sync;
  const std::string bytes = index.Encode();
  const absl::Status space = CheckSpace(bytes.size() + checkpoint.size());
  if (!space.ok()) return space;
  leveldb::Status status = WriteFile(rep_.env, dir + "/index", bytes, sync);
  if (status.ok() && entry->has_checkpoint()) {
    status = WriteFile(rep_.env, dir + "/checkpoint", checkpoint, sync);
  }
  entry->set_index_bytes(bytes.size());
  entry->set_index_checksum(Checksum(bytes));
  if (entry->has_checkpoint()) {
    entry->set_checkpoint_bytes(checkpoint.size());
    entry->set_checkpoint_checksum(Checksum(checkpoint));
  }
  return ToAbsl(status, dir);
}

absl::StatusOr<std::shared_ptr<const Store::Rebuilt>> Store::Rebuild(paxos::Slot first,
                                                                     const FetchChosen& fetch,
                                                                     uint64_t reserve_bytes,
                                                                     const Pace& pace) {
  Rep::Rebuilding rebuilding(rep_.get(), fetch, reserve_bytes, pace);
  const absl::Status status = rebuilding.Run(first);
  if (!status.ok()) return status;
  return rebuilding.Take();
}

// The copies are whole on disk before they are listed, and one write lists them.
absl::Status Store::Adopt(const Rebuilt& rebuilt) {
  Rep& rep = *rep_;
  if (!rep.failed.ok()) return rep.failed;
  const auto listed = [&](const v1::SegmentEntry& entry) {
    const auto& segments = rep.side.contents.segments();
    return std::find_if(segments.begin(), segments.end(),
                        [&](const v1::SegmentEntry& other) {
                          return other.first() == entry.first() && other.sealed() &&
                                 other.rebuilt() + 1 == entry.rebuilt();
                        }) -
           segments.begin();
  };
  for (const v1::SegmentEntry& entry : rebuilt.entries) {
    if (listed(entry) < rep.side.contents.segments_size()) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "store ", rep.dir, ": no copy of the segment at slot ", entry.first(), " is wanted"));
  }
  std::vector<size_t> places;
  {
    const std::lock_guard guard(rep.mutex);
    for (const v1::SegmentEntry& entry : rebuilt.entries) {
      places.push_back(listed(entry));
      *rep.side.contents.mutable_segments(static_cast<int>(places.back())) = entry;
    }
  }
  const absl::Status status = rep.Fail(rep.side.Save());
  if (!status.ok()) return status;
  const std::lock_guard guard(rep.mutex);
  for (size_t i = 0; i < places.size(); ++i) {
    auto place = std::make_shared<SegmentPlace>();
    place->first = rebuilt.entries[i].first();
    place->dir = rep.SegmentDir(place->first, rebuilt.entries[i].rebuilt());
    place->sealed = true;
    place->entry = rebuilt.entries[i];
    place->verified = true;
    rep.replaced.push_back(std::exchange(rep.row[places[i]], std::move(place)));
  }
  return absl::OkStatus();
}

}  // namespace distlog
