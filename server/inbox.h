// What waits for the event loop.

#ifndef DISTLOG_SERVER_INBOX_H_
#define DISTLOG_SERVER_INBOX_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "paxos/step.h"
#include "server/append_queue.h"
#include "server/membership.h"
#include "server/read_queue.h"

namespace distlog {

// Many threads put in; the event loop takes all that waits at once, with one wake-up per burst.
class Inbox {
 public:
  struct Burst {
    std::vector<paxos::Event> events;
    std::vector<std::unique_ptr<AppendQueue::Request>> appends;
    std::vector<ReadQueue::Barrier> barriers;
    std::vector<ReadQueue::Waiter> waiters;
    std::vector<Membership::Request> changes;
    std::vector<std::function<void()>> calls;  // Run on the event loop, before all else.
    bool empty() const {
      return events.empty() && appends.empty() && barriers.empty() && waiters.empty() &&
             changes.empty() && calls.empty();
    }
  };

  explicit Inbox(size_t max_peer_bytes) : max_peer_bytes_(max_peer_bytes) {}

  // Adds to what waits: `put` gets the burst. False, without calling `put`, once the inbox is
  // closed. (What is put in by clients is bounded by the limits they were admitted under.)
  template <typename Put>
  bool Post(const Put& put) {
    bool wake = false;
    {
      std::lock_guard lock(mutex_);
      if (closed_) return false;
      put(&waiting_);
      wake = std::exchange(asleep_, false);
    }
    if (wake) changed_.notify_one();
    return true;
  }

  // Messages of peers. Drops them while those that wait hold too many bytes: what is lost on the
  // way is said again. False if they were dropped for that.
  bool PostFromPeer(std::vector<paxos::Envelope> envelopes);

  // Waits for something, or for `until`, and takes it.
  Burst Take(std::chrono::steady_clock::time_point until);

  // Takes nothing more, and gives what is left.
  Burst Close();

 private:
  const size_t max_peer_bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Burst waiting_;
  size_t peer_bytes_ = 0;
  bool asleep_ = false;  // The loop waits, and nobody has woken it yet.
  bool closed_ = false;
};

// Takes the messages to `to` out of `envelopes`.
std::vector<paxos::Envelope> TakeMessagesTo(paxos::ReplicaId to,
                                            std::vector<paxos::Envelope>* envelopes);

// About how much memory a message holds.
size_t BytesOf(const paxos::Envelope& envelope);

}  // namespace distlog

#endif  // DISTLOG_SERVER_INBOX_H_
