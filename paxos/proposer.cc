#include "paxos/proposer.h"

#include <algorithm>
#include <utility>

#include "glog/logging.h"
#include "paxos/break.h"
#include "paxos/invariant.h"
#include "paxos/quorum.h"

namespace distlog::paxos {

void KeepHighest(const AcceptedValue& reported, std::map<Slot, AcceptedValue>* best) {
  AcceptedValue& held = (*best)[reported.slot];
  const bool is_first = held.slot == 0;
  if (!is_first && IsBroken(Break::kIgnoreHigherAccepted)) return;
  const bool is_better = IsBroken(Break::kLowestBallotWins) ? reported.ballot < held.ballot
                                                            : held.ballot < reported.ballot;
  if (is_first || is_better) held = reported;
}

Proposer::Proposer(const Ballot& ballot, bool is_renewal, std::map<Slot, AcceptedValue> carried,
                   Time now)
    : ballot_(ballot),
      is_renewal_(is_renewal),
      reported_(std::move(carried)),
      progress_at_(now),
      answer_at_(now) {}

void Proposer::Prepare(Slot from, Time now) {
  DISTLOG_INVARIANT(B3, in_flight_.empty()) << "Phase 1 begins again with proposals in flight";
  // What members of another configuration reported, or this proposer carried there, says nothing
  // here.
  if (phase_ != Phase::kCatchingUp) reported_.clear();
  phase_ = Phase::kPreparing;
  from_ = from;
  promises_.clear();
  obligations_.clear();
  reported_.erase(reported_.begin(), reported_.lower_bound(from));
  NoteProgress(now);
}

bool Proposer::HasPromised(ReplicaId peer) const {
  auto promise = promises_.find(peer);
  return promise != promises_.end() && promise->second.complete;
}

void Proposer::OnPromise(ReplicaId peer, const Promise& part, Time now) {
  if (phase_ != Phase::kPreparing || part.ballot != ballot_) return;
  NoteAnswer(now);
  PromiseProgress& progress = promises_[peer];
  if (progress.complete) return;
  // What is chosen travels by catch-up: a promise says nothing of it, and needs to say nothing.
  progress.chosen_through = std::max(progress.chosen_through, part.chosen_through);
  progress.covered_through =
      std::max({progress.covered_through, from_ - 1, progress.chosen_through});
  if (part.first > progress.covered_through + 1) return;  // A part before it was lost.
  for (const AcceptedValue& accepted : part.accepted) {
    if (accepted.slot >= from_) KeepHighest(accepted, &reported_);
  }
  progress.covered_through = std::max(progress.covered_through, part.last);
  progress.complete = part.is_final || IsBroken(Break::kPartOfPromiseCounts);
  NoteProgress(now);
}

Slot Proposer::promised_chosen_through() const {
  Slot highest = 0;
  for (const auto& [peer, promise] : promises_) {
    if (promise.complete) highest = std::max(highest, promise.chosen_through);
  }
  return highest;
}

bool Proposer::HasPromiseQuorum(const Configuration& configuration) const {
  std::set<ReplicaId> promised;
  for (const auto& [peer, promise] : promises_) {
    if (promise.complete) promised.insert(peer);
  }
  return IsQuorum(configuration, promised);
}

void Proposer::DropPromisesAbove(Slot reachable) {
  std::erase_if(promises_, [reachable](const auto& promise) {
    return promise.second.complete && promise.second.chosen_through > reachable;
  });
}

void Proposer::Lead(Slot chosen_through, Time now) {
  phase_ = Phase::kLeading;
  is_renewal_ = true;
  reported_.erase(reported_.begin(), reported_.upper_bound(chosen_through));
  recovery_slot_ = reported_.empty() ? chosen_through : reported_.rbegin()->first;
  for (Slot slot = chosen_through + 1; slot <= recovery_slot_; ++slot) {
    auto reported = reported_.find(slot);
    if (reported == reported_.end() && IsBroken(Break::kGapsLeftOpen)) continue;
    obligations_[slot] = reported == reported_.end() ? Value{} : reported->second.value;
  }
  next_slot_ = recovery_slot_ + 1;
  reported_.clear();
  promises_.clear();
  confirming_ = false;
  NoteProgress(now);
}

bool Proposer::HasBarrier() const {
  if (IsBroken(Break::kNoBarrier)) return false;
  // It is the last one in flight, as nothing follows it.
  return !in_flight_.empty() &&
         in_flight_.rbegin()->second.value.kind == Value::Kind::kConfiguration;
}

std::optional<std::pair<Slot, Value>> Proposer::NextObligation(Slot chosen_through,
                                                               Slot window) const {
  if (phase_ != Phase::kLeading || obligations_.empty()) return std::nullopt;
  const auto& [slot, value] = *obligations_.begin();
  if (slot > chosen_through + window || HasBarrier()) return std::nullopt;
  return std::make_pair(slot, value);
}

bool Proposer::HasRoom(size_t bytes, Slot chosen_through, Slot window, size_t window_bytes) const {
  if (phase_ != Phase::kLeading || !obligations_.empty()) return false;
  if (next_slot_ > chosen_through + window || HasBarrier()) return false;
  return in_flight_.empty() || in_flight_bytes_ + bytes <= window_bytes;
}

void Proposer::Propose(Slot slot, const Value& value, Time now) {
  CHECK(phase_ == Phase::kLeading);
  if (!obligations_.empty()) {
    DISTLOG_INVARIANT(P2, slot == obligations_.begin()->first)
        << "obligations are proposed in slot order";
    obligations_.erase(obligations_.begin());
  } else {
    DISTLOG_INVARIANT(P2, slot == next_slot_) << "new values go after the highest slot";
    ++next_slot_;
  }
  // The clocks begin with what is outstanding.
  if (in_flight_.empty()) progress_at_ = now;
  if (in_flight_.empty() && !confirming_) answer_at_ = now;
  in_flight_bytes_ += value.size();
  const bool is_new = in_flight_.emplace(slot, Proposal{value, {}, now, {}}).second;
  DISTLOG_INVARIANT(P2, is_new) << "slot " << slot << " proposed twice at ballot " << ballot_;
}

void Proposer::OnAccepted(ReplicaId peer, Slot first, Slot last) {
  for (auto it = in_flight_.lower_bound(first); it != in_flight_.end() && it->first <= last; ++it) {
    it->second.accepted_by.insert(peer);
  }
}

bool Proposer::IsAccepted(Slot slot, const Configuration& configuration) const {
  auto proposal = in_flight_.find(slot);
  return proposal != in_flight_.end() && IsQuorum(configuration, proposal->second.accepted_by);
}

void Proposer::OnChosen(Slot slot) {
  obligations_.erase(slot);
  auto proposal = in_flight_.find(slot);
  if (proposal != in_flight_.end()) {
    in_flight_bytes_ -= proposal->second.value.size();
    in_flight_.erase(proposal);
  }
  // Never at or below chosen_through (B8): another may have chosen beyond what this one saw.
  next_slot_ = std::max(next_slot_, slot + 1);
}

std::vector<Slot> Proposer::SlotsToResend(ReplicaId peer, Slot received_through, Time before,
                                          Time long_before) const {
  std::vector<Slot> slots;
  for (const auto& [slot, proposal] : in_flight_) {
    if (proposal.accepted_by.contains(peer)) continue;
    const auto resent = proposal.resent_at.find(peer);
    const Time sent_at = resent == proposal.resent_at.end() ? proposal.sent_at : resent->second;
    if (sent_at <= (slot > received_through ? before : long_before)) slots.push_back(slot);
  }
  return slots;
}

// Peer by peer: what a dead one is sent in every round must not put off what another one, whose
// answer was lost, is to be sent.
void Proposer::NoteResent(ReplicaId peer, Slot slot, Time now) {
  in_flight_.at(slot).resent_at[peer] = now;
}

std::map<Slot, AcceptedValue> Proposer::Carried() const {
  std::map<Slot, AcceptedValue> carried;
  // Phase 1 of this ballot may be under way, with what an earlier one carried still in it. (But
  // what was only reported may have been accepted at a higher ballot since: that is asked again.)
  for (const auto& [slot, proposal] : in_flight_) {
    carried[slot] = AcceptedValue{slot, ballot_, proposal.value};
  }
  return carried;
}

void Proposer::SetConfirming(bool confirming, Time now) {
  if (confirming && !confirming_) {
    read_progress_at_ = now;
    if (in_flight_.empty()) answer_at_ = now;
  }
  confirming_ = confirming;
}

bool Proposer::IsProgressing(Time now, Time progress_timeout, Time answer_timeout) const {
  if (phase_ != Phase::kLeading) return now - progress_at_ <= progress_timeout;
  const bool proposing = !in_flight_.empty() || !obligations_.empty();
  if (proposing && now - progress_at_ > progress_timeout) return false;
  if (confirming_ && now - read_progress_at_ > progress_timeout) return false;
  return (!proposing && !confirming_) || now - answer_at_ <= answer_timeout;
}

}  // namespace distlog::paxos
