#include "server/leader_watch.h"

#include <chrono>

#include "server/thread_name.h"

namespace distlog {
namespace {

constexpr std::chrono::milliseconds kPause(100);

}  // namespace

LeaderWatch::LeaderWatch(const Node* node, Forwarder* forwarder)
    : node_(node), forwarder_(forwarder) {
  thread_ = std::thread([this] { Run(); });
}

LeaderWatch::~LeaderWatch() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void LeaderWatch::Run() {
  NameThread("leader-watch");
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kPause, [this] { return stop_; })) {
    const Node::Leader leader = node_->leader();
    // While nobody leads, whoever was asked may yet answer.
    if (!leader.is_here && leader.address.empty()) continue;
    forwarder_->NoteLeader(leader.address, std::chrono::steady_clock::now());
  }
}

}  // namespace distlog
