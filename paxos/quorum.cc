#include "paxos/quorum.h"

#include "paxos/break.h"

namespace distlog::paxos {

bool IsQuorum(const Configuration& configuration, const std::set<ReplicaId>& replicas) {
  size_t voters = 0;
  size_t present = 0;
  for (const Member& member : configuration.members) {
    if (!member.voter) continue;
    ++voters;
    present += replicas.contains(member.id) ? 1 : 0;
  }
  if (IsBroken(Break::kCountStranger)) present = replicas.size();
  if (IsBroken(Break::kQuorumOfHalf)) return present > 0 && present >= voters / 2;
  return present > voters / 2;
}

bool IsAsked(const Member& member) { return member.voter || IsBroken(Break::kCountStranger); }

}  // namespace distlog::paxos
