// Nothing acknowledged is lost when processes die under load: all at once, the only one, or the
// leader at a chosen fdatasync.

#include <csignal>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/e2e/fixture.h"
#include "tests/e2e/load.h"

namespace distlog {
namespace {

class CrashTest : public EndToEnd {
 protected:
  Load::Options LoadOptions() {
    Load::Options options;
    options.endpoints = cluster_->endpoints();
    return options;
  }

  void ExpectNothingLost(const History& history) {
    const auto equal = cluster_->AwaitEqual();
    ASSERT_TRUE(equal.ok()) << equal.status();
    EXPECT_GT(history.acknowledged(), 0u);
    for (int i = 0; i < cluster_->size(); ++i) {
      const auto log = ReadLocal(cluster_->endpoint(i));
      ASSERT_TRUE(log.ok()) << log.status();
      const absl::Status verdict = history.Check(*log);
      EXPECT_TRUE(verdict.ok()) << "server " << i + 1 << ": " << verdict;
    }
  }
};

TEST_F(CrashTest, NothingAcknowledgedIsLostWhenAllThreeAreKilledUnderLoad) {
  StartCluster();
  if (HasFatalFailure()) return;
  Load load(LoadOptions());
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(load.AwaitProgress(500)) << "round " << round;
    cluster_->KillAll();
    const absl::Status started = cluster_->StartAll();
    ASSERT_TRUE(started.ok()) << started;
  }
  ASSERT_TRUE(load.AwaitProgress(100));
  load.Stop();
  ExpectNothingLost(load.history());
}

TEST_F(CrashTest, NothingAcknowledgedIsLostWhenTheOnlyReplicaIsKilledUnderLoad) {
  Cluster::Options options = Cluster::Defaults(1);
  options.server_flags = {"--dev"};
  cluster_ = std::make_unique<Cluster>(options);
  ASSERT_TRUE(cluster_->StartAll().ok());
  Load load(LoadOptions());
  for (int round = 0; round < 4; ++round) {
    ASSERT_TRUE(load.AwaitProgress(300)) << "round " << round;
    cluster_->KillAll();
    const absl::Status started = cluster_->StartAll();
    ASSERT_TRUE(started.ok()) << started;
  }
  ASSERT_TRUE(load.AwaitProgress(100));
  load.Stop();
  ExpectNothingLost(load.history());
}

// The moments around a sync are those where an order of writes and messages can be wrong.
// tools/torture does this for many more N.
TEST_F(CrashTest, NothingAcknowledgedIsLostWhenTheLeaderDiesAtItsNthSync) {
  StartCluster();
  if (HasFatalFailure()) return;
  Load load(LoadOptions());
  for (const int n : {1, 2, 7}) {
    ASSERT_TRUE(load.AwaitProgress(100)) << "n=" << n;
    const int leader = Leader();
    Command strace;
    strace.arguments = {"/usr/bin/strace",
                        "-f",
                        "-qq",
                        "-o/dev/null",
                        "-etrace=fdatasync",
                        "-esignal=none",
                        absl::StrCat("-einject=fdatasync:signal=SIGKILL:when=", n),
                        absl::StrCat("-p", cluster_->process(leader)->pid())};
    const auto tracer = Process::Start(strace);
    EXPECT_EQ(cluster_->process(leader)->Wait(), 128 + SIGKILL)
        << "n=" << n << ": " << tracer->error();
    const absl::Status started = cluster_->Start(leader);
    ASSERT_TRUE(started.ok()) << started;
  }
  ASSERT_TRUE(load.AwaitProgress(100));
  load.Stop();
  ExpectNothingLost(load.history());
}

}  // namespace
}  // namespace distlog
