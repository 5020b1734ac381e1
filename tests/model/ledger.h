// What has been proposed, stored and chosen, as an outside observer adds it up; and whether the
// replicas agree. It knows nothing of how they come to agree.

#ifndef DISTLOG_TESTS_MODEL_LEDGER_H_
#define DISTLOG_TESTS_MODEL_LEDGER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "paxos/types.h"
#include "tests/model/fact.h"
#include "tests/model/machine.h"

namespace distlog::model {

// A value. Replicas have the ids 1 to 32. A slot is decided by the voters of C(s), and a value is
// chosen in it as docs/protocol.md has it ("Words"), except that lower slots in which no
// configuration was proposed may be open.
class Ledger {
 public:
  explicit Ledger(std::shared_ptr<const Configurations> configurations)
      : configurations_(std::move(configurations)) {}

  // Adds up. Returns which rule this breaks, in words; empty if none.
  std::string Note(const Fact& fact);

  // Whether a value was proposed in a slot that is not chosen.
  bool HasUndecided() const;
  // Whether a configuration was.
  bool HasOpenChange() const;
  // Where a configuration that takes effect was chosen last, and where one that was said to be
  // settled; 0 if there is none.
  paxos::Slot changed() const;
  paxos::Slot settled() const { return settled_; }
  // The highest slot that has a chosen value.
  paxos::Slot highest_chosen() const { return chosen_.empty() ? 0 : chosen_.rbegin()->first; }
  // How often a value was proposed again at a higher ballot.
  int proposed_again() const;
  // Slots that have a chosen value other than a no-op.
  paxos::Slot decided() const;

  // Rule P5: whether the disks of a quorum hold every chosen value, and every quorum would find it,
  // of C(s) or, once somebody says that a later configuration is settled, of that one: all others
  // may be destroyed then. Rule B5: whether a quorum of that has its mark. disks[i] is of replica
  // i + 1.
  std::string JudgeDisks(const std::vector<const Disk*>& disks) const;

  friend bool operator==(const Ledger&, const Ledger&) = default;
  auto Fields() const { return std::tie(votes_, runs_, chosen_, settled_); }

 private:
  struct Votes {
    ValueId value = 0;
    uint32_t stored_by = 0;  // A bit for each replica.
    friend bool operator==(const Votes&, const Votes&) = default;
    auto Fields() const { return std::tie(value, stored_by); }
  };

  // A value that is chosen, and in which of the configurations.
  struct Choice {
    ValueId value = 0;
    size_t by = 0;
    friend bool operator==(const Choice&, const Choice&) = default;
    auto Fields() const { return std::tie(value, by); }
  };

  std::string NoteVote(const Fact& fact);
  // Rule B1, of what a proposer sends.
  std::string JudgeBarrier(const Fact& fact) const;
  // Adds up what is chosen, from the first slot on.
  std::string Decide();
  uint32_t Voters(size_t configuration) const;  // A bit for each.
  bool IsQuorum(uint32_t replicas, size_t configuration) const;
  std::string JudgeSlot(paxos::Slot slot, const Choice& choice, size_t deciders,
                        const std::vector<const Disk*>& disks) const;

  std::shared_ptr<const Configurations> configurations_;
  std::map<std::pair<paxos::Slot, paxos::Ballot>, Votes> votes_;
  std::map<paxos::Ballot, int> runs_;  // Of its owner, that used it.
  std::map<paxos::Slot, Choice> chosen_;
  paxos::Slot settled_ = 0;  // Where the last configuration said to be settled was chosen.
};

}  // namespace distlog::model

#endif  // DISTLOG_TESTS_MODEL_LEDGER_H_
