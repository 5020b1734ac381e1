#include "server/membership.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "paxos/break.h"
#include "server/operation_text.h"
#include "server/request.h"
#include "wire/status.h"
#include "wire/value.h"

namespace distlog {
namespace {

absl::Status OpenAtDeadline() {
  return MakeError(absl::StatusCode::kDeadlineExceeded,
                   "the time is over while the request is under way: see `distlog member list` for "
                   "whether it has had its effect",
                   v1::ErrorDetail());
}

absl::Status WaitingAtDeadline() {
  return NotAppendedError(absl::StatusCode::kDeadlineExceeded,
                          "the time was over before the request could be proposed",
                          v1::ErrorDetail::REASON_BUSY);
}

absl::Status TooMany() {
  return NotAppendedError(absl::StatusCode::kResourceExhausted,
                          "too many requests about operations are under way; try again later",
                          v1::ErrorDetail::REASON_BUSY);
}

absl::StatusOr<uint64_t> AnswerTo(const OperationResult& result) {
  if (result.refusal == OperationRefusal::kNone) return result.id;
  return ErrorOf(result);
}

// How the term before ended.
v1::TermEnd EndOfLastTerm(const paxos::Replica& replica, const Sequencer& sequencer) {
  if (sequencer.terms().empty()) return v1::TERM_END_UNKNOWN;
  const paxos::ReplicaId last = FromProto(sequencer.terms().back().ballot()).owner;
  if (last == replica.self()) return v1::TERM_END_RESTART;
  if (!sequencer.configuration().IsVoter(last)) return v1::TERM_END_REMOVED;
  switch (replica.takeover_cause()) {
    case paxos::Replica::TakeoverCause::kSilence:
      return v1::TERM_END_SILENT;
    case paxos::Replica::TakeoverCause::kConnectionLost:
      return v1::TERM_END_CONNECTION_LOST;
    case paxos::Replica::TakeoverCause::kToldTo:
      return v1::TERM_END_TRANSFER;
  }
  return v1::TERM_END_UNKNOWN;
}

v1::Command Advance(uint64_t id, OperationPhase phase, const std::string& reason) {
  v1::Command command;
  command.mutable_advance_operation()->set_id(id);
  command.mutable_advance_operation()->set_phase(static_cast<uint32_t>(phase));
  command.mutable_advance_operation()->set_reason(reason);
  return command;
}

// The operation that is to be carried on, whoever led when it was begun; null if none is running.
const v1::OperationState* Running(const Sequencer& sequencer) {
  const v1::OperationState* running = sequencer.operations().running();
  if (running != nullptr && paxos::IsBroken(paxos::Break::kOperationForgotten) &&
      running->begun_slot() < sequencer.terms().back().first_slot()) {
    return nullptr;
  }
  return running;
}

// Whether the running operation has come to its end, so that the next one may begin.
std::optional<v1::Command> NextEnd(const paxos::Replica& replica, const Sequencer& sequencer) {
  const v1::OperationState* running = Running(sequencer);
  const bool is_settled =
      replica.is_settled() || paxos::IsBroken(paxos::Break::kAdvanceBeforeSettled);
  if (running == nullptr || !is_settled) return std::nullopt;
  if (PhaseOf(*running) == OperationPhase::kSettling) {
    return Advance(running->id(), OperationPhase::kDone, "");
  }
  if (PhaseOf(*running) == OperationPhase::kCancelling &&
      !HasAdded(*running, sequencer.configuration())) {
    return Advance(running->id(), OperationPhase::kCancelled, "");
  }
  return std::nullopt;
}

}  // namespace

std::optional<paxos::Configuration> NextConfiguration(const Sequencer& sequencer) {
  const v1::OperationState* running = Running(sequencer);
  if (running == nullptr) return std::nullopt;
  const paxos::Configuration& in_force = sequencer.configuration();
  switch (PhaseOf(*running)) {
    case OperationPhase::kLearning:
      if (HasNewcomers(*running, in_force)) return std::nullopt;
      return WithLearners(*running, in_force);
    case OperationPhase::kChanging:
      return GoalOf(*running, in_force);
    case OperationPhase::kCancelling:
      if (!HasAdded(*running, in_force)) return std::nullopt;
      return WithoutAdded(*running, in_force);
    default:
      return std::nullopt;
  }
}

// ---- Requests ----------------------------------------------------------------------------------

void Membership::Add(Request request, Answers* answers) {
  if (waiting_.size() + asked_.size() >= kMaxRequests) {
    answers->push_back([done = std::move(request.done)] { done(TooMany()); });
    return;
  }
  waiting_.push_back(std::move(request));
}

// The first that would have an effect, which is known now that nothing is under way.
std::optional<Membership::Request> Membership::TakeRequest(const Sequencer& sequencer,
                                                           Answers* answers) {
  const Operations& operations = sequencer.operations();
  while (!waiting_.empty()) {
    Request request = std::move(waiting_.front());
    waiting_.pop_front();
    OperationResult result;
    bool has_effect = false;
    if (request.begin != nullptr) {
      result = operations.JudgeBegin(*request.begin, sequencer.configuration());
      has_effect = result.refusal == OperationRefusal::kNone && result.id == 0;
    } else {
      result = operations.JudgeCancel(request.cancel, sequencer.configuration());
      const v1::OperationState* operation = operations.Find(request.cancel);
      has_effect = result.refusal == OperationRefusal::kNone && !IsFinished(*operation) &&
                   PhaseOf(*operation) != OperationPhase::kCancelling;
    }
    if (has_effect) return request;
    answers->push_back(
        [done = std::move(request.done), answer = AnswerTo(result)] { done(answer); });
  }
  return std::nullopt;
}

void Membership::OnApplied(const Applied& applied, Answers* answers) {
  if (!applied.operation.has_value()) return;
  const auto asked = asked_.find(applied.origin_sequence);
  if (asked == asked_.end()) return;
  answers->push_back([done = std::move(asked->second.done), answer = AnswerTo(*applied.operation)] {
    done(answer);
  });
  asked_.erase(asked);
}

void Membership::OnChosen(uint64_t sequence) {
  if (under_way_.has_value() && under_way_->sequence == sequence) under_way_.reset();
}

void Membership::OnNotChosen(uint64_t sequence, const absl::Status& error, Answers* answers) {
  OnChosen(sequence);
  const auto asked = asked_.find(sequence);
  if (asked == asked_.end()) return;
  answers->push_back([done = std::move(asked->second.done), error] { done(error); });
  asked_.erase(asked);
}

void Membership::Expire(Clock::time_point now, Answers* answers) {
  for (auto asked = asked_.begin(); asked != asked_.end();) {
    if (asked->second.deadline > now) {
      ++asked;
      continue;
    }
    answers->push_back([done = std::move(asked->second.done)] { done(OpenAtDeadline()); });
    asked = asked_.erase(asked);
  }
  std::deque<Request> waiting;
  for (Request& request : waiting_) {
    if (request.deadline > now) {
      waiting.push_back(std::move(request));
    } else {
      answers->push_back([done = std::move(request.done)] { done(WaitingAtDeadline()); });
    }
  }
  waiting_.swap(waiting);
}

void Membership::FailWaiting(const absl::Status& error, Answers* answers) {
  for (Request& request : waiting_) {
    answers->push_back([done = std::move(request.done), error] { done(error); });
  }
  waiting_.clear();
}

void Membership::FailAll(const absl::Status& waiting, const absl::Status& open, Answers* answers) {
  FailWaiting(waiting, answers);
  for (auto& [sequence, request] : asked_) {
    answers->push_back([done = std::move(request.done), open] { done(open); });
  }
  asked_.clear();
}

// ---- Values ------------------------------------------------------------------------------------

void Membership::CountRound(const paxos::Replica& replica, const Sequencer& sequencer) {
  const v1::OperationState* running = sequencer.operations().running();
  if (running == nullptr || PhaseOf(*running) != OperationPhase::kLearning ||
      keeping_up_.operation != running->id()) {
    keeping_up_ = {
        .operation = running == nullptr ? 0 : running->id(), .round = replica.round(), .rounds = 0};
    return;
  }
  if (replica.round() == keeping_up_.round) return;
  keeping_up_.round = replica.round();
  const bool keeps_up = HasNewcomers(*running, sequencer.configuration()) &&
                        FirstBehind(*running, replica, sequencer.configuration()) == nullptr;
  keeping_up_.rounds = keeps_up ? keeping_up_.rounds + 1 : 0;
}

std::optional<v1::Command> Membership::NextCommand(const paxos::Replica& replica,
                                                   const Sequencer& sequencer,
                                                   std::optional<Request>* request,
                                                   Answers* answers) {
  v1::Command command;
  const std::deque<v1::TermState>& terms = sequencer.terms();
  if (terms.empty() || FromProto(terms.back().ballot()) < replica.leadership()) {
    *command.mutable_leadership()->mutable_ballot() = ToProto(replica.leadership());
    command.mutable_leadership()->set_previous_end(EndOfLastTerm(replica, sequencer));
    return command;
  }
  // Before a request: who has seen an operation finished may begin the next.
  if (std::optional<v1::Command> end = NextEnd(replica, sequencer)) return end;
  *request = TakeRequest(sequencer, answers);
  if (request->has_value()) {
    if ((*request)->begin != nullptr) {
      *command.mutable_begin_operation() = *(*request)->begin;
    } else {
      command.mutable_cancel_operation()->set_id((*request)->cancel);
    }
    return command;
  }
  const v1::OperationState* running = Running(sequencer);
  if (running != nullptr && PhaseOf(*running) == OperationPhase::kLearning &&
      keeping_up_.rounds >= kKeepUpRounds && HasNewcomers(*running, sequencer.configuration())) {
    return Advance(running->id(), OperationPhase::kChanging, "");
  }
  return std::nullopt;
}

std::optional<paxos::Value> Membership::Next(const paxos::Replica& replica,
                                             const Sequencer& sequencer,
                                             const AppendQueue::Making& making, Answers* answers) {
  if (!replica.is_recovered()) {
    keeping_up_ = {};
    return std::nullopt;
  }
  CountRound(replica, sequencer);
  // A value of an earlier ballot is known chosen by now, or never will be: what Phase 1 saw
  // accepted is chosen, and what it did not see cannot be.
  const bool is_under_way = under_way_.has_value() && under_way_->ballot == replica.claimed();
  if (is_under_way && !paxos::IsBroken(paxos::Break::kCancelRacesConfiguration)) {
    return std::nullopt;
  }
  under_way_.reset();
  if (sequencer.applied_through() != replica.chosen_through()) return std::nullopt;
  if (!replica.CanPropose(kMaxCommandBytes)) return std::nullopt;

  std::optional<Request> request;
  std::optional<v1::Command> command =
      is_under_way ? std::nullopt : NextCommand(replica, sequencer, &request, answers);
  std::optional<paxos::Value> value;
  if (command.has_value()) {
    *command->mutable_origin() = making.origin;
    command->set_timestamp_ms(making.timestamp_ms);
    command->set_cluster_time_ms(making.cluster_time_ms);
    value = MakeValue(*command);
  } else if (const auto next = NextConfiguration(sequencer);
             next.has_value() &&
             replica.CanReconfigure(*next) == paxos::Replica::Reconfiguration::kAllowed) {
    value = MakeValue(*next);
  }
  if (!value.has_value()) return std::nullopt;
  under_way_ = {making.origin.sequence(), *replica.claimed()};
  if (request.has_value()) asked_.emplace(making.origin.sequence(), *std::move(request));
  return value;
}

v1::OperationsResponse Membership::Describe(const paxos::Replica& replica,
                                            const Sequencer& sequencer) const {
  v1::OperationsResponse response;
  *response.mutable_configuration() = ToProto(sequencer.configuration());
  const bool is_current = sequencer.configuration().version == replica.configuration().version;
  response.set_settled(is_current && replica.is_settled());
  response.set_from_leader(replica.is_recovered());
  for (const v1::OperationState& operation : sequencer.operations().all()) {
    FillOperation(operation, response.add_operations());
  }
  const v1::OperationState* running = sequencer.operations().running();
  if (running == nullptr) return response;
  v1::Operation* out = response.mutable_operations(response.operations_size() - 1);
  // Whoever knows that it is settled may say so, leader or not (B5).
  if (PhaseOf(*running) == OperationPhase::kSettling && response.settled()) {
    out->set_phase(v1::Operation::PHASE_DONE);
    return response;
  }
  FillProgress(*running, replica, sequencer.configuration(), out);
  out->set_cause(CauseOfDelay(*running, replica, sequencer.configuration(),
                              NextConfiguration(sequencer), keeping_up_.rounds, kKeepUpRounds));
  return response;
}

}  // namespace distlog
