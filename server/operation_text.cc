#include "server/operation_text.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "paxos/options.h"
#include "wire/status.h"
#include "wire/value.h"

namespace distlog {
namespace {

using Reconfiguration = paxos::Replica::Reconfiguration;

static_assert(static_cast<int>(OperationPhase::kLearning) == v1::Operation::PHASE_LEARNING);
static_assert(static_cast<int>(OperationPhase::kChanging) == v1::Operation::PHASE_CHANGING);
static_assert(static_cast<int>(OperationPhase::kSettling) == v1::Operation::PHASE_SETTLING);
static_assert(static_cast<int>(OperationPhase::kCancelling) == v1::Operation::PHASE_CANCELLING);
static_assert(static_cast<int>(OperationPhase::kDone) == v1::Operation::PHASE_DONE);
static_assert(static_cast<int>(OperationPhase::kCancelled) == v1::Operation::PHASE_CANCELLED);
static_assert(static_cast<int>(OperationPhase::kFailed) == v1::Operation::PHASE_FAILED);

std::string NameOf(const paxos::Member& member) {
  return absl::StrCat("member ", static_cast<uint64_t>(member.id), " (", member.address, ")");
}

bool IsNear(const paxos::Replica& replica, paxos::ReplicaId member) {
  if (member == replica.self()) return true;
  const auto heard = replica.heard().find(member);
  return heard != replica.heard().end() &&
         heard->second.chosen_through + paxos::kWindow >= replica.chosen_through();
}

// What is wrong with a member that is not near.
std::string WhyNotNear(const paxos::Replica& replica, const paxos::Member& member) {
  const auto heard = replica.heard().find(member.id);
  if (heard == replica.heard().end()) return NameOf(member) + " is not reachable";
  return absl::StrCat(NameOf(member), " is behind, at slot ", heard->second.chosen_through, " of ",
                      replica.chosen_through());
}

// The seat of a member of a goal in the configuration in force; null: it has none yet.
const paxos::Member* SeatOf(const v1::MemberMessage& member, const paxos::Configuration& in_force) {
  const paxos::Uuid uuid = UuidFromBytes(member.uuid());
  for (const paxos::Member& seat : in_force.members) {
    if (seat.uuid == uuid) return &seat;
  }
  return nullptr;
}

std::string WhyNotProposed(Reconfiguration answer, const paxos::Replica& replica,
                           const paxos::Configuration& next) {
  switch (answer) {
    case Reconfiguration::kAllowed:
      return "";
    case Reconfiguration::kNotLeading:
      return "the leader hands over";
    case Reconfiguration::kBusy:
      return "the change before it is not on the disks of a quorum yet";
    case Reconfiguration::kNoEffect:
      return "its configuration cannot follow the one in force; cancel it";
    case Reconfiguration::kNoQuorum:
      break;
  }
  std::vector<std::string> missing;
  for (const paxos::Member& member : next.members) {
    if (member.voter && !IsNear(replica, member.id)) missing.push_back(WhyNotNear(replica, member));
  }
  return absl::StrCat("no quorum of the voters that are to be is reachable and caught up: ",
                      absl::StrJoin(missing, ", "));
}

}  // namespace

void FillOperation(const v1::OperationState& operation, v1::Operation* out) {
  out->set_id(operation.id());
  out->set_verb(static_cast<v1::Operation::Verb>(operation.begun().verb()));
  out->set_request(operation.begun().request());
  out->set_nonce(operation.begun().nonce());
  out->set_phase(static_cast<v1::Operation::Phase>(operation.phase()));
  out->set_cause(operation.reason());
  out->set_begun_ms(operation.begun_ms());
  out->set_changed_ms(operation.changed_ms());
  *out->mutable_goal() = operation.begun().goal();
}

const paxos::Member* FirstBehind(const v1::OperationState& operation, const paxos::Replica& replica,
                                 const paxos::Configuration& in_force) {
  for (const v1::MemberMessage& member : operation.begun().goal()) {
    const paxos::Member* seat = SeatOf(member, in_force);
    if (seat == nullptr || !member.voter() || seat->voter) continue;
    if (!IsNear(replica, seat->id)) return seat;
  }
  return nullptr;
}

void FillProgress(const v1::OperationState& operation, const paxos::Replica& replica,
                  const paxos::Configuration& in_force, v1::Operation* out) {
  for (const v1::MemberMessage& member : operation.begun().goal()) {
    const paxos::Member* seat = SeatOf(member, in_force);
    const bool is_voter = seat != nullptr && seat->voter;
    if (is_voter || (seat != nullptr && !member.voter())) continue;
    v1::Operation::Progress* progress = out->add_progress();
    progress->set_address(member.address());
    progress->set_target(replica.chosen_through());
    if (seat == nullptr) continue;
    progress->set_id(static_cast<uint64_t>(seat->id));
    const auto heard = replica.heard().find(seat->id);
    progress->set_is_reachable(heard != replica.heard().end());
    if (progress->is_reachable()) progress->set_chosen_through(heard->second.chosen_through);
  }
}

std::string CauseOfDelay(const v1::OperationState& operation, const paxos::Replica& replica,
                         const paxos::Configuration& in_force,
                         const std::optional<paxos::Configuration>& next, int rounds,
                         int rounds_wanted) {
  if (replica.leader_hint() == paxos::kNoReplica) return "there is no leader at the moment";
  if (!replica.is_recovered()) return "";
  if (PhaseOf(operation) == OperationPhase::kSettling) {
    return "the new configuration is not on the disks of a quorum of its voters yet";
  }
  if (next.has_value()) return WhyNotProposed(replica.CanReconfigure(*next), replica, *next);
  if (PhaseOf(operation) == OperationPhase::kCancelling) {
    return "the configuration without what was added is not on the disks of a quorum yet";
  }
  if (const paxos::Member* behind = FirstBehind(operation, replica, in_force)) {
    return WhyNotNear(replica, *behind);
  }
  return absl::StrCat("what it adds has kept up for ", rounds, " of ", rounds_wanted,
                      " rounds of heartbeats");
}

absl::Status ErrorOf(const OperationResult& result) {
  absl::StatusCode code = absl::StatusCode::kFailedPrecondition;
  std::string message;
  switch (result.refusal) {
    case OperationRefusal::kNone:
      return absl::OkStatus();
    case OperationRefusal::kBusy:
      message = absl::StrCat("operation ", result.id,
                             " is running: wait until it has finished, or cancel it");
      break;
    case OperationRefusal::kVersionMoved:
      code = absl::StatusCode::kAborted;
      message = absl::StrCat("the configuration has moved on to version ", result.version,
                             ": look at the members, and ask again");
      break;
    case OperationRefusal::kBadGoal:
      message = absl::StrCat("these members cannot follow configuration version ", result.version,
                             ": an address or a UUID would be there twice, an id would come back, "
                             "or no voter would be left; look at the members, and ask again");
      break;
    case OperationRefusal::kUnknown:
      code = absl::StatusCode::kNotFound;
      message = absl::StrCat("there is no operation ", result.id,
                             "; `distlog member list` shows those that are known");
      break;
    case OperationRefusal::kTooLate:
      message = absl::StrCat("operation ", result.id,
                             " cannot be cancelled any more: its "
                             "configuration is in force; undo it with another one");
      break;
    case OperationRefusal::kFinished:
    case OperationRefusal::kOutOfTurn:
      message = absl::StrCat("operation ", result.id, " has finished already");
      break;
  }
  return MakeError(code, message, v1::ErrorDetail());
}

}  // namespace distlog
