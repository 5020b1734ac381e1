// When a change of configuration has come to its end: rules B5 and B9 of docs/protocol.md.

#ifndef DISTLOG_PAXOS_SETTLEMENT_H_
#define DISTLOG_PAXOS_SETTLEMENT_H_

#include <cstdint>
#include <map>
#include <tuple>

#include "paxos/configuration.h"
#include "paxos/types.h"

namespace distlog::paxos {

// A configuration is *settled* when a quorum of its voters has durably both the prefix up to its
// slot and the mark there. Then, and not before, the operator may be told that it is in force, the
// machines that left may be destroyed, and the next change may begin.
class Settlement {
 public:
  // `replica`, this one or another, would recover at least this mark.
  void NoteMark(ReplicaId replica, Slot durable_mark);
  // Somebody knows the configuration of this version to be settled.
  void NoteSettled(uint64_t version);
  // `configuration` is in force since `slot` (0: the genesis, which is settled from the start).
  // Returns whether it became known to be settled now.
  bool Judge(const Configuration& configuration, Slot slot);

  // The highest version known to be settled.
  uint64_t version() const { return version_; }

  friend bool operator==(const Settlement&, const Settlement&) = default;
  // For hashing (paxos/hash.h).
  auto Fields() const { return std::tie(version_, judged_, marks_); }

 private:
  uint64_t version_ = 0;
  uint64_t judged_ = 0;  // The version of which Judge has told that it is settled.
  std::map<ReplicaId, Slot> marks_;
};

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_SETTLEMENT_H_
