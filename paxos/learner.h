// Which slots are known chosen here, and how to come by those that are missing.

#ifndef DISTLOG_PAXOS_LEARNER_H_
#define DISTLOG_PAXOS_LEARNER_H_

#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "paxos/message.h"
#include "paxos/record.h"
#include "paxos/types.h"

namespace distlog::paxos {

// The chosen prefix and the configuration in force after it; and whom to ask for more.
class Learner {
 public:
  Learner() = default;
  explicit Learner(const DurableState& recovered);

  Slot chosen_through() const { return chosen_through_; }
  // C(chosen_through + 1), and the slot that it was chosen in.
  const Configuration& configuration() const { return configuration_; }
  Slot configuration_slot() const { return configuration_slot_; }

  // `value` is chosen in the slot after chosen_through. Returns whether a configuration took
  // effect.
  bool Choose(Time now, const AcceptedValue& value);

  // ---- Catching up. ----

  // `peer` says that it knows (and can supply) slots through `chosen_through`.
  void NotePeer(Time now, ReplicaId peer, Slot chosen_through);
  void ForgetPeer(ReplicaId peer);
  // Forgets all but the members of `configuration`.
  void KeepPeers(const Configuration& configuration);
  Slot known_of(ReplicaId peer) const;
  // The highest that anyone is known to have.
  Slot known_chosen() const;

  // A hole that no message under way can fill: ask at once.
  void NoteHole() { hole_ = true; }
  // `from` has answered a request for slots from `first` on (0: it had none of them), and can
  // supply slots through `supplier_chosen_through`. What it said of itself before may no longer
  // hold: it may have restarted with less.
  void NoteReply(Time now, ReplicaId from, Slot first, Slot supplier_chosen_through);

  // Whom to ask for what now, if it is time to ask; then it counts as asked. Prefers `leader`.
  // Without a hole it waits for `patience`: what is missing may be under way.
  struct Request {
    ReplicaId to{};
    Slot first = 0;
  };
  std::optional<Request> NextRequest(Time now, ReplicaId leader, Time patience,
                                     Time answer_timeout);
  // When NextRequest may have something to say; Time::max() for never.
  Time deadline(Time patience, Time answer_timeout) const;

  friend bool operator==(const Learner&, const Learner&) = default;
  // For hashing (paxos/hash.h).
  auto Fields() const {
    return std::tie(chosen_through_, configuration_, configuration_slot_, known_, behind_since_,
                    hole_, asked_, unanswered_);
  }

 private:
  struct Asked {
    ReplicaId peer{};
    Slot first = 0;
    Time at{};
    friend bool operator==(const Asked&, const Asked&) = default;
    auto Fields() const { return std::tie(peer, first, at); }
  };
  std::optional<ReplicaId> Supplier(ReplicaId leader) const;

  Slot chosen_through_ = 0;
  Configuration configuration_;
  Slot configuration_slot_ = 0;

  std::map<ReplicaId, Slot> known_;
  Time behind_since_ =
      Time::max();  // Since when something is known to be missing, without progress.
  bool hole_ = false;
  std::optional<Asked> asked_;
  ReplicaId unanswered_{};  // Who let a request go unanswered last: ask another, if there is one.
};

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_LEARNER_H_
