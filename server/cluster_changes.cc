// Changes of members and of the leadership.

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpcpp/client_context.h"
#include "grpcpp/server_context.h"
#include "server/cluster_service.h"
#include "server/forwarder.h"
#include "server/peer_channel.h"
#include "server/plan.h"
#include "server/request.h"
#include "server/survey.h"
#include "server/turn.h"
#include "wire/status.h"
#include "wire/value.h"

namespace distlog {
namespace {

constexpr std::chrono::milliseconds kConnectTimeout{1000};
constexpr std::chrono::milliseconds kPoll{10};
// A successor that does not claim the lead within two rounds leaves it where it is.
constexpr std::chrono::seconds kTransferPatience{5};

grpc::Status Busy() {
  return ToGrpc(NotAppendedError(absl::StatusCode::kResourceExhausted,
                                 "other changes are being asked for here: try again",
                                 v1::ErrorDetail::REASON_BUSY));
}

absl::Status NoLeader(const std::string& why) {
  return NotAppendedError(absl::StatusCode::kUnavailable, why, v1::ErrorDetail::REASON_NO_LEADER);
}

// Waits for the answer that `start` gets by a callback.
template <typename Result>
Result Await(const std::function<void(std::function<void(const Result&)>)>& start) {
  const auto answer = std::make_shared<std::promise<Result>>();
  start([answer](const Result& result) { answer->set_value(result); });
  return answer->get_future().get();
}

}  // namespace

// Once: whoever passed it on looks for the leader.
template <typename Request, typename Response>
absl::Status ClusterService::PassOn(const grpc::ServerContext& context, const Request& request,
                                    Response* response, StubCall<Request, Response> call) const {
  const std::string leader = node_->leader().address;
  if (leader.empty() || context.client_metadata().contains(kForwardedKey)) {
    return NoLeader("there is no leader at the moment: try again");
  }
  const std::shared_ptr<grpc::Channel> channel = DialPeer(leader);
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + kConnectTimeout)) {
    return NoLeader(absl::StrCat("the leader at ", leader, " cannot be reached: try again"));
  }
  grpc::ClientContext onward;
  onward.set_deadline(context.deadline());
  onward.AddMetadata(kForwardedKey, "1");
  const auto stub = v1::Cluster::NewStub(channel);
  return FromGrpc((stub.get()->*call)(&onward, request, response));
}

// ---- Members -----------------------------------------------------------------------------------

template <typename Request>
grpc::Status ClusterService::TakeChange(const grpc::ServerContext& context, const Request& request,
                                        Change change, v1::ChangeResponse* response,
                                        StubCall<Request, v1::ChangeResponse> call) {
  const Turn turn(&changes_, kMaxChanges);
  if (!turn.ok()) return Busy();
  change.options = request.options();
  absl::Status status = node_->CheckNames(change.options.cluster_id(), /*log=*/"");
  if (status.ok()) status = CheckChange(change);
  if (!status.ok()) return ToGrpc(status);
  if (!node_->leader().is_here) return ToGrpc(PassOn(context, request, response, call));
  return ToGrpc(Decide(change, DeadlineOf(context), response));
}

// On the leader.
absl::Status ClusterService::Decide(const Change& change, Deadline deadline,
                                    v1::ChangeResponse* response) {
  const v1::OperationsResponse operations = node_->Operations();
  for (const v1::Operation& operation : operations.operations()) {
    if (change.options.nonce() == 0 || operation.nonce() != change.options.nonce()) continue;
    response->set_operation_id(operation.id());
    return absl::OkStatus();
  }
  v1::StatusResponse status;
  FillSelf(status.mutable_self());
  AskMembers(&status);
  const ClusterView view = ViewOf(status, operations);
  Planned planned = PlanChange(
      change, view,
      ProbeNewcomers(NewcomersOf(change, view.configuration), view, *registry_, deadline));
  *response->mutable_plan() = planned.plan;
  if (change.options.dry_run()) return absl::OkStatus();
  if (!planned.refusal.ok()) return planned.refusal;
  if (!planned.has_effect) return absl::OkStatus();
  const auto begun = Await<absl::StatusOr<uint64_t>>([&](Node::BeginCallback done) {
    node_->BeginOperation(std::move(planned.command), deadline, std::move(done));
  });
  if (!begun.ok()) return begun.status();
  response->set_operation_id(*begun);
  return absl::OkStatus();
}

