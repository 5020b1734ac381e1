#include "tests/e2e/direct.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "glog/logging.h"
#include "grpcpp/grpcpp.h"
#include "tests/e2e/process.h"

namespace distlog {
namespace {

void Prepare(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() +
                        std::chrono::seconds(absl::ToInt64Seconds(kPatience)));
}

// Whether every thread of the process is stopped: the signal reaches them one after the other.
bool StandsStill(pid_t pid) {
  for (const auto& task :
       std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/task"))) {
    std::ifstream file(task.path() / "stat");
    std::string stat;
    std::getline(file, stat);
    // The state follows the name, which stands in parentheses.
    const size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos || stat.compare(name_end, 3, ") T") != 0) return false;
  }
  return true;
}

absl::Status ToStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace

Direct::Direct(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto channel =
      grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
  log_ = v1::Log::NewStub(channel);
  cluster_ = v1::Cluster::NewStub(channel);
}

absl::StatusOr<uint64_t> Direct::End() const {
  grpc::ClientContext context;
  Prepare(&context);
  v1::EndResponse response;
  const grpc::Status status = log_->End(&context, v1::EndRequest(), &response);
  if (!status.ok()) return ToStatus(status);
  return response.last_position();
}

absl::StatusOr<uint64_t> Direct::Append(const std::string& payload) const {
  grpc::ClientContext context;
  Prepare(&context);
  v1::AppendRequest request;
  request.add_payloads(payload);
  v1::AppendResponse response;
  const grpc::Status status = log_->Append(&context, request, &response);
  if (!status.ok()) return ToStatus(status);
  return response.first_position();
}

std::string Direct::FollowedBallot() const {
  grpc::ClientContext context;
  Prepare(&context);
  v1::StatusRequest request;
  request.set_self_only(true);
  v1::StatusResponse response;
  if (!cluster_->Status(&context, request, &response).ok() || response.self().leader_id() == 0) {
    return "";
  }
  return absl::StrCat(response.self().ballot().round(), ".", response.self().ballot().replica());
}

StoppedLeaderOutcome StopLeaderUnderReads(pid_t leader, const std::string& leader_endpoint,
                                          const std::string& other_endpoint,
                                          const std::string& payload) {
  constexpr int kReaders = 8;
  constexpr int kReads = 100;
  StoppedLeaderOutcome outcome;
  const Direct other(other_endpoint);
  const std::string ballot = other.FollowedBallot();
  std::vector<std::unique_ptr<Direct>> connections;
  for (int i = 0; i < kReaders; ++i) {
    connections.push_back(std::make_unique<Direct>(leader_endpoint));
    if (const auto end = connections.back()->End(); !end.ok()) {
      outcome.status = end.status();
      return outcome;
    }
  }

  kill(leader, SIGSTOP);
  // A thread that still runs could take a read before the append, and rightly answer it without.
  CHECK(Await([&] { return StandsStill(leader); })) << "process " << leader;
  // Set before the leader goes on: what no answer after that may miss.
  std::atomic<uint64_t> acknowledged = 0;
  std::atomic<int> answered = 0;
  std::atomic<int> stale = 0;
  std::vector<std::thread> readers;
  for (const auto& connection : connections) {
    readers.emplace_back([&, direct = connection.get()] {
      for (int i = 0; i < kReads; ++i) {
        // Answered by a process that ran only before the stop and after the acknowledgement: the
        // first is ruled out, as the question came after the stop.
        const auto end = direct->End();
        if (!end.ok()) continue;
        ++answered;
        if (*end < acknowledged) ++stale;
      }
    });
  }
  bool is_deposed = false;
  const absl::Time give_up = absl::Now() + kPatience;
  while (!is_deposed && absl::Now() < give_up) {
    const std::string now = other.FollowedBallot();
    is_deposed = !now.empty() && now != ballot;
    if (!is_deposed) absl::SleepFor(absl::Milliseconds(1));
  }
  if (is_deposed) {
    const auto position = other.Append(payload);
    outcome.status = position.status();
    if (position.ok()) acknowledged = *position;
  } else {
    outcome.status = absl::UnavailableError("nobody takes over from a stopped leader");
  }
  kill(leader, SIGCONT);
  for (std::thread& reader : readers) reader.join();
  outcome.answered = answered;
  outcome.stale = stale;
  return outcome;
}

}  // namespace distlog
