// The reads that wait.

#ifndef DISTLOG_SERVER_READ_QUEUE_H_
#define DISTLOG_SERVER_READ_QUEUE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "absl/status/status.h"
#include "paxos/step.h"
#include "server/append_queue.h"
#include "server/node.h"

namespace distlog {

// Linearizable reads that wait for their mark or until it can be read here, and readers that wait
// for new entries. Of the event loop alone. Answers are added to an Answers.
class ReadQueue {
 public:
  using Clock = std::chrono::steady_clock;

  struct Barrier {
    Clock::time_point deadline;
    Node::BoundsCallback done;
  };
  struct Waiter {
    uint64_t last = 0;  // Waits for a position above this.
    Clock::time_point deadline;
    std::function<void(Node::Bounds)> done;
  };

  // Barriers that came together share one Read.
  void AddBarriers(paxos::Ticket ticket, std::vector<Barrier> barriers);
  void AddWaiter(Waiter waiter, Answers* answers);

  // The log through `slot` is what the Read `ticket` must see.
  void OnReadable(paxos::Ticket ticket, paxos::Slot slot, Answers* answers);
  // Everything through `slot`, which ends in `bounds`, can be read here.
  void SetReadable(paxos::Slot slot, Node::Bounds bounds, Answers* answers);

  // Answers those whose time is over. Returns the Reads that nobody waits for any more.
  std::vector<paxos::Ticket> Expire(Clock::time_point now, Answers* answers);
  // When Expire has something to do.
  Clock::time_point next_deadline() const { return next_deadline_; }

  // At the end of the run.
  void FailAll(const absl::Status& error, Answers* answers);

  paxos::Slot readable_through() const { return readable_through_; }

 private:
  void NoteDeadline(Clock::time_point deadline);
  // Whether `deadline` has passed; notes it if not.
  bool IsOver(Clock::time_point deadline, Clock::time_point now);

  std::map<paxos::Ticket, std::vector<Barrier>> unmarked_;
  std::multimap<paxos::Slot, Barrier> marked_;  // By the slot that they must see.
  std::multimap<uint64_t, Waiter> waiters_;     // By the position that they have seen.
  paxos::Slot readable_through_ = 0;
  Node::Bounds bounds_;
  Clock::time_point next_deadline_ = Clock::time_point::max();
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_READ_QUEUE_H_
