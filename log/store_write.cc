// Writing: promises, accepted values, marks, new segments, checkpoints.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "log/store_rep.h"
#include "wire/checksum.h"
#include "wire/value.h"

namespace distlog {
namespace {

// A cluster replaces members for years before it has had so many.
constexpr size_t kMaxPeers = 4096;

}  // namespace

// After an error nobody knows what is on disk; what is written later might stand on a hole.
absl::Status Store::Rep::Fail(absl::Status status) {
  if (!status.ok() && failed.ok()) failed = status;
  return status;
}

absl::Status Store::Assign(const paxos::Configuration& genesis, const std::string& cluster_id,
                           const std::optional<paxos::Configuration>& joined,
                           const std::vector<v1::RecoveredFrom>& recovered) {
  Rep& rep = *rep_;
  if (!rep.failed.ok()) return rep.failed;
  if (!rep.side.contents.cluster_id().empty()) {
    if (rep.side.contents.cluster_id() == cluster_id) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat("store ", rep.dir, " belongs to cluster ",
                                                      HexString(rep.side.contents.cluster_id()),
                                                      " and cannot join ", HexString(cluster_id)));
  }
  if (cluster_id.size() != 32) {
    return absl::InvalidArgumentError("the id of a cluster has 32 bytes");
  }
  const paxos::Uuid uuid = UuidFromBytes(rep.side.contents.uuid());
  const paxos::ReplicaId seat = (joined.has_value() ? *joined : genesis).SeatOf(uuid);
  {
    const std::lock_guard lock(rep.mutex);
    *rep.side.contents.mutable_genesis() = ToProto(genesis);
    rep.side.contents.set_cluster_id(cluster_id);
    rep.side.contents.set_replica_id(static_cast<uint64_t>(seat));
    if (joined.has_value()) *rep.side.contents.mutable_joined() = ToProto(*joined);
    rep.side.contents.mutable_recovered()->Assign(recovered.begin(), recovered.end());
  }
  return rep.Fail(rep.side.Save());
}

absl::Status Store::Write(std::span<const paxos::Record> records) {
  Rep& rep = *rep_;
  if (!rep.failed.ok()) return rep.failed;
  paxos::Ballot promised;
  paxos::Slot mark = 0;
  std::vector<const paxos::AcceptRecord*> accepts;
  for (const paxos::Record& record : records) {
    if (const auto* promise = std::get_if<paxos::PromiseRecord>(&record)) {
      promised = std::max(promised, promise->promised);
    } else if (const auto* accept = std::get_if<paxos::AcceptRecord>(&record)) {
      accepts.push_back(accept);
    } else {
      mark = std::max(mark, std::get<paxos::MarkRecord>(record).chosen_through);
    }
  }
  absl::Status status = rep.WritePromise(promised);
  if (status.ok()) status = rep.WriteAccepts(accepts);
  if (status.ok() && mark > 0) status = rep.WriteMark(mark, /*both=*/true);
  return rep.Fail(status);
}

absl::Status Store::Rep::WritePromise(const paxos::Ballot& promised) {
  if (promised <= FromProto(side.contents.promised())) return absl::OkStatus();
  {
    const std::lock_guard guard(mutex);
    *side.contents.mutable_promised() = ToProto(promised);
  }
  return side.Save();
}

absl::Status Store::Rep::WriteAccepts(const std::vector<const paxos::AcceptRecord*>& records) {
  if (records.empty()) return absl::OkStatus();
  if (side.contents.cluster_id().empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("store ", dir, " belongs to no cluster and stores no values"));
  }
  std::optional<paxos::Slot> cut;
  {
    const std::lock_guard guard(mutex);
    cut = pending_cut;
  }
  if (cut.has_value() && std::any_of(records.begin(), records.end(), [&](const auto* record) {
        return record->accepted.slot >= *cut;
      })) {
    const absl::Status status = CreateSegment(*cut);
    if (!status.ok()) return status;
  }
  // By place in the row, so that the older segment comes first.
  std::map<paxos::Slot, std::pair<Segment*, std::vector<const paxos::AcceptRecord*>>> groups;
  for (const paxos::AcceptRecord* record : records) {
    const std::shared_ptr<SegmentPlace> place = PlaceOfSlot(record->accepted.slot);
    if (place == nullptr || place->sealed) {
      return absl::InternalError(absl::StrCat("store ", dir, ": slot ", record->accepted.slot,
                                              " is sealed and cannot be written again"));
    }
    auto& group = groups[place->first];
    group.first = place->segment.get();
    group.second.push_back(record);
  }
  const Owner owner = OwnersOf(side.contents).now;
  for (auto& [first, group] : groups) {
    const absl::Status status = group.first->Write(owner, group.second, last_write + 1);
    if (!status.ok()) return status;
    ++last_write;
    accepted_through = std::max<paxos::Slot>(accepted_through, group.first->highest_slot());
  }
  return absl::OkStatus();
}

