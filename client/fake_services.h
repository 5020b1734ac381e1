// The gRPC services of a fake cluster: what its servers say over the wire.

#ifndef DISTLOG_CLIENT_FAKE_SERVICES_H_
#define DISTLOG_CLIENT_FAKE_SERVICES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/fake_server.h"
#include "grpcpp/server_context.h"
#include "proto/distlog/v1/cluster.grpc.pb.h"
#include "proto/distlog/v1/log.grpc.pb.h"

namespace distlog {

// Of one server of the cluster, by its id. The cluster outlives it.
class FakeLogService final : public v1::Log::Service {
 public:
  FakeLogService(FakeCluster* cluster, uint64_t id) : cluster_(cluster), id_(id) {}

  grpc::Status Append(grpc::ServerContext* context, const v1::AppendRequest* request,
                      v1::AppendResponse* response) override;
  grpc::Status AppendStream(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::AppendStreamResponse, v1::AppendRequest>* stream) override;
  grpc::Status Read(grpc::ServerContext* context, const v1::ReadRequest* request,
                    grpc::ServerWriter<v1::ReadResponse>* writer) override;
  grpc::Status Subscribe(grpc::ServerContext* context, const v1::SubscribeRequest* request,
                         grpc::ServerWriter<v1::ReadResponse>* writer) override;
  grpc::Status End(grpc::ServerContext* context, const v1::EndRequest* request,
                   v1::EndResponse* response) override;
  grpc::Status OpenProducer(grpc::ServerContext* context, const v1::OpenProducerRequest* request,
                            v1::OpenProducerResponse* response) override;

 private:
  absl::Status Take(grpc::ServerContext* context, const v1::AppendRequest& request,
                    v1::AppendResponse* response);
  // Three entries a response, so that a short log takes several.
  grpc::Status Write(const std::vector<std::string>& entries, uint64_t from, uint64_t to,
                     grpc::ServerWriter<v1::ReadResponse>* writer);

  FakeCluster* const cluster_;
  const uint64_t id_;
};

// As FakeLogService.
class FakeClusterService final : public v1::Cluster::Service {
 public:
  FakeClusterService(FakeCluster* cluster, uint64_t id) : cluster_(cluster), id_(id) {}

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

 private:
  grpc::Status Change(grpc::ServerContext* context, const v1::ChangeOptions& options,
                      const std::string& words, v1::ChangeResponse* response);

  FakeCluster* const cluster_;
  const uint64_t id_;
};

}  // namespace distlog

#endif  // DISTLOG_CLIENT_FAKE_SERVICES_H_
