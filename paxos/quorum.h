#ifndef DISTLOG_PAXOS_QUORUM_H_
#define DISTLOG_PAXOS_QUORUM_H_

#include <set>

#include "paxos/configuration.h"
#include "paxos/types.h"

namespace distlog::paxos {

// Whether `replicas` holds a majority of the voters. That any two quorums meet is decided here
// and nowhere else. Learners and strangers in `replicas` do not count.
bool IsQuorum(const Configuration& configuration, const std::set<ReplicaId>& replicas);

// Whether `member` is asked for promises and votes.
bool IsAsked(const Member& member);

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_QUORUM_H_
