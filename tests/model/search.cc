#include "tests/model/search.h"

#include <algorithm>
#include <utility>

#include "glog/logging.h"
#include "paxos/hash.h"

namespace distlog::model {

using paxos::Envelope;
using paxos::ReplicaId;

namespace {

constexpr uint32_t kFree = UINT32_MAX;

// The members of `voters`, of which those of `learners` are none; the lowest id never given out is
// above them all.
paxos::Configuration Of(uint64_t version, uint32_t voters, uint32_t learners) {
  paxos::Configuration configuration{
      .version = version, .members = {}, .next_replica_id = 1, .feature_level = 1};
  for (uint64_t id = 1; id < 32; ++id) {
    if (((voters | learners) >> id & 1) == 0) continue;
    configuration.members.push_back(
        {.id = ReplicaId(id), .uuid = {0, id}, .address = {}, .voter = (voters >> id & 1) != 0});
    configuration.next_replica_id = id + 1;
  }
  return configuration;
}

Configurations ConfigurationsOf(const Bounds& bounds) {
  const uint32_t genesis = (2u << bounds.replicas) - 2;
  Configurations configurations{Of(1, genesis, 0)};
  if (bounds.change_to == 0) return configurations;
  if (bounds.learners_first) {
    configurations.push_back(Of(2, genesis, bounds.change_to & ~genesis));
  }
  configurations.push_back(Of(configurations.back().version + 1, bounds.change_to, 0));
  // Ids of those who leave are not given out again.
  configurations.back().next_replica_id =
      std::max(configurations.back().next_replica_id, configurations.front().next_replica_id);
  return configurations;
}

}  // namespace

Search::Search(const Bounds& bounds)
    : bounds_(bounds),
      configurations_(std::make_shared<const Configurations>(ConfigurationsOf(bounds))),
      state_numbers_(1024, kFree) {
  replicas_ = static_cast<int>(configurations_->back().next_replica_id) - 1;
  CHECK(bounds.replicas >= 1 && replicas_ <= kMaxReplicas);
  std::vector<Machine> machines;
  for (int i = 1; i <= replicas_; ++i) {
    machines.emplace_back(ReplicaId(i), configurations_, bounds.slots);
  }
  Ledger ledger(configurations_);
  if (bounds.is_elected || bounds.learners_first) Elect(&machines, &ledger);
  State first;
  for (int i = 0; i < replicas_; ++i) first.machines[i] = Intern(std::move(machines[i]));
  networks_.push_back({});
  network_numbers_.emplace(paxos::HashOf(networks_[0]), 0);
  first.ledger = Intern(std::move(ledger));
  first.takeovers = static_cast<uint8_t>(bounds.takeovers);
  first.crashes = static_cast<uint8_t>(bounds.crashes);
  first.saved_marks = static_cast<uint8_t>(bounds.saved_marks);
  first.changes = static_cast<uint8_t>(bounds.change_to == 0 ? 0 : bounds.changes);
  Reach(first, {});
}

void Search::Elect(std::vector<Machine>* machines, Ledger* ledger) const {
  Machine& leader = machines->front();
  // All syncs, and all that is said arrives.
  const auto finish = [&](Machine* machine, Happened happened) {
    std::vector<Envelope> under_way;
    const auto note = [&](Machine* of) {
      of->Sync(&happened);
      for (const Fact& fact : happened.facts) CHECK_EQ(ledger->Note(fact), "");
      CHECK_EQ(happened.violation, "");
      under_way.insert(under_way.end(), happened.left.begin(), happened.left.end());
    };
    note(machine);
    for (size_t i = 0; i < under_way.size(); ++i) {
      const Envelope envelope = under_way[i];
      Machine& to = machines->at(static_cast<uint64_t>(envelope.to) - 1);
      happened = {};
      to.Deliver(envelope, &happened);
      note(&to);
    }
  };
  Happened stands;
  leader.Stand(&stands);
  finish(&leader, std::move(stands));
  if (!bounds_.learners_first) return;
  Happened changes;
  leader.Change(1, bounds_.slots, &changes);
  finish(&leader, std::move(changes));
  for (int i = bounds_.replicas + 1; i <= replicas_; ++i) {
    Happened supplies;
    leader.Supply(ReplicaId(i), &supplies);
    finish(&leader, std::move(supplies));
  }
  std::vector<ReplicaId> holders;
  for (int i = 2; i <= bounds_.replicas; ++i) holders.push_back(ReplicaId(i));
  Happened hears;
  leader.HearMarks(holders, &hears);
  finish(&leader, std::move(hears));
}

Result Search::Run(const std::function<void(const Result&)>& progress) {
  size_t level_end = 1;
  for (uint32_t index = 0; index < states_.size() && result_.violation.empty(); ++index) {
    if (index == level_end) {
      ++result_.depth;
      level_end = states_.size();
    }
    if (states_.size() >= bounds_.states) return result_;
    Expand(index);
    if (progress && index % 1'000'000 == 999'999) progress(result_);
  }
  result_.complete = result_.violation.empty();
  return result_;
}

// ---- The search --------------------------------------------------------------------------------

bool Search::MayStand(int replica) const {
  if (replica < bounds_.proposers) return true;
  int lower = 0;
  for (int id = 1; id <= replica; ++id) lower += static_cast<int>(bounds_.change_to >> id & 1);
  return (bounds_.change_to >> (replica + 1) & 1) != 0 && lower < bounds_.new_proposers;
}

uint32_t Search::MarkHolders(const State& state, int replica) const {
  const paxos::Replica& hearer = machines_[state.machines[replica]].replica();
  const paxos::Slot slot = hearer.configuration_slot();
  if (hearer.is_settled() || ledgers_[state.ledger].settled() >= slot) return 0;
  uint32_t holders = 0;
  int voters = 0;
  int count = 0;
  for (const paxos::Member& member : hearer.configuration().members) {
    const auto id = static_cast<uint64_t>(member.id);
    voters += member.voter ? 1 : 0;
    if (!member.voter || machines_[state.machines[id - 1]].replica().durable_mark() < slot)
      continue;
    holders |= 1u << id;
    ++count;
  }
  return 2 * count > voters ? holders : 0;
}

void Search::Expand(uint32_t index) {
  const State state = states_[index];
  const bool syncs = state.crashes == 0;
  for (int i = 0; i < replicas_; ++i) {
    if (!machines_[state.machines[i]].is_synced()) {
      Take(index, i, Event(EventKind::kSync, 0, false));
    }
    if (state.takeovers > 0 && MayStand(i)) {
      Take(index, i, Event(EventKind::kStand, 0, syncs));
    }
    if (machines_[state.machines[i]].replica().is_leading()) {
      Take(index, i, Event(EventKind::kPropose, 0, syncs));
      if (state.changes > 0) {
        const auto last = static_cast<uint32_t>(configurations_->size() - 1);
        Take(index, i, Event(EventKind::kChange, last, syncs));
      }
    }
    const uint32_t holders = MarkHolders(state, i);
    if (holders != 0) {
      const uint32_t others = holders & ~(2u << i);
      JudgeSettled(index, StepOf(state.machines[i], Event(EventKind::kHearMarks, others, syncs)));
    }
    for (int j = 0; j < replicas_; ++j) {
      if (j != i && machines_[state.machines[i]].CanSupply()) TakeCatchUp(index, i, j);
    }
    if (state.saved_marks > 0 && machines_[state.machines[i]].CanSaveMark()) {
      Take(index, i, Event(EventKind::kSaveMark, 0, syncs));
    }
    if (state.crashes > 0) {
      const size_t unsynced = machines_[state.machines[i]].unsynced_records();
      for (size_t kept = 0; kept <= unsynced; ++kept) {
        Take(index, i, Event(EventKind::kCrash, static_cast<uint32_t>(kept), false));
      }
    }
  }
  // By its number, as the set it is in may move.
  for (size_t k = 0; k < networks_[state.network].size(); ++k) {
    const uint32_t message = networks_[state.network][k];
    const int to = static_cast<int>(messages_[message].to) - 1;
    Take(index, to, Event(EventKind::kDeliver, message, syncs));
    if (!result_.violation.empty()) return;
  }
}

void Search::Take(uint32_t index, int replica, uint32_t event) {
  if (!result_.violation.empty()) return;
  const uint32_t machine = states_[index].machines[replica];
  const uint32_t number = StepOf(machine, event);
  const LocalStep& step = steps_[number];
  if (step.is_beyond) {
    ++result_.beyond_rounds;
    return;
  }
  if (step.machine == machine && step.left.empty() && step.facts.empty() &&
      step.violation.empty()) {
    return;
  }
  if (!step.violation.empty()) return Violated(step.violation, index, number);
  State after = states_[index];
  after.machines[replica] = step.machine;
  after.network = NetworkAfter(after.network, number);
  std::string violation;
  after.ledger = LedgerAfter(after.ledger, number, &violation);
  if (!violation.empty()) return Violated(violation, index, number);
  if (after == states_[index]) return;
  const auto kind = static_cast<EventKind>(event >> (kDetailBits + 1));
  if (kind == EventKind::kStand) {
    --after.takeovers;
    if (ledgers_[states_[index].ledger].HasUndecided()) ++result_.takeovers_before_chosen;
    if (ledgers_[states_[index].ledger].HasOpenChange()) ++result_.takeovers_amid_change;
  } else if (kind == EventKind::kCrash) {
    --after.crashes;
    if (step.loses) ++result_.crashes_with_loss;
  } else if (kind == EventKind::kSaveMark) {
    --after.saved_marks;
  } else if (kind == EventKind::kChange) {
    --after.changes;
  }
  ++result_.transitions;
  if (Reach(after, {.from = index, .step = number})) Judge(after, index, number);
}

// One event: the answer arrives as it leaves, and is no part of the network. What it says is
// chosen, for ever: a late answer says what an earlier one said.
void Search::TakeCatchUp(uint32_t index, int from, int to) {
  const State& state = states_[index];
  const uint32_t number =
      StepOf(state.machines[from], Event(EventKind::kSupply, static_cast<uint32_t>(to + 1), false));
  const LocalStep& step = steps_[number];
  std::string violation = step.violation;
  if (violation.empty()) LedgerAfter(state.ledger, number, &violation);
  if (!violation.empty()) return Violated(violation, index, number);
  if (step.left.empty()) return;
  const uint32_t message = step.left[0];
  Take(index, to, Event(EventKind::kDeliver, message, state.crashes == 0));
}

void Search::JudgeSettled(uint32_t index, uint32_t step) {
  if (!result_.violation.empty()) return;
  std::string violation = steps_[step].violation;
  State after = states_[index];
  if (violation.empty()) after.ledger = LedgerAfter(after.ledger, step, &violation);
  if (!violation.empty()) return Violated(violation, index, step);
  if (after.ledger == states_[index].ledger) return;
  ++result_.changes_settled;
  Judge(after, index, step);
}

bool Search::Reach(const State& state, const Way& way) {
  const auto place = [this](const State& s) {
    uint64_t hash = 7;
    for (uint32_t machine : s.machines) hash = paxos::Mix(hash, machine);
    hash = paxos::Mix(hash, s.network);
    hash = paxos::Mix(hash, s.ledger);
    return paxos::Mix(hash, s.takeovers << 24 | s.crashes << 16 | s.saved_marks << 8 | s.changes) &
           (state_numbers_.size() - 1);
  };
  const auto mask = state_numbers_.size() - 1;
  size_t i = place(state);
  for (; state_numbers_[i] != kFree; i = (i + 1) & mask) {
    if (states_[state_numbers_[i]] == state) return false;
  }
  state_numbers_[i] = static_cast<uint32_t>(states_.size());
  states_.push_back(state);
  ways_.push_back(way);
  if (2 * states_.size() > state_numbers_.size()) {
    state_numbers_.assign(2 * state_numbers_.size(), kFree);
    for (uint32_t number = 0; number < states_.size(); ++number) {
      size_t j = place(states_[number]);
      while (state_numbers_[j] != kFree) j = (j + 1) & (state_numbers_.size() - 1);
      state_numbers_[j] = number;
    }
  }
  const Ledger& ledger = ledgers_[state.ledger];
  result_.states = states_.size();
  result_.machines = machines_.size();
  result_.steps = steps_.size();
  result_.messages = messages_.size();
  if (ledger.proposed_again() > 0) ++result_.proposed_again;
  if (ledger.decided() >= bounds_.slots) ++result_.all_chosen;
  const bool is_changed = ledger.changed() > (bounds_.learners_first ? 1u : 0u);
  if (is_changed) ++result_.changes_chosen;
  if (is_changed && ledger.highest_chosen() > ledger.changed()) ++result_.chosen_after_change;
  return true;
}

void Search::Judge(const State& state, uint32_t index, uint32_t step) {
  const std::vector<Fact>& facts = steps_[step].facts;
  const bool stores = std::any_of(facts.begin(), facts.end(), [](const Fact& fact) {
    return fact.kind == Fact::Kind::kStored || fact.kind == Fact::Kind::kSettled;
  });
  if (!stores) return;
  std::vector<const Disk*> disks;
  for (int i = 0; i < replicas_; ++i) disks.push_back(&machines_[state.machines[i]].disk());
  const std::string violation = ledgers_[state.ledger].JudgeDisks(disks);
  if (!violation.empty()) Violated(violation, index, step);
}

// ---- Telling -----------------------------------------------------------------------------------

void Search::Violated(const std::string& what, uint32_t from, uint32_t step) {
  result_.violation = what;
  std::vector<uint32_t> steps{step};
  for (uint32_t index = from; index != 0; index = ways_[index].from) {
    steps.push_back(ways_[index].step);
  }
  for (auto it = steps.rbegin(); it != steps.rend(); ++it) {
    result_.path.push_back(Describe(steps_[*it]));
  }
}

}  // namespace distlog::model
