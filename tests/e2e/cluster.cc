#include "tests/e2e/cluster.h"

#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"

namespace distlog {
namespace {

std::string FileContent(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

std::string EndOf(const std::string& text, size_t bytes) {
  return text.size() <= bytes ? text : absl::StrCat("...", text.substr(text.size() - bytes));
}

}  // namespace

Binaries Binaries::OfTest() {
  const char* root = getenv("TEST_SRCDIR");
  const char* workspace = getenv("TEST_WORKSPACE");
  CHECK(root != nullptr && workspace != nullptr) << "to be run by bazel test";
  const std::string prefix = absl::StrCat(root, "/", workspace, "/");
  return {absl::StrCat(prefix, "server/distlogd"), absl::StrCat(prefix, "cli/distlog")};
}

std::string NewDirectory(const std::string& name) {
  const char* parent = getenv("TEST_TMPDIR");
  std::string path = absl::StrCat(parent != nullptr ? parent : "/tmp", "/", name, ".XXXXXX");
  PCHECK(mkdtemp(path.data()) != nullptr) << path;
  return path;
}

Cluster::Options Cluster::Defaults(int replicas) {
  Options options;
  options.replicas = replicas;
  options.binaries = Binaries::OfTest();
  return options;
}

Cluster::Cluster(Options options) : options_(std::move(options)) {
  if (options_.dir.empty()) {
    options_.dir = NewDirectory("cluster");
    owns_dir_ = true;
  }
  for (int i = 0; i < options_.replicas + options_.spares; ++i) {
    Server server;
    do {
      server.port = FreePort();
    } while (std::any_of(servers_.begin(), servers_.end(),
                         [&](const Server& other) { return other.port == server.port; }));
    server.data_dir = options_.data_dirs.empty() ? absl::StrCat(options_.dir, "/replica", i + 1)
                                                 : options_.data_dirs[i];
    server.log = absl::StrCat(options_.dir, "/server", i + 1, ".log");
    servers_.push_back(std::move(server));
  }
}

Cluster::~Cluster() {
  KillAll();
  std::error_code ignored;
  if (owns_dir_) std::filesystem::remove_all(options_.dir, ignored);
}

void Cluster::Launch(int replica, const std::vector<std::string>& before,
                     const std::vector<std::string>& flags) {
  Server& server = servers_[replica];
  CHECK(!running(replica));
  Command command;
  command.arguments = before;
  command.arguments.push_back(options_.binaries.distlogd);
  command.arguments.push_back(absl::StrCat("--data_dir=", server.data_dir));
  command.arguments.push_back(absl::StrCat("--listen=", endpoint(replica)));
  for (const std::string& flag : options_.server_flags) command.arguments.push_back(flag);
  for (const std::string& flag : flags) command.arguments.push_back(flag);
  command.output_file = server.log;
  server.process = Process::Start(command);
}

absl::Status Cluster::Start(int replica, const std::vector<std::string>& flags) {
  Launch(replica, {}, flags);
  return AwaitServing(replica);
}

absl::Status Cluster::AwaitServing(int replica) {
  Await([&] { return !running(replica) || Listens(port(replica)); });
  if (running(replica) && Listens(port(replica))) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      "server ", replica + 1,
      running(replica) ? " does not serve: " : " ended: ", EndOf(server_log(replica), 2000)));
}

void Cluster::Kill(int replica) {
  if (process(replica) != nullptr) process(replica)->Kill();
}

void Cluster::KillAll() {
  for (Server& server : servers_) {
    if (server.process != nullptr && server.process->running()) server.process->Signal(SIGKILL);
  }
  for (int i = 0; i < size(); ++i) Kill(i);
}

void Cluster::Destroy(int replica) {
  Kill(replica);
  std::filesystem::remove_all(data_dir(replica));
}

int Cluster::Terminate(int replica) {
  process(replica)->Signal(SIGTERM);
  return process(replica)->Wait();
}

bool Cluster::running(int replica) {
  return process(replica) != nullptr && process(replica)->running();
}

std::vector<int> Cluster::Founders() const {
  std::vector<int> founders;
  for (int i = 0; i < options_.replicas; ++i) founders.push_back(i);
  return founders;
}

std::string Cluster::endpoint(int replica) const {
  return absl::StrCat("127.0.0.1:", servers_[replica].port);
}

std::string Cluster::endpoints() const {
  std::vector<std::string> all;
  for (int i = 0; i < size(); ++i) all.push_back(endpoint(i));
  return absl::StrJoin(all, ",");
}

std::string Cluster::server_log(int replica) const { return FileContent(servers_[replica].log); }

void Cluster::PrintLogs() const {
  for (int i = 0; i < size(); ++i) {
    std::fprintf(stderr, "---- server %d (%s), the end of its log:\n%s\n", i + 1,
                 endpoint(i).c_str(), EndOf(server_log(i), 8000).c_str());
  }
}

