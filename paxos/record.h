// What must survive a restart.

#ifndef DISTLOG_PAXOS_RECORD_H_
#define DISTLOG_PAXOS_RECORD_H_

#include <variant>
#include <vector>

#include "paxos/configuration.h"
#include "paxos/types.h"

namespace distlog::paxos {

// A ballot promised to a Prepare. (An accept at a ballot promises it without a record of its own.)
struct PromiseRecord {
  Ballot promised;
  friend bool operator==(const PromiseRecord&, const PromiseRecord&) = default;
};

// A value accepted, or learned as chosen, in its slot. The newest record of a slot counts.
// chosen_through is the writer's own as of this record: at recovery, a lower bound of the mark.
struct AcceptRecord {
  AcceptedValue accepted;
  Slot chosen_through = 0;
  friend bool operator==(const AcceptRecord&, const AcceptRecord&) = default;
};

// The mark as of a configuration's slot, which may not be written late (B5).
struct MarkRecord {
  Slot chosen_through = 0;
  friend bool operator==(const MarkRecord&, const MarkRecord&) = default;
};

using Record = std::variant<PromiseRecord, AcceptRecord, MarkRecord>;

// What all the records written so far amount to.
struct DurableState {
  Ballot promised;                      // The highest of every promise and accepted ballot.
  Slot chosen_through = 0;              // The mark.
  Configuration configuration;          // In force at chosen_through + 1.
  Slot configuration_slot = 0;          // Where that was chosen; 0 for the genesis.
  std::vector<AcceptedValue> accepted;  // Above chosen_through, by slot.
  friend bool operator==(const DurableState&, const DurableState&) = default;
};

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_RECORD_H_
