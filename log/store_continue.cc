// Making a log that of another cluster, after its quorum was lost for good.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "log/store_rep.h"
#include "wire/value.h"

namespace distlog {
namespace {

// Of the payloads read and written at a time.
constexpr size_t kChunkBytes = 4 << 20;

}  // namespace

// Copies the unsealed segments beside themselves: what was chosen in them, then the values of the
// continuation.
class Store::Rep::Continuing {
 public:
  Continuing(Rep* rep, const Continuation& next) : rep_(*rep), next_(next) {}

  absl::Status Run();

 private:
  void ChangeIdentity();
  absl::Status CopySegment(const SegmentPlace& place, v1::SegmentEntry* entry);
  // What is to stand in slots `first` to `last`: at most a chunk, and at least one.
  absl::StatusOr<std::vector<paxos::AcceptedValue>> Values(const SegmentPlace& place,
                                                           paxos::Slot first,
                                                           paxos::Slot last) const;
  absl::Status Write(std::vector<paxos::AcceptedValue> values, Segment* segment);
  absl::Status CopyCheckpoint(const v1::SegmentEntry& from, const v1::SegmentEntry& to) const;
  absl::Status Switch();

  Rep& rep_;
  const Continuation& next_;
  v1::SideFile contents_;
  uint64_t last_write_ = 0;
};

absl::Status Store::Rep::Continuing::Run() {
  contents_ = rep_.side.contents;
  ChangeIdentity();
  v1::MarkFile* mark = contents_.mutable_mark();
  mark->Clear();
  mark->set_chosen_through(next_.values.back().slot);
  mark->set_recoveries(contents_.recovered_size());
  for (const auto& place : rep_.row) {
    if (place->sealed) last_write_ = std::max(last_write_, place->entry.last_write());
  }
  for (size_t i = 0; i < rep_.row.size(); ++i) {
    if (rep_.row[i]->sealed) continue;
    v1::SegmentEntry* entry = contents_.mutable_segments(static_cast<int>(i));
    const absl::Status status = CopySegment(*rep_.row[i], entry);
    if (!status.ok()) return status;
  }
  mark->set_last_write(last_write_);
  return Switch();
}

void Store::Rep::Continuing::ChangeIdentity() {
  *contents_.add_recovered() = next_.from;
  contents_.set_incarnation(ToBytes(next_.uuid));
  contents_.set_replica_id(static_cast<uint64_t>(next_.configuration.SeatOf(next_.uuid)));
  *contents_.mutable_joined() = ToProto(next_.configuration);
  contents_.set_cluster_id(ClusterId(*FromProto(contents_.genesis()),
                                     {contents_.recovered().begin(), contents_.recovered().end()}));
  *contents_.mutable_promised() =
      ToProto(std::max(FromProto(contents_.promised()), next_.promised));
}

absl::Status Store::Rep::Continuing::CopySegment(const SegmentPlace& place,
                                                 v1::SegmentEntry* entry) {
  entry->set_rebuilt(entry->rebuilt() + 1);
  const std::string dir = rep_.SegmentDir(entry->first(), entry->rebuilt());
  absl::Status status = Segment::Create(rep_.segment_options(), dir);
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<Segment>> segment =
      Segment::Open(rep_.segment_options(), dir, entry->first());
  if (!segment.ok()) return segment.status();
  const paxos::Slot last = std::min(rep_.LastOf(place), next_.values.back().slot);
  for (paxos::Slot slot = entry->first(); slot <= last;) {
    absl::StatusOr<std::vector<paxos::AcceptedValue>> values = Values(place, slot, last);
    if (!values.ok()) return values.status();
    slot += values->size();
    status = Write(*std::move(values), segment->get());
    if (!status.ok()) return status;
  }
  if (entry->has_checkpoint()) status = CopyCheckpoint(place.entry, *entry);
  if (!status.ok()) return status;
  const Segment::Chain chain = (*segment)->chain();
  v1::SegmentMark* mark = contents_.mutable_mark()->add_segments();
  mark->set_first(entry->first());
  mark->set_last_write(chain.last_write);
  mark->set_digest(chain.digest);
  // As it will be found: closed, opened and read.
  segment->reset();
  segment = Segment::Open(rep_.segment_options(), dir, entry->first());
  if (!segment.ok()) return segment.status();
  return (*segment)->Verify(OwnersOf(contents_), last, chain);
}

absl::StatusOr<std::vector<paxos::AcceptedValue>> Store::Rep::Continuing::Values(
    const SegmentPlace& place, paxos::Slot first, paxos::Slot last) const {
  std::vector<paxos::AcceptedValue> values;
  const paxos::Slot chosen = rep_.recovered.chosen_through;
  if (first <= chosen) {
    const absl::Status status = place.segment->Read(first, std::min(chosen, last),
                                                    /*allow_gaps=*/false, kChunkBytes, &values);
    if (!status.ok()) return status;
    return values;
  }
  size_t bytes = 0;
  for (size_t i = first - chosen - 1; i < next_.values.size(); ++i) {
    const paxos::AcceptedValue& value = next_.values[i];
    if (value.slot > last || (bytes > 0 && bytes + value.value.size() > kChunkBytes)) break;
    bytes += value.value.size();
    values.push_back(value);
  }
  return values;
}

absl::Status Store::Rep::Continuing::Write(std::vector<paxos::AcceptedValue> values,
                                           Segment* segment) {
  std::vector<paxos::AcceptRecord> records;
  std::vector<const paxos::AcceptRecord*> pointers;
  records.reserve(values.size());
  for (paxos::AcceptedValue& value : values) {
    records.push_back({.accepted = std::move(value), .chosen_through = next_.values.back().slot});
    pointers.push_back(&records.back());
  }
  return segment->Write(OwnersOf(contents_).now, pointers, ++last_write_);
}

absl::Status Store::Rep::Continuing::CopyCheckpoint(const v1::SegmentEntry& from,
                                                    const v1::SegmentEntry& to) const {
  const absl::StatusOr<std::string> checkpoint = rep_.ReadCheckpoint(from);
  if (!checkpoint.ok()) return checkpoint.status();
  const std::string path = rep_.SegmentDir(to.first(), to.rebuilt()) + "/checkpoint";
  return ToAbsl(WriteFile(rep_.env, path, *checkpoint, !rep_.options.unsafe_no_sync), path);
}

absl::Status Store::Rep::Continuing::Switch() {
  {
    const std::lock_guard guard(rep_.mutex);
    rep_.side.contents = contents_;
  }
  const absl::Status saved = rep_.Fail(rep_.side.Save());
  if (!saved.ok()) {
    return absl::UnknownError(
        absl::StrCat("store ", rep_.dir,
                     " is what it was, or the recovered one: ", std::string(saved.message())));
  }
  rep_.failed = absl::FailedPreconditionError(
      absl::StrCat("store ", rep_.dir, " has become another cluster's: open it again"));
  std::vector<std::string> unused;
  {
    const std::lock_guard guard(rep_.mutex);
    for (const auto& place : rep_.row) {
      if (!place->sealed) unused.push_back(place->dir);
    }
    rep_.row.clear();
  }
  // What cannot be removed now is removed by the next start.
  for (const std::string& dir : unused) rep_.RemoveDir(dir).IgnoreError();
  return absl::OkStatus();
}

absl::Status Store::Continue(const Continuation& next) {
  Rep& rep = *rep_;
  if (!rep.failed.ok()) return rep.failed;
  const paxos::Slot first = rep.recovered.chosen_through + 1;
  bool is_whole = !next.values.empty();
  for (size_t i = 0; i < next.values.size(); ++i) is_whole &= next.values[i].slot == first + i;
  if (!is_whole || next.values.back().slot <= next.from.slot() ||
      next.configuration.SeatOf(next.uuid) == paxos::kNoReplica ||
      rep.side.contents.cluster_id() != next.from.parent_cluster_id()) {
    return absl::InvalidArgumentError(
        absl::StrCat("store ", rep.dir, " cannot go on with these values"));
  }
  return Rep::Continuing(&rep, next).Run();
}

}  // namespace distlog
