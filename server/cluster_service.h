// The client API of the cluster itself: Init and Status.

#ifndef DISTLOG_SERVER_CLUSTER_SERVICE_H_
#define DISTLOG_SERVER_CLUSTER_SERVICE_H_

#include <atomic>
#include <string>

#include "proto/distlog/v1/cluster.grpc.pb.h"
#include "server/formation.h"
#include "server/node.h"
#include "server/peer_registry.h"
#include "server/scrubber.h"

namespace distlog {

// The service Cluster. Its calls block a thread each: it is served by gRPC's synchronous threads.
class ClusterService : public v1::Cluster::Service {
 public:
  // At most so many calls of Init at once, and of Status that ask other servers.
  static constexpr int kMaxInits = 2;
  static constexpr int kMaxStatuses = 16;

  // `address` is as advertised. The others outlive the service.
  ClusterService(std::string address, Node* node, PeerRegistry* registry, const Scrubber* scrubber);

  grpc::Status Init(grpc::ServerContext* context, const v1::InitRequest* request,
                    v1::InitResponse* response) override;
  grpc::Status Status(grpc::ServerContext* context, const v1::StatusRequest* request,
                      v1::StatusResponse* response) override;

  // What this server says of itself. Any thread.
  void FillSelf(v1::ServerStatus* status) const;

 private:
  absl::Status CheckOwn(const std::vector<std::string>& addresses) const;
  struct Serving {
    uint64_t leader_id = 0;
    Node::Bounds bounds;
  };
  absl::StatusOr<Serving> WaitForLeader(const grpc::ServerContext& context, Deadline deadline);

  const std::string address_;
  Node* const node_;
  PeerRegistry* const registry_;
  const Scrubber* const scrubber_;
  std::atomic<int> inits_ = 0;
  std::atomic<int> statuses_ = 0;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_CLUSTER_SERVICE_H_
