// What a process does about the effects of its steps, and with clients' requests.

#include <algorithm>
#include <utility>

#include "paxos/break.h"
#include "server/leader_call.h"
#include "server/request.h"
#include "tests/simulation/host.h"
#include "tests/simulation/host_trace.h"
#include "wire/status.h"

namespace distlog::simulation {

using paxos::AcceptedValue;
using paxos::Effects;
using paxos::Envelope;
using paxos::Outcome;
using paxos::Slot;

// ---- Effects out. ------------------------------------------------------------------------------

// Only after_write has an order to keep: the write comes anywhere among the others.
bool Host::Act(Effects effects) {
  if (world_->violation.has_value()) return false;
  const size_t actions = effects.send.size() + (effects.chosen.empty() ? 0 : 1) +
                         effects.outcomes.size() + effects.supply.size();
  const bool writes = !effects.write.empty() || !effects.after_write.empty();
  if (writes) disk_->BeforeWrite(effects.write, process_->sequencer);
  const size_t write_before = writes ? world_->random.Below(actions + 1) : actions + 1;
  for (size_t i = 0; i <= actions; ++i) {
    if (i == write_before) {
      if (!effects.send.empty() && !effects.write.empty()) process_->said_unsynced = true;
      if (!SubmitWrite(
              {std::move(effects.write), effects.last_record, std::move(effects.after_write)}) ||
          DiesHere()) {
        return false;
      }
    }
    if (i < actions && !ActOn(i, effects)) return false;
  }
  return AdvanceStored() && !world_->violation.has_value();
}

bool Host::ActOn(size_t index, const Effects& effects) {
  const uint64_t run = run_;
  if (index < effects.send.size()) {
    Send(effects.send[index]);
  } else if (index -= effects.send.size(); index == 0 && !effects.chosen.empty()) {
    for (const AcceptedValue& chosen : effects.chosen) Apply(chosen);
  } else if (index -= effects.chosen.empty() ? 0 : 1; index < effects.outcomes.size()) {
    const Outcome& outcome = effects.outcomes[index];
    const auto sequence = static_cast<uint64_t>(outcome.ticket);
    if (process_->changes_under_way.erase(outcome.ticket) > 0) {
      // The operator looks at what is in force, not at answers.
    } else if (outcome.result == Outcome::Result::kChosen) {
      process_->membership.OnChosen(sequence);  // Applying it has the answer.
    } else if (outcome.result == Outcome::Result::kReadable) {
      process_->reads.OnReadable(outcome.ticket, outcome.slot, &process_->answers);
    } else {
      process_->membership.OnNotChosen(sequence, NotLeading(), &process_->answers);
      process_->appends.OnNotChosen(sequence, NotLeading(), &process_->answers);
    }
  } else {
    Supply(effects.supply[index - effects.outcomes.size()]);
  }
  if (run != run_ || process_ == nullptr || world_->violation.has_value()) return false;
  return !DiesHere();
}

bool Host::SubmitWrite(Disk::Write write) {
  if (paxos::IsBroken(paxos::Break::kSendBeforeDurable)) {
    const uint64_t run = run_;
    for (const Envelope& envelope : std::exchange(write.after_write, {})) {
      Send(envelope);
      if (run != run_ || process_ == nullptr || world_->violation.has_value()) return false;
    }
  }
  disk_->Submit(std::move(write));
  if (!disk_->is_syncing()) SyncDisk();
  return true;
}

void Host::SyncDisk() {
  disk_->StartGroup();
  const Time took = disk_->unfinished_records() == 0
                        ? Time(0)
                        : world_->random.LongTail(options_.min_sync, options_.max_sync);
  world_->scheduler.After(took, [this, run = run_] {
    if (run == run_ && process_ != nullptr) FinishSync();
  });
}

void Host::FinishSync() {
  if (world_->now() < disk_stalled_until_ || paused_) {
    // A paused process hears of nothing; whether its disk has finished then makes no difference.
    world_->scheduler.After(std::chrono::milliseconds(5), [this, run = run_] {
      if (run == run_ && process_ != nullptr) FinishSync();
    });
    return;
  }
  if (options_.failed_writes > 0 && world_->random.Chance(options_.failed_writes)) {
    BreakDisk();
  }
  const std::vector<Disk::Write> done = disk_->FinishGroup();
  if (DiesOfDisk() || world_->violation.has_value()) return;
  if (world_->trace.on()) {
    Trace("durable: promised=" + paxos::ToString(disk_->promised()) + " accepted through " +
          std::to_string(disk_->accepted().empty() ? 0 : disk_->accepted().rbegin()->first) +
          " mark=" + std::to_string(disk_->mark()));
  }
  if (disk_->is_idle()) process_->said_unsynced = false;
  if (DiesHere()) return;
  const uint64_t run = run_;
  uint64_t last = 0;
  for (const Disk::Write& write : done) {
    for (const Envelope& envelope : write.after_write) {
      Send(envelope);
      if (run != run_ || process_ == nullptr || world_->violation.has_value() || DiesHere()) return;
    }
    if (!write.records.empty()) last = write.last_record;
  }
  if (last != 0) Post(paxos::WriteFinished{last});
  if (!disk_->is_idle()) SyncDisk();
}

// What is to be written next fails, or a mark or checkpoint some time after.
void Host::BreakDisk() {
  if (world_->trace.on()) Trace("the disk breaks down");
  ++world_->counters.failed_writes;
  disk_->BreakDown(world_->random.Below(world_->random.Chance(0.5) ? 6 : 300));
}

// Nobody knows what is on it now.
bool Host::DiesOfDisk() {
  if (!disk_->has_failed()) return false;
  if (world_->trace.on()) Trace("a write fails");
  if (disk_full_) ++world_->counters.disks_run_out;
  callbacks_.crash();
  return true;
}

void Host::Send(const Envelope& envelope) {
  checker_->Left(envelope);
  if (world_->trace.on()) Trace("  " + paxos::ToString(envelope));
  if (envelope.to == id()) {
    Post(paxos::Receive{envelope});
  } else {
    callbacks_.send(envelope);
  }
}

void Host::Apply(const AcceptedValue& chosen) {
  const absl::StatusOr<distlog::Applied> applied = process_->sequencer.Apply(chosen);
  if (!applied.ok()) {
    world_->Fail("replica " + paxos::ToString(id()) + ": cannot apply slot " +
                 std::to_string(chosen.slot) + ": " + std::string(applied.status().message()));
    return;
  }
  checker_->Applied(id(), chosen.value, *applied, process_->sequencer.digest());
  if (applied->operation.has_value() || chosen.value.kind == paxos::Value::Kind::kConfiguration) {
    checker_->Operates(id(), chosen.slot, process_->sequencer.operations());
  }
  disk_->AfterApply(*applied, process_->sequencer);
  process_->unstored.emplace_back(chosen.slot, process_->sequencer.last_position());
  if (applied->origin_start_nonce != process_->start_nonce ||
      applied->origin_replica != static_cast<uint64_t>(id())) {
    return;
  }
  process_->answers.push_back([this, slot = chosen.slot] { checker_->Answered(slot); });
  process_->appends.OnApplied(*applied, &process_->answers);
  process_->membership.OnApplied(*applied, &process_->answers);
}

// Reads are served from the disk, as far as what is applied is there.
bool Host::AdvanceStored() {
  const Slot stored = process_->replica.stored_through();
  const absl::StatusOr<std::optional<Slot>> mark = disk_->AfterStore(stored);
  if (disk_->has_failed()) ++world_->counters.checkpoints_failed;
  if (DiesOfDisk()) return false;
  if (!mark.ok()) {
    world_->Fail("replica " + paxos::ToString(id()) + ": " + std::string(mark.status().message()));
    return false;
  }
  if (mark->has_value()) {
    checker_->MarkSaved(id(), **mark);
    ++world_->counters.checkpoints;
  }
  std::optional<std::pair<Slot, uint64_t>> readable;
  while (!process_->unstored.empty() && process_->unstored.front().first <= stored) {
    readable = process_->unstored.front();
    process_->unstored.pop_front();
  }
  if (readable.has_value()) SetReadable(readable->first, readable->second);
  return true;
}

void Host::Supply(const paxos::Supply& supply) {
  absl::StatusOr<std::vector<AcceptedValue>> values =
      disk_->ReadSlots(supply.first, supply.through, options_.supply_bytes);
  if (DiesOfDisk()) return;
  if (!values.ok()) {
    world_->Fail("replica " + paxos::ToString(id()) + ": cannot supply slots " +
                 std::to_string(supply.first) + " to " + std::to_string(supply.through) + ": " +
                 std::string(values.status().message()));
    return;
  }
  ++world_->counters.catch_up_by_slots;
  Send({id(), supply.to, paxos::LearnReply{*std::move(values), supply.through}});
}

// The mark is written by itself, after the sync that it describes.
void Host::SaveMark() {
  if (process_ == nullptr || paused_) return;
  const Slot through = process_->replica.stored_through();
  if (through <= disk_->mark()) return;
  if (options_.failed_writes > 0 && world_->random.Chance(20 * options_.failed_writes)) BreakDisk();
  disk_->SaveMark(through);
  if (disk_->has_failed()) ++world_->counters.marks_failed;
  if (DiesOfDisk()) return;
  checker_->MarkSaved(id(), through);
  ++world_->counters.marks_saved;
  if (process_->sequencer.applied_through() == through && world_->random.Chance(0.3)) {
    disk_->SaveCheckpoint(process_->sequencer);
    ++world_->counters.checkpoints;
  }
  Post(paxos::MarkSaved{through});
}

// ---- Clients, as in server/node.h. -------------------------------------------------------------

absl::Status Host::NotLeading() const {
  const paxos::ReplicaId leader = process_->replica.leader_hint();
  const paxos::Member* member =
      leader == id() ? nullptr : process_->replica.configuration().Find(leader);
  return NotAppendedError(absl::StatusCode::kUnavailable, "this replica does not lead",
                          v1::ErrorDetail::REASON_NO_LEADER,
                          member == nullptr ? "" : member->address);
}

absl::Status Host::CheckIsMember() const {
  if (!process_->replica.has_left()) return absl::OkStatus();
  return NotAppendedError(absl::StatusCode::kUnavailable, "this server is no member any more",
                          v1::ErrorDetail::REASON_NO_LEADER);
}

absl::Status Host::CheckTakesAppends() const {
  if (absl::Status member = CheckIsMember(); !member.ok()) return member;
  if (!disk_full_) return absl::OkStatus();
  return NotAppendedError(absl::StatusCode::kResourceExhausted, "the disk is nearly full",
                          v1::ErrorDetail::REASON_DISK_FULL);
}

template <typename Callback>
bool Host::Admit(std::unique_ptr<AppendQueue::Request> request, const Callback& done) {
  if (!process_->admission.Enter(request->bytes)) {
    done(NotAppendedError(absl::StatusCode::kResourceExhausted, "too many appends are under way",
                          v1::ErrorDetail::REASON_BUSY));
    return false;
  }
  process_->appends.Add(std::move(request));
  Wake();
  return true;
}

// Whoever does not lead passes it on once, by the rules of server/leader_call.h.
void Host::Append(v1::AppendRequest request, Time give_up_after, bool passed_on,
                  AppendCallback done) {
  if (process_ == nullptr) return;
  if (absl::Status member = CheckIsMember(); !member.ok()) {
    done(member);
    return;
  }
  const paxos::ReplicaId leader = process_->replica.leader_hint();
  const paxos::Member* member = process_->replica.configuration().Find(leader);
  if (passed_on || leader == id() || member == nullptr) {
    AppendHere(request, give_up_after, std::move(done));
    return;
  }
  ++world_->counters.passed_to_leader;
  const bool is_repeatable = !request.producer().empty();
  callbacks_.pass_on(
      member->address, request,
      [this, run = run_, request, give_up_after, is_repeatable,
       done = std::move(done)](const absl::StatusOr<v1::AppendResponse>& answer) mutable {
        if (run != run_ || process_ == nullptr) return;
        const NextAttempt next =
            answer.ok() ? NextAttempt::kNone
                        : DecideAfter(answer.status(), /*was_passed_on=*/true, is_repeatable);
        if (next == NextAttempt::kNone) {
          done(answer);
          return;
        }
        const bool unknown = next == NextAttempt::kRepeatUnknown;
        AppendHere(
            request, give_up_after,
            [unknown, done = std::move(done)](const absl::StatusOr<v1::AppendResponse>& second) {
              if (second.ok() || !unknown) {
                done(second);
              } else {
                done(AfterUnknown(second.status()));
              }
            });
      });
}

void Host::AppendHere(const v1::AppendRequest& request, Time give_up_after, AppendCallback done) {
  absl::Status status = CheckTakesAppends();
  if (status.ok()) status = CheckAppend(request, options_.limits);
  if (!status.ok()) {
    done(status);
    return;
  }
  auto append = std::make_unique<AppendQueue::Request>();
  v1::AppendRecord& record = append->append;
  *record.mutable_payloads() = request.payloads();
  record.set_producer(request.producer());
  record.set_epoch(request.epoch());
  record.set_sequence(request.sequence());
  record.set_expect_position(request.expect_position());
  record.set_cluster_time_ms(request.cluster_time_ms());
  if (record.cluster_time_ms() == 0 && !record.producer().empty() && record.epoch() == 0) {
    record.set_cluster_time_ms(process_->sequencer.cluster_time_ms());
  }
  append->bytes = record.ByteSizeLong();
  append->deadline = Deadline(give_up_after);
  append->on_append = done;
  Admit(std::move(append), done);
}

void Host::OpenProducer(const v1::OpenProducerRequest& request, Time give_up_after,
                        OpenCallback done) {
  if (process_ == nullptr) return;
  absl::Status status = CheckTakesAppends();
  if (status.ok()) status = CheckOpenProducer(request);
  if (!status.ok()) {
    done(status);
    return;
  }
  auto opening = std::make_unique<AppendQueue::Request>();
  opening->open.set_name(request.name());
  if (request.has_after_epoch()) opening->open.set_after_epoch(request.after_epoch());
  opening->open.set_nonce(request.nonce());
  opening->bytes = opening->open.ByteSizeLong();
  opening->deadline = Deadline(give_up_after);
  opening->on_open = done;
  Admit(std::move(opening), done);
}

}  // namespace distlog::simulation