grpc::Status ClusterService::AddMember(grpc::ServerContext* context,
                                       const v1::AddMemberRequest* request,
                                       v1::ChangeResponse* response) {
  return TakeChange(*context, *request,
                    {.verb = v1::Operation::VERB_ADD,
                     .addresses = {request->address()},
                     .learner = request->learner()},
                    response, &v1::Cluster::StubInterface::AddMember);
}

grpc::Status ClusterService::RemoveMember(grpc::ServerContext* context,
                                          const v1::RemoveMemberRequest* request,
                                          v1::ChangeResponse* response) {
  return TakeChange(*context, *request,
                    {.verb = v1::Operation::VERB_REMOVE, .id = request->id(), .addresses = {}},
                    response, &v1::Cluster::StubInterface::RemoveMember);
}

grpc::Status ClusterService::ReplaceMember(grpc::ServerContext* context,
                                           const v1::ReplaceMemberRequest* request,
                                           v1::ChangeResponse* response) {
  return TakeChange(
      *context, *request,
      {.verb = v1::Operation::VERB_REPLACE, .id = request->id(), .addresses = {request->address()}},
      response, &v1::Cluster::StubInterface::ReplaceMember);
}

grpc::Status ClusterService::PromoteMember(grpc::ServerContext* context,
                                           const v1::PromoteMemberRequest* request,
                                           v1::ChangeResponse* response) {
  return TakeChange(*context, *request,
                    {.verb = v1::Operation::VERB_PROMOTE, .id = request->id(), .addresses = {}},
                    response, &v1::Cluster::StubInterface::PromoteMember);
}

grpc::Status ClusterService::SetMembers(grpc::ServerContext* context,
                                        const v1::SetMembersRequest* request,
                                        v1::ChangeResponse* response) {
  return TakeChange(*context, *request,
                    {.verb = v1::Operation::VERB_SET,
                     .addresses = {request->addresses().begin(), request->addresses().end()}},
                    response, &v1::Cluster::StubInterface::SetMembers);
}

// ---- Operations --------------------------------------------------------------------------------

grpc::Status ClusterService::Operations(grpc::ServerContext* context,
                                        const v1::OperationsRequest* request,
                                        v1::OperationsResponse* response) {
  const Turn turn(&statuses_, kMaxStatuses);
  if (!turn.ok()) return Busy();
  if (absl::Status status = node_->CheckNames(request->cluster_id(), /*log=*/""); !status.ok())
    return ToGrpc(status);
  const bool is_leader = node_->leader().is_here;
  if (!is_leader && !context->client_metadata().contains(kForwardedKey)) {
    const absl::Status passed =
        PassOn(*context, *request, response, &v1::Cluster::StubInterface::Operations);
    // What is known here is better than nothing, but not than what the leader says.
    if (passed.ok() || absl::IsNotFound(passed)) return ToGrpc(passed);
  }
  *response = node_->Operations();
  response->set_from_leader(is_leader);
  if (request->id() == 0) return grpc::Status::OK;
  v1::OperationsResponse all;
  all.Swap(response);
  response->mutable_configuration()->Swap(all.mutable_configuration());
  response->set_settled(all.settled());
  response->set_from_leader(is_leader);
  for (v1::Operation& operation : *all.mutable_operations()) {
    if (operation.id() == request->id()) response->add_operations()->Swap(&operation);
  }
  if (response->operations_size() > 0) return grpc::Status::OK;
  return ToGrpc(absl::NotFoundError(absl::StrCat("there is no operation ", request->id(),
                                                 ", or it is too old to be known: see `distlog "
                                                 "member ops`")));
}

