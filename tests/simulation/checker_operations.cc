#include "tests/simulation/checker_operations.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/checker_text.h"
#include "wire/status.h"
#include "wire/value.h"

namespace distlog::simulation {

using paxos::Configuration;
using paxos::Member;
using paxos::ReplicaId;
using paxos::Slot;
using paxos::Uuid;

namespace {

using Phase = OperationPhase;

// What a configuration is about: ids follow from it, and from rule B2.
struct Seat {
  std::string address;
  bool voter = false;
  friend bool operator==(const Seat&, const Seat&) = default;
};
using Seats = std::map<Uuid, Seat>;

Seats SeatsOf(const Configuration& configuration) {
  Seats seats;
  for (const Member& member : configuration.members) {
    seats[member.uuid] = {member.address, member.voter};
  }
  return seats;
}

Seats GoalSeats(const OperationTable::Operation& operation) {
  Seats seats;
  for (const v1::MemberMessage& member : operation.begun.goal()) {
    seats[UuidFromBytes(member.uuid())] = {member.address(), member.voter()};
  }
  return seats;
}

Seats WithNewcomers(const OperationTable::Operation& operation, const Configuration& in_force) {
  Seats seats = SeatsOf(in_force);
  for (const v1::MemberMessage& member : operation.begun.goal()) {
    if (member.id() == 0) seats.try_emplace(UuidFromBytes(member.uuid()), member.address(), false);
  }
  return seats;
}

bool LacksNewcomers(const OperationTable::Operation& operation, const Configuration& in_force) {
  return WithNewcomers(operation, in_force) != SeatsOf(in_force);
}

Seats WithoutAdded(const OperationTable::Operation& operation, const Configuration& in_force) {
  Seats seats = SeatsOf(in_force);
  for (const Member& member : in_force.members) {
    if (operation.added.contains(member.id)) seats.erase(member.uuid);
  }
  return seats;
}

bool HasVoter(const Seats& seats) {
  return std::any_of(seats.begin(), seats.end(),
                     [](const auto& each) { return each.second.voter; });
}

bool HasAdded(const OperationTable::Operation& operation, const Configuration& in_force) {
  return std::any_of(in_force.members.begin(), in_force.members.end(),
                     [&](const Member& member) { return operation.added.contains(member.id); });
}

// Whether the goal could come next: everybody whom it keeps is there, nobody is there twice, and
// somebody votes.
bool CanBe(const v1::BeginOperationCommand& begun, const Configuration& in_force) {
  std::set<Uuid> uuids;
  std::set<std::string> addresses;
  bool has_voter = false;
  for (const v1::MemberMessage& member : begun.goal()) {
    const Uuid uuid = UuidFromBytes(member.uuid());
    has_voter = has_voter || member.voter();
    if (!uuids.insert(uuid).second || !addresses.insert(member.address()).second) return false;
    const Member* kept = member.id() == 0 ? nullptr : in_force.Find(ReplicaId{member.id()});
    if (member.id() != 0 && (kept == nullptr || kept->uuid != uuid)) return false;
  }
  return has_voter;
}

bool IsFinal(Phase phase) { return phase >= Phase::kDone; }

// Whether the operator knows now that it is not in the log, and never will be.
bool IsRefusal(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kDeadlineExceeded) return true;
  const std::optional<v1::ErrorDetail> detail = DetailOf(status);
  return detail.has_value() && detail->not_appended();
}

}  // namespace

// ---- The table. --------------------------------------------------------------------------------

const OperationTable::Operation* OperationTable::running() const {
  return all_.empty() || IsFinal(all_.back().phase) ? nullptr : &all_.back();
}

OperationTable::Operation* OperationTable::FindRunning() {
  return all_.empty() || IsFinal(all_.back().phase) ? nullptr : &all_.back();
}

const OperationTable::Operation* OperationTable::Find(uint64_t id) const {
  return id == 0 || id > all_.size() ? nullptr : &all_[id - 1];
}