paxos::Slot Store::Rep::StoredThrough() const {
  paxos::Slot through = 0;
  for (const auto& place : row) {
    if (place->sealed) {
      through = place->entry.last();
    } else if (through + 1 == place->first) {
      through = place->segment->stored_through();
    }
  }
  return through;
}

absl::Status Store::Rep::WriteMark(paxos::Slot through, bool both) {
  if (through > StoredThrough()) {
    return absl::InternalError(absl::StrCat("store ", dir, ": the mark ", through,
                                            " is above what is stored without a gap, ",
                                            StoredThrough()));
  }
  side.mark.set_chosen_through(std::max<paxos::Slot>(through, side.mark.chosen_through()));
  side.mark.set_last_write(last_write);
  side.mark.set_recoveries(side.contents.recovered_size());
  side.mark.clear_segments();
  for (const auto& place : row) {
    if (place->sealed) continue;
    v1::SegmentMark* mark = side.mark.add_segments();
    mark->set_first(place->first);
    mark->set_last_write(place->segment->chain().last_write);
    mark->set_digest(place->segment->chain().digest);
  }
  return side.SaveMark(both);
}

absl::Status Store::SaveMark(paxos::Slot through) {
  Rep& rep = *rep_;
  if (!rep.failed.ok()) return rep.failed;
  if (through <= rep.side.mark.chosen_through() && rep.side.mark.last_write() == rep.last_write) {
    return absl::OkStatus();
  }
  return rep.Fail(rep.WriteMark(through, /*both=*/false));
}

// The segment is whole on disk before it is listed, and listed before it holds anything: one that
// is listed and missing is lost, one that is not listed was never written to.
absl::Status Store::Rep::CreateSegment(paxos::Slot first) {
  auto place = std::make_shared<SegmentPlace>();
  place->first = first;
  place->dir = SegmentDir(first);
  place->entry.set_first(first);
  absl::Status status = Segment::Create(segment_options(), place->dir);
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<Segment>> segment =
      Segment::Open(segment_options(), place->dir, first);
  if (!segment.ok()) return segment.status();
  place->segment = *std::move(segment);
  {
    const std::lock_guard guard(mutex);
    side.contents.add_segments()->set_first(first);
  }
  status = side.Save();
  if (!status.ok()) return status;
  const std::lock_guard guard(mutex);
  place->index = std::move(pending_index);
  row.push_back(std::move(place));
  pending_cut.reset();
  return absl::OkStatus();
}

absl::Status Store::SaveCheckpoint(paxos::Slot first, const std::string& state) {
  Rep& rep = *rep_;
  if (!rep.failed.ok()) return rep.failed;
  return rep.Fail(rep.WriteCheckpoint(first, state));
}

absl::Status Store::Rep::WriteCheckpoint(paxos::Slot first, const std::string& state) {
  bool is_pending;
  {
    const std::lock_guard guard(mutex);
    is_pending = pending_cut == first;
  }
  if (is_pending) {
    const absl::Status status = CreateSegment(first);
    if (!status.ok()) return status;
  }
  const auto found = std::find_if(row.begin(), row.end(),
                                  [first](const auto& place) { return place->first == first; });
  if (found == row.end() || found == row.begin() || (*found)->sealed) {
    return absl::InternalError(
        absl::StrCat("store ", dir, ": no segment begins at slot ", first, " and waits for it"));
  }
  const size_t i = found - row.begin();
  if (row[i]->entry.has_checkpoint()) return absl::OkStatus();
  const std::string path = row[i]->dir + "/checkpoint";
  const leveldb::Status status = WriteFile(env, path, state, !options.unsafe_no_sync);
  if (!status.ok()) return ToAbsl(status, path);
  {
    const std::lock_guard guard(mutex);
    v1::SegmentEntry* entry = side.contents.mutable_segments(i);
    entry->set_has_checkpoint(true);
    entry->set_checkpoint_bytes(state.size());
    entry->set_checkpoint_checksum(Checksum(state));
    row[i]->entry = *entry;
  }
  // One that was damaged, and made again.
  if (row[i - 1]->sealed) return side.Save();
  return SealBefore(i);
}

