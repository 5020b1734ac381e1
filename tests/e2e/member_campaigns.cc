// Members that come and go under load.

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "client/client.h"
#include "client/producer.h"
#include "tests/e2e/campaign.h"

namespace distlog {
namespace {

// A cluster whose members change, and a load on it.
class Changing {
 public:
  Changing(Campaign* campaign, Cluster* cluster)
      : campaign_(campaign), cluster_(cluster), members_(cluster->Founders()) {}

  const std::vector<int>& members() const { return members_; }
  int kills() const { return kills_; }

  void Add(int server) {
    campaign_->Expect(cluster_->Start(server), "starting a newcomer");
    if (!Run({"member", "add", cluster_->endpoint(server)})) return;
    members_.push_back(server);
  }
  // Its data directory is gone the moment the command returns.
  void Remove(int server) {
    if (!Run({"member", "remove", IdOf(server)})) return;
    Forget(server);
  }
  void Replace(int server, int by) {
    campaign_->Expect(cluster_->Start(by), "starting a newcomer");
    if (!Run({"member", "replace", IdOf(server), cluster_->endpoint(by)})) return;
    members_.push_back(by);
    Forget(server);
  }
  void Set(const std::vector<int>& servers) {
    std::vector<std::string> arguments = {"member", "set"};
    for (const int server : servers) {
      arguments.push_back(cluster_->endpoint(server));
      if (!cluster_->running(server)) {
        campaign_->Expect(cluster_->Start(server), "starting a newcomer");
      }
    }
    if (!Run(arguments)) return;
    for (const int old : std::vector<int>(members_)) {
      if (std::find(servers.begin(), servers.end(), old) == servers.end()) Forget(old);
    }
    members_ = servers;
  }
  void set_kills_leaders(bool kills) { kills_leaders_ = kills; }

 private:
  std::string IdOf(int server) {
    return absl::StrCat(cluster_->MemberIds()[cluster_->endpoint(server)]);
  }

  void Forget(int server) {
    cluster_->Destroy(server);
    members_.erase(std::find(members_.begin(), members_.end(), server));
  }

  // The command to its end; meanwhile a leader is killed and started again.
  bool Run(std::vector<std::string> arguments) {
    std::string words;
    for (const std::string& argument : arguments) absl::StrAppend(&words, " ", argument);
    arguments.insert(arguments.begin(), "--timeout=180s");
    Command command = cluster_->DistlogCommand(arguments);
    const absl::Time start = absl::Now();
    const auto process = Process::Start(command);
    int killed = 0;
    if (kills_leaders_) {
      const int ms = std::uniform_int_distribution<int>(0, 2500)(campaign_->random());
      const absl::Time at = start + absl::Milliseconds(ms);
      while (absl::Now() < at && process->running()) absl::SleepFor(absl::Milliseconds(5));
      const absl::StatusOr<int> leader = cluster_->AwaitLeader();
      if (!campaign_->Expect(leader.status(), "a leader")) return false;
      if (process->running()) {
        cluster_->Kill(*leader);
        killed = *leader + 1;
        ++kills_;
        campaign_->Expect(cluster_->Start(*leader), "restart");
      }
    }
    const int status = process->Wait(absl::Minutes(4));
    if (status != 0) {
      campaign_->Violation(absl::StrCat("distlog", words, " exited with ", status, ": ",
                                        process->error(), process->output()));
      return false;
    }
    campaign_->Say(
        absl::StrFormat("distlog%s: %.1f s%s", words, absl::ToDoubleSeconds(absl::Now() - start),
                        killed ? absl::StrCat(", server ", killed, " killed meanwhile") : ""));
    return true;
  }

  Campaign* const campaign_;
  Cluster* const cluster_;
  std::vector<int> members_;
  bool kills_leaders_ = false;
  int kills_ = 0;
};

// The longest time between two acknowledgements of a client that appends one after the other.
class Watch {
 public:
  explicit Watch(const std::string& endpoints)
      : client_(ConnectTo(endpoints, absl::Seconds(30))),
        producer_(client_.get(), {}),
        thread_([this] { Run(); }) {}
  ~Watch() {
    stopping_ = true;
    thread_.join();
  }
  void Begin() { longest_us_ = 0; }
  double LongestMs() const { return longest_us_ / 1000.0; }
  int failures() const { return failures_; }

