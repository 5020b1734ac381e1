// One member of the cluster.

#ifndef DISTLOG_PAXOS_REPLICA_H_
#define DISTLOG_PAXOS_REPLICA_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "paxos/acceptor.h"
#include "paxos/election.h"
#include "paxos/learner.h"
#include "paxos/options.h"
#include "paxos/proposer.h"
#include "paxos/read_index.h"
#include "paxos/settlement.h"
#include "paxos/step.h"
#include "paxos/write_tracker.h"

namespace distlog::paxos {

// Always an acceptor and a learner, at times the leading proposer. A pure state machine: it starts
// no threads, reads no clock, touches no disk, and draws no randomness but from Options::seed. The
// same events at the same times always have the same effects. It is a plain value: it can be
// copied, compared and hashed.
//
// Not thread-safe.
class Replica {
 public:
  // `recovered` is what its storage holds; `now` the time of its start.
  Replica(const Options& options, const DurableState& recovered, Time now);

  // Handles `event` at time `now`, and adds to *effects what is to be done about it. `now` never
  // decreases from one call to the next.
  void Step(Time now, const Event& event, Effects* effects);

  // Takes over now, without an election having said so, as a TakeOver message from the leader does.
  // For searches that drive takeovers themselves. Nothing happens if it must not stand.
  void Stand(Time now, Effects* effects);

  // When to Step a Tick if nothing happens before. It may be in the past.
  Time deadline() const;

  // Whether a Propose of a value of this many bytes would be taken now: this replica leads, its
  // window has room, and its disk keeps up.
  bool CanPropose(size_t bytes) const;

  // Whether a Propose of this configuration would be taken now, or else why not.
  enum class Reconfiguration : uint8_t {
    kAllowed,
    kNotLeading,  // Or not recovered, or on its way to another leader.
    kBusy,        // Another change is under way, or the last one is not settled.
    kNoEffect,    // It does not follow the configuration in force (B2).
    kNoQuorum,    // No quorum of its voters is heard and within a window of this replica (B3).
  };
  Reconfiguration CanReconfigure(const Configuration& next) const;

  // Dies unless every local invariant of docs/protocol.md holds.
  void CheckInvariants() const;

  // ---- For status and for tests. ----

  ReplicaId self() const { return options_.self; }
  const Configuration& configuration() const { return learner_.configuration(); }
  Slot configuration_slot() const { return learner_.configuration_slot(); }
  // The configuration in force is known to be settled: its change has come to its end (B5).
  bool is_settled() const { return settlement_.version() >= configuration().version; }
  // It was a member, is none any more, and owes nothing to those that are (B9). It is silent.
  bool has_left() const;
  Slot chosen_through() const { return learner_.chosen_through(); }
  // Slots through here are chosen and durable on this replica's own disk.
  Slot stored_through() const;
  // The mark that this replica would recover with.
  Slot durable_mark() const { return writes_.durable_mark(); }
  const Ballot& promised() const { return acceptor_.promised(); }
  // The ballot followed (its own while leading), or a default one: for redirecting clients and for
  // status only.
  const Ballot& followed() const { return election_.followed(); }
  ReplicaId leader_hint() const {
    // Heard both ways: requests have to reach it.
    const bool is_newer =
        heard_leading_ > election_.followed() && election_.heard().contains(heard_leading_.owner);
    return is_newer ? heard_leading_.owner : election_.followed().owner;
  }
  bool is_content() const { return election_.is_content(); }
  // Phase 1 is done at the ballot it runs at, and its proposer runs.
  bool is_leading() const;
  // Leading, and every slot that Phase 1 saw accepted is known chosen: it serves reads.
  bool is_recovered() const;
  // The ballot its proposer runs at, if it does.
  std::optional<Ballot> claimed() const;
  // The ballot that it took over with, last: that of its first claim, not of those that renewed it.
  const Ballot& leadership() const { return election_.leadership(); }
  // Why it did.
  enum class TakeoverCause : uint8_t {
    kSilence,         // No leader was heard to be content.
    kConnectionLost,  // The process of the one it followed was gone.
    kToldTo,          // The one it followed handed over.
  };
  TakeoverCause takeover_cause() const { return takeover_cause_; }
  // The number of the round of heartbeats under way.
  uint64_t round() const { return election_.round(); }
  // What it heard of each peer in the last full round.
  const std::map<ReplicaId, HeartbeatReply>& heard() const { return election_.heard(); }

