#include "paxos/configuration.h"

#include <algorithm>

namespace distlog::paxos {

const Member* Configuration::Find(ReplicaId id) const {
  for (const Member& member : members) {
    if (member.id == id) return &member;
  }
  return nullptr;
}

bool Configuration::IsVoter(ReplicaId id) const {
  const Member* member = Find(id);
  return member != nullptr && member->voter;
}

ReplicaId Configuration::SeatOf(const Uuid& uuid) const {
  for (const Member& member : members) {
    if (member.uuid == uuid) return member.id;
  }
  return kNoReplica;
}

bool TakesEffect(const Configuration& next, const Configuration& current) {
  if (next.version != current.version + 1) return false;
  if (next.next_replica_id < current.next_replica_id) return false;
  bool has_voter = false;
  for (const Member& member : next.members) {
    has_voter = has_voter || member.voter;
    if (static_cast<uint64_t>(member.id) >= next.next_replica_id) return false;
    const Member* seat = current.Find(member.id);
    if (seat != nullptr) {
      if (seat->uuid != member.uuid) return false;
      continue;
    }
    // Every id below the next one was given out; those not in force have left, and never return.
    if (static_cast<uint64_t>(member.id) < current.next_replica_id) return false;
    const bool uuid_has_seat =
        std::any_of(current.members.begin(), current.members.end(),
                    [&](const Member& other) { return other.uuid == member.uuid; });
    if (uuid_has_seat) return false;
  }
  return has_voter;
}

}  // namespace distlog::paxos