 private:
  void Run() {
    absl::Time last = absl::Now();
    for (uint64_t i = 0; !stopping_; ++i) {
      if (!Append(absl::StrCat("watch ", i))) {
        ++failures_;
        return;
      }
      const absl::Time now = absl::Now();
      longest_us_ = std::max(longest_us_.load(), absl::ToInt64Microseconds(now - last));
      last = now;
    }
  }
  bool Append(const std::string& payload) {
    absl::Notification answered;
    bool done = false;
    const absl::Status taken = producer_.Append(payload, [&](const AppendResult& result) {
      done = result.outcome == Outcome::kDone;
      answered.Notify();
    });
    if (!taken.ok()) return false;
    answered.WaitForNotification();
    return done;
  }

  const std::unique_ptr<Client> client_;
  Producer producer_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int64_t> longest_us_ = 0;
  std::atomic<int> failures_ = 0;
  std::thread thread_;
};

std::string Figures(std::vector<double> ms) {
  if (ms.empty()) return "-";
  std::sort(ms.begin(), ms.end());
  return absl::StrFormat("median %.0f ms, min %.0f, max %.0f of %d", ms[ms.size() / 2], ms.front(),
                         ms.back(), ms.size());
}

}  // namespace

void MembersChange(Campaign* campaign) {
  constexpr int kSpares = 13;
  const auto cluster = campaign->NewCluster(3, {}, {}, kSpares);
  if (cluster == nullptr) return;
  Load::Options options = campaign->LoadOn(*cluster);
  options.readers = 2;
  options.pause = absl::Milliseconds(3);
  options.timeout = absl::Seconds(15);
  Load load(options);
  if (!load.AwaitProgress(500)) campaign->Violation("no progress");
  Changing changing(campaign, cluster.get());
  int next = 3;
  const int rounds = campaign->rounds(2);
  for (int round = 0; round < rounds && campaign->violations() == 0; ++round) {
    changing.set_kills_leaders(round > 0);
    // 3 to 5 to 3.
    changing.Add(next++);
    changing.Add(next++);
    const std::vector<int> five = changing.members();
    changing.Remove(five[round == 0 ? 3 : 0]);
    changing.Remove(changing.members().back());
    // Every machine, one after another, ...
    for (int i = 0; i < 3 && campaign->violations() == 0; ++i) {
      changing.Replace(changing.members().front(), next++);
      if (!load.AwaitProgress(100)) campaign->Violation("no progress after a replacement");
    }
  }
  // ... and all at once.
  if (campaign->violations() == 0) changing.Set({next, next + 1, next + 2});
  if (!load.AwaitProgress(500)) campaign->Violation("no progress at the end");
  load.Stop();
  campaign->Judge(cluster.get(), load.history(), changing.members());
  if (campaign->violations() > 0) cluster->PrintLogs();
  campaign->Summary(absl::StrCat("members: no original machine left, ", changing.kills(),
                                 " leaders killed, ", load.history().acknowledged(),
                                 " appends and ", load.history().reads(), " reads checked"));
}

void Stall(Campaign* campaign) {
  const int changes = campaign->rounds(20);
  const auto cluster = campaign->NewCluster(3, {}, {}, changes);
  if (cluster == nullptr) return;
  Changing changing(campaign, cluster.get());
  std::vector<double> replacements;
  std::vector<double> transfers;
  Watch watch(cluster->endpoints());
  for (int i = 0; i < changes && campaign->violations() == 0; ++i) {
    watch.Begin();
    const Finished transfer = cluster->Distlog({"--timeout=30s", "election", "transfer"});
    if (transfer.status != 0) {
      campaign->Violation(
          absl::StrCat("transfer exited with ", transfer.status, ": ", transfer.err));
    }
    absl::SleepFor(absl::Milliseconds(300));
    transfers.push_back(watch.LongestMs());
    watch.Begin();
    // Whoever has been a member for the longest, the leader too, when it is its turn.
    changing.Replace(changing.members().front(), 3 + i);
    absl::SleepFor(absl::Milliseconds(300));
    replacements.push_back(watch.LongestMs());
  }
  if (watch.failures() > 0) {
    campaign->Violation(absl::StrCat(watch.failures(), " appends were not acknowledged"));
  }
  for (std::vector<double>* figures : {&transfers, &replacements}) {
    if (figures->empty()) continue;
    std::vector<double> sorted = *figures;
    std::sort(sorted.begin(), sorted.end());
    if (sorted[sorted.size() / 2] >= campaign->options().stall_ms) {
      campaign->Violation(
          absl::StrCat("the median stall is not below ", campaign->options().stall_ms, " ms"));
    }
  }
  if (campaign->violations() > 0) cluster->PrintLogs();
  campaign->Summary(absl::StrCat("stall: longest time between two acknowledgements: transfers ",
                                 Figures(transfers), "; replacements ", Figures(replacements)));
}

}  // namespace distlog
