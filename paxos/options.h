#ifndef DISTLOG_PAXOS_OPTIONS_H_
#define DISTLOG_PAXOS_OPTIONS_H_

#include <cstddef>
#include <cstdint>

#include "paxos/types.h"

namespace distlog::paxos {

// The window W of feature level 1: the bound, in slots, between a leader's chosen_through and its
// highest proposal. The same for every replica of a cluster.
inline constexpr Slot kWindow = 256;

struct Options {
  ReplicaId self{};
  // Jitter is drawn from here; give each start another one.
  uint64_t seed = 0;

  Time heartbeat_interval = std::chrono::milliseconds(100);
  // A leader without progress in what is outstanding for this long gives way.
  Time progress_timeout = std::chrono::seconds(1);
  // So does one whose oldest unfinished write is older than this.
  Time disk_stall_timeout = std::chrono::seconds(2);
  // An idle leader tells followers how far the log is chosen after this.
  Time announce_delay = std::chrono::milliseconds(5);

  Slot window = kWindow;  // Tests use smaller ones, on all replicas alike.
  // A leader's proposals in flight, in bytes; one proposal of any size is always allowed.
  size_t window_bytes = 32 << 20;
  // What waits for this replica's own disk, in bytes: while there is more, it proposes, accepts and
  // asks for nothing. Others may choose without it, so that the window alone bounds nothing here.
  size_t unwritten_bytes = 128 << 20;
  // The bound on the payloads of one Accept, one part of a Promise (at least one value each).
  size_t message_bytes = 4 << 20;
  // Reads that wait, at most; more are refused by giving them no outcome.
  size_t max_waiting_reads = 100'000;

  friend bool operator==(const Options&, const Options&) = default;
};

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_OPTIONS_H_
