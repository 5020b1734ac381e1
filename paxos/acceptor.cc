#include "paxos/acceptor.h"

#include <algorithm>
#include <utility>

#include "glog/logging.h"

namespace distlog::paxos {

Acceptor::Acceptor(const DurableState& recovered) : promised_(recovered.promised) {
  for (const AcceptedValue& value : recovered.accepted) {
    CHECK_GT(value.slot, recovered.chosen_through) << "P6: recovered a slot below the mark";
    CHECK_LE(value.ballot, promised_)
        << "P3: recovered slot " << value.slot << " above the promise";
    accepted_[value.slot] = value;
  }
}

const AcceptedValue* Acceptor::Find(Slot slot) const {
  auto held = accepted_.find(slot);
  return held == accepted_.end() ? nullptr : &held->second;
}

void Acceptor::Promise(const Ballot& ballot) {
  CHECK_GE(ballot, promised_) << "P3: a promise never falls";
  promised_ = ballot;
}

void Acceptor::Accept(const AcceptedValue& value) {
  CHECK_GE(value.ballot, promised_) << "P3: slot " << value.slot << " accepted below the promise";
  Learn(value);
}

void Acceptor::Learn(const AcceptedValue& value) {
  const AcceptedValue* held = Find(value.slot);
  CHECK(held == nullptr || held->ballot <= value.ballot)
      << "P3: slot " << value.slot << " falls from ballot " << held->ballot;
  CHECK(held == nullptr || held->ballot != value.ballot || held->value == value.value)
      << "P2: two values in slot " << value.slot << ", ballot " << value.ballot;
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