const OperationTable::Operation* OperationTable::FindNonce(uint64_t nonce) const {
  for (const Operation& operation : all_) {
    if (operation.begun.nonce() == nonce) return &operation;
  }
  return nullptr;
}

void OperationTable::Note(Slot slot) {
  if (all_.empty()) return;
  const Operation& last = all_.back();
  newest_[slot] = {last.id, last.phase, last.added};
}

void OperationTable::Enter(Phase phase, Operation* operation) {
  operation->phase = phase;
  if (phase == Phase::kDone) ++met_.done;
  if (phase == Phase::kCancelled) ++met_.cancelled;
  if (phase == Phase::kFailed) ++met_.failed;
  if (IsFinal(phase) && operation->has_changed_leader) ++met_.carried_on;
}

std::optional<std::string> OperationTable::Compare(Slot through, const Operations& table) const {
  const auto after = newest_.upper_bound(through);
  if (after == newest_.begin()) {
    if (table.all().empty()) return std::nullopt;
    return "it knows of an operation, but the log of none";
  }
  const Newest& newest = std::prev(after)->second;
  if (table.all().empty() || table.all().back().id() != newest.id) {
    return Text("operation ", newest.id, " is not the newest one that it knows of");
  }
  const v1::OperationState& last = table.all().back();
  if (last.phase() != static_cast<uint32_t>(newest.phase)) {
    return Text("operation ", newest.id, " is in phase ", last.phase(), " for it, not in ",
                static_cast<uint32_t>(newest.phase));
  }
  std::set<ReplicaId> added;
  for (const uint64_t id : last.added()) added.insert(ReplicaId{id});
  if (added != newest.added) return Text("operation ", newest.id, " has added others for it");
  if (newest.phase == Phase::kFailed && last.reason().empty()) {
    return Text("operation ", newest.id, " has failed without a reason");
  }
  return std::nullopt;
}

// ---- Commands. ---------------------------------------------------------------------------------

std::optional<std::string> OperationTable::Apply(const v1::Command& command,
                                                 const Configuration& in_force,
                                                 const Applied& applied) {
  if (command.has_leadership()) return BeginTerm(command.leadership(), applied);
  const bool was_running = running() != nullptr;
  OperationResult expected;
  if (command.has_begin_operation()) {
    expected = Begin(command.begin_operation(), in_force);
  } else if (command.has_cancel_operation()) {
    expected = Cancel(command.cancel_operation().id(), in_force);
  } else if (command.has_advance_operation()) {
    expected = Advance(command.advance_operation(), in_force);
  } else {
    return std::nullopt;
  }
  Note(applied.slot);
  if (!applied.operation.has_value()) return "it is about an operation, but does not answer that";
  if (*applied.operation != expected) {
    return Text("it is refused for reason ", static_cast<uint32_t>(applied.operation->refusal),
                " about operation ", applied.operation->id, ", not for ",
                static_cast<uint32_t>(expected.refusal), " about ", expected.id);
  }
  if (!was_running || running() != nullptr) return std::nullopt;
  return CheckEnd(all_.back(), in_force);
}

std::optional<std::string> OperationTable::BeginTerm(const v1::LeadershipCommand& command,
                                                     const Applied& applied) {
  const paxos::Ballot ballot = FromProto(command.ballot());
  const bool begins = ballot > term_;
  if (applied.begins_term != begins) {
    return Text("the term of ", ballot, begins ? " begins" : " does not begin", " after that of ",
                term_, ", but the replica says otherwise");
  }
  if (!begins) return std::nullopt;
  ++met_.terms;
  Operation* operation = FindRunning();
  if (operation != nullptr && ballot.owner != term_.owner) {
    ++met_.leaders_lost[static_cast<size_t>(operation->phase)];
  }
  term_ = ballot;
  if (operation != nullptr && ballot.owner != operation->begun_under) {
    operation->has_changed_leader = true;
  }
  return std::nullopt;
}

