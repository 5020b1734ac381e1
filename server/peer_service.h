// What other servers may ask of this one.

#ifndef DISTLOG_SERVER_PEER_SERVICE_H_
#define DISTLOG_SERVER_PEER_SERVICE_H_

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "paxos/configuration.h"
#include "proto/distlog/v1/peer.grpc.pb.h"
#include "server/peer_registry.h"
#include "server/stream_count.h"
#include "server/transport.h"

namespace distlog {

// The service Peer. Messages reach the listener with `from` and `to` as the Hello proved them; what
// a message says of itself is never believed.
class PeerService : public v1::Peer::WithCallbackMethod_Connect<v1::Peer::Service> {
 public:
  struct Host {
    // All of them may block for the disk.
    std::function<void(v1::ProbeResponse*)> probe;
    // Whether it was new. What is given is well-formed.
    std::function<absl::StatusOr<bool>(const paxos::Configuration& genesis,
                                       const std::vector<v1::RecoveredFrom>& recovered,
                                       const std::optional<paxos::Configuration>& configuration)>
        assign;
    // Probes the server at that address, soon or not at all.
    std::function<absl::StatusOr<v1::ProbeResponse>(const std::string& address)> reach;
    // Values of chosen slots from `first` to `through` at most.
    std::function<absl::StatusOr<std::vector<paxos::AcceptedValue>>(paxos::Slot first,
                                                                    paxos::Slot through)>
        read_chosen;
    // A peer's Hello was taken: it is alive.
    std::function<void(paxos::ReplicaId)> heard;
  };

  // Streams whose Hello has not been taken, at most: a new one ends the oldest.
  static constexpr size_t kMaxPending = 64;
  // Calls of Fetch at once, each with some MiB.
  static constexpr int kMaxFetches = 4;
  // Calls of Reach at once, each with a thread for a second or two.
  static constexpr int kMaxReaches = 8;

  // `registry` and `listener` outlive the service, and the service outlives its server.
  PeerService(Host host, PeerRegistry* registry, TransportListener* listener);
  ~PeerService() override;

  // Ends all streams, and every new one: the server stops.
  void CloseStreams();

  grpc::ServerBidiReactor<v1::PeerFrame, v1::PeerFrame>* Connect(
      grpc::CallbackServerContext* context) override;
  grpc::Status Probe(grpc::ServerContext* context, const v1::ProbeRequest* request,
                     v1::ProbeResponse* response) override;
  grpc::Status Assign(grpc::ServerContext* context, const v1::AssignRequest* request,
                      v1::AssignResponse* response) override;
  grpc::Status Reach(grpc::ServerContext* context, const v1::ReachRequest* request,
                     v1::ReachResponse* response) override;
  grpc::Status Fetch(grpc::ServerContext* context, const v1::FetchRequest* request,
                     v1::FetchResponse* response) override;

 private:
  class Stream;
  using Key = std::pair<paxos::Uuid, v1::TrafficClass>;

  void Pend(const std::shared_ptr<Stream>& stream);
  void Establish(const std::shared_ptr<Stream>& stream, const Key& key);
  void Forget(const Stream* stream);
  absl::StatusOr<paxos::Member> Admit(const grpc::ServerContext& context, const v1::Hello& hello);

  const Host host_;
  PeerRegistry* const registry_;
  TransportListener* const listener_;
  std::mutex mutex_;                            // Never held while a stream is called.
  std::list<std::shared_ptr<Stream>> pending_;  // Oldest first.
  std::map<Key, std::shared_ptr<Stream>> established_;
  bool closed_ = false;
  StreamCount fetches_{kMaxFetches};
  StreamCount reaches_{kMaxReaches};
};

// The genesis that a message holds. InvalidArgument if it is not as MakeGenesis makes it.
absl::StatusOr<paxos::Configuration> GenesisFromProto(const v1::Genesis& message);
// What the cluster has gone through since that genesis. InvalidArgument: CheckRecovered.
absl::StatusOr<std::vector<v1::RecoveredFrom>> RecoveredFromProto(
    const v1::Genesis& message, const paxos::Configuration& genesis);
v1::Genesis GenesisToProto(const paxos::Configuration& genesis,
                           const std::vector<v1::RecoveredFrom>& recovered = {});

}  // namespace distlog

#endif  // DISTLOG_SERVER_PEER_SERVICE_H_
