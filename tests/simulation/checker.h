// Whether the replicas keep the rules of docs/protocol.md. Recomputed from what became durable and
// from what was said alone; it shares no code with paxos/ but the vocabulary.

#ifndef DISTLOG_TESTS_SIMULATION_CHECKER_H_
#define DISTLOG_TESTS_SIMULATION_CHECKER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "log/sequencer.h"
#include "paxos/message.h"
#include "paxos/record.h"
#include "paxos/step.h"

namespace distlog::simulation {

// Told of everything, in the order in which it happens. Calls `fail` with each broken rule.
class Checker {
 public:
  Checker(const paxos::Configuration& genesis, paxos::Slot window,
          std::function<void(const std::string&)> fail);

  // ---- One replica's own steps. ----

  // It started, with this recovered from its disk.
  void Started(paxos::ReplicaId replica, const paxos::DurableState& recovered);
  // Its process is gone; what it wrote counts no more unless it was told Durable.
  void Crashed(paxos::ReplicaId replica);
  // A Step asked for this record.
  void Written(paxos::ReplicaId replica, const paxos::Record& record);
  // The disk has it.
  void Durable(paxos::ReplicaId replica, const paxos::Record& record);
  // The disk has this mark, written late.
  void MarkSaved(paxos::ReplicaId replica, paxos::Slot through);
  // A Step asked to send this, now or after writing.
  void Emitted(const paxos::Envelope& envelope);
  // It leaves the replica (to itself, too).
  void Left(const paxos::Envelope& envelope);
  // A Step gave this to apply.
  void Chosen(paxos::ReplicaId replica, const paxos::AcceptedValue& chosen);
  // Applying it did this.
  void Applied(paxos::ReplicaId replica, const paxos::Value& value, const distlog::Applied& applied,
               uint64_t digest);
  // What the replica says of itself after a Step.
  void Stands(paxos::ReplicaId replica, const paxos::Ballot& promised, paxos::Slot chosen_through,
              paxos::Slot stored_through, paxos::Slot durable_mark);

  // ---- Proposals and reads. ----

  void Proposed(paxos::ReplicaId replica, paxos::Ticket ticket, const paxos::Value& value);
  void ReadNoted(paxos::ReplicaId replica, paxos::Ticket ticket);
  void Resolved(paxos::ReplicaId replica, const paxos::Outcome& outcome);
  // A client was told about something that this slot, or one below, holds.
  void Answered(paxos::Slot slot);

  // ---- What is true. ----

  paxos::Slot chosen_through() const { return chosen_through_; }
  // The entries at positions 1, 2, ... of the chosen prefix, as far as anybody applied it.
  const std::vector<std::string>& log() const { return log_; }
  // How often a slot's value was proposed again at another ballot.
  uint64_t proposed_again() const { return proposed_again_; }
  // Whether a quorum's disks hold every chosen value, and every quorum would find it: to be asked
  // when all is quiet, as it looks at everything.
  void CheckDisks();

 private:
  // A value by its contents: 0 is the no-op.
  using ValueId = size_t;
  using Mask = uint32_t;  // Of replicas, by their order in the genesis.

  struct Held {
    paxos::Ballot ballot;
    ValueId value = 0;
  };
  // What records amount to.
  struct Image {
    paxos::Ballot promised;
    paxos::Slot mark = 0;
    paxos::Slot stored = 0;  // Every slot through here is held.
    std::map<paxos::Slot, Held> accepted;
  };
  struct Member {
    Image durable;
    Image written;  // With what is not durable yet.
    uint64_t run = 0;
    paxos::Slot given = 0;  // To apply, in this run.
    paxos::Ballot promised;
    paxos::Slot chosen_through = 0;
    paxos::Slot stored_through = 0;
    paxos::Slot durable_mark = 0;
  };
  struct SlotHistory {
    std::map<paxos::Ballot, ValueId> proposed;
    std::map<paxos::Ballot, Mask> accepted;
    std::optional<Held> chosen;  // With the lowest ballot.
  };
  struct Ticketed {
    std::optional<ValueId> proposal;  // Else a read.
    paxos::Slot answered = 0;         // The highest there was when the read was noted.
    bool resolved = false;
  };

  void Fail(paxos::ReplicaId replica, const std::string& what);
  Member& member(paxos::ReplicaId replica) { return members_.at(replica); }
  ValueId Identify(const paxos::Value& value);
  std::string Describe(ValueId value) const;
  SlotHistory& At(paxos::Slot slot);
  void Fold(paxos::ReplicaId replica, const paxos::Record& record, Image* image, bool check);
  void NoteProposal(paxos::ReplicaId replica, paxos::Slot slot, const paxos::Ballot& ballot,
                    const paxos::Value& value);
  void NoteUse(paxos::ReplicaId replica, const paxos::Ballot& ballot);
  void NoteChosen(paxos::Slot slot, const paxos::Ballot& ballot, ValueId value);
  void CheckMark(paxos::ReplicaId replica, paxos::Slot chosen_through, const char* where);
  bool IsQuorum(Mask mask) const;
  void CheckPromise(paxos::ReplicaId from, const paxos::Promise& promise);

  std::function<void(const std::string&)> fail_;
  paxos::Slot window_;
  size_t voters_ = 0;
  std::map<paxos::ReplicaId, Mask> bits_;
  std::map<paxos::ReplicaId, Member> members_;
  std::vector<SlotHistory> slots_;
  paxos::Slot chosen_through_ = 0;

  std::vector<paxos::Value> values_;
  std::unordered_multimap<uint64_t, ValueId> by_checksum_;
  std::map<ValueId, paxos::Slot> slot_of_;          // Of a client's value: one slot for ever.
  std::map<ValueId, paxos::ReplicaId> not_chosen_;  // Said to be.
  std::map<paxos::Ballot, uint64_t> used_in_run_;
  std::map<std::pair<paxos::ReplicaId, paxos::Ticket>, Ticketed> tickets_;
  paxos::Slot answered_ = 0;
  uint64_t proposed_again_ = 0;

  struct AppliedSlot {
    uint64_t digest = 0;
    uint64_t first_position = 0;
    uint64_t entries = 0;
  };
  std::vector<AppliedSlot> applied_;
  std::vector<std::string> log_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CHECKER_H_
