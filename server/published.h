// What the event loop tells the other threads.

#ifndef DISTLOG_SERVER_PUBLISHED_H_
#define DISTLOG_SERVER_PUBLISHED_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "paxos/configuration.h"
#include "paxos/types.h"
#include "proto/distlog/v1/cluster.pb.h"
#include "server/node.h"

namespace distlog {

// A copy of the little that others want to know, under a lock that nobody holds for long. Any
// thread.
class Published {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Peer {
    paxos::Slot chosen_through = 0;  // Durable.
    std::optional<std::chrono::microseconds> round_trip;
  };
  struct State {
    bool assigned = false;
    paxos::ReplicaId self{};
    paxos::Ballot followed;
    paxos::Ballot promised;
    TimePoint followed_since;
    uint64_t followed_changes = 0;
    std::string leader_address;
    bool is_leading = false;
    bool is_content = false;
    std::set<paxos::ReplicaId> heard;  // This replica among them.
    // What those heard in the last round said; not this replica.
    std::map<paxos::ReplicaId, Peer> peers;
    bool settled = false;
    bool has_left = false;
    std::shared_ptr<const v1::OperationsResponse> operations;  // Not null once assigned.
    std::shared_ptr<const v1::HistoryResponse> history;        // The same.
    std::shared_ptr<const paxos::Configuration> configuration;

    paxos::Slot chosen_through = 0;
    paxos::Slot applied_through = 0;
    paxos::Slot stored_through = 0;
    paxos::Slot durable_mark = 0;
    Node::Bounds bounds;
    uint64_t digest = 0;
    uint64_t cluster_time_ms = 0;
    std::optional<TimePoint> last_applied;

    std::string removed;  // Why this replica takes no part any more; empty: it does.
    std::string last_error;
    TimePoint last_error_time;
  };

  template <typename Change>
  void Update(const Change& change) {
    std::lock_guard lock(mutex_);
    change(&state_);
  }
  // What `get` picks out of the state.
  template <typename Get>
  auto Read(const Get& get) const {
    std::lock_guard lock(mutex_);
    return get(std::as_const(state_));
  }

  // This replica was removed, for good, as this sentence says.
  void NoteRemoved(const std::string& sentence);
  bool is_removed() const { return is_removed_; }
  // What is wrong, in a sentence, for `status` and the log.
  void NoteError(const std::string& error);

 private:
  mutable std::mutex mutex_;
  State state_;
  std::atomic<bool> is_removed_{false};
};

void FillStatus(const Published::State& state, v1::ServerStatus* status);

}  // namespace distlog

#endif  // DISTLOG_SERVER_PUBLISHED_H_
