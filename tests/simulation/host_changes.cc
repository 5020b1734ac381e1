// What a process does about the changes of configuration that operators ask it for.

#include <optional>
#include <utility>

#include "tests/simulation/host.h"
#include "wire/value.h"

namespace distlog::simulation {

using paxos::Effects;
using paxos::Ticket;

void Host::Reconfigure(const paxos::Configuration& next) {
  if (process_ == nullptr) return;
  process_->changes.push_back(next);
  Wake();
}

void Host::Operate(Membership::Request request, Time give_up_after) {
  if (process_ == nullptr) return;
  request.deadline = Deadline(give_up_after);
  process_->membership.Add(std::move(request), &process_->answers);
  Wake();
}

// Before the appends that wait: it is little, and rare.
void Host::CarryOnOperation(Effects* all) {
  Membership& membership = process_->membership;
  if (!process_->replica.claimed().has_value() && membership.has_waiting()) {
    membership.FailWaiting(NotLeading(), &process_->answers);
  }
  const std::optional<paxos::Value> value =
      membership.Next(process_->replica, process_->sequencer, NextMaking(), &process_->answers);
  if (!value.has_value()) return;
  if (value->kind == paxos::Value::Kind::kConfiguration) {
    if (world_->trace.on()) {
      Trace("carries on with configuration " + std::to_string(value->configuration->version));
    }
    callbacks_.proposes(*value->configuration);
  }
  const Ticket ticket{++process_->last_ticket};
  checker_->Proposed(id(), ticket, *value);
  Step(paxos::Propose{ticket, *value}, all);
}

// The core itself refuses those that it must not propose.
void Host::ProposeChanges(Effects* all) {
  for (const paxos::Configuration& next : std::exchange(process_->changes, {})) {
    CountRefusal(process_->replica.CanReconfigure(next));
    const Ticket ticket{++process_->last_ticket};
    const paxos::Value value = MakeValue(next);
    checker_->Proposed(id(), ticket, value);
    checker_->AskedFor(next);
    process_->changes_under_way.insert(ticket);
    if (world_->trace.on()) Trace("asked for configuration " + std::to_string(next.version));
    Step(paxos::Propose{ticket, value}, all);
    if (world_->violation.has_value()) return;
  }
}

void Host::CountRefusal(paxos::Replica::Reconfiguration verdict) {
  using enum paxos::Replica::Reconfiguration;
  Counters& counters = world_->counters;
  ++counters.changes_asked;
  if (verdict == kNotLeading) ++counters.changes_refused_not_leading;
  if (verdict == kBusy) ++counters.changes_refused_busy;
  if (verdict == kNoEffect) ++counters.changes_refused_version;
  if (verdict == kNoQuorum) ++counters.changes_refused_no_quorum;
}

}  // namespace distlog::simulation
