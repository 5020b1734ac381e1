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
  // It says that the value is not in the log, now or ever. (A configuration may be asked for again,
  // and then is.)
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

  // A configuration in force: it decides the slots after `after`, through that of the next one.
  struct Electorate {
    paxos::Slot after = 0;
    paxos::Ballot since;           // Chosen at; nothing below it is chosen above `after`.
    paxos::Ballot first_proposed;  // It may have been proposed again before it was chosen.
    paxos::Configuration configuration;
    Mask voters = 0;

    // Of its voters. Learners and strangers do not count.
    bool IsQuorum(Mask mask) const;
    bool IsVoter(paxos::ReplicaId replica) const { return (voters & Bit(replica)) != 0; }
  };
  // In force at the slot, as far as is chosen.
  const Electorate& ElectorateOf(paxos::Slot slot) const;
  // Null: nothing of that version was ever in force.
  const Electorate* OfVersion(uint64_t version) const;
  // By version; the genesis first.
  const std::vector<Electorate>& electorates() const { return electorates_; }
  uint64_t newest_version() const { return electorates_.back().configuration.version; }

  // The slot of the newest configuration that was proposed at this ballot; 0: none.
  paxos::Slot BarrierOf(const paxos::Ballot& ballot) const;
  // Whether some configuration was proposed, at any ballot, in a slot that is not chosen.
  bool HasPendingConfiguration() const;
  // The last slot in which a command was proposed; 0: none.
  paxos::Slot newest_command() const { return newest_command_; }
  // How many chosen configurations had no effect (B2).
  uint64_t without_effect() const { return without_effect_; }

 private:
  struct SlotHistory {
    std::map<paxos::Ballot, ValueId> proposed;
    std::map<paxos::Ballot, Mask> accepted;
    std::optional<Held> chosen;
  };

  SlotHistory& At(paxos::Slot slot);
  void NoteChosen(paxos::Slot slot, const Held& held);
  void NoteConfiguration(paxos::Slot slot, const Held& held,
                         const paxos::Configuration& configuration);
  void CheckBarrier(paxos::ReplicaId replica, paxos::Slot slot, const paxos::Ballot& ballot,
                    bool is_configuration);

  Fail fail_;
  std::vector<SlotHistory> slots_;
  paxos::Slot chosen_through_ = 0;
  std::vector<Electorate> electorates_;
  paxos::Slot newest_command_ = 0;
  uint64_t without_effect_ = 0;

  std::vector<paxos::Value> values_;
  std::unordered_multimap<uint64_t, ValueId> by_checksum_;
  std::unordered_map<ValueId, paxos::Slot> slot_of_;          // Of a client's: one slot for ever.
  std::unordered_map<ValueId, paxos::ReplicaId> not_chosen_;  // Said to be.
  std::map<paxos::Ballot, paxos::Slot> barrier_;  // The newest configuration proposed at each.
  uint64_t proposed_again_ = 0;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CHECKER_DECISIONS_H_
