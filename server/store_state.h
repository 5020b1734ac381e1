// OwnState of a server: what its store and its node know.

#ifndef DISTLOG_SERVER_STORE_STATE_H_
#define DISTLOG_SERVER_STORE_STATE_H_

#include <functional>

#include "log/store.h"
#include "server/peer_registry.h"

namespace distlog {

// `store` outlives it. `post` runs a task on the thread that alone may write to the store.
class StoreState : public OwnState {
 public:
  using Post = std::function<void(std::function<void(Store*)>)>;
  explicit StoreState(Store* store) : store_(store) {}
  // Before the first RememberPeer.
  void SetPost(Post post) { post_ = std::move(post); }

  Identity identity() const override { return store_->identity(); }
  // What was found at the start: everything that an earlier process told, and it is those who
  // remember that one who ask.
  paxos::Ballot promised() const override { return store_->recovered().promised; }
  paxos::Slot accepted_through() const override { return store_->accepted_through(); }
  Store::PeerStart RememberedPeer(const paxos::Uuid& peer) const override {
    return store_->RememberedPeer(peer);
  }
  void RememberPeer(const paxos::Uuid& peer, const Store::PeerStart& start,
                    std::function<void(const absl::Status&)> done) override {
    post_([peer, start, done = std::move(done)](Store* store) {
      done(store->RememberPeer(peer, start));
    });
  }

 private:
  Store* const store_;
  Post post_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_STORE_STATE_H_
