// What waits to be sent to one peer in one traffic class, and the stream that carries it.

#ifndef DISTLOG_SERVER_PEER_LINK_H_
#define DISTLOG_SERVER_PEER_LINK_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"
#include "paxos/configuration.h"
#include "paxos/message.h"
#include "proto/distlog/v1/peer.pb.h"
#include "server/peer_registry.h"

namespace distlog {

// Sends in order and drops at will. While it is not connected, nor about to be, it drops
// everything: the core says what matters again after a reconnect, and what is old by then is
// worthless.
//
// Any thread. Its functions call `events` while no lock is held; none is called after `stopped`,
// which comes once, after Close().
class PeerLink : public std::enable_shared_from_this<PeerLink> {
 public:
  using Clock = std::chrono::steady_clock;

  struct Limits {
    size_t bytes = 0;  // One message of any size always fits into an empty queue.
    size_t messages = 0;
    // What to drop when full. The oldest heartbeat is worth least. Of proposals and chosen values
    // the newest go: the peer needs the older ones first, in slot order, and gets the rest again.
    bool drop_oldest = false;
    std::chrono::milliseconds min_backoff{50};
    std::chrono::milliseconds max_backoff{1000};
    std::chrono::milliseconds hello_timeout{5000};
    // Before it calls again one who has said that this replica was removed. Should it be wanted
    // there all the same, it is called from there, and DialSoon().
    std::chrono::milliseconds removed_backoff{30'000};
  };
  struct Events {
    std::function<void()> up;  // The Hello was answered.
    // A stream or an attempt at one has ended. FailedPrecondition, PermissionDenied, DataLoss:
    // refused by Hello, by the peer or here.
    std::function<void(const grpc::Status&, bool was_established)> down;
    std::function<void()> stopped;
  };

  PeerLink(paxos::Member peer, v1::TrafficClass traffic_class, Limits limits,
           PeerRegistry* registry, Events events);
  ~PeerLink();

  // Takes its share of a burst: one stream write carries it if none is under way.
  void Send(std::vector<paxos::Message> messages);

  // Does what is due at `now`: dials, or ends an attempt that takes too long. Returns when to be
  // called next.
  Clock::time_point Tick(Clock::time_point now);

  // Dials at the next Tick: the peer was heard from.
  void DialSoon();

  // Ends the stream, for good.
  void Close();

  bool established() const;

 private:
  class Stream;
  enum class State { kIdle, kConnecting, kEstablished, kClosed };
  struct Queued {
    paxos::Message message;
    size_t bytes = 0;
  };

  void Dial(Clock::time_point now, const v1::Hello& hello);
  void Queue(paxos::Message message);
  void WriteQueued();
  void OnHello(const absl::Status& status);
  void OnStreamDone(const grpc::Status& status);

  const paxos::Member peer_;
  const v1::TrafficClass traffic_class_;
  const Limits limits_;
  PeerRegistry* const registry_;
  const Events events_;

  mutable std::mutex mutex_;
  State state_ = State::kIdle;
  std::shared_ptr<Stream> stream_;
  bool is_telling_ = false;  // events_.down() runs.
  absl::Status refusal_;     // Why the answer to the Hello was not taken.
  std::deque<Queued> queue_;
  size_t queued_bytes_ = 0;
  Clock::time_point due_{};  // kIdle: when to dial. kConnecting: when to give up.
  std::chrono::milliseconds backoff_;
  std::minstd_rand jitter_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_PEER_LINK_H_
