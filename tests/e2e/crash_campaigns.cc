// Processes that die: all of them, the leader at a chosen sync, the only one.

#include <csignal>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/campaign.h"

namespace distlog {
namespace {

std::vector<std::string> Strace(int n) {
  // Without --seccomp-bpf, with which strace 6.1 injects no signals.
  return {"/usr/bin/strace",
          "-f",
          "-qq",
          "-o/dev/null",
          "-etrace=fdatasync",
          "-esignal=none",
          absl::StrCat("-einject=fdatasync:signal=SIGKILL:when=", n)};
}

// The leader of a cluster under load dies at its Nth fdatasync from now on. False after a
// violation.
bool KillLeaderAt(int n, Cluster* cluster, Campaign* campaign) {
  const absl::StatusOr<int> leader = cluster->AwaitLeader();
  if (!campaign->Expect(leader.status(), "before the kill")) return false;
  Command command;
  command.arguments = Strace(n);
  command.arguments.push_back(absl::StrCat("-p", cluster->process(*leader)->pid()));
  const auto strace = Process::Start(command);
  const int status = cluster->process(*leader)->Wait();
  if (status != 128 + SIGKILL) {
    campaign->Violation(absl::StrCat("N=", n, ": server ", *leader + 1, " ended with ", status,
                                     " (-1: not at all): ", strace->error()));
    return false;
  }
  return campaign->Expect(cluster->Start(*leader), "restart");
}

}  // namespace

void KillAll(Campaign* campaign) {
  const auto cluster = campaign->NewCluster(3, {"--segment_bytes=1048576"});
  if (cluster == nullptr) return;
  Load load(campaign->LoadOn(*cluster));
  const int rounds = campaign->rounds(10);
  int done = 0;
  for (; done < rounds; ++done) {
    // Not always the same phase of the servers' life.
    if (!load.AwaitProgress(200 + campaign->random()() % 2000)) {
      campaign->Violation("no progress");
      break;
    }
    cluster->KillAll();
    campaign->Say(absl::StrCat("round ", done + 1, ": killed all three after ",
                               load.history().acknowledged(), " acknowledged appends"));
    if (!campaign->Expect(cluster->StartAll(), "restart")) break;
  }
  if (campaign->violations() == 0 && !load.AwaitProgress(100)) campaign->Violation("no progress");
  load.Stop();
  campaign->Judge(cluster.get(), load.history());
  if (campaign->violations() > 0) cluster->PrintLogs();
  campaign->Summary(absl::StrCat("kill_all: ", done, " times all three killed, ",
                                 load.history().acknowledged(), " acknowledged, ",
                                 load.history().sent(), " sent"));
}

void FdatasyncKill(Campaign* campaign) {
  const auto cluster = campaign->NewCluster(3, {"--segment_bytes=1048576"});
  if (cluster == nullptr) return;
  Load::Options options = campaign->LoadOn(*cluster);
  options.pause = absl::Milliseconds(5);
  Load load(options);
  int done = 0;
  for (int n = campaign->options().first; n <= campaign->options().last; ++n) {
    if (!load.AwaitProgress(50)) {
      campaign->Violation(absl::StrCat("N=", n, ": no progress before it"));
      break;
    }
    if (!KillLeaderAt(n, cluster.get(), campaign)) break;
    ++done;
    if (n % 10 == 0) {
      campaign->Say(absl::StrCat("N=", n, ": ", load.history().acknowledged(), " acknowledged"));
    }
  }
  if (campaign->violations() == 0 && !load.AwaitProgress(50)) campaign->Violation("no progress");
  load.Stop();
  campaign->Judge(cluster.get(), load.history());
  if (campaign->violations() > 0) cluster->PrintLogs();
  campaign->Summary(absl::StrCat("fdatasync_kill: ", done, " leaders died at their Nth fdatasync, ",
                                 load.history().acknowledged(), " acknowledged"));
}

void Single(Campaign* campaign) {
  const auto cluster = campaign->NewCluster(1, {"--dev", "--segment_bytes=1048576"});
  if (cluster == nullptr) return;
  Load::Options options = campaign->LoadOn(*cluster);
  options.pause = absl::Milliseconds(2);
  Load load(options);
  const int rounds = campaign->rounds(10);
  for (int round = 1; round <= rounds && campaign->violations() == 0; ++round) {
    if (!load.AwaitProgress(100 + campaign->random()() % 1000)) campaign->Violation("no progress");
    cluster->Kill(0);
    campaign->Expect(cluster->Start(0), absl::StrCat("restart ", round));
  }
  campaign->Say(absl::StrCat(rounds, " times killed under load"));
  // With -D the server is our child, and strace its companion. It counts from the very start, so
  // that the first few N are those of opening and recovery.
  std::vector<std::string> strace;
  for (int n = campaign->options().first;
       n <= campaign->options().last && campaign->violations() == 0; ++n) {
    cluster->Kill(0);
    strace = Strace(n);
    strace.push_back("-D");
    cluster->Launch(0, strace);
    const int status = cluster->process(0)->Wait();
    if (status != 128 + SIGKILL) {
      campaign->Violation(absl::StrCat("N=", n, ": the server ended with ", status));
    }
    campaign->Expect(cluster->Start(0), absl::StrCat("restart after N=", n));
    if (n % 20 == 0) campaign->Say(absl::StrCat("died at its fdatasync number ", n));
  }
  if (campaign->violations() == 0 && !load.AwaitProgress(50)) campaign->Violation("no progress");
  load.Stop();
  campaign->Judge(cluster.get(), load.history());
  if (campaign->violations() > 0) cluster->PrintLogs();
  campaign->Summary(absl::StrCat("single: ", rounds, " kills and deaths at fdatasync ",
                                 campaign->options().first, " to ", campaign->options().last, ", ",
                                 load.history().acknowledged(), " acknowledged"));
}

}  // namespace distlog