// One write of the side file lists the checkpoint, seals the segment before it, and takes over the
// promise that the ballots in that segment stood for.
absl::Status Store::Rep::SealBefore(size_t i) {
  SegmentPlace& place = *row[i - 1];
  Segment& segment = *place.segment;
  const paxos::Slot last = row[i]->first - 1;
  std::string index;
  uint64_t end_position = 0;
  {
    const std::lock_guard guard(mutex);
    if (place.index->is_empty() || place.index->last_slot() != last) {
      return absl::InternalError(
          absl::StrCat("store ", dir, ": slots below ", last + 1, " are not all applied"));
    }
    index = place.index->Encode();
    end_position = place.index->end_position();
  }
  if (segment.stored_through() != last) {
    return absl::InternalError(
        absl::StrCat("store ", dir, ": slots below ", last + 1, " are not all stored"));
  }
  const std::string path = place.dir + "/index";
  const leveldb::Status written = WriteFile(env, path, index, !options.unsafe_no_sync);
  if (!written.ok()) return ToAbsl(written, path);
  absl::Status status = segment.StartFlush();
  if (!status.ok()) return status;
  v1::SegmentEntry entry;
  {
    const std::lock_guard guard(mutex);
    v1::SegmentEntry* listed = side.contents.mutable_segments(i - 1);
    listed->set_sealed(true);
    listed->set_last(last);
    listed->set_last_write(segment.chain().last_write);
    if (listed->rebuilt() > 0) listed->set_rebuilt_writes(segment.chain().last_write);
    listed->set_digest(segment.chain().digest);
    listed->set_index_bytes(index.size());
    listed->set_index_checksum(Checksum(index));
    listed->set_end_position(end_position);
    entry = *listed;
    *side.contents.mutable_promised() =
        ToProto(std::max(FromProto(side.contents.promised()), segment.highest_ballot()));
  }
  status = side.Save();
  if (!status.ok()) return status;
  side.mark.set_chosen_through(std::max<paxos::Slot>(side.mark.chosen_through(), last));
  {
    const std::lock_guard opening(place.opening);
    place.db = segment.db();
  }
  {
    const std::lock_guard guard(mutex);
    place.entry = entry;
    place.sealed = true;
    place.last_used = ++uses;
  }
  CloseUnused();
  return absl::OkStatus();
}

std::optional<paxos::Slot> Store::CutBefore(std::span<const paxos::Record> records) {
  Rep& rep = *rep_;
  paxos::Slot highest = 0;
  uint64_t bytes = 0;
  for (const paxos::Record& record : records) {
    const auto* accept = std::get_if<paxos::AcceptRecord>(&record);
    if (accept == nullptr) continue;
    highest = std::max(highest, accept->accepted.slot);
    bytes += kRecordHeaderBytes + accept->accepted.value.size();
  }
  std::optional<paxos::Slot> cut;
  {
    const std::lock_guard lock(rep.mutex);
    const SegmentPlace& newest = *rep.row.back();
    const bool is_alone = rep.row.size() == 1 || rep.row[rep.row.size() - 2]->sealed;
    const paxos::Slot slots = rep.handed_through + 1 - newest.first;
    if (!rep.pending_cut.has_value() && is_alone && highest > rep.handed_through &&
        rep.handed_bytes >= rep.options.segment_bytes && slots > 2 * rep.options.window) {
      cut = rep.handed_through + 1;
      rep.pending_cut = cut;
      rep.pending_index = std::make_shared<PositionIndex>(*cut);
    }
  }
  rep.handed_bytes = cut.has_value() ? bytes : rep.handed_bytes + bytes;
  rep.handed_through = std::max(rep.handed_through, highest);
  return cut;
}

std::optional<paxos::Slot> Store::waiting_checkpoint() const {
  const std::lock_guard lock(rep_->mutex);
  if (rep_->pending_cut.has_value()) return rep_->pending_cut;
  for (const auto& place : rep_->row) {
    if (place->sealed || place->first == 1 || place->entry.has_checkpoint()) continue;
    return place->first;
  }
  return std::nullopt;
}

void Store::NoteApplied(const Applied& applied) {
  const std::lock_guard lock(rep_->mutex);
  if (rep_->pending_cut.has_value() && applied.slot >= *rep_->pending_cut) {
    rep_->pending_index->Add(applied);
    return;
  }
  for (auto place = rep_->row.rbegin(); place != rep_->row.rend(); ++place) {
    if (applied.slot < (*place)->first) continue;
    // Applied again, after a damaged checkpoint: the index of a sealed segment is written.
    if (!(*place)->sealed) (*place)->index->Add(applied);
    return;
  }
}

absl::Status Store::RememberPeer(const paxos::Uuid& peer, const PeerStart& start) {
  Rep& rep = *rep_;
  if (!rep.failed.ok()) return rep.failed;
  {
    const std::lock_guard lock(rep.mutex);
    if (!rep.peers.contains(peer) && rep.peers.size() >= kMaxPeers) {
      return absl::ResourceExhaustedError(
          absl::StrCat("store ", rep.dir, " remembers ", kMaxPeers, " peers and can take no more"));
    }
    PeerStart& known = rep.peers[peer];
    if (start.start_counter <= known.start_counter) return absl::OkStatus();
    known = start;
    rep.side.contents.clear_peers();
    for (const auto& [uuid, told] : rep.peers) {
      v1::PeerStartEntry* entry = rep.side.contents.add_peers();
      entry->set_uuid(ToBytes(uuid));
      entry->set_start_counter(told.start_counter);
      entry->set_start_nonce(told.start_nonce);
    }
  }
  return rep.Fail(rep.side.Save());
}

}  // namespace distlog
