#include "server/formation.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "grpcpp/client_context.h"
#include "proto/distlog/v1/peer.grpc.pb.h"
#include "server/peer_channel.h"
#include "server/peer_service.h"
#include "server/server_options.h"
#include "server/thread_name.h"
#include "wire/status.h"
#include "wire/value.h"

namespace distlog {
namespace {

constexpr size_t kMaxMembers = 15;
constexpr std::chrono::milliseconds kSpreadInterval{1000};
constexpr std::chrono::milliseconds kSpreadTimeout{1000};
// gRPC 1.51 now and then fails to connect to a server that listens (it reads errno too late): what
// cannot be reached is dialled anew for this long.
constexpr std::chrono::milliseconds kDialPatience{1000};
constexpr std::chrono::milliseconds kDialPause{50};

void SetDeadline(grpc::ClientContext* context, Deadline deadline) {
  const auto left = deadline - std::chrono::steady_clock::now();
  context->set_deadline(std::chrono::system_clock::now() +
                        std::chrono::duration_cast<std::chrono::system_clock::duration>(left));
}

absl::Status CallError(const std::string& address, const grpc::Status& status) {
  if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION ||
      status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) {
    return absl::FailedPreconditionError(absl::StrCat(address, ": ", status.error_message()));
  }
  return absl::UnavailableError(
      absl::StrCat("the server at ", address, " cannot be reached: ", WhyUnreachable(status)));
}

// Calls until it succeeds or `kDialPatience` is over. The call must be one that can be repeated.
grpc::Status CallAgain(Deadline deadline,
                       const std::function<grpc::Status(grpc::ClientContext*)>& call) {
  const Deadline give_up = std::min(deadline, std::chrono::steady_clock::now() + kDialPatience);
  for (;;) {
    grpc::ClientContext context;
    SetDeadline(&context, deadline);
    grpc::Status status = call(&context);
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return status;
    if (std::chrono::steady_clock::now() + kDialPause >= give_up) return status;
    std::this_thread::sleep_for(kDialPause);
  }
}

// Calls f(i) for each i below `count`, at the same time.
void ForEach(size_t count, const std::function<void(size_t)>& f) {
  std::vector<std::thread> threads;
  for (size_t i = 0; i < count; ++i) threads.emplace_back(f, i);
  for (std::thread& thread : threads) thread.join();
}

template <typename Result>
absl::Status FirstError(const std::vector<absl::StatusOr<Result>>& results) {
  for (const auto& result : results) {
    if (!result.ok()) return result.status();
  }
  return absl::OkStatus();
}

void OfferTo(const paxos::Member& member, const Spread::Offer& offer) {
  const Deadline deadline = std::chrono::steady_clock::now() + kSpreadTimeout;
  const absl::StatusOr<v1::ProbeResponse> probe = ProbeServer(member.address, deadline);
  if (!probe.ok() || UuidFromBytes(probe->uuid()) != member.uuid) return;
  // One that is behind cannot let in whom its own configuration does not name.
  const bool is_behind = probe->cluster_id() == offer.cluster_id &&
                         probe->configuration_version() < offer.request.configuration().version();
  if (!probe->cluster_id().empty() && !is_behind) return;
  const absl::StatusOr<bool> assigned = AssignServer(member.address, offer.request, deadline);
  if (!assigned.ok()) {
    LOG(WARNING) << "replica " << member.id
                 << " does not take its seat: " << assigned.status().message();
  } else if (*assigned) {
    LOG(INFO) << "gave the server at " << member.address << " its seat as replica " << member.id;
  }
}

}  // namespace

absl::StatusOr<v1::ProbeResponse> ProbeServer(const std::string& address, Deadline deadline) {
  v1::ProbeResponse response;
  const grpc::Status status = CallAgain(deadline, [&](grpc::ClientContext* context) {
    return v1::Peer::NewStub(DialPeer(address))->Probe(context, {}, &response);
  });
  if (!status.ok()) return CallError(address, status);
  if (response.uuid().size() != 16) {
    return absl::FailedPreconditionError(absl::StrCat("the server at ", address, " has no UUID"));
  }
  return response;
}

absl::StatusOr<bool> AssignServer(const std::string& address, const v1::AssignRequest& request,
                                  Deadline deadline) {
  v1::AssignResponse response;
  const grpc::Status status = CallAgain(deadline, [&](grpc::ClientContext* context) {
    return v1::Peer::NewStub(DialPeer(address))->Assign(context, request, &response);
  });
  if (!status.ok()) return CallError(address, status);
  return response.assigned();
}

