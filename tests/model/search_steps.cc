// What one machine does upon one event: run once, numbered, told. search.cc has what may happen in
// a state of the cluster.

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "paxos/hash.h"
#include "tests/model/search.h"

namespace distlog::model {

using paxos::Envelope;
using paxos::ReplicaId;
using paxos::ToString;

namespace {

// The number of `value` among those it is equal to one of, or a new one.
template <typename T, typename Key, typename Numbers>
uint32_t InternIn(T value, const Key& key, std::vector<T>* values, Numbers* numbers) {
  const auto [begin, end] = numbers->equal_range(key);
  for (auto it = begin; it != end; ++it) {
    if ((*values)[it->second] == value) return it->second;
  }
  const auto number = static_cast<uint32_t>(values->size());
  values->push_back(std::move(value));
  numbers->emplace(key, number);
  return number;
}

std::string ToString(ValueId value) {
  if (value == 0) return "no-op";
  if (ConfigurationIn(value) != 0) {
    return "configuration " + std::to_string(ConfigurationIn(value)) + " of " +
           ToString(value & ((ValueId{1} << 56) - 1));
  }
  return "value " + std::to_string(value / 65536) + "." + std::to_string(value / 4096 % 16) + "." +
         std::to_string(value / 16 % 256) + "." + std::to_string(value % 16);
}

}  // namespace

// ---- Numbers -----------------------------------------------------------------------------------

uint32_t Search::Intern(Machine machine) {
  const uint64_t hash = paxos::HashOf(machine);
  return InternIn(std::move(machine), hash, &machines_, &machine_numbers_);
}

uint32_t Search::Intern(const Envelope& envelope) {
  return InternIn(envelope, paxos::ToString(envelope), &messages_, &message_numbers_);
}

uint32_t Search::Intern(Ledger ledger) {
  const uint64_t hash = paxos::HashOf(ledger);
  return InternIn(std::move(ledger), hash, &ledgers_, &ledger_numbers_);
}

uint32_t Search::Event(EventKind kind, uint32_t detail, bool syncs) {
  return static_cast<uint32_t>(kind) << (kDetailBits + 1) | (syncs ? 1u << kDetailBits : 0) |
         detail;
}

// ---- What happens ------------------------------------------------------------------------------

uint32_t Search::StepOf(uint32_t machine, uint32_t event) {
  uint32_t number = step_numbers_.Find(machine, event);
  if (number != FlatMap::kNone) return number;
  number = static_cast<uint32_t>(steps_.size());
  steps_.push_back(Run(Machine(machines_[machine]), event));
  step_numbers_.Insert(machine, event, number);
  return number;
}

Search::LocalStep Search::Run(const Machine& before, uint32_t event) {
  const auto kind = static_cast<EventKind>(event >> (kDetailBits + 1));
  const bool syncs = (event >> kDetailBits & 1) != 0;
  const uint32_t detail = event & ((1u << kDetailBits) - 1);
  Machine machine = before;
  Happened happened;
  LocalStep step;
  step.event = event;
  switch (kind) {
    case EventKind::kDeliver:
      machine.Deliver(messages_[detail], &happened);
      break;
    case EventKind::kStand:
      machine.Stand(&happened);
      break;
    case EventKind::kPropose:
      machine.Propose(bounds_.slots, &happened);
      break;
    case EventKind::kSync:
      machine.Sync(&happened);
      break;
    case EventKind::kSupply:
      machine.Supply(ReplicaId(detail), &happened);
      break;
    case EventKind::kSaveMark:
      machine.SaveMark(&happened);
      break;
    case EventKind::kCrash:
      step.loses = detail < machine.unsynced_records();
      machine.Crash(detail, &happened);
      break;
    case EventKind::kChange:
      machine.Change(detail, bounds_.slots, &happened);
      break;
    case EventKind::kHearMarks: {
      std::vector<ReplicaId> holders;
      for (int id = 1; id <= replicas_; ++id) {
        if ((detail >> id & 1) != 0) holders.push_back(ReplicaId(id));
      }
      machine.HearMarks(holders, &happened);
      break;
    }
  }
  if (syncs) machine.Sync(&happened);
  const std::optional<paxos::Ballot> claimed = machine.replica().claimed();
  step.is_beyond = claimed.has_value() && claimed->round > bounds_.rounds;
  for (const Envelope& envelope : happened.left) step.left.push_back(Intern(envelope));
  std::sort(step.left.begin(), step.left.end());
  step.left.erase(std::unique(step.left.begin(), step.left.end()), step.left.end());
  step.facts = std::move(happened.facts);
  step.violation = std::move(happened.violation);
  step.machine = Intern(std::move(machine));
  return step;
}

uint32_t Search::NetworkAfter(uint32_t network, uint32_t step) {
  uint32_t after = networks_after_.Find(network, step);
  if (after != FlatMap::kNone) return after;
  const std::vector<uint32_t>& left = steps_[step].left;
  const uint32_t event = steps_[step].event;
  const bool removes = static_cast<EventKind>(event >> (kDetailBits + 1)) == EventKind::kDeliver &&
                       !bounds_.duplication;
  const Machine& machine = machines_[steps_[step].machine];
  const bool keeps_all = (event >> kDetailBits & 1) == 0 || bounds_.duplication;
  const auto is_dead = [&](uint32_t message) {
    return !keeps_all && messages_[message].to == machine.replica().self() &&
           machine.IsDead(messages_[message].message);
  };
  const bool has_dead = std::any_of(networks_[network].begin(), networks_[network].end(), is_dead);
  if (left.empty() && !removes && !has_dead) {
    networks_after_.Insert(network, step, network);
    return network;
  }
  std::vector<uint32_t> messages;
  messages.reserve(networks_[network].size() + left.size());
  std::set_union(networks_[network].begin(), networks_[network].end(), left.begin(), left.end(),
                 std::back_inserter(messages));
  if (removes) std::erase(messages, event & ((1u << kDetailBits) - 1));
  std::erase_if(messages, is_dead);
  messages.shrink_to_fit();
  const uint64_t hash = paxos::HashOf(messages);
  after = InternIn(std::move(messages), hash, &networks_, &network_numbers_);
  networks_after_.Insert(network, step, after);
  return after;
}

uint32_t Search::LedgerAfter(uint32_t ledger, uint32_t step, std::string* violation) {
  const std::vector<Fact>& facts = steps_[step].facts;
  if (facts.empty()) return ledger;
  uint32_t after = ledgers_after_.Find(ledger, step);
  if (after != FlatMap::kNone) return after;
  Ledger sum = ledgers_[ledger];
  for (const Fact& fact : facts) {
    *violation = sum.Note(fact);
    if (!violation->empty()) return ledger;
  }
  after = Intern(std::move(sum));
  ledgers_after_.Insert(ledger, step, after);
  return after;
}

// ---- Telling -----------------------------------------------------------------------------------

std::string Search::Describe(const LocalStep& step) const {
  const uint32_t detail = step.event & ((1u << kDetailBits) - 1);
  std::string text = ToString(machines_[step.machine].replica().self()) + " ";
  switch (static_cast<EventKind>(step.event >> (kDetailBits + 1))) {
    case EventKind::kDeliver:
      text += "receives " + paxos::ToString(messages_[detail]);
      break;
    case EventKind::kStand:
      text += "takes over";
      break;
    case EventKind::kPropose:
      text += "proposes a client's value";
      break;
    case EventKind::kSync:
      text += "syncs";
      break;
    case EventKind::kSupply:
      text += "supplies " + std::to_string(detail);
      break;
    case EventKind::kSaveMark:
      text += "saves its mark";
      break;
    case EventKind::kCrash:
      text += "restarts; of what was not synced, " + std::to_string(detail) + " records are kept";
      break;
    case EventKind::kChange:
      text += "proposes the change";
      break;
    case EventKind::kHearMarks:
      text += "hears of the mark";
      for (uint32_t id = 1; id < 32; ++id) {
        if ((detail >> id & 1) != 0) text += " of " + std::to_string(id);
      }
      break;
  }
  for (const Fact& fact : step.facts) {
    const std::string slot = " in slot " + std::to_string(fact.slot);
    if (fact.kind == Fact::Kind::kStored) {
      text += "\n      stores " + ToString(fact.value) + slot + " at " + ToString(fact.ballot);
    } else if (fact.kind == Fact::Kind::kIsChosen) {
      text += "\n      takes " + ToString(fact.value) + slot + " for chosen";
    } else if (fact.kind == Fact::Kind::kProposed) {
      text += "\n      proposes " + ToString(fact.value) + slot + " at " + ToString(fact.ballot);
    }
  }
  for (uint32_t message : step.left) text += "\n      sends " + paxos::ToString(messages_[message]);
  return text;
}

}  // namespace distlog::model