  friend bool operator==(const Replica&, const Replica&) = default;
  // For hashing (paxos/hash.h).
  auto Fields() const {
    return std::tie(options_, now_, acceptor_, learner_, settlement_, writes_, election_, proposer_,
                    reads_, tickets_, highest_round_, received_through_, renewal_round_, renewal_,
                    transfer_, takeover_cause_, announce_at_, heard_leading_, asked_leader_);
  }

 private:
  // A proposal whose slot is not known chosen yet, whoever leads now.
  struct PendingTicket {
    Ticket ticket{};
    Value value;
    friend bool operator==(const PendingTicket&, const PendingTicket&) = default;
    auto Fields() const { return std::tie(ticket, value); }
  };
  // Leadership on its way to another.
  struct Transfer {
    ReplicaId to{};
    bool told = false;
    int rounds = 0;  // Since it was told.
    friend bool operator==(const Transfer&, const Transfer&) = default;
    auto Fields() const { return std::tie(to, told, rounds); }
  };

  // ---- Events (replica.cc). ----
  void On(const Receive& event, Effects* effects);
  void On(const Propose& event, Effects* effects);
  void On(const Read& event, Effects* effects);
  void On(const CancelRead& event, Effects* effects);
  void On(const WriteFinished& event, Effects* effects);
  void On(const MarkSaved& event, Effects* effects);
  void On(const PeerConnected& event, Effects* effects);
  void On(const PeerLost& event, Effects* effects);
  void On(const TransferLeadership& event, Effects* effects);
  void On(const Tick& event, Effects* effects);
  // What may have become possible by the event.
  void Advance(Effects* effects);

  // ---- Messages: acceptor and learner (replica.cc). ----
  void Handle(ReplicaId from, const Prepare& m, Effects* effects);
  void Handle(ReplicaId from, const Accept& m, Effects* effects);
  void Handle(ReplicaId from, const Confirm& m, Effects* effects);
  void Handle(ReplicaId from, const Announce& m, Effects* effects);
  void Handle(ReplicaId from, const LearnRequest& m, Effects* effects);
  void Handle(ReplicaId from, const LearnReply& m, Effects* effects);
  // ---- Messages: to the proposer (replica_lead.cc). ----
  void Handle(ReplicaId from, const Promise& m, Effects* effects);
  void Handle(ReplicaId from, const Accepted& m, Effects* effects);
  void Handle(ReplicaId from, const Nack& m, Effects* effects);
  void Handle(ReplicaId from, const Progress& m, Effects* effects);
  void Handle(ReplicaId from, const Stale& m, Effects* effects);
  void Handle(ReplicaId from, const Confirmed& m, Effects* effects);
  void Handle(ReplicaId from, const TakeOver& m, Effects* effects);
  // ---- Messages: reads and rounds (replica_round.cc). ----
  void Handle(ReplicaId from, const ReadRequest& m, Effects* effects);
  void Handle(ReplicaId from, const ReadReply& m, Effects* effects);
  void Handle(ReplicaId from, const Heartbeat& m, Effects* effects);
  void Handle(ReplicaId from, const HeartbeatReply& m, Effects* effects);

  // ---- Learning. ----
  // Rules B5 and B9: whether the configuration in force has become settled.
  void JudgeSettlement();
  // The next slot is chosen. Its value is held by the acceptor.
  void Choose(const AcceptedValue& value, Effects* effects);
  void Learn(const AcceptedValue& value, Effects* effects);
  void ApplyPair(ReplicaId from, const Pair& pair, bool in_order, Effects* effects);
  void AddAcceptRecord(const AcceptedValue& accepted, Effects* effects);
  void NotePeerChosen(ReplicaId peer, Slot chosen_through);
  // `peer` would recover this mark, and knows the configuration of this version to be settled.
  void NoteMark(ReplicaId peer, Slot durable_mark, uint64_t settled_version);
  void NoteBallot(const Ballot& ballot);
  void AskForMissing(Effects* effects);

