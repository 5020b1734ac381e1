// Who decides which slots.

#ifndef DISTLOG_PAXOS_CONFIGURATION_H_
#define DISTLOG_PAXOS_CONFIGURATION_H_

#include <string>
#include <vector>

#include "paxos/types.h"

namespace distlog::paxos {

struct Member {
  ReplicaId id{};
  Uuid uuid;            // Of the data directory that holds this seat.
  std::string address;  // HOST:PORT; opaque to the protocol.
  bool voter = true;    // Learners are never counted.
  friend bool operator==(const Member&, const Member&) = default;
};

// The members that decide the slots after the one that holds it, up to the next effective one.
// Version 1 is the genesis: it is given by `init` and holds no slot.
struct Configuration {
  uint64_t version = 0;          // Replaces version - 1 if that is in force at its slot (B2).
  std::vector<Member> members;   // Sorted by id, without repeats.
  uint64_t next_replica_id = 1;  // Ids from here on were never given out.
  uint32_t feature_level = 1;    // Every member can apply what this level names.
  friend bool operator==(const Configuration&, const Configuration&) = default;

  const Member* Find(ReplicaId id) const;  // Null for a stranger.
  bool IsVoter(ReplicaId id) const;
  // Whose seat `uuid` holds; kNoReplica if none.
  ReplicaId SeatOf(const Uuid& uuid) const;
};

// Whether `next`, chosen at some slot, takes effect there when `current` is in force (rule B2).
bool TakesEffect(const Configuration& next, const Configuration& current);

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_CONFIGURATION_H_
