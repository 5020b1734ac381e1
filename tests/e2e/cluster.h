// A cluster of real distlogd processes on loopback, and the distlog command.

#ifndef DISTLOG_TESTS_E2E_CLUSTER_H_
#define DISTLOG_TESTS_E2E_CLUSTER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/e2e/json.h"
#include "tests/e2e/process.h"

namespace distlog {

struct Binaries {
  std::string distlogd;
  std::string distlog;
  // Of a Bazel test that has both as data.
  static Binaries OfTest();
};

// A new directory under TEST_TMPDIR, or /tmp outside of tests.
std::string NewDirectory(const std::string& name);

// Not thread-safe, but for endpoints(), endpoint() and Distlog(). Servers that still run die with
// it.
class Cluster {
 public:
  struct Options {
    int replicas = 3;
    // Servers beyond those, which StartAll and Form leave alone.
    int spares = 0;
    std::vector<std::string> server_flags;
    Binaries binaries;
    std::string dir;                     // Empty: a new one, removed at the end.
    std::vector<std::string> data_dirs;  // Empty: in `dir`.
  };

  static Options Defaults(int replicas = 3);
  explicit Cluster(Options options);
  ~Cluster();

  // ---- Servers, numbered from 0. ----

  // Starts it in the same directory and on the same port each time. `before` goes before the
  // command, as "strace ..."; `flags` after it. Returns at once.
  void Launch(int replica, const std::vector<std::string>& before = {},
              const std::vector<std::string>& flags = {});
  // Launch, and until it takes connections. The error has what it said if it ended instead.
  absl::Status Start(int replica, const std::vector<std::string>& flags = {});
  absl::Status AwaitServing(int replica);
  void Kill(int replica);     // -9
  void KillAll();             // All at the same moment.
  void Destroy(int replica);  // -9, and its data directory is gone.
  // SIGTERM; the exit status.
  int Terminate(int replica);
  Process* process(int replica) { return servers_[replica].process.get(); }
  bool running(int replica);

  // All but spares.
  std::vector<int> Founders() const;
  int size() const { return static_cast<int>(servers_.size()); }
  int port(int replica) const { return servers_[replica].port; }
  std::string endpoint(int replica) const;
  std::string endpoints() const;
  const std::string& data_dir(int replica) const { return servers_[replica].data_dir; }
  const std::string& dir() const { return options_.dir; }
  // All it wrote to standard error and output, over all its starts.
  std::string server_log(int replica) const;
  void PrintLogs() const;

  // ---- The cluster. ----

  // Start of all but spares, `init`, and a leader.
  absl::Status StartAndForm();
  absl::Status StartAll();
  absl::Status Form();

  // The command with the cluster's endpoints; unless the arguments name others.
  Command DistlogCommand(const std::vector<std::string>& arguments) const;
  Finished Distlog(const std::vector<std::string>& arguments, const std::string& input = "") const;

  // `status --output=json`. Any endpoint, or that of one replica.
  absl::StatusOr<Json> Status(int replica = -1) const;
  // The ids of the members by their addresses, from `member list`; empty if nobody answers.
  std::map<std::string, uint64_t> MemberIds() const;
  // Which of the running replicas leads, when one does and says so itself.
  absl::StatusOr<int> AwaitLeader();
  // "round.replica" that `replica` follows.
  std::string Ballot(int replica = -1) const;
  // Until every one of `replicas` (all but spares, if empty) has applied what the leader has; the
  // last position.
  absl::StatusOr<uint64_t> AwaitEqual(std::vector<int> replicas = {});
  // What the replica itself says of its last position; 0 if it does not answer.
  uint64_t LastPosition(int replica) const;

  // The exact bytes of `read --raw --local`.
  absl::StatusOr<std::string> ReadRaw(int replica) const;

 private:
  struct Server {
    int port = 0;
    std::string data_dir;
    std::string log;
    std::unique_ptr<Process> process;
  };

  Options options_;
  bool owns_dir_ = false;
  std::vector<Server> servers_;
};

}  // namespace distlog

#endif  // DISTLOG_TESTS_E2E_CLUSTER_H_
