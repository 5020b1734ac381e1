#include "tests/model/ledger.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

namespace distlog::model {

using paxos::AcceptedValue;
using paxos::Ballot;
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
      if (chosen != chosen_.end() && chosen->second.value == fact.value) return "";
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
    case Fact::Kind::kSettled:
      settled_ = std::max(settled_, fact.slot);
      if (chosen_.contains(fact.slot) && ConfigurationIn(chosen_.at(fact.slot).value) != 0)
        return "";
      return "B5: a configuration is said to be settled, and none is chosen" + InSlot(fact.slot) +
             Who(fact);
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
  if (fact.kind == Fact::Kind::kProposed) return JudgeBarrier(fact);
  votes.stored_by |= 1u << static_cast<uint64_t>(fact.replica);
  return Decide();
}

std::string Ledger::JudgeBarrier(const Fact& fact) const {
  for (const auto& [at, votes] : votes_) {
    const bool is_below = at.first < fact.slot && at.second == fact.ballot;
    if (is_below && ConfigurationIn(votes.value) != 0 && !chosen_.contains(at.first)) {
      return "B1: proposes" + InSlot(fact.slot) + " above a configuration that is not chosen" +
             InSlot(at.first) + Who(fact);
    }
  }
  return "";
}

std::string Ledger::Decide() {
  std::map<Slot, Choice> chosen;
  size_t in_force = 0;
  Ballot since;  // The ballot that chose the configuration in force.
  for (auto it = votes_.begin(); it != votes_.end();) {
    const Slot slot = it->first.first;
    bool may_reconfigure = false;
    Ballot at;
    for (; it != votes_.end() && it->first.first == slot; ++it) {
      const auto& [key, votes] = *it;
      may_reconfigure = may_reconfigure || ConfigurationIn(votes.value) != 0;
      if (key.second < since || !IsQuorum(votes.stored_by, in_force)) continue;
      const auto [choice, is_first] = chosen.try_emplace(slot, Choice{votes.value, in_force});
      if (is_first) at = key.second;
      if (choice->second.value != votes.value) {
        return "P1: two values are chosen" + InSlot(slot) + ", the second at ballot " +
               ToString(key.second);
      }
    }
    const auto choice = chosen.find(slot);
    if (choice == chosen.end()) {
      if (may_reconfigure) {
        // Who decides what is above it is open; what is decided there stays so.
        chosen.insert(chosen_.upper_bound(slot), chosen_.end());
        break;
      }
      continue;
    }
    const size_t next = ConfigurationIn(choice->second.value);
    if (next == 0) continue;
    if (configurations_->at(next).version != configurations_->at(in_force).version + 1) continue;
    in_force = next;
    since = at;
  }
  for (const auto& [slot, choice] : chosen_) {
    const auto now = chosen.find(slot);
    if (now != chosen.end() && now->second.value == choice.value) continue;
    return "P1: what was chosen" + InSlot(slot) + " is not chosen any more";
  }
  chosen_ = std::move(chosen);
  return "";
}

uint32_t Ledger::Voters(size_t configuration) const {
  uint32_t voters = 0;
  for (const paxos::Member& member : configurations_->at(configuration).members) {
    if (member.voter) voters |= 1u << static_cast<uint64_t>(member.id);
  }
  return voters;
}

bool Ledger::IsQuorum(uint32_t replicas, size_t configuration) const {
  const uint32_t voters = Voters(configuration);
  return 2 * std::popcount(replicas & voters) > std::popcount(voters);
}

bool Ledger::HasUndecided() const {
  for (const auto& [at, votes] : votes_) {
    if (!chosen_.contains(at.first)) return true;
  }
  return false;
}

bool Ledger::HasOpenChange() const {
  return std::any_of(votes_.begin(), votes_.end(), [this](const auto& votes) {
    return ConfigurationIn(votes.second.value) != 0 && !chosen_.contains(votes.first.first);
  });
}

Slot Ledger::changed() const {
  Slot changed = 0;
  for (const auto& [slot, choice] : chosen_) {
    if (ConfigurationIn(choice.value) > choice.by) changed = slot;
  }
  return changed;
}

Slot Ledger::decided() const {
  Slot count = 0;
  for (const auto& [slot, choice] : chosen_) count += choice.value != 0 ? 1 : 0;
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
  for (const auto& [slot, choice] : chosen_) {
    const bool is_settled = slot <= settled_ && chosen_.contains(settled_);
    const size_t deciders = is_settled ? ConfigurationIn(chosen_.at(settled_).value) : choice.by;
    const std::string violation = JudgeSlot(slot, choice, deciders, disks);
    if (!violation.empty()) return violation;
  }
  if (settled_ == 0 || !chosen_.contains(settled_)) return "";
  uint32_t marked = 0;
  for (size_t i = 0; i < disks.size(); ++i) {
    if (disks[i]->mark >= settled_) marked |= 2u << i;
  }
  if (IsQuorum(marked, ConfigurationIn(chosen_.at(settled_).value))) return "";
  return "B5: the configuration" + InSlot(settled_) +
         " is said to be settled, and no quorum of it has the mark on disk";
}

std::string Ledger::JudgeSlot(Slot slot, const Choice& choice, size_t deciders,
                              const std::vector<const Disk*>& disks) const {
  uint32_t holders = 0;
  for (size_t i = 0; i < disks.size(); ++i) {
    const auto held = disks[i]->accepted.find(slot);
    const bool holds = held != disks[i]->accepted.end() && IdOf(held->second.value) == choice.value;
    if (holds) holders |= 2u << i;
  }
  if (!IsQuorum(holders, deciders)) {
    return "P5: the value chosen" + InSlot(slot) + " is on " +
           std::to_string(std::popcount(holders & Voters(deciders))) + " disks only";
  }
  const uint32_t voters = Voters(deciders);
  for (uint32_t asked = voters; asked != 0; asked = (asked - 1) & voters) {
    if (!IsQuorum(asked, deciders)) continue;
    const AcceptedValue* best = nullptr;
    for (size_t i = 0; i < disks.size(); ++i) {
      const auto held = disks[i]->accepted.find(slot);
      if ((asked >> (i + 1) & 1) == 0 || held == disks[i]->accepted.end()) continue;
      if (best == nullptr || best->ballot < held->second.ballot) best = &held->second;
    }
    if (best == nullptr || IdOf(best->value) != choice.value) {
      return "P5: a quorum would not find the value chosen" + InSlot(slot);
    }
  }
  return "";
}

}  // namespace distlog::model
