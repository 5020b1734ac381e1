// What a process does about the changes of configuration that operators ask it for.

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

// The core itself refuses those that it must not propose.
void Host::ProposeChanges(Effects* all) {
  for (const paxos::Configuration& next : std::exchange(process_->changes, {})) {
    CountRefusal(process_->replica.CanReconfigure(next));
    const Ticket ticket{++process_->last_ticket};
    const paxos::Value value = MakeValue(next);
    checker_->Proposed(id(), ticket, value);
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
