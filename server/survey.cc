#include "server/survey.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpcpp/client_context.h"
#include "paxos/options.h"
#include "proto/distlog/v1/peer.grpc.pb.h"
#include "server/peer_channel.h"
#include "wire/value.h"

namespace distlog {
namespace {

// A member probes for a second and a half.
constexpr std::chrono::milliseconds kReachTimeout{2500};

int64_t WallClockMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Newcomer ProbeFromHere(const std::string& address, Deadline deadline) {
  Newcomer newcomer;
  const int64_t before = WallClockMs();
  newcomer.answer = ProbeServer(address, deadline);
  const int64_t after = WallClockMs();
  if (newcomer.answer.ok()) {
    // It was read at some time between the two.
    const int64_t read = newcomer.answer->wall_clock_ms();
    newcomer.clock_ahead_ms = read > after ? read - after : std::min<int64_t>(read - before, 0);
  }
  return newcomer;
}

// Why `voter` does not reach the server that the leader found at `address`; empty: it does.
std::string WhyUnreached(const paxos::Member& voter, const std::string& address,
                         const v1::ProbeResponse& found, const PeerRegistry& registry) {
  v1::ReachRequest request;
  *request.mutable_hello() = registry.MakeHello(voter, v1::TRAFFIC_CLASS_CONTROL);
  request.set_address(address);
  v1::ReachResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kReachTimeout);
  const grpc::Status status =
      v1::Peer::NewStub(DialPeer(voter.address))->Reach(&context, request, &response);
  if (!status.ok()) return absl::StrCat("it does not say: ", WhyUnreachable(status));
  if (!response.has_answer()) return response.error().substr(0, 300);
  if (response.answer().uuid() != found.uuid()) return "it finds another server there";
  return "";
}

}  // namespace

ClusterView ViewOf(const v1::StatusResponse& status, const v1::OperationsResponse& operations) {
  const v1::ServerStatus& self = status.self();
  ClusterView view;
  view.cluster_id = self.cluster_id();
  view.leader = paxos::ReplicaId{self.replica_id()};
  if (auto configuration = FromProto(self.configuration()); configuration.ok()) {
    view.configuration = *std::move(configuration);
  }
  for (const uint64_t id : self.heard()) view.heard.insert(paxos::ReplicaId{id});
  for (const v1::MemberStatus& member : status.members()) {
    const bool keeps_up = member.id() == self.replica_id() ||
                          (member.reachable() && member.status().durable_mark() + paxos::kWindow >=
                                                     self.chosen_through());
    const paxos::ReplicaId id{member.id()};
    if (keeps_up && view.heard.contains(id)) view.caught_up.insert(id);
  }
  for (const v1::Operation& operation : operations.operations()) {
    if (operation.phase() >= v1::Operation::PHASE_DONE) continue;
    view.running_id = operation.id();
    view.running = operation.request();
  }
  return view;
}

std::map<std::string, Newcomer> ProbeNewcomers(const std::vector<std::string>& addresses,
                                               const ClusterView& view,
                                               const PeerRegistry& registry, Deadline deadline) {
  std::vector<Newcomer> found(addresses.size());
  std::vector<std::thread> probes;
  for (size_t i = 0; i < addresses.size(); ++i) {
    probes.emplace_back([&, i] { found[i] = ProbeFromHere(addresses[i], deadline); });
  }
  for (std::thread& probe : probes) probe.join();

  // A thread for each voter, which asks it for one address after the other.
  std::vector<std::pair<paxos::ReplicaId, std::vector<std::string>>> reasons;
  for (const paxos::Member& member : view.configuration.members) {
    if (!member.voter || member.id == view.leader || !view.heard.contains(member.id)) continue;
    reasons.emplace_back(member.id, std::vector<std::string>(addresses.size()));
  }
  std::vector<std::thread> voters;
  for (auto& voter : reasons) {
    voters.emplace_back([&] {
      for (size_t i = 0; i < addresses.size(); ++i) {
        if (!found[i].answer.ok() || std::chrono::steady_clock::now() >= deadline) continue;
        voter.second[i] = WhyUnreached(*view.configuration.Find(voter.first), addresses[i],
                                       *found[i].answer, registry);
      }
    });
  }
  for (std::thread& voter : voters) voter.join();

  std::map<std::string, Newcomer> newcomers;
  for (size_t i = 0; i < addresses.size(); ++i) {
    for (const auto& [id, why] : reasons) {
      if (!why[i].empty()) found[i].unreached_from[id] = why[i];
    }
    newcomers[addresses[i]] = std::move(found[i]);
  }
  return newcomers;
}

}  // namespace distlog
