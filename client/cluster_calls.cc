// The calls of Client that ask about members and leadership, and change them.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/client.h"
#include "client/members.h"
#include "client/repeat.h"
#include "client/verdict.h"
#include "proto/distlog/v1/cluster.grpc.pb.h"
#include "wire/status.h"

namespace distlog {
namespace {

// Only a server says these, and it says them before it changes anything.
bool IsRefusal(const absl::Status& status) {
  if (ProvesNotAppended(status)) return true;
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

// Whether the same request may be taken elsewhere or later. ABORTED is not: of a change it says
// that the configuration has moved on.
bool IsWorthRepeating(const absl::Status& error) {
  return MayPass(error) && error.code() != absl::StatusCode::kAborted;
}

// Makes attempts until one is final. `repeatable`: a second copy of the request does no harm.
// `send(target, attempt_deadline)` makes one attempt.
template <typename Response, typename Send>
void Try(Members& members, absl::Duration timeout, absl::Duration attempt_timeout, bool repeatable,
         const Send& send, ClusterResult<Response>* result) {
  const absl::Time deadline = absl::Now() + timeout;
  Backoff backoff(members.NextSeed());
  absl::Status& last = result->status;
  do {
    const absl::StatusOr<Target> target = members.Find(deadline);
    if (!target.ok()) {
      last = target.status();
      break;
    }
    last = send(*target, std::min(deadline, absl::Now() + attempt_timeout));
    if (last.ok()) {
      result->outcome = Outcome::kDone;
      return;
    }
    members.Failed(*target, last);
    const bool refused = IsRefusal(last);
    // What an earlier copy came to, a later refusal does not tell.
    if (!refused) result->outcome = Outcome::kUnknown;
    if (!IsWorthRepeating(last) || !(refused || repeatable)) return;
  } while (Pause(backoff.Next(), deadline, nullptr));
  const bool nobody = last.code() == absl::StatusCode::kUnavailable;
  if (nobody && result->outcome == Outcome::kNotDone) last = NobodyServed(timeout, last);
}

grpc::Status Send(v1::Cluster::Stub* stub, grpc::ClientContext* context,
                  const v1::AddMemberRequest& request, v1::ChangeResponse* response) {
  return stub->AddMember(context, request, response);
}
grpc::Status Send(v1::Cluster::Stub* stub, grpc::ClientContext* context,
                  const v1::RemoveMemberRequest& request, v1::ChangeResponse* response) {
  return stub->RemoveMember(context, request, response);
}
grpc::Status Send(v1::Cluster::Stub* stub, grpc::ClientContext* context,
                  const v1::ReplaceMemberRequest& request, v1::ChangeResponse* response) {
  return stub->ReplaceMember(context, request, response);
}
grpc::Status Send(v1::Cluster::Stub* stub, grpc::ClientContext* context,
                  const v1::PromoteMemberRequest& request, v1::ChangeResponse* response) {
  return stub->PromoteMember(context, request, response);
}
grpc::Status Send(v1::Cluster::Stub* stub, grpc::ClientContext* context,
                  const v1::SetMembersRequest& request, v1::ChangeResponse* response) {
  return stub->SetMembers(context, request, response);
}

bool HasFinished(const v1::Operation& operation) {
  switch (operation.phase()) {
    case v1::Operation::PHASE_DONE:
    case v1::Operation::PHASE_CANCELLED:
    case v1::Operation::PHASE_FAILED:
      return true;
    default:
      return false;
  }
}

// Asks members, the leader first, until one answers. A server that refuses (it was removed
// meanwhile, or another one has taken its place) is passed over.
template <typename Ask>
absl::Status AskMembers(Members& members, const ClientOptions& options, absl::Time deadline,
                        const Ask& ask) {
  Backoff backoff(members.NextSeed());
  absl::Status last;
  do {
    const absl::StatusOr<Target> target = members.FindMember(deadline);
    if (!target.ok()) return target.status();
    grpc::ClientContext context;
    SetDeadline(std::min(deadline, absl::Now() + options.attempt_timeout), &context);
    const auto stub = v1::Cluster::NewStub(target->channel);
    last = StatusFrom(ask(stub.get(), &context), target->address);
    if (last.ok() || last.code() == absl::StatusCode::kUnimplemented) return last;
    members.Failed(*target, last);
  } while (Pause(backoff.Next(), deadline, nullptr));
  return last;
}

absl::StatusOr<v1::OperationsResponse> AskOperations(Members& members, const ClientOptions& options,
                                                     uint64_t id, absl::Time deadline) {
  v1::OperationsRequest request;
  v1::OperationsResponse response;
  request.set_id(id);
  const absl::Status status = AskMembers(
      members, options, deadline, [&](v1::Cluster::Stub* stub, grpc::ClientContext* context) {
        request.set_cluster_id(members.cluster_id());
        return stub->Operations(context, request, &response);
      });
  if (!status.ok()) return status;
  members.Learned(response.configuration());
  return response;
}

}  // namespace

ChangeResult Client::Change(ChangeRequest request) {
  v1::ChangeOptions* change =
      std::visit([](auto& typed) { return typed.mutable_options(); }, request);
  change->set_nonce(FreshNonce());
  ChangeResult result;
  Try(
      *members_, options_.timeout, options_.change_attempt_timeout, /*repeatable=*/true,
      [&](const Target& target, absl::Time attempt_deadline) {
        grpc::ClientContext context;
        SetDeadline(attempt_deadline, &context);
        change->set_cluster_id(members_->cluster_id());
        const auto stub = v1::Cluster::NewStub(target.channel);
        return StatusFrom(std::visit(
                              [&](const auto& typed) {
                                return Send(stub.get(), &context, typed, &result.response);
                              },
                              request),
                          target.address);
      },
      &result);
  // A plan changes nothing, whatever became of it.
  if (change->dry_run() && result.outcome == Outcome::kUnknown) result.outcome = Outcome::kNotDone;
  return result;
}

absl::StatusOr<v1::OperationsResponse> Client::Operations(uint64_t id) {
  return AskOperations(*members_, options_, id, absl::Now() + options_.timeout);
}

absl::StatusOr<v1::OperationsResponse> Client::AwaitOperation(
    uint64_t id, const std::function<void(const v1::OperationsResponse&)>& progress) {
  Backoff backoff(members_->NextSeed());
  absl::Time give_up = absl::Now() + options_.timeout;
  absl::Status trouble;
  do {
    absl::StatusOr<v1::OperationsResponse> answer = AskOperations(*members_, options_, id, give_up);
    if (!answer.ok()) {
      trouble = answer.status();
      continue;
    }
    const auto& operations = answer->operations();
    const auto found = std::find_if(operations.begin(), operations.end(),
                                    [id](const auto& operation) { return operation.id() == id; });
    // That it has finished is in the log: whoever has applied it may say so.
    if (found != operations.end() && HasFinished(*found)) return answer;
    if (!answer->from_leader()) continue;
    if (found == operations.end()) {
      return absl::NotFoundError(absl::StrCat("the cluster knows of no operation ", id,
                                              ": `distlog member ops` lists those it knows"));
    }
    give_up = absl::Now() + options_.timeout;
    progress(*answer);
  } while (Pause(backoff.Next(), give_up, nullptr));
  return NobodyServed(options_.timeout, trouble);
}

CancelResult Client::CancelOperation(uint64_t id) {
  CancelResult result;
  Try(
      *members_, options_.timeout, options_.attempt_timeout, /*repeatable=*/true,
      [&](const Target& target, absl::Time attempt_deadline) {
        grpc::ClientContext context;
        SetDeadline(attempt_deadline, &context);
        v1::CancelOperationRequest request;
        request.set_cluster_id(members_->cluster_id());
        request.set_id(id);
        return StatusFrom(v1::Cluster::NewStub(target.channel)
                              ->CancelOperation(&context, request, &result.response),
                          target.address);
      },
      &result);
  return result;
}

TransferResult Client::TransferLeadership(uint64_t to) {
  TransferResult result;
  // Without a goal a second copy would move the leadership a second time.
  const bool repeatable = to != 0;
  Try(
      *members_, options_.timeout, options_.change_attempt_timeout, repeatable,
      [&](const Target& target, absl::Time attempt_deadline) {
        grpc::ClientContext context;
        SetDeadline(attempt_deadline, &context);
        v1::TransferLeadershipRequest request;
        request.set_cluster_id(members_->cluster_id());
        request.set_to(to);
        return StatusFrom(v1::Cluster::NewStub(target.channel)
                              ->TransferLeadership(&context, request, &result.response),
                          target.address);
      },
      &result);
  return result;
}

absl::StatusOr<v1::HistoryResponse> Client::History(uint32_t limit) {
  v1::HistoryRequest request;
  v1::HistoryResponse response;
  request.set_limit(limit);
  const absl::Status status =
      AskMembers(*members_, options_, absl::Now() + options_.timeout,
                 [&](v1::Cluster::Stub* stub, grpc::ClientContext* context) {
                   request.set_cluster_id(members_->cluster_id());
                   return stub->History(context, request, &response);
                 });
  if (!status.ok()) return status;
  return response;
}

}  // namespace distlog
