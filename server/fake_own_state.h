// OwnState in memory, for tests.

#ifndef DISTLOG_SERVER_FAKE_OWN_STATE_H_
#define DISTLOG_SERVER_FAKE_OWN_STATE_H_

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/peer_registry.h"
#include "wire/value.h"

namespace distlog {

class FakeOwnState : public OwnState {
 public:
  explicit FakeOwnState(const paxos::Uuid& uuid) { identity_.uuid = uuid; }

  void Assign(const paxos::Configuration& genesis) {
    std::lock_guard lock(mutex_);
    identity_.genesis = genesis;
    identity_.replica = genesis.SeatOf(identity_.uuid);
    identity_.cluster_id = ClusterId(genesis);
  }
  void SetRecovered(const std::vector<v1::RecoveredFrom>& recovered) {
    const std::lock_guard lock(mutex_);
    identity_.recovered = recovered;
  }
  void SetReplica(paxos::ReplicaId replica) {
    std::lock_guard lock(mutex_);
    identity_.replica = replica;
  }
  void SetClusterId(const std::string& cluster_id) {
    std::lock_guard lock(mutex_);
    identity_.cluster_id = cluster_id;
  }
  void SetStart(uint64_t counter, uint64_t nonce) {
    std::lock_guard lock(mutex_);
    identity_.start_counter = counter;
    identity_.start_nonce = nonce;
  }
  void SetHeld(const paxos::Ballot& promised, paxos::Slot accepted_through) {
    std::lock_guard lock(mutex_);
    promised_ = promised;
    accepted_through_ = accepted_through;
  }
  // From now on RememberPeer waits for FinishWrites.
  void HoldWrites() { hold_writes_ = true; }
  void FinishWrites() {
    std::vector<std::function<void()>> writes;
    {
      std::lock_guard lock(mutex_);
      writes.swap(writes_);
    }
    for (const auto& write : writes) write();
  }

  Identity identity() const override {
    std::lock_guard lock(mutex_);
    return identity_;
  }
  paxos::Ballot promised() const override {
    std::lock_guard lock(mutex_);
    return promised_;
  }
  paxos::Slot accepted_through() const override {
    std::lock_guard lock(mutex_);
    return accepted_through_;
  }
  Store::PeerStart RememberedPeer(const paxos::Uuid& peer) const override {
    std::lock_guard lock(mutex_);
    const auto found = remembered_.find(peer);
    return found == remembered_.end() ? Store::PeerStart() : found->second;
  }
  void RememberPeer(const paxos::Uuid& peer, const Store::PeerStart& start,
                    std::function<void(const absl::Status&)> done) override {
    auto write = [this, peer, start, done = std::move(done)] {
      {
        std::lock_guard lock(mutex_);
        remembered_[peer] = start;
      }
      done(absl::OkStatus());
    };
    if (!hold_writes_) {
      write();
      return;
    }
    std::lock_guard lock(mutex_);
    writes_.push_back(std::move(write));
  }

 private:
  mutable std::mutex mutex_;
  Identity identity_;
  paxos::Ballot promised_;
  paxos::Slot accepted_through_ = 0;
  std::map<paxos::Uuid, Store::PeerStart> remembered_;
  bool hold_writes_ = false;
  std::vector<std::function<void()>> writes_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_FAKE_OWN_STATE_H_