grpc::Status ClusterService::CancelOperation(grpc::ServerContext* context,
                                             const v1::CancelOperationRequest* request,
                                             v1::CancelOperationResponse* response) {
  const Turn turn(&changes_, kMaxChanges);
  if (!turn.ok()) return Busy();
  if (absl::Status status = node_->CheckNames(request->cluster_id(), /*log=*/""); !status.ok())
    return ToGrpc(status);
  if (!node_->leader().is_here) {
    return ToGrpc(
        PassOn(*context, *request, response, &v1::Cluster::StubInterface::CancelOperation));
  }
  return ToGrpc(Await<absl::Status>([&](Node::CancelCallback done) {
    node_->CancelOperation(request->id(), DeadlineOf(*context), std::move(done));
  }));
}

grpc::Status ClusterService::History(grpc::ServerContext*, const v1::HistoryRequest* request,
                                     v1::HistoryResponse* response) {
  const Turn turn(&statuses_, kMaxStatuses);
  if (!turn.ok()) return Busy();
  const absl::Status status = node_->CheckNames(request->cluster_id(), /*log=*/"");
  if (!status.ok()) return ToGrpc(status);
  *response = node_->History();
  const int surplus = request->limit() == 0 || response->terms_size() <= 0
                          ? 0
                          : response->terms_size() - static_cast<int>(std::min<uint32_t>(
                                                         request->limit(), response->terms_size()));
  response->mutable_terms()->DeleteSubrange(0, surplus);
  return grpc::Status::OK;
}

// ---- The leadership ----------------------------------------------------------------------------

grpc::Status ClusterService::TransferLeadership(grpc::ServerContext* context,
                                                const v1::TransferLeadershipRequest* request,
                                                v1::TransferLeadershipResponse* response) {
  const Turn turn(&changes_, kMaxChanges);
  if (!turn.ok()) return Busy();
  if (absl::Status status = node_->CheckNames(request->cluster_id(), /*log=*/""); !status.ok())
    return ToGrpc(status);
  if (!node_->leader().is_here) {
    return ToGrpc(
        PassOn(*context, *request, response, &v1::Cluster::StubInterface::TransferLeadership));
  }
  return ToGrpc(HandOver(*context, paxos::ReplicaId{request->to()}, response));
}

absl::Status ClusterService::HandOver(const grpc::ServerContext& context, paxos::ReplicaId to,
                                      v1::TransferLeadershipResponse* response) {
  const paxos::ReplicaId self = registry_->self();
  response->set_from_id(static_cast<uint64_t>(self));
  if (to != self) {
    if (absl::Status status = node_->TransferLeadership(to); !status.ok()) return status;
  }
  const Deadline deadline =
      std::min(DeadlineOf(context), std::chrono::steady_clock::now() + kTransferPatience);
  while (std::chrono::steady_clock::now() < deadline && !context.IsCancelled()) {
    v1::ServerStatus status;
    node_->FillStatus(&status);
    const bool is_over = status.leader_id() != 0 &&
                         (to == self || status.leader_id() != static_cast<uint64_t>(self));
    if (is_over) {
      const absl::StatusOr<Serving> serving = WaitForLeader(context, deadline);
      if (!serving.ok()) return serving.status();
      node_->FillStatus(&status);
      response->set_to_id(status.leader_id());
      *response->mutable_ballot() = status.ballot();
      return absl::OkStatus();
    }
    std::this_thread::sleep_for(kPoll);
  }
  return NoLeader(absl::StrCat("replica ", paxos::ToString(self),
                               " was told to hand the lead over, and nobody has taken it: see "
                               "`distlog election status`, then try again"));
}

}  // namespace distlog
