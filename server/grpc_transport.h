// Transport over gRPC: this server's own streams to the other members.

#ifndef DISTLOG_SERVER_GRPC_TRANSPORT_H_
#define DISTLOG_SERVER_GRPC_TRANSPORT_H_

#include <array>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/peer_link.h"
#include "server/peer_registry.h"
#include "server/transport.h"

namespace distlog {

// Sends on streams that this server opened (Peer.Connect), one per peer and traffic class, each
// over a connection of its own, so that neither catch-up nor a burst of proposals delays a
// heartbeat. What peers send comes in by PeerService.
//
// Memory per peer is bounded by the queues: 1 MiB control, 48 MiB live (a full window and its
// answers), 16 MiB bulk, each or one message if that is larger, and as much as one stream write
// once more.
class GrpcTransport : public Transport {
 public:
  struct Options {
    PeerLink::Limits control{.bytes = 1 << 20, .messages = 256, .drop_oldest = true};
    PeerLink::Limits live{.bytes = 48 << 20, .messages = 20'000};
    PeerLink::Limits bulk{.bytes = 16 << 20, .messages = 1000};
  };

  // `registry` outlives the transport. `on_regressed` is called, on any thread, when a peer says
  // that this replica holds less than it told before: it must vote no more.
  GrpcTransport(Options options, PeerRegistry* registry,
                std::function<void(const std::string& sentence)> on_regressed);
  ~GrpcTransport() override;

  // Whom to tell of connections. Before SetMembers.
  void SetListener(TransportListener* listener) { listener_ = listener; }

  void SetMembers(const paxos::Configuration& in_force,
                  const std::vector<paxos::Member>& leavers) override;
  // Connects to the members of this newer configuration, too (PeerRegistry::SetHint).
  void SetHint(const paxos::Configuration& hint);
  void Send(std::vector<paxos::Envelope> envelopes) override;

  // The peer was heard from: no need to wait any longer before dialing it.
  void DialSoon(paxos::ReplicaId peer);

  // The members to which no live stream is up.
  std::vector<paxos::Member> Disconnected() const;

  // Ends all streams, and waits until nothing is called back any more. Sends nothing from then on.
  void Stop();

 private:
  static constexpr size_t kClasses = 3;
  using Links = std::array<std::shared_ptr<PeerLink>, kClasses>;  // By v1::TrafficClass.
  struct Peer {
    paxos::Member member;
    Links links;
    bool is_lost = false;  // Told so since it was last connected.
  };

  // Opens and ends links as the registry's peers have changed.
  void Relink();
  Peer MakePeer(const paxos::Member& member);
  void OnUp(const paxos::Member& member, v1::TrafficClass traffic_class);
  void OnDown(const paxos::Member& member, v1::TrafficClass traffic_class,
              const grpc::Status& status, bool was_established);
  void RunDialer();
  void WakeDialer();

  const Options options_;
  PeerRegistry* const registry_;
  const std::function<void(const std::string&)> on_regressed_;
  TransportListener* listener_ = nullptr;

  mutable std::mutex mutex_;  // Never held while a link or the listener is called.
  std::condition_variable changed_;
  std::map<paxos::ReplicaId, Peer> peers_;
  size_t links_ = 0;  // Not yet stopped.
  bool must_dial_ = false;
  bool stopping_ = false;
  std::thread dialer_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_GRPC_TRANSPORT_H_
