#include "paxos/acceptor.h"

#include <algorithm>
#include <utility>

#include "paxos/break.h"
#include "paxos/invariant.h"

namespace distlog::paxos {

Acceptor::Acceptor(const DurableState& recovered) : promised_(recovered.promised) {
  if (IsBroken(Break::kForgetPromiseOnRestart)) promised_ = {};
  for (const AcceptedValue& value : recovered.accepted) {
    DISTLOG_INVARIANT(P6, value.slot > recovered.chosen_through)
        << "recovered slot " << value.slot << " below the mark";
    DISTLOG_INVARIANT(P3, value.ballot <= recovered.promised)
        << "recovered slot " << value.slot << " above the promise";
    if (IsBroken(Break::kForgetAcceptedOnRestart)) continue;
    promised_ = std::max(promised_, value.ballot);
    accepted_[value.slot] = value;
  }
}

const AcceptedValue* Acceptor::Find(Slot slot) const {
  auto held = accepted_.find(slot);
  return held == accepted_.end() ? nullptr : &held->second;
}

void Acceptor::Promise(const Ballot& ballot) {
  DISTLOG_INVARIANT(P3, ballot >= promised_) << "a promise never falls from " << promised_;
  promised_ = ballot;
}

void Acceptor::Accept(const AcceptedValue& value) {
  DISTLOG_INVARIANT(P3, value.ballot >= promised_)
      << "slot " << value.slot << " accepted below the promise " << promised_;
  Hold(value);
}

void Acceptor::Learn(const AcceptedValue& value) {
  if (IsBroken(Break::kLearnKeepsLowBallot)) {
    accepted_[value.slot] = value;
    return;
  }
  Hold(value);
}

void Acceptor::Hold(const AcceptedValue& value) {
  const AcceptedValue* held = Find(value.slot);
  DISTLOG_INVARIANT(P3, held == nullptr || held->ballot <= value.ballot)
      << "slot " << value.slot << " falls from ballot " << held->ballot;
  DISTLOG_INVARIANT(P2,
                    held == nullptr || held->ballot != value.ballot || held->value == value.value)
      << "two values in slot " << value.slot << ", ballot " << value.ballot;
  accepted_[value.slot] = value;
  promised_ = std::max(promised_, value.ballot);
}

void Acceptor::Forget(Slot through) {
  accepted_.erase(accepted_.begin(), accepted_.upper_bound(through));
}

std::vector<Promise> Acceptor::PromiseParts(Slot first, Slot chosen_through,
                                            size_t message_bytes) const {
  std::vector<struct Promise> parts;
  struct Promise part {
    .ballot = promised_, .first = first, .last = first - 1, .is_final = false, .accepted = {},
    .chosen_through = chosen_through
  };
  size_t bytes = 0;
  for (auto held = accepted_.lower_bound(first); held != accepted_.end(); ++held) {
    if (!part.accepted.empty() && bytes + held->second.value.size() > message_bytes) {
      const Slot next = part.last + 1;
      parts.push_back(std::move(part));
      part = {.ballot = promised_,
              .first = next,
              .last = next - 1,
              .is_final = false,
              .accepted = {},
              .chosen_through = chosen_through};
      bytes = 0;
    }
    bytes += held->second.value.size();
    part.accepted.push_back(held->second);
    part.last = held->first;
  }
  part.is_final = true;
  parts.push_back(std::move(part));
  return parts;
}

}  // namespace distlog::paxos
