// One member of the cluster.

#ifndef DISTLOG_PAXOS_REPLICA_H_
#define DISTLOG_PAXOS_REPLICA_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "paxos/acceptor.h"
#include "paxos/election.h"
#include "paxos/learner.h"
#include "paxos/options.h"
#include "paxos/proposer.h"
#include "paxos/read_index.h"
#include "paxos/step.h"
#include "paxos/write_tracker.h"

namespace distlog::paxos {

// Always an acceptor and a learner, at times the leading proposer. A pure state machine: it starts
// no threads, reads no clock, touches no disk, and draws no randomness but from Options::seed. The
// same events at the same times always have the same effects. It is a plain value: it can be copied
// and compared.
//
// Not thread-safe.
class Replica {
 public:
  // `recovered` is what its storage holds; `now` the time of its start.
  Replica(const Options& options, const DurableState& recovered, Time now);

  // Handles `event` at time `now`, and adds to *effects what is to be done about it. `now` never
  // decreases from one call to the next.
  void Step(Time now, const Event& event, Effects* effects);

  // When to Step a Tick if nothing happens before. It may be in the past.
  Time deadline() const;

  // Whether a Propose of a value of this many bytes would be taken now: this replica leads, and its
  // window has room.
  bool CanPropose(size_t bytes) const;

  // Dies unless every local invariant of docs/protocol.md holds.
  void CheckInvariants() const;

  // ---- For status and for tests. ----

  ReplicaId self() const { return options_.self; }
  const Configuration& configuration() const { return learner_.configuration(); }
  Slot configuration_slot() const { return learner_.configuration_slot(); }
  Slot chosen_through() const { return learner_.chosen_through(); }
  // Slots through here are chosen and durable on this replica's own disk.
  Slot stored_through() const;
  // The mark that this replica would recover with.
  Slot durable_mark() const { return writes_.durable_mark(); }
  const Ballot& promised() const { return acceptor_.promised(); }
  // The ballot followed (its own while leading), or a default one: for redirecting clients and for
  // status only.
  const Ballot& followed() const { return election_.followed(); }
  ReplicaId leader_hint() const { return election_.followed().owner; }
  bool is_content() const { return election_.is_content(); }
  // Phase 1 is done at the ballot it runs at, and its proposer runs.
  bool is_leading() const;
  // Leading, and every slot that Phase 1 saw accepted is known chosen: it serves reads.
  bool is_recovered() const;
  // The ballot its proposer runs at, if it does.
  std::optional<Ballot> claimed() const;
  // What it heard of each peer in the last full round.
  const std::map<ReplicaId, HeartbeatReply>& heard() const { return election_.heard(); }

  friend bool operator==(const Replica&, const Replica&) = default;

 private:
  // (Filled in with the implementation.)
};

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_REPLICA_H_
