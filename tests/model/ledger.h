// What has been proposed, stored and chosen, as an outside observer adds it up; and whether the
// replicas agree. It knows nothing of how they come to agree.

#ifndef DISTLOG_TESTS_MODEL_LEDGER_H_
#define DISTLOG_TESTS_MODEL_LEDGER_H_

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "paxos/types.h"
#include "tests/model/fact.h"
#include "tests/model/machine.h"

namespace distlog::model {

// A value; replicas have the ids 1 to `replicas`, all voters.
class Ledger {
 public:
  explicit Ledger(int replicas) : replicas_(replicas) {}

  // Adds up. Returns which rule this breaks, in words; empty if none.
  std::string Note(const Fact& fact);

  // Whether a value was proposed in a slot that is not chosen.
  bool HasUndecided() const;
  // How often a value was proposed again at a higher ballot.
  int proposed_again() const;
  // Slots that have a chosen value other than a no-op.
  paxos::Slot decided() const;

  // Rule P5: whether the disks of a quorum hold every chosen value, and every quorum would find it.
  std::string JudgeDisks(const std::vector<const Disk*>& disks) const;

  friend bool operator==(const Ledger&, const Ledger&) = default;
  auto Fields() const { return std::tie(votes_, runs_, chosen_); }

 private:
  struct Votes {
    ValueId value = 0;
    uint32_t stored_by = 0;  // A bit for each replica.
    friend bool operator==(const Votes&, const Votes&) = default;
    auto Fields() const { return std::tie(value, stored_by); }
  };

  std::string NoteVote(const Fact& fact);

  int replicas_ = 0;
  std::map<std::pair<paxos::Slot, paxos::Ballot>, Votes> votes_;
  std::map<paxos::Ballot, int> runs_;  // Of its owner, that used it.
  std::map<paxos::Slot, ValueId> chosen_;
};

}  // namespace distlog::model

#endif  // DISTLOG_TESTS_MODEL_LEDGER_H_