OperationResult OperationTable::Begin(const v1::BeginOperationCommand& command,
                                      const Configuration& in_force) {
  OperationResult result{.version = in_force.version};
  if (const Operation* copy = FindNonce(command.nonce())) {
    result.id = copy->id;
    return result;
  }
  if (const Operation* busy = running()) {
    result.refusal = OperationRefusal::kBusy;
    result.id = busy->id;
  } else if (command.base_version() != in_force.version) {
    result.refusal = OperationRefusal::kVersionMoved;
  } else if (!CanBe(command, in_force)) {
    result.refusal = OperationRefusal::kBadGoal;
  }
  if (result.refusal != OperationRefusal::kNone) return result;
  ++met_.begun;
  result.id = all_.size() + 1;
  bool learns = false;
  for (const v1::MemberMessage& member : command.goal()) {
    learns = learns || (member.voter() && !in_force.IsVoter(ReplicaId{member.id()}));
  }
  all_.push_back({.id = result.id,
                  .begun = command,
                  .phase = command.learn_first() && learns ? Phase::kLearning : Phase::kChanging,
                  .added = {},
                  .begun_under = term_.owner,
                  .base = in_force});
  return result;
}

OperationResult OperationTable::Cancel(uint64_t id, const Configuration& in_force) {
  OperationResult result{.id = id, .version = in_force.version};
  if (Find(id) == nullptr) {
    result.refusal = OperationRefusal::kUnknown;
    return result;
  }
  Operation* operation = &all_[id - 1];
  const bool has_added = HasAdded(*operation, in_force);
  if (operation->phase == Phase::kSettling ||
      (!IsFinal(operation->phase) && has_added && !HasVoter(WithoutAdded(*operation, in_force)))) {
    result.refusal = OperationRefusal::kTooLate;
  } else if (operation->phase == Phase::kDone || operation->phase == Phase::kFailed) {
    result.refusal = OperationRefusal::kFinished;
  } else if (operation->phase < Phase::kSettling) {
    Enter(has_added ? Phase::kCancelling : Phase::kCancelled, operation);
  }
  return result;
}

OperationResult OperationTable::Advance(const v1::AdvanceOperationCommand& command,
                                        const Configuration& in_force) {
  OperationResult result{.id = command.id(), .version = in_force.version};
  Operation* operation = FindRunning();
  if (operation == nullptr || operation->id != command.id()) {
    result.refusal = OperationRefusal::kUnknown;
    return result;
  }
  const auto next = static_cast<Phase>(command.phase());
  const Phase phase = operation->phase;
  const bool is_in_turn = (next == Phase::kChanging && phase == Phase::kLearning &&
                           !LacksNewcomers(*operation, in_force)) ||
                          (next == Phase::kDone && phase == Phase::kSettling) ||
                          (next == Phase::kCancelled && phase == Phase::kCancelling);
  if (is_in_turn) {
    Enter(next, operation);
  } else {
    result.refusal = OperationRefusal::kOutOfTurn;
  }
  return result;
}

// What is in force when an operation ends is what it was to come to.
std::optional<std::string> OperationTable::CheckEnd(const Operation& operation,
                                                    const Configuration& in_force) const {
  const std::string which = Text("operation ", operation.id);
  if (operation.phase == Phase::kDone && SeatsOf(in_force) != GoalSeats(operation)) {
    return Text(which, " is done, but its goal is not in force");
  }
  if (operation.phase != Phase::kCancelled) return std::nullopt;
  if (HasAdded(operation, in_force)) {
    return Text(which, " is cancelled, but a member that it added is in force");
  }
  if (!operation.has_foreign_change && SeatsOf(in_force) != SeatsOf(operation.base)) {
    return Text(which, " is cancelled, but the members are not those from before it");
  }
  return std::nullopt;
}