  // ---- Leading. ----
  // Rule B8: to be called before this replica promises, accepts or learns at `ballot`.
  void YieldTo(const Ballot& ballot);
  bool MayRenew(const Ballot& above) const;
  void Stand();
  void StartProposer(bool is_renewal, std::map<Slot, AcceptedValue> carried);
  void StopProposer();
  void AdvanceProposer(Effects* effects);
  void BeginPrepare(Effects* effects);
  void ProposeIn(Slot slot, const Value& value, Effects* effects);
  void SendAccepts(ReplicaId to, const std::vector<Slot>& slots, Effects* effects);
  void ChooseAccepted(Effects* effects);
  // The configuration that follows `before` was chosen just now: all who are in either hear of it.
  void AnnounceChange(const Configuration& before, Effects* effects);
  void AdvanceTransfer(Effects* effects);
  // The voter of the configuration in force that is heard and knows most; kNoReplica: none.
  ReplicaId Successor() const;
  // Whether `member` is sent what this leader proposes: a voter, or a learner that keeps up.
  bool TakesAccepts(const Member& member) const;
  // Whether what `peer` answers counts: it is a voter of the configuration in force.
  bool IsCounted(ReplicaId peer) const;
  Pair OwnPair() const;

  // ---- Rounds and reads. ----
  void BeginRound(Effects* effects);
  void EndRound(Effects* effects);
  void Resend(Effects* effects);
  // Says again what `peer` has not answered and was said by `before`. Returns the slots proposed
  // again.
  std::vector<Slot> ResendTo(ReplicaId peer, Time before, Effects* effects);
  void AdvanceReads(Effects* effects);
  void Give(const ReadIndex::Grant& grant, Effects* effects) const;
  void AskLeaderForMark(Effects* effects);
  bool MayStand() const;
  // Whether its disk keeps up: while it does not, nothing more is proposed, accepted or asked for.
  bool DiskKeepsUp() const { return writes_.unwritten_bytes() <= options_.unwritten_bytes; }
  Slot ReceivedThrough(const Ballot& ballot) const;

  void Send(ReplicaId to, Message message, Effects* effects) const;
  void SendAfterWrite(ReplicaId to, Message message, Effects* effects) const;
  void SendToOthers(const Message& message, bool voters_only, Effects* effects) const;

  Options options_;
  Time now_{};
  Acceptor acceptor_;                 // What Paxos must remember.
  Learner learner_;                   // What is known to be chosen.
  Settlement settlement_;             // Whether the last change of configuration is finished.
  WriteTracker writes_;               // What of that is durable.
  Election election_;                 // Whom to follow, and when to stand.
  std::optional<Proposer> proposer_;  // While leading, or trying to.
  ReadIndex reads_;
  std::multimap<Slot, PendingTicket> tickets_;

  uint64_t highest_round_ = 0;  // In any ballot seen anywhere.
  std::map<ReplicaId, Slot>
      received_through_;        // By followers, of Accepts at the proposer's ballot.
  uint64_t renewal_round_ = 0;  // The heartbeat round of the last renewal: at most one in each.
  std::optional<std::map<Slot, AcceptedValue>> renewal_;  // Due: what it carries.
  std::optional<Transfer> transfer_;
  TakeoverCause takeover_cause_ = TakeoverCause::kSilence;
  Time announce_at_ = Time::max();
  // The highest ballot that its owner has led in a message since the last round ended: who has just
  // taken over is known before a round says so.
  Ballot heard_leading_;
  ReplicaId asked_leader_{};  // Whom reads_ asks.
};

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_REPLICA_H_
