#include "client/fake_services.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "wire/status.h"

namespace distlog {
namespace {

// What a leader does with a request that changes something, with the next fault of the script.
template <typename Apply>
absl::Status WithFault(FakeCluster* cluster, uint64_t id, const std::string& cluster_id,
                       grpc::ServerContext* context, const Apply& apply) {
  if (absl::Status status = cluster->RefuseUnlessLeader(id, cluster_id); !status.ok()) {
    return status;
  }
  const Fault fault = cluster->NextFault();
  if (fault == Fault::kRefuse) {
    v1::ErrorDetail detail;
    detail.set_not_appended(true);
    detail.set_reason(v1::ErrorDetail::REASON_NO_LEADER);
    return RefusalError(detail);
  }
  if (fault == Fault::kFail) return absl::UnavailableError("cut before");
  if (absl::Status status = apply(); !status.ok()) return status;
  if (fault == Fault::kFailAfter) return absl::UnavailableError("cut after");
  if (fault == Fault::kMove) {
    cluster->Move();
    return absl::UnavailableError("moved");
  }
  while (fault == Fault::kHang && !context->IsCancelled()) absl::SleepFor(absl::Milliseconds(2));
  return absl::OkStatus();
}

}  // namespace

grpc::Status FakeLogService::Append(grpc::ServerContext* context, const v1::AppendRequest* request,
                                    v1::AppendResponse* response) {
  return ToGrpc(Take(context, *request, response));
}

grpc::Status FakeLogService::AppendStream(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<v1::AppendStreamResponse, v1::AppendRequest>* stream) {
  v1::AppendRequest request;
  while (stream->Read(&request)) {
    v1::AppendStreamResponse answer;
    const absl::Status status = Take(context, request, answer.add_responses());
    if (!status.ok()) return ToGrpc(status);
    if (!stream->Write(answer)) break;
  }
  return grpc::Status::OK;
}

grpc::Status FakeLogService::Read(grpc::ServerContext*, const v1::ReadRequest* request,
                                  grpc::ServerWriter<v1::ReadResponse>* writer) {
  // Whom a local read asks may not be known yet.
  if (request->consistency() != v1::CONSISTENCY_LOCAL) {
    const absl::Status status = cluster_->RefuseOthers(request->cluster_id());
    if (!status.ok()) return ToGrpc(status);
  }
  const std::vector<std::string> entries = cluster_->entries();
  uint64_t to = request->to() == 0 ? entries.size() : request->to();
  to = std::min<uint64_t>(to, entries.size());
  const uint64_t from = std::max<uint64_t>(request->from(), 1);
  if (request->count() != 0) to = std::min(to, from + request->count() - 1);
  return Write(entries, from, to, writer);
}

grpc::Status FakeLogService::Subscribe(grpc::ServerContext* context,
                                       const v1::SubscribeRequest* request,
                                       grpc::ServerWriter<v1::ReadResponse>* writer) {
  const absl::Status status = cluster_->RefuseOthers(request->cluster_id());
  if (!status.ok()) return ToGrpc(status);
  uint64_t next = request->from();
  absl::Time last_news = absl::Now();
  while (!context->IsCancelled()) {
    const std::vector<std::string> entries = cluster_->entries();
    if (const grpc::Status status = Write(entries, next, entries.size(), writer); !status.ok()) {
      return status;
    }
    if (next <= entries.size()) {
      next = entries.size() + 1;
      last_news = absl::Now();
    }
    if (absl::Now() - last_news >= FakeCluster::kIdle) cluster_->Idled();
    absl::SleepFor(absl::Milliseconds(5));
  }
  return grpc::Status::CANCELLED;
}

grpc::Status FakeLogService::End(grpc::ServerContext*, const v1::EndRequest* request,
                                 v1::EndResponse* response) {
  if (const absl::Status status = cluster_->RefuseUnlessLeader(id_, request->cluster_id());
      !status.ok()) {
    return ToGrpc(status);
  }
  response->set_first_position(1);
  response->set_last_position(cluster_->entries().size());
  return grpc::Status::OK;
}

grpc::Status FakeLogService::OpenProducer(grpc::ServerContext*,
                                          const v1::OpenProducerRequest* request,
                                          v1::OpenProducerResponse* response) {
  if (const absl::Status status = cluster_->RefuseUnlessLeader(id_, request->cluster_id());
      !status.ok()) {
    return ToGrpc(status);
  }
  return ToGrpc(cluster_->Open(*request, response));
}

absl::Status FakeLogService::Take(grpc::ServerContext* context, const v1::AppendRequest& request,
                                  v1::AppendResponse* response) {
  return WithFault(cluster_, id_, request.cluster_id(), context,
                   [&] { return cluster_->Apply(request, response); });
}

grpc::Status FakeLogService::Write(const std::vector<std::string>& entries, uint64_t from,
                                   uint64_t to, grpc::ServerWriter<v1::ReadResponse>* writer) {
  while (from <= to) {
    const Fault fault = cluster_->NextFault();
    if (fault == Fault::kDamaged) return ToGrpc(absl::DataLossError("damaged"));
    if (fault != Fault::kNone) return ToGrpc(absl::UnavailableError("cut"));
    v1::ReadResponse response;
    response.set_first_position(1);
    response.set_last_position(entries.size());
    for (int i = 0; i < 3 && from <= to; ++i, ++from) {
      v1::Entry* entry = response.add_entries();
      entry->set_position(from);
      entry->set_payload(entries[from - 1]);
      entry->set_timestamp_ms(1700000000000 + from);
    }
    writer->Write(response);
  }
  return grpc::Status::OK;
}

grpc::Status FakeClusterService::Init(grpc::ServerContext*, const v1::InitRequest* request,
                                      v1::InitResponse* response) {
  return ToGrpc(cluster_->Form(*request, response));
}

grpc::Status FakeClusterService::Status(grpc::ServerContext*, const v1::StatusRequest* request,
                                        v1::StatusResponse* response) {
  *response = cluster_->FullStatus(id_);
  if (request->self_only()) response->clear_members();
  return grpc::Status::OK;
}

grpc::Status FakeClusterService::Change(grpc::ServerContext* context,
                                        const v1::ChangeOptions& options, const std::string& words,
                                        v1::ChangeResponse* response) {
  return ToGrpc(WithFault(cluster_, id_, options.cluster_id(), context, [&] {
    return cluster_->membership().Change(options, words, cluster_->configuration(), response);
  }));
}

grpc::Status FakeClusterService::AddMember(grpc::ServerContext* context,
                                           const v1::AddMemberRequest* request,
                                           v1::ChangeResponse* response) {
  return Change(context, request->options(),
                absl::StrCat("add ", request->address(), request->learner() ? " as a learner" : ""),
                response);
}

grpc::Status FakeClusterService::RemoveMember(grpc::ServerContext* context,
                                              const v1::RemoveMemberRequest* request,
                                              v1::ChangeResponse* response) {
  return Change(context, request->options(), absl::StrCat("remove replica ", request->id()),
                response);
}

grpc::Status FakeClusterService::ReplaceMember(grpc::ServerContext* context,
                                               const v1::ReplaceMemberRequest* request,
                                               v1::ChangeResponse* response) {
  return Change(context, request->options(),
                absl::StrCat("replace replica ", request->id(), " by ", request->address()),
                response);
}

grpc::Status FakeClusterService::PromoteMember(grpc::ServerContext* context,
                                               const v1::PromoteMemberRequest* request,
                                               v1::ChangeResponse* response) {
  return Change(context, request->options(), absl::StrCat("promote replica ", request->id()),
                response);
}

grpc::Status FakeClusterService::SetMembers(grpc::ServerContext* context,
                                            const v1::SetMembersRequest* request,
                                            v1::ChangeResponse* response) {
  return Change(context, request->options(),
                absl::StrCat("set ", absl::StrJoin(request->addresses(), ", ")), response);
}

grpc::Status FakeClusterService::Operations(grpc::ServerContext*,
                                            const v1::OperationsRequest* request,
                                            v1::OperationsResponse* response) {
  if (absl::Status status = cluster_->RefuseOthers(request->cluster_id()); !status.ok()) {
    return ToGrpc(status);
  }
  if (cluster_->membership().HasLeft(id_)) {
    return ToGrpc(absl::FailedPreconditionError("this replica was removed"));
  }
  cluster_->membership().Tell(cluster_->leader() == id_, response);
  *response->mutable_configuration() = cluster_->configuration();
  if (request->id() == 0) return grpc::Status::OK;
  const v1::OperationsResponse all = *response;
  response->clear_operations();
  for (const v1::Operation& operation : all.operations()) {
    if (operation.id() == request->id()) *response->add_operations() = operation;
  }
  return grpc::Status::OK;
}

grpc::Status FakeClusterService::CancelOperation(grpc::ServerContext* context,
                                                 const v1::CancelOperationRequest* request,
                                                 v1::CancelOperationResponse*) {
  return ToGrpc(WithFault(cluster_, id_, request->cluster_id(), context,
                          [&] { return cluster_->membership().Cancel(request->id()); }));
}

grpc::Status FakeClusterService::TransferLeadership(grpc::ServerContext* context,
                                                    const v1::TransferLeadershipRequest* request,
                                                    v1::TransferLeadershipResponse* response) {
  return ToGrpc(WithFault(cluster_, id_, request->cluster_id(), context,
                          [&] { return cluster_->Transfer(request->to(), response); }));
}

grpc::Status FakeClusterService::History(grpc::ServerContext*, const v1::HistoryRequest* request,
                                         v1::HistoryResponse* response) {
  *response = cluster_->History(request->limit());
  return grpc::Status::OK;
}

}  // namespace distlog