// ---- Configurations. ---------------------------------------------------------------------------

std::optional<std::string> OperationTable::Follow(Slot slot, const Configuration& in_force,
                                                  const Configuration& next) {
  const bool was_asked_for =
      std::find(asked_for_.begin(), asked_for_.end(), next) != asked_for_.end();
  Operation* operation = FindRunning();
  if (operation == nullptr) {
    if (was_asked_for) return std::nullopt;
    return Text("configuration ", next.version, " takes effect, but no operation is running");
  }
  const Seats seats = SeatsOf(next);
  const bool is_step =
      (operation->phase == Phase::kLearning && seats == WithNewcomers(*operation, in_force)) ||
      (operation->phase == Phase::kChanging && seats == GoalSeats(*operation)) ||
      (operation->phase == Phase::kCancelling && seats == WithoutAdded(*operation, in_force));
  std::optional<std::string> wrong;
  if (!is_step && !was_asked_for) {
    wrong = Text("configuration ", next.version, " takes effect, which is no step of operation ",
                 operation->id, " in phase ", static_cast<uint32_t>(operation->phase));
  }
  operation->has_foreign_change = operation->has_foreign_change || !is_step;
  for (const v1::MemberMessage& member : operation->begun.goal()) {
    if (member.id() != 0) continue;
    const ReplicaId id = next.SeatOf(UuidFromBytes(member.uuid()));
    if (id != paxos::kNoReplica) operation->added.insert(id);
  }
  if (operation->phase == Phase::kCancelling) {
    if (!HasVoter(WithoutAdded(*operation, next))) Enter(Phase::kFailed, operation);
  } else {
    if (seats == GoalSeats(*operation)) {
      Enter(Phase::kSettling, operation);
    } else if (operation->phase == Phase::kSettling || !CanBe(operation->begun, next) ||
               (operation->phase == Phase::kChanging && operation->begun.learn_first() &&
                LacksNewcomers(*operation, next))) {
      Enter(Phase::kFailed, operation);
    }
  }
  Note(slot);
  return wrong;
}

// ---- What operators are told. ------------------------------------------------------------------

std::optional<std::string> OperationTable::BeginAnswered(uint64_t nonce,
                                                         const absl::StatusOr<uint64_t>& answer) {
  if (!answer.ok()) {
    if (IsRefusal(answer.status())) ++begins_[nonce].refused;
    return std::nullopt;
  }
  const Operation* operation = FindNonce(nonce);
  if (operation != nullptr && operation->id == *answer) return std::nullopt;
  return Text("an operator was told that operation ", *answer,
              " is what it began, but that is not in the log");
}

std::optional<std::string> OperationTable::CancelAnswered(uint64_t id,
                                                          const absl::StatusOr<uint64_t>& answer) {
  if (!answer.ok()) {
    if (IsRefusal(answer.status())) ++cancels_[id].refused;
    return std::nullopt;
  }
  const Operation* operation = Find(id);
  if (*answer == id && operation != nullptr &&
      (operation->phase == Phase::kCancelling || operation->phase == Phase::kCancelled)) {
    return std::nullopt;
  }
  return Text("an operator was told that operation ", id,
              " is cancelled, but by the log it is not");
}

std::optional<std::string> OperationTable::CheckRefusals() const {
  for (const Operation& operation : all_) {
    const auto begin = begins_.find(operation.begun.nonce());
    if (begin == begins_.end() || begin->second.IsRefused()) {
      return Text("operation ", operation.id, " was begun, but everybody who asked was refused");
    }
    if (operation.phase != Phase::kCancelling && operation.phase != Phase::kCancelled) continue;
    const auto cancel = cancels_.find(operation.id);
    if (cancel == cancels_.end() || cancel->second.IsRefused()) {
      return Text("operation ", operation.id,
                  " was cancelled, but everybody who asked was refused");
    }
  }
  return std::nullopt;
}

}  // namespace distlog::simulation
