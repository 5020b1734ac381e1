#include "log/operations.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wire/value.h"

namespace distlog {
namespace {

const paxos::Member* FindUuid(const paxos::Configuration& configuration, const paxos::Uuid& uuid) {
  for (const paxos::Member& member : configuration.members) {
    if (member.uuid == uuid) return &member;
  }
  return nullptr;
}

// Adds the newcomer as a member: under its id if it has one, otherwise under the next.
void AddNewcomer(const v1::MemberMessage& newcomer, bool is_voter,
                 const paxos::Configuration& in_force, paxos::Configuration* next) {
  const paxos::Uuid uuid = UuidFromBytes(newcomer.uuid());
  const paxos::Member* known = FindUuid(in_force, uuid);
  const paxos::ReplicaId id =
      known != nullptr ? known->id : paxos::ReplicaId{next->next_replica_id++};
  next->members.push_back({id, uuid, newcomer.address(), is_voter});
}

paxos::Configuration Following(const paxos::Configuration& in_force) {
  return {.version = in_force.version + 1,
          .members = {},
          .next_replica_id = in_force.next_replica_id,
          .feature_level = in_force.feature_level};
}

void Sort(paxos::Configuration* configuration) {
  std::sort(configuration->members.begin(), configuration->members.end(),
            [](const paxos::Member& a, const paxos::Member& b) { return a.id < b.id; });
}

// Whether every replica would understand `next`, and it would take effect.
bool CanFollow(const paxos::Configuration& next, const paxos::Configuration& in_force) {
  return FromProto(ToProto(next)).ok() && paxos::TakesEffect(next, in_force);
}

bool IsGoalInForce(const v1::OperationState& operation, const paxos::Configuration& in_force) {
  return GoalOf(operation, in_force).members == in_force.members;
}

// Whether its newcomers, or members that its goal makes voters, are to keep up first.
bool BeginsWithLearning(const v1::OperationState& operation, const paxos::Configuration& in_force) {
  if (!operation.begun().learn_first()) return false;
  const auto& goal = operation.begun().goal();
  return std::any_of(goal.begin(), goal.end(), [&](const v1::MemberMessage& member) {
    return member.voter() && !in_force.IsVoter(paxos::ReplicaId{member.id()});
  });
}

bool Follows(OperationPhase next, OperationPhase phase) {
  switch (next) {
    case OperationPhase::kChanging:
      return phase == OperationPhase::kLearning;
    case OperationPhase::kDone:
      return phase == OperationPhase::kSettling;
    case OperationPhase::kCancelled:
      return phase == OperationPhase::kCancelling;
    case OperationPhase::kFailed:
      return phase != OperationPhase::kSettling;
    default:
      return false;  // The others are entered at apply.
  }
}

}  // namespace

OperationPhase PhaseOf(const v1::OperationState& operation) {
  return static_cast<OperationPhase>(operation.phase());
}

bool IsFinished(const v1::OperationState& operation) {
  return PhaseOf(operation) >= OperationPhase::kDone;
}

// ---- Configurations ----------------------------------------------------------------------------

paxos::Configuration GoalOf(const v1::OperationState& operation,
                            const paxos::Configuration& in_force) {
  paxos::Configuration next = Following(in_force);
  for (const v1::MemberMessage& member : operation.begun().goal()) {
    if (member.id() == 0) {
      AddNewcomer(member, member.voter(), in_force, &next);
    } else {
      next.members.push_back({paxos::ReplicaId{member.id()}, UuidFromBytes(member.uuid()),
                              member.address(), member.voter()});
    }
  }
  Sort(&next);
  return next;
}

paxos::Configuration WithLearners(const v1::OperationState& operation,
                                  const paxos::Configuration& in_force) {
  paxos::Configuration next = Following(in_force);
  next.members = in_force.members;
  for (const v1::MemberMessage& member : operation.begun().goal()) {
    if (member.id() != 0) continue;
    if (FindUuid(in_force, UuidFromBytes(member.uuid())) == nullptr) {
      AddNewcomer(member, /*is_voter=*/false, in_force, &next);
    }
  }
  return next;
}

paxos::Configuration WithoutAdded(const v1::OperationState& operation,
                                  const paxos::Configuration& in_force) {
  paxos::Configuration next = Following(in_force);
  for (const paxos::Member& member : in_force.members) {
    const auto& added = operation.added();
    if (std::find(added.begin(), added.end(), static_cast<uint64_t>(member.id)) == added.end()) {
      next.members.push_back(member);
    }
  }
  return next;
}

bool HasAdded(const v1::OperationState& operation, const paxos::Configuration& in_force) {
  return std::any_of(operation.added().begin(), operation.added().end(),
                     [&](uint64_t id) { return in_force.Find(paxos::ReplicaId{id}) != nullptr; });
}

bool HasNewcomers(const v1::OperationState& operation, const paxos::Configuration& in_force) {
  const auto& goal = operation.begun().goal();
  return std::all_of(goal.begin(), goal.end(), [&](const v1::MemberMessage& member) {
    return member.id() != 0 || FindUuid(in_force, UuidFromBytes(member.uuid())) != nullptr;
  });
}

// ---- The table ---------------------------------------------------------------------------------

const v1::OperationState* Operations::running() const {
  return all_.empty() || IsFinished(all_.back()) ? nullptr : &all_.back();
}

v1::OperationState* Operations::FindRunning() {
  return all_.empty() || IsFinished(all_.back()) ? nullptr : &all_.back();
}

const v1::OperationState* Operations::Find(uint64_t id) const {
  for (const v1::OperationState& operation : all_) {
    if (operation.id() == id) return &operation;
  }
  return nullptr;
}

OperationResult Operations::JudgeBegin(const v1::BeginOperationCommand& command,
                                       const paxos::Configuration& in_force) const {
  OperationResult result{.refusal = OperationRefusal::kNone, .id = 0, .version = in_force.version};
  if (command.nonce() != 0) {
    for (const v1::OperationState& operation : all_) {
      if (operation.begun().nonce() != command.nonce()) continue;
      result.id = operation.id();
      return result;
    }
  }
  if (const v1::OperationState* busy = running(); busy != nullptr) {
    result.refusal = OperationRefusal::kBusy;
    result.id = busy->id();
    return result;
  }
  if (command.base_version() != in_force.version) {
    result.refusal = OperationRefusal::kVersionMoved;
    return result;
  }
  v1::OperationState operation;
  *operation.mutable_begun() = command;
  bool can_be = true;
  paxos::Configuration before = in_force;
  if (BeginsWithLearning(operation, in_force) && !HasNewcomers(operation, in_force)) {
    before = WithLearners(operation, in_force);
    can_be = CanFollow(before, in_force);
  }
  if (!can_be || !CanFollow(GoalOf(operation, before), before)) {
    result.refusal = OperationRefusal::kBadGoal;
  }
  return result;
}

OperationResult Operations::Begin(const v1::BeginOperationCommand& command, paxos::Slot slot,
                                  int64_t time_ms, const paxos::Configuration& in_force) {
  OperationResult result = JudgeBegin(command, in_force);
  if (result.refusal != OperationRefusal::kNone || result.id != 0) return result;
  ++changes_;
  v1::OperationState& operation = all_.emplace_back();
  result.id = next_id_++;
  operation.set_id(result.id);
  *operation.mutable_begun() = command;
  operation.set_begun_slot(slot);
  operation.set_begun_ms(time_ms);
  operation.set_changed_ms(time_ms);
  const bool learns = BeginsWithLearning(operation, in_force);
  operation.set_phase(
      static_cast<uint32_t>(learns ? OperationPhase::kLearning : OperationPhase::kChanging));
  return result;
}

OperationResult Operations::JudgeCancel(uint64_t id, const paxos::Configuration& in_force) const {
  OperationResult result{.refusal = OperationRefusal::kNone, .id = id, .version = in_force.version};
  const v1::OperationState* operation = Find(id);
  if (operation == nullptr) {
    result.refusal = OperationRefusal::kUnknown;
  } else if (PhaseOf(*operation) == OperationPhase::kSettling) {
    result.refusal = OperationRefusal::kTooLate;
  } else if (IsFinished(*operation)) {
    if (PhaseOf(*operation) != OperationPhase::kCancelled) {
      result.refusal = OperationRefusal::kFinished;
    }
  } else if (HasAdded(*operation, in_force) &&
             !CanFollow(WithoutAdded(*operation, in_force), in_force)) {
    result.refusal = OperationRefusal::kTooLate;
  }
  return result;
}

OperationResult Operations::Cancel(uint64_t id, int64_t time_ms,
                                   const paxos::Configuration& in_force) {
  const OperationResult result = JudgeCancel(id, in_force);
  v1::OperationState* operation = FindRunning();
  // Cancelled before: that is what was wanted.
  if (result.refusal != OperationRefusal::kNone || operation == nullptr || operation->id() != id) {
    return result;
  }
  if (PhaseOf(*operation) == OperationPhase::kCancelling) return result;
  operation->set_changed_ms(time_ms);
  Enter(HasAdded(*operation, in_force) ? OperationPhase::kCancelling : OperationPhase::kCancelled,
        operation);
  return result;
}

OperationResult Operations::Advance(const v1::AdvanceOperationCommand& command, int64_t time_ms,
                                    const paxos::Configuration& in_force) {
  OperationResult result{.id = command.id(), .version = in_force.version};
  v1::OperationState* operation = FindRunning();
  if (operation == nullptr || operation->id() != command.id()) {
    result.refusal = OperationRefusal::kUnknown;
    return result;
  }
  const auto next = static_cast<OperationPhase>(command.phase());
  const bool has_learned = next != OperationPhase::kChanging || HasNewcomers(*operation, in_force);
  if (!Follows(next, PhaseOf(*operation)) || !has_learned) {
    result.refusal = OperationRefusal::kOutOfTurn;
    return result;
  }
  operation->set_changed_ms(time_ms);
  operation->set_reason(command.reason());
  Enter(next, operation);
  return result;
}

void Operations::OnConfiguration(const paxos::Configuration& in_force) {
  v1::OperationState* operation = FindRunning();
  if (operation == nullptr) return;
  ++changes_;
  for (const v1::MemberMessage& member : operation->begun().goal()) {
    const paxos::Member* newcomer =
        member.id() == 0 ? FindUuid(in_force, UuidFromBytes(member.uuid())) : nullptr;
    if (newcomer == nullptr) continue;
    const auto id = static_cast<uint64_t>(newcomer->id);
    const auto& added = operation->added();
    if (std::find(added.begin(), added.end(), id) == added.end()) operation->add_added(id);
  }
  bool can_go_on = false;
  switch (PhaseOf(*operation)) {
    case OperationPhase::kCancelling:
      can_go_on = !HasAdded(*operation, in_force) ||
                  CanFollow(WithoutAdded(*operation, in_force), in_force);
      break;
    case OperationPhase::kSettling:
      can_go_on = IsGoalInForce(*operation, in_force);
      break;
    case OperationPhase::kChanging:
      if (IsGoalInForce(*operation, in_force)) Enter(OperationPhase::kSettling, operation);
      // Newcomers who are gone would come back as voters with nothing.
      can_go_on = CanFollow(GoalOf(*operation, in_force), in_force) &&
                  (!operation->begun().learn_first() || HasNewcomers(*operation, in_force));
      break;
    default:
      if (IsGoalInForce(*operation, in_force)) Enter(OperationPhase::kSettling, operation);
      can_go_on = CanFollow(GoalOf(*operation, in_force), in_force);
  }
  if (can_go_on) return;
  operation->set_reason(absl::StrCat("configuration version ", in_force.version,
                                     " took effect, which is none of its own"));
  Enter(OperationPhase::kFailed, operation);
}

void Operations::Enter(OperationPhase phase, v1::OperationState* operation) {
  ++changes_;
  operation->set_phase(static_cast<uint32_t>(phase));
  // One of those kept may be running.
  if (IsFinished(*operation) && all_.size() > kFinishedKept) all_.pop_front();
}

// ---- State -------------------------------------------------------------------------------------

absl::StatusOr<Operations> Operations::Restore(
    const google::protobuf::RepeatedPtrField<v1::OperationState>& operations, uint64_t next_id) {
  Operations restored;
  if (next_id != 0) restored.next_id_ = next_id;
  uint64_t previous = 0;
  for (const v1::OperationState& operation : operations) {
    const OperationPhase phase = PhaseOf(operation);
    if (phase < OperationPhase::kLearning || phase > OperationPhase::kFailed) {
      return absl::DataLossError(absl::StrCat("operation ", operation.id(), " has no phase"));
    }
    if (operation.id() <= previous || operation.id() >= restored.next_id_) {
      return absl::DataLossError("its operations are not in order");
    }
    if (restored.running() != nullptr) {
      return absl::DataLossError("an operation began while another was running");
    }
    previous = operation.id();
    restored.all_.push_back(operation);
  }
  const size_t finished = restored.all_.size() - (restored.running() == nullptr ? 0 : 1);
  if (finished > kFinishedKept) return absl::DataLossError("it has too many operations");
  return restored;
}

}  // namespace distlog
