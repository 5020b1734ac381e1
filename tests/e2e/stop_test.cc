// Replicas that stand still, stop politely or die while clients wait.

#include <csignal>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/e2e/direct.h"
#include "tests/e2e/fixture.h"
#include "tests/e2e/load.h"

namespace distlog {
namespace {

class StopTest : public EndToEnd {
 protected:
  Load::Options LoadOptions() {
    Load::Options options;
    options.endpoints = cluster_->endpoints();
    options.timeout = absl::Seconds(30);
    return options;
  }
};

TEST_F(StopTest, AStoppedFollowerCatchesUpAndDisturbsNobody) {
  StartCluster();
  if (HasFatalFailure()) return;
  const int leader = Leader();
  const int follower = (leader + 1) % 3;
  Load load(LoadOptions());
  ASSERT_TRUE(load.AwaitProgress(200));
  const std::string ballot = cluster_->Ballot(leader);

  cluster_->process(follower)->Signal(SIGSTOP);
  EXPECT_TRUE(load.AwaitProgress(5'000)) << "appends do not go on without the follower";
  cluster_->process(follower)->Signal(SIGCONT);
  EXPECT_TRUE(load.AwaitProgress(1'000));
  load.Stop();

  const auto equal = cluster_->AwaitEqual();
  ASSERT_TRUE(equal.ok()) << equal.status();
  EXPECT_EQ(cluster_->Ballot(leader), ballot);
  EXPECT_EQ(Leader(), leader);
  const auto log = ReadLocal(cluster_->endpoint(follower));
  ASSERT_TRUE(log.ok()) << log.status();
  const absl::Status verdict = load.history().Check(*log);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// The reads are on their way to it while it stands still, so that they are the first that it sees
// when it goes on, still taking itself for the leader.
TEST_F(StopTest, AStoppedLeaderThatGoesOnAnswersNoStaleRead) {
  StartCluster();
  if (HasFatalFailure()) return;
  std::string expected;
  for (int round = 0; round < 5; ++round) {
    const int leader = Leader();
    const std::string payload = absl::StrCat("round ", round);
    const StoppedLeaderOutcome outcome =
        StopLeaderUnderReads(cluster_->process(leader)->pid(), cluster_->endpoint(leader),
                             cluster_->endpoint((leader + 1) % 3), payload);
    ASSERT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_GT(outcome.answered, 0);
    EXPECT_EQ(outcome.stale, 0) << "of " << outcome.answered;
    expected += payload + "\n";
    ExpectEverywhere(expected);
  }
}

TEST_F(StopTest, AnAppendThatWaitsSucceedsAfterTheLeaderIsKilled) {
  StartCluster();
  if (HasFatalFailure()) return;
  ASSERT_EQ(cluster_->Distlog({"append", "first"}).status, 0);
  const int leader = Leader();
  Command command = cluster_->DistlogCommand({"--timeout=60s", "append", "--lines"});
  command.open_input = true;
  const auto append = Process::Start(command);
  ASSERT_TRUE(append->WriteInput("second\n"));
  ASSERT_TRUE(Await([&] { return append->output() == "2\n"; })) << append->error();

  cluster_->Kill(leader);
  ASSERT_TRUE(append->WriteInput("third\n"));
  append->CloseInput();
  EXPECT_EQ(append->Wait(), 0) << append->error();
  EXPECT_EQ(append->output(), "2\n3\n");
  ASSERT_TRUE(cluster_->Start(leader).ok());
  ExpectEverywhere("first\nsecond\nthird\n");
}

TEST_F(StopTest, SigtermHandsLeadershipOverAndLosesNothing) {
  StartCluster();
  if (HasFatalFailure()) return;
  Load load(LoadOptions());
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(load.AwaitProgress(300));
    const int leader = Leader();
    EXPECT_EQ(cluster_->Terminate(leader), 0) << "round " << round;
    EXPECT_NE(Leader(), leader);
    ASSERT_TRUE(load.AwaitProgress(100));
    const absl::Status started = cluster_->Start(leader);
    ASSERT_TRUE(started.ok()) << started;
  }
  load.Stop();
  const auto equal = cluster_->AwaitEqual();
  ASSERT_TRUE(equal.ok()) << equal.status();
  for (int i = 0; i < 3; ++i) {
    const auto log = ReadLocal(cluster_->endpoint(i));
    ASSERT_TRUE(log.ok()) << log.status();
    const absl::Status verdict = load.history().Check(*log);
    EXPECT_TRUE(verdict.ok()) << verdict;
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(cluster_->Terminate(i), 0) << "server " << i + 1;
}

}  // namespace
}  // namespace distlog
