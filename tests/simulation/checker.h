// Whether the replicas keep the rules of docs/protocol.md. Recomputed from what became durable and
// from what was said alone; it shares no code with what it judges but the vocabulary. The table in
// docs/testing.md tells where each rule is checked, and from what.

#ifndef DISTLOG_TESTS_SIMULATION_CHECKER_H_
#define DISTLOG_TESTS_SIMULATION_CHECKER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "log/operations.h"
#include "log/sequencer.h"
#include "paxos/message.h"
#include "paxos/record.h"
#include "paxos/step.h"
#include "tests/simulation/checker_decisions.h"
#include "tests/simulation/checker_operations.h"
#include "tests/simulation/checker_positions.h"
#include "tests/simulation/checker_reads.h"

namespace distlog::simulation {

// Told of everything, in the order in which it happens. Calls `fail` with each broken rule. Nothing
// it is told costs more as the log grows, but for Started (two windows) and CheckDisks.
//
// Replicas need not be members of any configuration, but their ids are at most
// Decisions::kMaxReplicaId.
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
  // The disk has it. It was Written before.
  void Durable(paxos::ReplicaId replica, const paxos::Record& record);
  // The disk has this mark, written late.
  void MarkSaved(paxos::ReplicaId replica, paxos::Slot through);
  // A Step asked to send this, now or after writing.
  void Emitted(const paxos::Envelope& envelope);
  // It leaves the replica (to itself, too).
  void Left(const paxos::Envelope& envelope);
  // A Step gave this to apply.
  void Chosen(paxos::ReplicaId replica, const paxos::AcceptedValue& chosen);
  // Applying it did this. In a run the first slot is any through the recovered mark, then each next
  // one.
  void Applied(paxos::ReplicaId replica, const paxos::Value& value, const distlog::Applied& applied,
               uint64_t digest);
  // It has applied everything through this slot, and has this table of operations.
  void Operates(paxos::ReplicaId replica, paxos::Slot through, const Operations& table);
  // What the replica says of itself after a Step.
  void Stands(paxos::ReplicaId replica, const paxos::Ballot& promised, paxos::Slot chosen_through,
              paxos::Slot stored_through, paxos::Slot durable_mark);
  // ... and of the cluster. To be told after Stands.
  struct View {
    const paxos::Configuration& configuration;  // In force, ...
    paxos::Slot configuration_slot = 0;         // ... since there.
    bool is_settled = false;
    bool has_left = false;
    std::optional<paxos::Ballot> leads = std::nullopt;
  };
  void Sees(paxos::ReplicaId replica, const View& view);
  // Its machine is gone, with its disk. It never comes back.
  void Destroyed(paxos::ReplicaId replica);

  // ---- Proposals and reads. ----

  void Proposed(paxos::ReplicaId replica, paxos::Ticket ticket, const paxos::Value& value);
  void ReadNoted(paxos::ReplicaId replica, paxos::Ticket ticket);
  void Resolved(paxos::ReplicaId replica, const paxos::Outcome& outcome);
  // A client was told about something that this slot, or one below, holds.
  void Answered(paxos::Slot slot) { reads_.NoteAnswered(slot); }

  // ---- Operators (OperationTable). ----

  void AskedFor(const paxos::Configuration& next) { operations_.AskedFor(next); }
  void BeginAsked(uint64_t nonce) { operations_.BeginAsked(nonce); }
  void BeginAnswered(uint64_t nonce, const absl::StatusOr<uint64_t>& answer);
  void CancelAsked(uint64_t id) { operations_.CancelAsked(id); }
  void CancelAnswered(uint64_t id, const absl::StatusOr<uint64_t>& answer);
  // To be asked when all is quiet.
  void CheckRefusals();

  // ---- What is true. ----

  const OperationTable& operations() const { return operations_; }
  // Whether a command was proposed, at any ballot, in a slot that nobody has applied.
  bool HasPendingCommand() const {
    return decisions_.newest_command() > positions_.applied_through();
  }
  paxos::Slot chosen_through() const { return decisions_.chosen_through(); }
  const Decisions& decisions() const { return decisions_; }
  // The newest configuration that somebody rightly said is settled.
  uint64_t settled_version() const { return settled_version_; }
  // The entries at positions 1, 2, ... of the chosen prefix, as far as anybody applied it.
  const std::vector<std::string>& log() const { return positions_.log(); }
  // How often a slot's value was proposed again at another ballot.
  uint64_t proposed_again() const { return decisions_.proposed_again(); }
  // Whether a quorum's disks hold every chosen value, and every quorum would find it: to be asked
  // when all is quiet, as it looks at everything.
  void CheckDisks();

 private:
  using Held = Decisions::Held;
  using Mask = Decisions::Mask;

  // What records amount to.
  struct Image {
    paxos::Ballot promised;
    paxos::Slot mark = 0;
    paxos::Slot stored = 0;  // Every slot through here is held.

    const Held* Find(paxos::Slot slot) const;  // Null: nothing is held there.
    void Hold(paxos::Slot slot, const Held& held);
    paxos::Slot last() const { return accepted.empty() ? 0 : accepted.size() - 1; }

