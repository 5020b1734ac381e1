// Replicas that fall behind: down for long, or standing still, follower and leader.

#include <csignal>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/campaign.h"
#include "tests/e2e/direct.h"

namespace distlog {
namespace {

int OtherThan(int leader) { return (leader + 1) % 3; }

// Everything dies while one replica lacks most of the log: what is acknowledged is on the other
// two.
void FarBehind(Cluster* cluster, Campaign* campaign, std::shared_ptr<History> history) {
  const absl::StatusOr<int> leader = cluster->AwaitLeader();
  if (!campaign->Expect(leader.status(), "a leader")) return;
  const int behind = OtherThan(*leader);
  cluster->Kill(behind);
  Load::Options options = campaign->LoadOn(*cluster);
  options.history = history;
  options.pause = absl::ZeroDuration();
  options.outstanding = 1000;
  Load load(options);
  if (!load.AwaitProgress(50'000)) campaign->Violation("no progress without one replica");
  campaign->Say(absl::StrCat("server ", behind + 1, " lacks ", history->acknowledged(),
                             " acknowledged entries; now all are killed"));
  cluster->KillAll();
  campaign->Expect(cluster->StartAll(), "restart");
  if (!load.AwaitProgress(2'000)) campaign->Violation("no progress after the restart");
  load.Stop();
  if (campaign->Judge(cluster, *history)) campaign->Say("caught up; nothing is lost");
}

void StoppedFollower(Cluster* cluster, Campaign* campaign, std::shared_ptr<History> history) {
  const absl::StatusOr<int> leader = cluster->AwaitLeader();
  if (!campaign->Expect(leader.status(), "a leader")) return;
  const int follower = OtherThan(*leader);
  Load::Options options = campaign->LoadOn(*cluster);
  options.history = history;
  Load load(options);
  if (!load.AwaitProgress(1'000)) campaign->Violation("no progress");
  const std::string ballot = cluster->Ballot(*leader);
  const size_t before = history->acknowledged();
  cluster->process(follower)->Signal(SIGSTOP);
  absl::SleepFor(absl::Seconds(campaign->options().stop_seconds));
  const size_t meanwhile = history->acknowledged() - before;
  cluster->process(follower)->Signal(SIGCONT);
  if (meanwhile == 0) campaign->Violation("appends do not go on without a follower");
  if (!load.AwaitProgress(1'000)) campaign->Violation("no progress after the follower goes on");
  load.Stop();
  campaign->Judge(cluster, *history);
  const std::string after = cluster->Ballot(*leader);
  if (after != ballot) {
    campaign->Violation(absl::StrCat("the ballot changed from ", ballot, " to ", after));
  }
  campaign->Say(absl::StrCat("follower stopped for ", campaign->options().stop_seconds,
                             " s: ", meanwhile, " appends meanwhile, ballot ", ballot,
                             " before and ", after, " after"));
}

void StoppedLeader(Cluster* cluster, Campaign* campaign, History* history) {
  const absl::StatusOr<int> leader = cluster->AwaitLeader();
  if (!campaign->Expect(leader.status(), "a leader")) return;
  const std::string payload = NewPayload(&campaign->random(), 100);
  history->Sent(payload, 0);
  const StoppedLeaderOutcome outcome =
      StopLeaderUnderReads(cluster->process(*leader)->pid(), cluster->endpoint(*leader),
                           cluster->endpoint(OtherThan(*leader)), payload);
  campaign->Expect(outcome.status, "append while the leader is stopped");
  if (outcome.stale > 0) campaign->Violation(absl::StrCat(outcome.stale, " stale reads"));
  if (outcome.answered == 0) campaign->Violation("no read was answered at all");
  campaign->Judge(cluster, *history);
  campaign->Say(absl::StrCat("stopped leader, continued: ", outcome.answered, " reads answered, ",
                             outcome.stale, " of them stale"));
}

}  // namespace

void Behind(Campaign* campaign) {
  const auto cluster = campaign->NewCluster(3, {"--segment_bytes=4194304"});
  if (cluster == nullptr) return;
  const auto history = std::make_shared<History>();
  FarBehind(cluster.get(), campaign, history);
  if (campaign->violations() == 0) StoppedFollower(cluster.get(), campaign, history);
  for (int i = 0; i < campaign->rounds(10) && campaign->violations() == 0; ++i) {
    StoppedLeader(cluster.get(), campaign, history.get());
  }
  if (campaign->violations() > 0) cluster->PrintLogs();
  campaign->Summary(absl::StrCat("behind: ", history->acknowledged(), " acknowledged"));
}

}  // namespace distlog
