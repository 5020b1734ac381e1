// What a process does for those who read, as server/read_stream.h does.

#include <algorithm>
#include <utility>

#include "tests/simulation/host.h"

namespace distlog::simulation {

void Host::SetReadable(paxos::Slot slot, uint64_t last_position) {
  process_->readable = {process_->sequencer.first_position(), last_position};
  process_->reads.SetReadable(slot, process_->readable, &process_->answers);
}

void Host::Read(Time give_up_after, ReadCallback done) {
  if (process_ == nullptr) return;
  if (absl::Status member = CheckIsMember(); !member.ok()) {
    done(member);
    return;
  }
  process_->barriers.push_back(
      {Deadline(give_up_after),
       [this, done = std::move(done)](const absl::StatusOr<Node::Bounds>& bounds) {
         if (bounds.ok()) checker_->Answered(process_->reads.readable_through());
         done(bounds);
       }});
  Wake();
}

void Host::ReadEntries(const v1::ReadRequest& request, Time give_up_after, EntriesCallback done) {
  if (process_ == nullptr || paused_) return;
  if (absl::Status member = CheckIsMember(); !member.ok()) {
    done(member);
    return;
  }
  if (request.consistency() == v1::CONSISTENCY_LOCAL) {
    ReadRange(request, process_->readable, done);
    return;
  }
  Read(give_up_after,
       [this, request, done = std::move(done)](const absl::StatusOr<Node::Bounds>& bounds) {
         if (bounds.ok()) {
           ReadRange(request, *bounds, done);
         } else {
           done(bounds.status());
         }
       });
}

void Host::ReadRange(const v1::ReadRequest& request, const Node::Bounds& bounds,
                     const EntriesCallback& done) {
  Entries found;
  found.first_position = request.from() == 0 ? bounds.first : request.from();
  if (request.consistency() != v1::CONSISTENCY_LOCAL) found.end = bounds.last;
  ReadOn(std::move(found), request.to() == 0 ? bounds.last : std::min(request.to(), bounds.last),
         done);
}

void Host::ReadOn(Entries found, uint64_t last, const EntriesCallback& done) {
  const uint64_t next = found.first_position + found.payloads.size();
  if (next > last) {
    done(std::move(found));
    return;
  }
  absl::StatusOr<std::vector<LogEntry>> piece =
      disk_->ReadEntries(next, last, options_.supply_bytes);
  if (DiesOfDisk()) return;
  if (!piece.ok() || piece->empty() || piece->front().position != next) {
    world_->Fail("replica " + paxos::ToString(id()) + ": cannot read positions " +
                 std::to_string(next) + " to " + std::to_string(last) + ": " +
                 (piece.ok() ? "its disk has others" : std::string(piece.status().message())));
    return;
  }
  for (LogEntry& entry : *piece) found.payloads.push_back(std::move(entry.payload));
  world_->scheduler.After(world_->random.Between(Time(0), std::chrono::microseconds(500)),
                          [this, run = run_, found = std::move(found), last, done]() mutable {
                            if (run == run_ && process_ != nullptr)
                              ReadOn(std::move(found), last, done);
                          });
}

}  // namespace distlog::simulation