   private:
    std::vector<std::optional<Held>> accepted;  // By slot.
  };
  struct Member {
    Image durable;
    Image written;  // With what is not durable yet.
    uint64_t run = 0;
    paxos::Slot given = 0;     // To apply, in this run.
    paxos::Slot applied = 0;   // In this run; 0: nothing yet.
    paxos::Slot reported = 0;  // As a durable mark, in any run.
    paxos::Ballot promised;
    paxos::Slot chosen_through = 0;
    paxos::Slot stored_through = 0;
    paxos::Slot durable_mark = 0;
    uint64_t seen_version = 0;  // Of the configuration that it saw in force last.
    std::optional<paxos::Ballot> leads;
  };
  struct Ticketed {
    std::optional<Decisions::ValueId> proposal;  // Else a read.
    Reads::Beginning beginning;
    bool resolved = false;
  };

  void Fail(paxos::ReplicaId replica, const std::string& what);
  Member& member(paxos::ReplicaId replica);
  void Fold(paxos::ReplicaId replica, const paxos::Record& record, Image* image, bool check);
  void CheckRecovered(paxos::ReplicaId replica, const paxos::DurableState& recovered);
  void CheckAccepting(paxos::ReplicaId replica, const Image& image,
                      const paxos::AcceptRecord& record, Decisions::ValueId value);
  void CheckMark(paxos::ReplicaId replica, paxos::Slot chosen_through, const char* where);
  void CheckCovered(paxos::ReplicaId replica, const Image& image, paxos::Slot mark,
                    const char* where);
  void CheckPromise(paxos::ReplicaId from, const paxos::Promise& promise);
  // B5: whether a quorum of the voters of this configuration, or of a later one, would recover the
  // whole prefix through its slot as chosen.
  bool IsSettled(uint64_t version);
  void CheckSettled(paxos::ReplicaId replica, uint64_t version, const char* where);
  void CheckProposedEnd(paxos::ReplicaId replica, const paxos::Value& value);
  std::optional<std::string> CheckChange(const paxos::Value& value,
                                         const distlog::Applied& applied);

  // ---- What leaves (checker_messages.cc). ----
  void NoteUse(paxos::ReplicaId replica, const paxos::Ballot& ballot);
  void CheckPromised(paxos::ReplicaId from, const paxos::Ballot& ballot, const char* where);
  void CheckPair(paxos::ReplicaId from, const paxos::Pair& pair, const char* where);
  void CheckVersion(paxos::ReplicaId from, uint64_t version, const char* where);
  void CheckElectorate(paxos::ReplicaId from, uint64_t version, paxos::Slot slot,
                       const char* where);
  void CheckConfigurationMark(paxos::ReplicaId from, paxos::Slot chosen_through, const char* where);
  void CheckLeft(const paxos::Envelope& envelope, const paxos::Prepare& m);
  void CheckLeft(const paxos::Envelope& envelope, const paxos::Promise& m);
  void CheckLeft(const paxos::Envelope& envelope, const paxos::Accept& m);
  void CheckLeft(const paxos::Envelope& envelope, const paxos::Accepted& m);
  void CheckLeft(const paxos::Envelope&, const paxos::Nack&) {}
  void CheckLeft(const paxos::Envelope& envelope, const paxos::Progress& m);
  void CheckLeft(const paxos::Envelope& envelope, const paxos::Stale& m);
  void CheckLeft(const paxos::Envelope& envelope, const paxos::Confirm& m);
  void CheckLeft(const paxos::Envelope& envelope, const paxos::Confirmed& m);
  void CheckLeft(const paxos::Envelope& envelope, const paxos::ReadRequest& m);
  void CheckLeft(const paxos::Envelope& envelope, const paxos::ReadReply& m);
  void CheckLeft(const paxos::Envelope& envelope, const paxos::Heartbeat& m);
  void CheckLeft(const paxos::Envelope& envelope, const paxos::HeartbeatReply& m);
  void CheckLeft(const paxos::Envelope& envelope, const paxos::Announce& m);
  void CheckLeft(const paxos::Envelope&, const paxos::LearnRequest&) {}
  void CheckLeft(const paxos::Envelope& envelope, const paxos::LearnReply& m);
  void CheckLeft(const paxos::Envelope& envelope, const paxos::TakeOver& m);

  std::function<void(const std::string&)> fail_;
  paxos::Slot window_;
  std::map<paxos::ReplicaId, Member> members_;
  Decisions decisions_;
  Positions positions_;
  OperationTable operations_;
  Reads reads_;

  std::map<paxos::Ballot, uint64_t> used_in_run_;
  std::map<paxos::Ballot, Mask> promisers_;             // Whose whole Promise of it has left.
  std::map<paxos::Ballot, uint64_t> prepared_version_;  // That its newest Prepare named.
  uint64_t settled_version_ = 0;
  std::map<std::pair<paxos::ReplicaId, paxos::Ticket>, Ticketed> tickets_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CHECKER_H_
