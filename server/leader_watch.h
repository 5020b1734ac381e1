// Tells a forwarder who leads.

#ifndef DISTLOG_SERVER_LEADER_WATCH_H_
#define DISTLOG_SERVER_LEADER_WATCH_H_

#include <condition_variable>
#include <mutex>
#include <thread>

#include "server/forwarder.h"
#include "server/node.h"

namespace distlog {

// Looks every now and then, on a thread of its own, whom `node` follows, and tells `forwarder`: a
// leader that is stopped or cut off never answers what was passed on to it. Both outlive it.
class LeaderWatch {
 public:
  LeaderWatch(const Node* node, Forwarder* forwarder);
  ~LeaderWatch();

 private:
  void Run();

  const Node* const node_;
  Forwarder* const forwarder_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_LEADER_WATCH_H_