absl::Status CheckInitAddresses(const std::vector<std::string>& addresses,
                                const std::string& self) {
  if (addresses.empty()) return absl::InvalidArgumentError("init needs the address of each server");
  if (addresses.size() > kMaxMembers) {
    return absl::InvalidArgumentError(absl::StrCat("a cluster has at most ", kMaxMembers,
                                                   " members; ", addresses.size(), " were given"));
  }
  std::set<std::string> seen;
  for (const std::string& address : addresses) {
    const absl::StatusOr<HostPort> parsed = ParseHostPort(address);
    if (!parsed.ok()) return parsed.status();
    if (parsed->port == 0) {
      return absl::InvalidArgumentError(absl::StrCat("the address ", address, " has no port"));
    }
    if (!seen.insert(address).second) {
      return absl::InvalidArgumentError(absl::StrCat("the address ", address, " is given twice"));
    }
  }
  if (!seen.contains(self)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the asked server advertises ", self,
                     ", which is not among the addresses given: ask one of "
                     "those, or name it as it advertises itself"));
  }
  return absl::OkStatus();
}

absl::StatusOr<paxos::Configuration> PlanGenesis(const std::vector<std::string>& addresses,
                                                 const std::vector<v1::ProbeResponse>& answers) {
  std::vector<paxos::Member> members;
  for (size_t i = 0; i < addresses.size(); ++i) {
    const v1::ProbeResponse& answer = answers[i];
    if (answer.wire_version_min() > kWireVersionMax ||
        answer.wire_version_max() < kWireVersionMin) {
      return absl::FailedPreconditionError(
          absl::StrCat("the server at ", addresses[i], " speaks wire versions ",
                       answer.wire_version_min(), " to ", answer.wire_version_max(), ", this one ",
                       kWireVersionMin, " to ", kWireVersionMax, ": upgrade the older one"));
    }
    if (answer.address() != addresses[i]) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the server at ", addresses[i], " advertises ", absl::CEscape(answer.address()),
          ": name it so, or start it with --advertise=", addresses[i]));
    }
    members.push_back({.uuid = UuidFromBytes(answer.uuid()), .address = addresses[i]});
  }
  absl::StatusOr<paxos::Configuration> genesis = MakeGenesis(members);
  if (!genesis.ok()) return genesis;
  const std::string cluster_id = ClusterId(*genesis);
  for (size_t i = 0; i < addresses.size(); ++i) {
    const v1::ProbeResponse& answer = answers[i];
    if (answer.cluster_id().empty()) continue;
    if (answer.cluster_id() != cluster_id) {
      return absl::FailedPreconditionError(
          absl::StrCat("the server at ", addresses[i], " belongs to another cluster (",
                       HexString(answer.cluster_id()), "): nothing was changed"));
    }
    if (answer.last_position() > 0 || answer.configuration_version() > 1) {
      return absl::FailedPreconditionError(
          absl::StrCat("already formed: the server at ", addresses[i], " belongs to cluster ",
                       HexString(cluster_id), ", whose log is in use: nothing was changed"));
    }
  }
  return genesis;
}

absl::StatusOr<Formed> FormCluster(const std::vector<std::string>& addresses, Deadline deadline) {
  std::vector<absl::StatusOr<v1::ProbeResponse>> probes(addresses.size(),
                                                        absl::UnknownError("not probed"));
  ForEach(addresses.size(), [&](size_t i) { probes[i] = ProbeServer(addresses[i], deadline); });
  if (const absl::Status status = FirstError(probes); !status.ok()) {
    v1::ErrorDetail detail;
    detail.set_not_appended(true);
    return MakeError(status.code(),
                     absl::StrCat(std::string(status.message()), "; nothing was changed"), detail);
  }
  std::vector<v1::ProbeResponse> answers;
  for (auto& probe : probes) answers.push_back(*std::move(probe));
  absl::StatusOr<paxos::Configuration> genesis = PlanGenesis(addresses, answers);
  if (!genesis.ok()) return genesis.status();

  v1::AssignRequest request;
  *request.mutable_genesis() = GenesisToProto(*genesis);
  std::vector<absl::StatusOr<bool>> assigned(addresses.size(), absl::UnknownError("not asked"));
  ForEach(addresses.size(),
          [&](size_t i) { assigned[i] = AssignServer(addresses[i], request, deadline); });
  if (const absl::Status status = FirstError(assigned); !status.ok()) {
    return absl::UnavailableError(
        absl::StrCat("init was interrupted: ", std::string(status.message()),
                     "; run it again with the same addresses to finish it"));
  }
  Formed formed{.genesis = *std::move(genesis)};
  for (const auto& is_new : assigned) formed.is_new = formed.is_new || *is_new;
  return formed;
}

Spread::Spread(std::function<Offer()> offer) : offer_(std::move(offer)) {
  thread_ = std::thread([this] { Run(); });
}

Spread::~Spread() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Spread::Run() {
  NameThread("spread");
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kSpreadInterval, [this] { return stopping_; })) {
    lock.unlock();
    const Offer offer = offer_();
    if (!offer.cluster_id.empty()) {
      ForEach(offer.missing.size(), [&](size_t i) { OfferTo(offer.missing[i], offer); });
    }
    lock.lock();
  }
}

}  // namespace distlog
