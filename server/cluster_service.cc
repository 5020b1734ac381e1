#include "server/cluster_service.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpcpp/client_context.h"
#include "grpcpp/server_context.h"
#include "server/peer_channel.h"
#include "server/turn.h"
#include "server/version.h"
#include "wire/status.h"
#include "wire/value.h"

namespace distlog {
namespace {

constexpr std::chrono::seconds kMaxTime{60};  // Of a call.
constexpr std::chrono::milliseconds kLeaderPoll{20};
constexpr std::chrono::milliseconds kMemberTimeout{1000};

absl::Status AlreadyFormed(const std::string& cluster_id) {
  return absl::FailedPreconditionError(absl::StrCat(
      "already formed: cluster ", HexString(cluster_id), " is in use: nothing was changed"));
}

}  // namespace

ClusterService::ClusterService(std::string address, Node* node, PeerRegistry* registry,
                               const Scrubber* scrubber)
    : address_(std::move(address)), node_(node), registry_(registry), scrubber_(scrubber) {}

Deadline ClusterService::DeadlineOf(const grpc::ServerContext& context) {
  const auto left = context.deadline() - std::chrono::system_clock::now();
  const auto now = std::chrono::steady_clock::now();
  if (left >= kMaxTime) return now + kMaxTime;
  return now + std::chrono::duration_cast<std::chrono::steady_clock::duration>(left);
}

// What can be refused without asking anybody.
absl::Status ClusterService::CheckOwn(const std::vector<std::string>& addresses) const {
  const Identity identity = node_->identity();
  if (!identity.genesis.has_value()) return absl::OkStatus();
  std::vector<std::string> given = addresses;
  std::vector<std::string> formed;
  for (const paxos::Member& member : identity.genesis->members) formed.push_back(member.address);
  std::sort(given.begin(), given.end());
  std::sort(formed.begin(), formed.end());
  if (given != formed) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the server at ", address_, " belongs to cluster ", HexString(identity.cluster_id),
        ", which was formed of other addresses: nothing was changed"));
  }
  v1::ServerStatus status;
  node_->FillStatus(&status);
  if (status.last_position() > 0 || status.configuration().version() > 1) {
    return AlreadyFormed(identity.cluster_id);
  }
  return absl::OkStatus();
}

// Until this replica can serve a linearizable read: then a leader has recovered, in its cluster.
absl::StatusOr<ClusterService::Serving> ClusterService::WaitForLeader(
    const grpc::ServerContext& context, Deadline deadline) {
  while (std::chrono::steady_clock::now() < deadline && !context.IsCancelled()) {
    v1::ServerStatus status;
    node_->FillStatus(&status);
    if (status.leader_id() != 0) {
      const auto attempt = std::min(deadline, std::chrono::steady_clock::now() + kMemberTimeout);
      const auto served = std::make_shared<std::promise<absl::StatusOr<Node::Bounds>>>();
      node_->ReadBarrier(attempt, [served](const absl::StatusOr<Node::Bounds>& bounds) {
        served->set_value(bounds);
      });
      const absl::StatusOr<Node::Bounds> bounds = served->get_future().get();
      if (bounds.ok()) return Serving{status.leader_id(), *bounds};
    }
    std::this_thread::sleep_for(kLeaderPoll);
  }
  return absl::UnavailableError(
      "the cluster is formed, but no leader serves yet: see `distlog status`, or run init again "
      "with the same addresses to wait longer");
}

grpc::Status ClusterService::Init(grpc::ServerContext* context, const v1::InitRequest* request,
                                  v1::InitResponse* response) {
  const Turn turn(&inits_, kMaxInits);
  if (!turn.ok()) {
    return {grpc::StatusCode::RESOURCE_EXHAUSTED, "other inits are under way here: try again"};
  }
  const std::vector<std::string> addresses(request->addresses().begin(),
                                           request->addresses().end());
  const Deadline deadline = DeadlineOf(*context);
  if (absl::Status status = CheckInitAddresses(addresses, address_); !status.ok()) {
    return ToGrpc(status);
  }
  if (absl::Status status = CheckOwn(addresses); !status.ok()) return ToGrpc(status);
  const absl::StatusOr<Formed> formed = FormCluster(addresses, deadline);
  if (!formed.ok()) return ToGrpc(formed.status());
  const absl::StatusOr<Serving> serving = WaitForLeader(*context, deadline);
  if (!serving.ok()) return ToGrpc(serving.status());
  // What a Probe says of the log may be older than an append that was acknowledged before this
  // call.
  if (!formed->is_new && serving->bounds.last > 0) {
    return ToGrpc(AlreadyFormed(ClusterId(formed->genesis)));
  }
  response->set_cluster_id(ClusterId(formed->genesis));
  response->set_formed(formed->is_new);
  response->set_leader_id(serving->leader_id);
  return grpc::Status::OK;
}

void ClusterService::FillSelf(v1::ServerStatus* status) const {
  node_->FillStatus(status);
  registry_->FillStatus(status);
  scrubber_->FillStatus(status);
  status->set_version(kVersion);
  status->set_wall_clock_ms(std::chrono::duration_cast<std::chrono::milliseconds>(
                                std::chrono::system_clock::now().time_since_epoch())
                                .count());
}

grpc::Status ClusterService::Status(grpc::ServerContext*, const v1::StatusRequest* request,
                                    v1::StatusResponse* response) {
  FillSelf(response->mutable_self());
  if (request->self_only()) return grpc::Status::OK;
  const Turn turn(&statuses_, kMaxStatuses);
  if (!turn.ok()) {
    return {grpc::StatusCode::RESOURCE_EXHAUSTED,
            "many others ask this server for the status of all members: try again"};
  }
  AskMembers(response);
  return grpc::Status::OK;
}

void ClusterService::AskMembers(v1::StatusResponse* response) {
  const auto deadline = std::chrono::system_clock::now() + kMemberTimeout;
  std::vector<std::thread> calls;
  for (const v1::MemberMessage& member : response->self().configuration().members()) {
    v1::MemberStatus* out = response->add_members();
    out->set_id(member.id());
    out->set_address(member.address());
    out->set_voter(member.voter());
    if (member.uuid() == response->self().uuid()) {
      out->set_reachable(true);
      *out->mutable_status() = response->self();
    }
  }
  for (v1::MemberStatus& member : *response->mutable_members()) {
    if (member.reachable()) continue;
    calls.emplace_back([&member, response, deadline] {
      grpc::ClientContext context;
      context.set_deadline(deadline);
      v1::StatusRequest ask;
      ask.set_self_only(true);
      v1::StatusResponse answer;
      const auto stub = v1::Cluster::NewStub(DialPeer(member.address()));
      const grpc::Status status = stub->Status(&context, ask, &answer);
      if (!status.ok()) {
        member.set_unreachable_reason(WhyUnreachable(status));
      } else if (answer.self().cluster_id() != response->self().cluster_id() ||
                 answer.self().replica_id() != member.id()) {
        member.set_unreachable_reason(answer.self().assigned()
                                          ? "another server answers there"
                                          : "the server there belongs to no cluster");
      } else {
        member.set_reachable(true);
        member.mutable_status()->Swap(answer.mutable_self());
      }
    });
  }
  for (std::thread& call : calls) call.join();
}

}  // namespace distlog
