#include "paxos/learner.h"

#include <algorithm>

#include "glog/logging.h"
#include "paxos/break.h"
#include "paxos/invariant.h"

namespace distlog::paxos {

Learner::Learner(const DurableState& recovered)
    : chosen_through_(recovered.chosen_through),
      configuration_(recovered.configuration),
      configuration_slot_(recovered.configuration_slot) {
  CHECK_GE(configuration_.version, 1u) << "a replica needs the configuration that it is part of";
  DISTLOG_INVARIANT(P7, configuration_slot_ <= chosen_through_)
      << "a configuration is in force once chosen";
}

bool Learner::Choose(Time now, const AcceptedValue& value) {
  DISTLOG_INVARIANT(P6, value.slot == chosen_through_ + 1)
      << "the chosen prefix has no holes: slot " << value.slot << " after " << chosen_through_;
  chosen_through_ = value.slot;
  hole_ = false;
  behind_since_ = known_chosen() > chosen_through_ ? now : Time::max();
  if (value.value.kind != Value::Kind::kConfiguration) return false;
  CHECK(value.value.configuration != nullptr) << "slot " << value.slot << " was not decoded";
  if (!TakesEffect(*value.value.configuration, configuration_) &&
      !IsBroken(Break::kAnyConfigurationTakesEffect)) {
    return false;
  }
  configuration_ = *value.value.configuration;
  configuration_slot_ = value.slot;
  return true;
}

void Learner::NotePeer(Time now, ReplicaId peer, Slot chosen_through) {
  Slot& known = known_[peer];
  known = std::max(known, chosen_through);
  if (known > chosen_through_ && behind_since_ == Time::max()) behind_since_ = now;
}

void Learner::ForgetPeer(ReplicaId peer) {
  known_.erase(peer);
  if (asked_.has_value() && asked_->peer == peer) asked_.reset();
  if (known_chosen() <= chosen_through_) behind_since_ = Time::max();
}

void Learner::KeepPeers(const Configuration& configuration) {
  std::vector<ReplicaId> strangers;
  for (const auto& [peer, through] : known_) {
    if (configuration.Find(peer) == nullptr) strangers.push_back(peer);
  }
  for (const ReplicaId peer : strangers) ForgetPeer(peer);
}

Slot Learner::known_of(ReplicaId peer) const {
  auto known = known_.find(peer);
  return known == known_.end() ? 0 : known->second;
}

Slot Learner::known_chosen() const {
  Slot highest = 0;
  for (const auto& [peer, through] : known_) highest = std::max(highest, through);
  return highest;
}

void Learner::NoteReply(Time now, ReplicaId from, Slot first, Slot supplier_chosen_through) {
  if (!asked_.has_value() || asked_->peer != from) return;
  // A late copy of an earlier answer must not set off another request.
  if (first != 0 && first != asked_->first) return;
  asked_.reset();
  known_[from] = supplier_chosen_through;
  const bool is_behind = known_chosen() > chosen_through_;
  behind_since_ = is_behind ? now : Time::max();
  // A stream of requests goes on without patience, as long as it brings something.
  const bool brought_something = first != 0;
  if (!brought_something) {
    unanswered_ = from;
  } else if (unanswered_ == from) {
    unanswered_ = kNoReplica;  // Another's answer says nothing about who is silent.
  }
  hole_ = is_behind && brought_something;
}

std::optional<ReplicaId> Learner::Supplier(ReplicaId leader) const {
  std::optional<ReplicaId> best;
  for (const auto& [peer, through] : known_) {
    if (through <= chosen_through_) continue;
    const bool is_better =
        !best.has_value() || *best == unanswered_ ||
        (peer != unanswered_ && (peer == leader || (through > known_of(*best) && *best != leader)));
    if (is_better) best = peer;
  }
  return best;
}

std::optional<Learner::Request> Learner::NextRequest(Time now, ReplicaId leader, Time patience,
                                                     Time answer_timeout) {
  if (behind_since_ == Time::max()) return std::nullopt;
  if (asked_.has_value()) {
    if (now - asked_->at < answer_timeout) return std::nullopt;
    unanswered_ = asked_->peer;
    asked_.reset();
    hole_ = true;
  }
  if (!hole_ && now - behind_since_ < patience) return std::nullopt;
  const std::optional<ReplicaId> supplier = Supplier(leader);
  if (!supplier.has_value()) return std::nullopt;
  hole_ = false;
  asked_ = Asked{.peer = *supplier, .first = chosen_through_ + 1, .at = now};
  return Request{.to = asked_->peer, .first = asked_->first};
}

Time Learner::deadline(Time patience, Time answer_timeout) const {
  if (behind_since_ == Time::max()) return Time::max();
  if (asked_.has_value()) return asked_->at + answer_timeout;
  return hole_ ? behind_since_ : behind_since_ + patience;
}

}  // namespace distlog::paxos
