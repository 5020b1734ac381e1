// The one door in and out of the protocol: events in, effects out.

#ifndef DISTLOG_PAXOS_STEP_H_
#define DISTLOG_PAXOS_STEP_H_

#include <variant>
#include <vector>

#include "paxos/message.h"
#include "paxos/record.h"
#include "paxos/types.h"

namespace distlog::paxos {

// Matches an Outcome to the event that asked for it. Chosen by the caller, never replicated, used
// once.
enum class Ticket : uint64_t {};

// ---- In ----------------------------------------------------------------------------------------

// A peer, or this replica itself, says this. `from` is who the connection proved it to be.
struct Receive {
  Envelope envelope;
};
// A client wants this in the log. Only when Replica::CanPropose(value.size()); else it is refused.
struct Propose {
  Ticket ticket{};
  Value value;
};
// A client wants to read the latest. Any replica takes it.
struct Read {
  Ticket ticket{};
};
// Gives a Read up (its client has gone, or its time is over). No outcome will follow.
struct CancelRead {
  Ticket ticket{};
};
// All records numbered through `last` (Effects::last_record) are durable. In order.
struct WriteFinished {
  uint64_t last = 0;
};
// The mark was made durable by itself, lazily: this replica would recover at least `through`.
struct MarkSaved {
  Slot through = 0;
};
// A connection to the peer was made, in the direction that carries what is sent to it.
struct PeerConnected {
  ReplicaId peer{};
};
// The peer's process is gone: its connection was refused or reset. (Silence is not loss.)
struct PeerLost {
  ReplicaId peer{};
};
// Hand leadership to `to`, or to the best follower if that is kNoReplica. Ignored unless leading.
struct TransferLeadership {
  ReplicaId to{};
};
// Replica::deadline() has passed.
struct Tick {};

using Event = std::variant<Receive, Propose, Read, CancelRead, WriteFinished, MarkSaved,
                           PeerConnected, PeerLost, TransferLeadership, Tick>;

// ---- Out ---------------------------------------------------------------------------------------

// The answer to a Propose or a Read. Each ticket gets at most one; a proposal of a deposed leader
// may wait for its slot to be known chosen, for as long as this replica is cut off.
struct Outcome {
  enum class Result : uint8_t {
    kChosen,     // Propose: `slot` holds the value, for ever.
    kNotChosen,  // Propose: certainly not in the log, now or later.
    kReadable,   // Read: the log through `slot` is what there was, or newer.
  };
  Ticket ticket{};
  Result result = Result::kNotChosen;
  Slot slot = 0;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Peer `to` lacks chosen values from `first` on: read them from the log, through `through` at most,
// as many as suit one message, and send them in a LearnReply. `through` is durable here.
struct Supply {
  ReplicaId to{};
  Slot first = 0;
  Slot through = 0;
  friend bool operator==(const Supply&, const Supply&) = default;
};

// What the caller owes the protocol after a Step. All may be done at once and in any order, but for
// one rule, on which the safety of the whole system rests:
//
//   `after_write` is sent only when `write`, and every write before it, is durable.
//
// Every message in it tells a replica "I will remember this". Those to this replica itself come
// back as Receive, like anyone's; that is how a leader counts its own vote no sooner than its own
// disk. What is lost on the way is said again.
struct Effects {
  std::vector<Record> write;
  uint64_t last_record = 0;  // The number of the last record in `write`, counted from 1 per run.
  std::vector<Envelope> after_write;

  std::vector<Envelope> send;
  std::vector<AcceptedValue> chosen;  // In slot order, no gaps, no repeats. To apply now.
  std::vector<Outcome> outcomes;
  std::vector<Supply> supply;
};

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_STEP_H_
