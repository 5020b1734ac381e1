// The client API of the cluster itself: forming it, its status, its members and its leader.

#ifndef DISTLOG_SERVER_CLUSTER_SERVICE_H_
#define DISTLOG_SERVER_CLUSTER_SERVICE_H_

#include <atomic>
#include <string>

#include "proto/distlog/v1/cluster.grpc.pb.h"
#include "server/formation.h"
#include "server/node.h"
#include "server/peer_registry.h"
#include "server/plan.h"
#include "server/scrubber.h"

namespace distlog {

// The service Cluster. Its calls block a thread each: it is served by gRPC's synchronous threads.
class ClusterService : public v1::Cluster::Service {
 public:
  // At most so many calls of Init at once, and of those that ask other servers or tell much.
  static constexpr int kMaxInits = 2;
  static constexpr int kMaxStatuses = 16;
  // Changes of members or of the leadership, and cancellations.
  static constexpr int kMaxChanges = 4;

  // `address` is as advertised. The others outlive the service.
  ClusterService(std::string address, Node* node, PeerRegistry* registry, const Scrubber* scrubber);

  grpc::Status Init(grpc::ServerContext* context, const v1::InitRequest* request,
                    v1::InitResponse* response) override;
  grpc::Status Status(grpc::ServerContext* context, const v1::StatusRequest* request,
                      v1::StatusResponse* response) override;

  grpc::Status AddMember(grpc::ServerContext* context, const v1::AddMemberRequest* request,
                         v1::ChangeResponse* response) override;
  grpc::Status RemoveMember(grpc::ServerContext* context, const v1::RemoveMemberRequest* request,
                            v1::ChangeResponse* response) override;
  grpc::Status ReplaceMember(grpc::ServerContext* context, const v1::ReplaceMemberRequest* request,
                             v1::ChangeResponse* response) override;
  grpc::Status PromoteMember(grpc::ServerContext* context, const v1::PromoteMemberRequest* request,
                             v1::ChangeResponse* response) override;
  grpc::Status SetMembers(grpc::ServerContext* context, const v1::SetMembersRequest* request,
                          v1::ChangeResponse* response) override;
  grpc::Status Operations(grpc::ServerContext* context, const v1::OperationsRequest* request,
                          v1::OperationsResponse* response) override;
  grpc::Status CancelOperation(grpc::ServerContext* context,
                               const v1::CancelOperationRequest* request,
                               v1::CancelOperationResponse* response) override;
  grpc::Status TransferLeadership(grpc::ServerContext* context,
                                  const v1::TransferLeadershipRequest* request,
                                  v1::TransferLeadershipResponse* response) override;
  grpc::Status History(grpc::ServerContext* context, const v1::HistoryRequest* request,
                       v1::HistoryResponse* response) override;

  // What this server says of itself. Any thread.
  void FillSelf(v1::ServerStatus* status) const;

 private:
  template <typename Request, typename Response>
  using StubCall = grpc::Status (v1::Cluster::StubInterface::*)(grpc::ClientContext*,
                                                                const Request&, Response*);

  static Deadline DeadlineOf(const grpc::ServerContext& context);
  absl::Status CheckOwn(const std::vector<std::string>& addresses) const;
  struct Serving {
    uint64_t leader_id = 0;
    Node::Bounds bounds;
  };
  absl::StatusOr<Serving> WaitForLeader(const grpc::ServerContext& context, Deadline deadline);
  // Fills in what each member of its configuration says of itself.
  static void AskMembers(v1::StatusResponse* response);

  // ---- cluster_changes.cc ----
  template <typename Request, typename Response>
  absl::Status PassOn(const grpc::ServerContext& context, const Request& request,
                      Response* response, StubCall<Request, Response> call) const;
  template <typename Request>
  grpc::Status TakeChange(const grpc::ServerContext& context, const Request& request, Change change,
                          v1::ChangeResponse* response, StubCall<Request, v1::ChangeResponse> call);
  absl::Status Decide(const Change& change, Deadline deadline, v1::ChangeResponse* response);
  absl::Status HandOver(const grpc::ServerContext& context, paxos::ReplicaId to,
                        v1::TransferLeadershipResponse* response);

  const std::string address_;
  Node* const node_;
  PeerRegistry* const registry_;
  const Scrubber* const scrubber_;
  std::atomic<int> inits_ = 0;
  std::atomic<int> statuses_ = 0;
  std::atomic<int> changes_ = 0;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_CLUSTER_SERVICE_H_
