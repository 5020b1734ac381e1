#include "tests/model/ledger.h"

#include <bit>
#include <iterator>

namespace distlog::model {

using paxos::AcceptedValue;
using paxos::Slot;
using paxos::ToString;

namespace {

std::string Who(const Fact& fact) { return " (replica " + ToString(fact.replica) + ")"; }
std::string InSlot(Slot slot) { return " in slot " + std::to_string(slot); }

}  // namespace

std::string Ledger::Note(const Fact& fact) {
  switch (fact.kind) {
    case Fact::Kind::kUsed: {
      const int run = runs_.try_emplace(fact.ballot, fact.run).first->second;
      if (run == fact.run) return "";
      return "P8: ballot " + ToString(fact.ballot) + " is used again after a restart" + Who(fact);
    }
    case Fact::Kind::kProposed:
    case Fact::Kind::kStored:
      return NoteVote(fact);
    case Fact::Kind::kIsChosen: {
      const auto chosen = chosen_.find(fact.slot);
      if (chosen != chosen_.end() && chosen->second == fact.value) return "";
      return std::string("P1: ") +
             (chosen == chosen_.end() ? "what is not chosen"
                                      : "another value than the chosen one") +
             " is taken for chosen" + InSlot(fact.slot) + Who(fact);
    }
    case Fact::Kind::kThrough:
      for (Slot slot = 1; slot <= fact.slot; ++slot) {
        if (!chosen_.contains(slot)) {
          return "P6: slots through " + std::to_string(fact.slot) +
                 " are said to be chosen, and nothing is" + InSlot(slot) + Who(fact);
        }
      }
      return "";
  }
  return "";
}

std::string Ledger::NoteVote(const Fact& fact) {
  for (const auto& [at, votes] : votes_) {
    if (fact.value != 0 && votes.value == fact.value && at.first != fact.slot) {
      return "P10: a client's value" + InSlot(at.first) + " and" + InSlot(fact.slot) + Who(fact);
    }
  }
  Votes& votes =
      votes_.try_emplace({fact.slot, fact.ballot}, Votes{.value = fact.value}).first->second;
  if (votes.value != fact.value) {
    return "P2: two values" + InSlot(fact.slot) + " at ballot " + ToString(fact.ballot) + Who(fact);
  }
  if (fact.kind == Fact::Kind::kProposed) return "";
  votes.stored_by |= 1u << static_cast<uint64_t>(fact.replica);
  if (std::popcount(votes.stored_by) <= replicas_ / 2) return "";
  const ValueId chosen = chosen_.try_emplace(fact.slot, fact.value).first->second;
  if (chosen == fact.value) return "";
  return "P1: two values are chosen" + InSlot(fact.slot) + ", the second at ballot " +
         ToString(fact.ballot);
}

bool Ledger::HasUndecided() const {
  for (const auto& [at, votes] : votes_) {
    if (!chosen_.contains(at.first)) return true;
  }
  return false;
}

Slot Ledger::decided() const {
  Slot count = 0;
  for (const auto& [slot, value] : chosen_) count += value != 0 ? 1 : 0;
  return count;
}

int Ledger::proposed_again() const {
  int count = 0;
  for (auto it = votes_.begin(); it != votes_.end(); ++it) {
    const auto next = std::next(it);
    if (next == votes_.end()) break;
    const bool is_same_slot = next->first.first == it->first.first;
    if (is_same_slot && it->second.value != 0 && next->second.value == it->second.value) ++count;
  }
  return count;
}

std::string Ledger::JudgeDisks(const std::vector<const Disk*>& disks) const {
  const uint32_t all = 1u << disks.size();
  for (const auto& [slot, value] : chosen_) {
    int holders = 0;
    for (const Disk* disk : disks) {
      const auto held = disk->accepted.find(slot);
      if (held != disk->accepted.end() && IdOf(held->second.value) == value) ++holders;
    }
    if (holders <= replicas_ / 2) {
      return "P5: the value chosen" + InSlot(slot) + " is on " + std::to_string(holders) +
             " disks only";
    }
    for (uint32_t asked = 0; asked < all; ++asked) {
      if (std::popcount(asked) <= replicas_ / 2) continue;
      const AcceptedValue* best = nullptr;
      for (size_t i = 0; i < disks.size(); ++i) {
        const auto held = disks[i]->accepted.find(slot);
        if ((asked >> i & 1) == 0 || held == disks[i]->accepted.end()) continue;
        if (best == nullptr || best->ballot < held->second.ballot) best = &held->second;
      }
      if (best == nullptr || IdOf(best->value) != value) {
        return "P5: a quorum would not find the value chosen" + InSlot(slot);
      }
    }
  }
  return "";
}

}  // namespace distlog::model