absl::Status Cluster::StartAll() {
  for (int i = 0; i < options_.replicas; ++i) {
    if (!running(i)) Launch(i);
  }
  for (int i = 0; i < options_.replicas; ++i) {
    if (absl::Status status = AwaitServing(i); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Cluster::Form() {
  std::vector<std::string> arguments = {"--timeout=60s", "init"};
  for (int i = 0; i < options_.replicas; ++i) arguments.push_back(endpoint(i));
  const Finished init = Distlog(arguments);
  if (init.status == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("init exited with ", init.status, ": ", init.err));
}

absl::Status Cluster::StartAndForm() {
  if (absl::Status status = StartAll(); !status.ok()) return status;
  if (absl::Status status = Form(); !status.ok()) return status;
  return AwaitLeader().status();
}

Command Cluster::DistlogCommand(const std::vector<std::string>& arguments) const {
  Command command;
  command.arguments.push_back(options_.binaries.distlog);
  if (std::none_of(arguments.begin(), arguments.end(), [](const std::string& argument) {
        return argument.rfind("--endpoints=", 0) == 0;
      })) {
    command.arguments.push_back(absl::StrCat("--endpoints=", endpoints()));
  }
  command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
  return command;
}

Finished Cluster::Distlog(const std::vector<std::string>& arguments,
                          const std::string& input) const {
  Command command = DistlogCommand(arguments);
  command.input = input;
  return RunToEnd(command);
}

absl::StatusOr<Json> Cluster::Status(int replica) const {
  const Finished status =
      Distlog({absl::StrCat("--endpoints=", replica < 0 ? endpoints() : endpoint(replica)),
               "--timeout=5s", "--output=json", "status"});
  if (status.status != 0) {
    return absl::UnavailableError(
        absl::StrCat("status exited with ", status.status, ": ", status.err));
  }
  return ParseJson(status.out);
}

std::map<std::string, uint64_t> Cluster::MemberIds() const {
  std::map<std::string, uint64_t> ids;
  const Finished list = Distlog({"--timeout=30s", "--output=json", "member", "list"});
  const absl::StatusOr<Json> json = ParseJson(list.out);
  if (list.status != 0 || !json.ok()) return ids;
  for (const Json& member : Objects(*json, "members")) {
    ids[Text(member, "address")] = Number(member, "id");
  }
  return ids;
}

absl::StatusOr<int> Cluster::AwaitLeader() {
  int leader = -1;
  absl::StatusOr<Json> status;
  Await([&] {
    // Of everyone, not of the first that answers: that one may not have heard yet.
    for (int i = 0; i < size() && leader < 0; ++i) {
      if (!running(i)) continue;
      status = Status(i);
      if (!status.ok() || Text(*status, "leader_id") == "0") continue;
      for (const Json& member : Objects(*status, "members")) {
        if (Text(member, "address") == endpoint(i) && Text(member, "is_leader") == "true") {
          leader = i;
        }
      }
    }
    return leader >= 0;
  });
  if (leader >= 0) return leader;
  return absl::UnavailableError(absl::StrCat(
      "no leader: ", status.ok() ? status->DebugString() : std::string(status.status().message())));
}

std::string Cluster::Ballot(int replica) const {
  const absl::StatusOr<Json> status = Status(replica);
  if (!status.ok()) return "?";
  return absl::StrCat(Text(*status, "ballot.round"), ".", Text(*status, "ballot.replica"));
}

uint64_t Cluster::LastPosition(int replica) const {
  const absl::StatusOr<Json> status = Status(replica);
  if (!status.ok()) return 0;
  for (const Json& member : Objects(*status, "members")) {
    if (Text(member, "address") == endpoint(replica)) return Number(member, "last_position");
  }
  return 0;
}

absl::StatusOr<uint64_t> Cluster::AwaitEqual(std::vector<int> replicas) {
  if (replicas.empty()) replicas = Founders();
  const absl::StatusOr<int> leader = AwaitLeader();
  if (!leader.ok()) return leader.status();
  // A new leader's log ends where it must only when it has answered something of its own ballot.
  const Finished last = Distlog({"--timeout=60s", "read", "--count=1", "--output=json"});
  if (last.status != 0) {
    return absl::UnavailableError(absl::StrCat("read exited with ", last.status, ": ", last.err));
  }
  std::vector<uint64_t> positions;
  const bool equal = Await([&] {
    positions.clear();
    for (int replica : replicas) positions.push_back(LastPosition(replica));
    return positions.front() > 0 &&
           std::all_of(positions.begin(), positions.end(), [&](uint64_t position) {
             return position == positions.front() && position >= LastPosition(*leader);
           });
  });
  if (equal) return positions.front();
  return absl::UnavailableError(absl::StrCat("replicas do not become equal: last positions ",
                                             absl::StrJoin(positions, ", ")));
}

absl::StatusOr<std::string> Cluster::ReadRaw(int replica) const {
  Finished read = Distlog({absl::StrCat("--endpoints=", endpoint(replica)), "--timeout=60s", "read",
                           "--raw", "--local"});
  if (read.status != 0) {
    return absl::UnavailableError(absl::StrCat("read from server ", replica + 1, " exited with ",
                                               read.status, ": ", read.err));
  }
  return std::move(read.out);
}

}  // namespace distlog
