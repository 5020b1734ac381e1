#include "tests/simulation/coverage.h"

#include <utility>
#include <variant>

namespace distlog::simulation {

using paxos::AcceptedValue;
using paxos::AcceptRecord;
using paxos::Ballot;
using paxos::Confirm;
using paxos::Effects;
using paxos::Envelope;
using paxos::Event;
using paxos::Message;
using paxos::Outcome;
using paxos::Promise;
using paxos::Replica;
using paxos::ReplicaId;
using paxos::Slot;

void Coverage::Started(ReplicaId replica, Slot recovered_mark) {
  Member& self = member(replica);
  if (recovered_mark < self.chosen_through) ++world_->counters.marks_forgotten;
  if (self.run > 0) ++world_->counters.restarts;
  ++self.run;
  self.is_up = true;
  self.led.reset();
  self.preparing.reset();
  self.confirm_round = 0;
  self.reads_for_later.clear();
}

void Coverage::Crashed(const Replica& replica) {
  Member& self = member(replica.self());
  self.is_up = false;
  self.chosen_through = replica.chosen_through();
}

void Coverage::Stepped(const Replica& replica, const Event& event, const Effects& effects) {
  Counters& counters = world_->counters;
  Member& self = member(replica.self());
  ++counters.steps;
  for (const Envelope& envelope : effects.send) CountMessage(event, envelope.message);
  for (const Envelope& envelope : effects.after_write) CountMessage(event, envelope.message);
  counters.slots_applied += effects.chosen.size();
  for (const Outcome& outcome : effects.outcomes) {
    ++(outcome.result == Outcome::Result::kChosen     ? counters.outcomes_chosen
       : outcome.result == Outcome::Result::kReadable ? counters.outcomes_readable
                                                      : counters.outcomes_not_chosen);
  }
  for (const paxos::Record& record : effects.write) {
    const auto* accept = std::get_if<AcceptRecord>(&record);
    if (accept != nullptr && accept->accepted.ballot.owner == replica.self() &&
        accept->accepted.ballot == replica.claimed()) {
      NoteProposal(replica.self(), accept->accepted);
    }
  }
  const auto* receive = std::get_if<paxos::Receive>(&event);
  if (receive != nullptr && replica.claimed().has_value()) {
    if (const auto* promise = std::get_if<Promise>(&receive->envelope.message)) {
      NotePromise(&self, *replica.claimed(), *promise);
    }
  }
  if (std::holds_alternative<paxos::PeerLost>(event)) ++counters.connections_lost;
  NoteReads(&self, replica, event, effects);
  NoteLeadership(&self, replica);
  NoteMembership(&self, replica, effects);
}

void Coverage::CountMessage(const Event& event, const Message& message) {
  Counters& counters = world_->counters;
  if (std::holds_alternative<paxos::Nack>(message)) {
    const auto* receive = std::get_if<paxos::Receive>(&event);
    if (receive == nullptr) return;
    const Message& refused = receive->envelope.message;
    if (std::holds_alternative<paxos::Prepare>(refused)) ++counters.nacks_of_prepare;
    if (std::holds_alternative<paxos::Accept>(refused)) ++counters.nacks_of_accept;
    if (std::holds_alternative<Confirm>(refused)) ++counters.nacks_of_confirm;
  } else if (const auto* promise = std::get_if<Promise>(&message)) {
    ++(promise->is_final ? counters.promises : counters.promises_in_parts);
  } else if (std::holds_alternative<paxos::Progress>(message)) {
    ++counters.progress_answers;
  } else if (std::holds_alternative<paxos::ReadReply>(message)) {
    ++counters.marks_for_followers;
  } else if (std::holds_alternative<paxos::TakeOver>(message)) {
    ++counters.transfers;
  }
}

// Its own acceptor's promise comes in like anyone's.
void Coverage::NotePromise(Member* self, const Ballot& claimed, const Promise& promise) {
  if (promise.ballot != claimed) return;
  if (self->preparing != claimed) {
    self->preparing = claimed;
    self->reported.clear();
    self->found_two_ballots = false;
  }
  for (const AcceptedValue& accepted : promise.accepted) {
    for (const auto& [slot, ballot] : self->reported) {
      if (slot == accepted.slot && ballot != accepted.ballot && !self->found_two_ballots) {
        self->found_two_ballots = true;
        ++world_->counters.two_ballots_for_a_slot;
      }
    }
    self->reported.emplace_back(accepted.slot, accepted.ballot);
  }
}

void Coverage::NoteProposal(ReplicaId replica, const AcceptedValue& proposed) {
  if (proposed_.size() <= proposed.slot) proposed_.resize(proposed.slot + 1);
  Proposed& before = proposed_[proposed.slot];
  if (before.ballot == proposed.ballot) return;
  if (proposed.value.kind == paxos::Value::Kind::kNoOp) {
    ++world_->counters.no_ops_in_gaps;
  } else if (before.run != 0 && before.ballot.owner != replica) {
    const Member& owner = member(before.ballot.owner);
    if (!owner.is_up || owner.run != before.run) ++world_->counters.values_of_the_dead;
  }
  before = {proposed.ballot, member(replica).run};
}

void Coverage::NoteReads(Member* self, const Replica& replica, const Event& event,
                         const Effects& effects) {
  uint64_t round = self->confirm_round;
  for (const Envelope& envelope : effects.send) {
    if (const auto* confirm = std::get_if<Confirm>(&envelope.message)) round = confirm->round;
  }
  if (const auto* read = std::get_if<paxos::Read>(&event)) {
    if (replica.is_recovered() && round != 0 && round == self->confirm_round) {
      self->reads_for_later.insert(read->ticket);
    }
  }
  if (std::holds_alternative<paxos::CancelRead>(event)) ++world_->counters.reads_cancelled;
  for (const Outcome& outcome : effects.outcomes) {
    if (self->reads_for_later.erase(outcome.ticket) > 0 &&
        outcome.result == Outcome::Result::kReadable) {
      ++world_->counters.reads_in_a_later_round;
    }
  }
  self->confirm_round = round;
}

void Coverage::NoteMembership(Member* self, const Replica& replica, const Effects& effects) {
  const bool is_member = replica.configuration().Find(replica.self()) != nullptr;
  if (is_member && !std::exchange(self->has_joined, true)) ++world_->counters.newcomers_caught_up;
  if (is_member || !self->has_joined) return;
  for (const paxos::Supply& supply : effects.supply) {
    const bool has_change = supply.first <= replica.configuration_slot() &&
                            supply.through >= replica.configuration_slot();
    if (has_change && replica.configuration().Find(supply.to) != nullptr) {
      ++world_->counters.changes_carried_by_leavers;
    }
  }
}

void Coverage::NoteLeadership(Member* self, const Replica& replica) {
  const std::optional<Ballot> leads = replica.is_leading() ? replica.claimed() : std::nullopt;
  if (leads.has_value() && leads != self->led) {
    ++(self->led.has_value() ? world_->counters.renewals : world_->counters.takeovers);
  }
  if (leads.has_value() || !replica.claimed().has_value()) {
    if (self->led.has_value() && !leads.has_value()) ++world_->counters.step_downs;
    self->led = leads;
  }
}

}  // namespace distlog::simulation
