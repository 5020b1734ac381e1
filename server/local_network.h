// Nodes joined within one process, for tests.

#ifndef DISTLOG_SERVER_LOCAL_NETWORK_H_
#define DISTLOG_SERVER_LOCAL_NETWORK_H_

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "log/store.h"
#include "server/node.h"
#include "server/transport.h"
#include "wire/value.h"

namespace distlog {

// Hands messages from node to node, unless one of the two is cut off.
class LocalNetwork {
 public:
  // The transport of one node.
  class Port : public Transport {
   public:
    Port(LocalNetwork* network, size_t index) : network_(network), index_(index) {}
    void SetMembers(const paxos::Configuration& in_force,
                    const std::vector<paxos::Member>& /*leavers*/) override {
      network_->SetMembers(index_, in_force);
    }
    void Send(std::vector<paxos::Envelope> envelopes) override {
      for (paxos::Envelope& envelope : envelopes) network_->Deliver(std::move(envelope));
    }

   private:
    LocalNetwork* const network_;
    const size_t index_;
  };

  void Attach(paxos::ReplicaId id, Node* node) {
    std::vector<std::pair<Node*, paxos::ReplicaId>> connected;
    {
      std::lock_guard lock(mutex_);
      nodes_[id] = node;
      for (const auto& [other, peer] : nodes_) {
        if (other == id) continue;
        connected.emplace_back(peer, id);
        connected.emplace_back(node, other);
      }
    }
    for (const auto& [to, peer] : connected) to->OnPeerConnected(peer);
  }

  void Detach(paxos::ReplicaId id) {
    std::vector<Node*> left;
    {
      std::lock_guard lock(mutex_);
      nodes_.erase(id);
      for (const auto& [other, node] : nodes_) left.push_back(node);
    }
    for (Node* node : left) node->OnPeerLost(id);
  }

  void CutOff(paxos::ReplicaId id, bool cut_off) {
    std::lock_guard lock(mutex_);
    if (cut_off) {
      cut_off_.insert(id);
    } else {
      cut_off_.erase(id);
    }
  }

  // Loses what `drop` says of it. Null: nothing.
  void Drop(std::function<bool(const paxos::Message&)> drop) {
    std::lock_guard lock(mutex_);
    drop_ = std::move(drop);
  }

  uint64_t members_set(size_t index) const {
    std::lock_guard lock(mutex_);
    const auto found = members_set_.find(index);
    return found == members_set_.end() ? 0 : found->second;
  }

 private:
  void SetMembers(size_t index, const paxos::Configuration& configuration) {
    std::lock_guard lock(mutex_);
    members_set_[index] = configuration.version;
  }

  void Deliver(paxos::Envelope envelope) {
    // Held meanwhile, so that a node that was detached gets nothing more.
    std::lock_guard lock(mutex_);
    const auto to = nodes_.find(envelope.to);
    if (to == nodes_.end() || cut_off_.contains(envelope.from) || cut_off_.contains(envelope.to)) {
      return;
    }
    if (drop_ != nullptr && drop_(envelope.message)) return;
    std::vector<paxos::Envelope> one;
    one.push_back(std::move(envelope));
    to->second->OnReceive(std::move(one));
  }

  mutable std::mutex mutex_;
  std::map<paxos::ReplicaId, Node*> nodes_;
  std::set<paxos::ReplicaId> cut_off_;
  std::function<bool(const paxos::Message&)> drop_;
  std::map<size_t, uint64_t> members_set_;
};

// Some nodes over real stores in fresh directories, assigned to one cluster. The replica id of the
// node of index i is i + 1.
class LocalCluster {
 public:
  explicit LocalCluster(size_t size, Store::Options store_options = {},
                        Node::Limits limits = Node::Limits(),
                        std::vector<std::string> addresses = {}, paxos::Options protocol = {})
      : store_options_(store_options),
        limits_(limits),
        protocol_(protocol),
        addresses_(std::move(addresses)) {
    static int clusters = 0;
    const std::string dir = testing::TempDir() + "/cluster" + std::to_string(getpid()) + "_" +
                            std::to_string(++clusters);
    for (size_t i = 0; i < size; ++i) {
      if (addresses_.size() <= i) addresses_.push_back("127.0.0.1:" + std::to_string(1001 + i));
      dirs_.push_back(dir + "_" + std::to_string(i + 1));
      ports_.push_back(std::make_unique<LocalNetwork::Port>(&network_, i));
      nodes_.emplace_back();
      EXPECT_EQ(Store::Format(store_options_, dirs_[i]), absl::OkStatus());
      Open(i);
    }
  }
  ~LocalCluster() {
    for (size_t i = 0; i < nodes_.size(); ++i) Stop(i, std::chrono::milliseconds(0));
  }

  // Forms the cluster.
  void Assign() {
    std::vector<paxos::Member> members;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      members.push_back({{}, nodes_[i]->identity().uuid, addresses_[i], true});
    }
    genesis_ = MakeGenesis(members).value();
    for (auto& node : nodes_) {
      ASSERT_EQ(node->Assign(genesis_, ClusterId(genesis_)), absl::OkStatus());
    }
    for (size_t i = 0; i < nodes_.size(); ++i) network_.Attach(IdOf(i), nodes_[i].get());
  }

  Node& node(size_t index) { return *nodes_[index]; }
  LocalNetwork& network() { return network_; }
  const paxos::Configuration& genesis() const { return genesis_; }
  size_t size() const { return nodes_.size(); }
  static paxos::ReplicaId IdOf(size_t index) { return paxos::ReplicaId{index + 1}; }

  // Of a leader that serves. Waits for one among those that run.
  size_t Leader() {
    size_t leader = SIZE_MAX;
    WaitFor([&] {
      for (size_t i = 0; i < nodes_.size(); ++i) {
        if (nodes_[i] != nullptr && nodes_[i]->leader().is_here) leader = i;
      }
      return leader != SIZE_MAX;
    });
    return leader;
  }

  void Stop(size_t index, std::chrono::milliseconds patience) {
    if (nodes_[index] == nullptr) return;
    if (patience.count() > 0) nodes_[index]->Stop(patience);
    network_.Detach(IdOf(index));
    nodes_[index].reset();
  }

  void Restart(size_t index) {
    Open(index);
    network_.Attach(IdOf(index), nodes_[index].get());
  }

  // Polls until `condition` holds.
  static void WaitFor(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "it never came to that";
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

 private:
  void Open(size_t index) {
    auto store = Store::Open(store_options_, dirs_[index]);
    ASSERT_EQ(store.status(), absl::OkStatus());
    Node::Options options;
    options.limits = limits_;
    options.protocol = protocol_;
    options.address = addresses_[index];
    options.data_dir = dirs_[index];
    nodes_[index] = std::make_unique<Node>(options, *std::move(store), ports_[index].get());
    ASSERT_EQ(nodes_[index]->Start(), absl::OkStatus());
  }

  const Store::Options store_options_;
  const Node::Limits limits_;
  const paxos::Options protocol_;
  std::vector<std::string> addresses_;
  std::vector<std::string> dirs_;
  LocalNetwork network_;
  std::vector<std::unique_ptr<LocalNetwork::Port>> ports_;
  std::vector<std::unique_ptr<Node>> nodes_;
  paxos::Configuration genesis_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_LOCAL_NETWORK_H_
