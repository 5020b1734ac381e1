// What replicas say to each other: one struct per message. docs/protocol.md has the rules.

#ifndef DISTLOG_PAXOS_MESSAGE_H_
#define DISTLOG_PAXOS_MESSAGE_H_

#include <string>
#include <variant>
#include <vector>

#include "paxos/types.h"

namespace distlog::paxos {

// "Every slot through chosen_through is known chosen to the proposer of `ballot`", as of the moment
// the core emitted the message. Never filled in later by whoever sends. A default one says nothing.
struct Pair {
  Ballot ballot;
  Slot chosen_through = 0;
  friend bool operator==(const Pair&, const Pair&) = default;
};

// Phase 1a: "ignore all below `ballot`, and tell me what you have accepted from slot `from` on".
// One Prepare covers every slot from there.
struct Prepare {
  Ballot ballot;
  Slot from = 0;
  uint64_t configuration_version = 0;
  friend bool operator==(const Prepare&, const Prepare&) = default;
};

// Phase 1b, in one or more parts: "in slots first..last I have accepted exactly `accepted`, and
// nothing above `last` if is_final". Durable. Slots through chosen_through travel by catch-up.
struct Promise {
  Ballot ballot;
  Slot first = 0;
  Slot last = 0;
  bool is_final = false;
  std::vector<AcceptedValue> accepted;
  Slot chosen_through = 0;
  friend bool operator==(const Promise&, const Promise&) = default;
};

// Phase 2a: proposes values[i] for slot first + i.
struct Accept {
  Ballot ballot;
  Slot first = 0;
  std::vector<Value> values;
  Slot chosen_through = 0;  // With `ballot`, a Pair.
  uint64_t configuration_version = 0;
  friend bool operator==(const Accept&, const Accept&) = default;
};

// Phase 2b: the values of slots first..last, accepted at `ballot`, are durable.
struct Accepted {
  Ballot ballot;
  Slot first = 0;
  Slot last = 0;
  friend bool operator==(const Accepted&, const Accepted&) = default;
};

// Refuses a Prepare, Accept or Confirm of `refused`: the sender has promised `promised`.
struct Nack {
  Ballot refused;
  Ballot promised;
  friend bool operator==(const Nack&, const Nack&) = default;
};

// Answers an Accept that is too far above, or at or below, what the sender knows chosen.
struct Progress {
  Slot chosen_through = 0;
  friend bool operator==(const Progress&, const Progress&) = default;
};

// Refuses a Prepare for slots whose configuration the sender knows to be another.
struct Stale {
  uint64_t configuration_version = 0;
  Slot chosen_through = 0;
  friend bool operator==(const Stale&, const Stale&) = default;
};

// "Have you promised nothing above `ballot`?": round `round` of confirming that its owner still
// leads, for linearizable reads.
struct Confirm {
  Ballot ballot;
  uint64_t round = 0;
  Slot chosen_through = 0;  // With `ballot`, a Pair.
  friend bool operator==(const Confirm&, const Confirm&) = default;
};
struct Confirmed {
  Ballot ballot;
  uint64_t round = 0;
  friend bool operator==(const Confirmed&, const Confirmed&) = default;
};

// A follower asks the leader for a mark up to which it may serve linearizable reads. `id` is the
// asker's own, fresh for each attempt.
struct ReadRequest {
  uint64_t id = 0;
  friend bool operator==(const ReadRequest&, const ReadRequest&) = default;
};
struct ReadReply {
  uint64_t id = 0;
  Slot mark = 0;
  Pair pair;
  friend bool operator==(const ReadReply&, const ReadReply&) = default;
};

// A round of the election protocol: "are you there, and whom do you follow?" The round comes back
// in the answer, so that an answer to another round never counts. One who has left asks too, until
// the configuration without it is settled (B9).
struct Heartbeat {
  uint64_t round = 0;
  Pair pair;  // Set while the sender leads.
  uint64_t configuration_version = 0;
  Slot chosen_through = 0;       // Durable: the sender would recover at least this mark.
  uint64_t settled_version = 0;  // The highest configuration that the sender knows to be settled.
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};
struct HeartbeatReply {
  uint64_t round = 0;
  Ballot claimed;  // Set while the sender's proposer runs at it.
  Ballot followed;
  Ballot promised;  // The highest durable promise.
  bool content = false;
  Slot chosen_through = 0;  // Durable: the sender would recover at least this mark.
  uint64_t configuration_version = 0;
  // Accepts of the followed ballot received so far, durable or not, without a gap from the sender's
  // chosen_through on: a slow disk is not a lost link.
  Slot received_through = 0;
  uint64_t settled_version = 0;  // The highest configuration that the sender knows to be settled.
  friend bool operator==(const HeartbeatReply&, const HeartbeatReply&) = default;
};

// An idle leader's last word on how far the log is chosen.
struct Announce {
  Pair pair;
  friend bool operator==(const Announce&, const Announce&) = default;
};

// Catching up: asks for chosen values from slot `first` on, and supplies a run of them, with their
// ballots. Bulk: it must not delay the other messages.
struct LearnRequest {
  Slot first = 0;
  friend bool operator==(const LearnRequest&, const LearnRequest&) = default;
};
struct LearnReply {
  std::vector<AcceptedValue> chosen;  // Consecutive slots.
  Slot chosen_through = 0;            // The supplier could go on through here.
  friend bool operator==(const LearnReply&, const LearnReply&) = default;
};

// From a leader that hands over, to its successor: stand now.
struct TakeOver {
  Ballot ballot;  // Of the sender.
  friend bool operator==(const TakeOver&, const TakeOver&) = default;
};

using Message = std::variant<Prepare, Promise, Accept, Accepted, Nack, Progress, Stale, Confirm,
                             Confirmed, ReadRequest, ReadReply, Heartbeat, HeartbeatReply, Announce,
                             LearnRequest, LearnReply, TakeOver>;

struct Envelope {
  ReplicaId from{};
  ReplicaId to{};
  Message message;
  friend bool operator==(const Envelope&, const Envelope&) = default;
};

// One line, for transcripts and traces: `Accept ballot=1.1 slot=1..2 chosen=0`.
std::string ToString(const Message& message);
std::string ToString(const Envelope& envelope);  // `1>2 Accept ...`

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_MESSAGE_H_
