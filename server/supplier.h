// Reads old values for replicas that lack them.

#ifndef DISTLOG_SERVER_SUPPLIER_H_
#define DISTLOG_SERVER_SUPPLIER_H_

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "absl/status/status.h"
#include "log/store.h"
#include "paxos/step.h"
#include "server/transport.h"

namespace distlog {

// Answers each paxos::Supply with a LearnReply, on a thread of its own, since it reads the disk. A
// newer one for the same peer takes the place of one that waits: there are never more than peers.
class Supplier {
 public:
  // `failed` is called on the thread when something cannot be read.
  Supplier(const Store* store, Transport* transport,
           std::function<void(const absl::Status&)> failed);
  ~Supplier();

  // Any thread. `self` is who supplies.
  void Supply(paxos::ReplicaId self, const paxos::Supply& supply);

  // Finishes the one under way, and no other.
  void Stop();

 private:
  struct Order {
    paxos::ReplicaId self{};
    paxos::Supply supply;
  };
  void Loop();
  void Fill(const Order& order);

  const Store* const store_;
  Transport* const transport_;
  const std::function<void(const absl::Status&)> failed_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<paxos::ReplicaId, Order> orders_;  // By who lacks the values.
  paxos::ReplicaId served_last_{};            // Peers take turns.
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_SUPPLIER_H_
