// What has been decided, told from the disks alone: which values were proposed where, who holds
// them, which are chosen, and by whom each slot is decided.

#ifndef DISTLOG_TESTS_SIMULATION_CHECKER_DECISIONS_H_
#define DISTLOG_TESTS_SIMULATION_CHECKER_DECISIONS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "paxos/configuration.h"
#include "paxos/types.h"

namespace distlog::simulation {

class Decisions {
 public:
  // A value by its contents: 0 is the no-op.
  using ValueId = size_t;
  using Fail = std::function<void(paxos::ReplicaId, const std::string&)>;

  struct Held {
    paxos::Ballot ballot;
    ValueId value = 0;
  };

  Decisions(const paxos::Configuration& genesis, Fail fail);

  ValueId Identify(const paxos::Value& value);
  static std::string Describe(ValueId value);

  // ---- What happens. ----

  // `replica` says, or writes, that this value stands in this slot at this ballot.
  void NoteProposal(paxos::ReplicaId replica, paxos::Slot slot, const paxos::Ballot& ballot,
                    const paxos::Value& value);
  // The replica's disk holds it.
  void NoteDurable(paxos::ReplicaId replica, paxos::Slot slot, const Held& held);
  // It says that the value is not in the log, now or ever.
  void NoteNotChosen(paxos::ReplicaId replica, ValueId value);

  // ---- What is true. ----

  // Every slot through here is chosen.
  paxos::Slot chosen_through() const { return chosen_through_; }
  // With the lowest ballot at which a quorum's disks hold it. Null: as far as the disks tell, none.
  const Held* Chosen(paxos::Slot slot) const;
  // Whether the replica's disk ever held the slot at that ballot.
  bool HasAccepted(paxos::ReplicaId replica, paxos::Slot slot, const paxos::Ballot& ballot) const;
  // How often a slot's value was proposed again at another ballot.
  uint64_t proposed_again() const { return proposed_again_; }

  // ---- Who decides. ----

  using Mask = uint64_t;  // Of replicas.
  static Mask Bit(paxos::ReplicaId replica) { return Mask{1} << static_cast<uint64_t>(replica); }
  static constexpr uint64_t kMaxReplicaId = 63;

  // Of the voters that decide the slot, as far as is chosen. Learners and strangers do not count.
  bool IsQuorum(paxos::Slot slot, Mask mask) const;
  bool IsVoter(paxos::Slot slot, paxos::ReplicaId replica) const;
  // The same, for any of the configurations from this slot's on.
  bool IsQuorumNowOrLater(paxos::Slot slot, Mask mask) const;
  uint64_t newest_version() const { return electorates_.back().configuration.version; }

 private:
  struct SlotHistory {
    std::map<paxos::Ballot, ValueId> proposed;
    std::map<paxos::Ballot, Mask> accepted;
    std::optional<Held> chosen;
  };
  // Who decides the slots after `after`, through that of the next one.
  struct Electorate {
    paxos::Slot after = 0;
    paxos::Ballot since;  // Chosen at; nothing below it is chosen above `after`.
    paxos::Configuration configuration;
    Mask voters = 0;
  };

  SlotHistory& At(paxos::Slot slot);
  const Electorate& ElectorateOf(paxos::Slot slot) const;
  void NoteChosen(paxos::Slot slot, const Held& held);
  void NoteConfiguration(paxos::Slot slot, const paxos::Ballot& ballot,
                         const paxos::Configuration& configuration);
  void CheckBarrier(paxos::ReplicaId replica, paxos::Slot slot, const paxos::Ballot& ballot,
                    bool is_configuration);

  Fail fail_;
  std::vector<SlotHistory> slots_;
  paxos::Slot chosen_through_ = 0;
  std::vector<Electorate> electorates_;  // By slot; the genesis first.

  std::vector<paxos::Value> values_;
  std::unordered_multimap<uint64_t, ValueId> by_checksum_;
  std::unordered_map<ValueId, paxos::Slot> slot_of_;          // Of a client's: one slot for ever.
  std::unordered_map<ValueId, paxos::ReplicaId> not_chosen_;  // Said to be.
  std::map<paxos::Ballot, paxos::Slot> barrier_;  // The newest configuration proposed at each.
  uint64_t proposed_again_ = 0;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CHECKER_DECISIONS_H_
