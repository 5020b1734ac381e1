// Phase 1 and phase 2 of one ballot.

#ifndef DISTLOG_PAXOS_PROPOSER_H_
#define DISTLOG_PAXOS_PROPOSER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "paxos/configuration.h"
#include "paxos/message.h"
#include "paxos/types.h"

namespace distlog::paxos {

// A value proposed at this proposer's ballot and not yet known chosen.
struct Proposal {
  Value value;
  std::set<ReplicaId> accepted_by;  // Durably.
  Time sent_at{};
  std::map<ReplicaId, Time> resent_at{};  // To each that did not answer.
  friend bool operator==(const Proposal&, const Proposal&) = default;
  auto Fields() const { return std::tie(value, accepted_by, sent_at); }
};

// The one value that may be proposed in a slot after these reports: that of the highest ballot, as
// it alone may be chosen already. Keeps `best` the highest of what it was given.
void KeepHighest(const AcceptedValue& reported, std::map<Slot, AcceptedValue>* best);

// What a replica is while it leads, or tries to: one ballot's proposer. It stops for good when its
// replica promises, accepts or learns at a higher ballot (B8); a new one then begins at a new
// ballot.
//
// It decides what to propose; Replica persists and sends.
class Proposer {
 public:
  enum class Phase : uint8_t {
    kCatchingUp,  // With what those it hears know chosen, before it asks for promises.
    kPreparing,   // Phase 1.
    kLeading,     // Phase 2.
  };

  // `carried` is what this replica had in flight at the ballot it renews (empty at a takeover):
  // each goes on in its own slot, unless a higher ballot is reported there.
  Proposer(const Ballot& ballot, bool is_renewal, std::map<Slot, AcceptedValue> carried, Time now);

  const Ballot& ballot() const { return ballot_; }
  Phase phase() const { return phase_; }
  // Whether it is, or goes on with, a leadership that had finished Phase 1: a renewal is content.
  bool is_renewal() const { return is_renewal_; }

  // ---- Phase 1. ----

  // Begins (or begins again, in another configuration) to ask for promises of slots from `from` on.
  void Prepare(Slot from, Time now);
  Slot from() const { return from_; }
  // Voters whose promise is not complete.
  bool HasPromised(ReplicaId peer) const;
  // Takes a part of a promise; what does not continue the parts before it is dropped.
  void OnPromise(ReplicaId peer, const Promise& part, Time now);
  // The highest chosen_through among complete promises: to be reached by catch-up.
  Slot promised_chosen_through() const;
  bool HasPromiseQuorum(const Configuration& configuration) const;
  // Drops complete promises whose chosen_through is above `reachable`: their sender has died with
  // it.
  void DropPromisesAbove(Slot reachable);
  // Phase 1 is done. Slots after chosen_through that were reported are to be proposed again, no-ops
  // in the gaps; new values go after the highest.
  void Lead(Slot chosen_through, Time now);

  // ---- Phase 2. ----

  // What Phase 1 saw accepted up to here must be known chosen before reads are served.
  Slot recovery_slot() const { return recovery_slot_; }
  // The next slot and value that Phase 1 obliges it to propose, if the window and the barrier let
  // it.
  std::optional<std::pair<Slot, Value>> NextObligation(Slot chosen_through, Slot window) const;
  bool HasObligations() const { return !obligations_.empty(); }
  // Whether a configuration is in flight: nothing above its slot until that is chosen (B1).
  bool HasBarrier() const;
  // Whether a new value of `bytes` may be proposed: window, bytes, barrier B1.
  bool HasRoom(size_t bytes, Slot chosen_through, Slot window, size_t window_bytes) const;
  Slot next_slot() const { return next_slot_; }
  // Proposes: an obligation in its slot, or a new value at next_slot().
  void Propose(Slot slot, const Value& value, Time now);

  // `peer` holds slots first..last at this ballot, durably.
  void OnAccepted(ReplicaId peer, Slot first, Slot last);
  // Whether a quorum holds `slot`.
  bool IsAccepted(Slot slot, const Configuration& configuration) const;
  // `slot` is known chosen; its proposal, if any, is no longer in flight.
  void OnChosen(Slot slot);

  const std::map<Slot, Proposal>& in_flight() const { return in_flight_; }
  // The slots that `peer` has not answered for: those it has not received (above
  // `received_through`) if they were sent to it by `before`, the others if they were sent to it by
  // `long_before` (its answer is lost).
  std::vector<Slot> SlotsToResend(ReplicaId peer, Slot received_through, Time before,
                                  Time long_before) const;
  void NoteResent(ReplicaId peer, Slot slot, Time now);
  // What to carry into a renewal.
  std::map<Slot, AcceptedValue> Carried() const;

  // ---- Progress: what makes a leader content. ----

  // In Phase 1, or in what is proposed.
  void NoteProgress(Time now) { progress_at_ = answer_at_ = now; }
  // In confirming reads: no proof that proposals get through.
  void NoteReadProgress(Time now) { read_progress_at_ = answer_at_ = now; }
  void NoteAnswer(Time now) { answer_at_ = now; }
  // Whether a round of read confirmations is outstanding; its clock begins when that begins.
  void SetConfirming(bool confirming, Time now);
  bool IsProgressing(Time now, Time progress_timeout, Time answer_timeout) const;

  friend bool operator==(const Proposer&, const Proposer&) = default;
  // For hashing (paxos/hash.h).
  auto Fields() const {
    return std::tie(ballot_, phase_, is_renewal_, from_, promises_, reported_, recovery_slot_,
                    next_slot_, obligations_, in_flight_, in_flight_bytes_, confirming_,
                    progress_at_, read_progress_at_, answer_at_);
  }

 private:
  struct PromiseProgress {
    Slot covered_through = 0;
    Slot chosen_through = 0;
    bool complete = false;
    friend bool operator==(const PromiseProgress&, const PromiseProgress&) = default;
    auto Fields() const { return std::tie(covered_through, chosen_through, complete); }
  };

  Ballot ballot_;
  Phase phase_ = Phase::kCatchingUp;
  bool is_renewal_ = false;

  Slot from_ = 0;
  std::map<ReplicaId, PromiseProgress> promises_;
  std::map<Slot, AcceptedValue> reported_;

  Slot recovery_slot_ = 0;
  Slot next_slot_ = 0;
  std::map<Slot, Value> obligations_;
  std::map<Slot, Proposal> in_flight_;
  size_t in_flight_bytes_ = 0;

  bool confirming_ = false;
  Time progress_at_{};
  Time read_progress_at_{};
  Time answer_at_{};
};

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_PROPOSER_H_
