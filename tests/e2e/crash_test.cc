// Nothing acknowledged is lost when processes die under load: all at once, the only one, or the
// leader at a chosen fdatasync.

#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/e2e/fixture.h"
#include "tests/e2e/load.h"

namespace distlog {
namespace {

class CrashTest : public EndToEnd {
 protected:
  // Something that kills, and starts again what it killed.
  using Fault = std::function<absl::Status()>;

  // Load until each of `faults` has struck, with so many appends before it, and a little longer.
  void ExpectNothingLost(uint64_t appends, const std::vector<Fault>& faults) {
    Load::Options options;
    options.endpoints = cluster_->endpoints();
    Load load(options);
    for (size_t i = 0; i < faults.size(); ++i) {
      ASSERT_TRUE(load.AwaitProgress(appends)) << "before fault " << i + 1;
      const absl::Status status = faults[i]();
      ASSERT_TRUE(status.ok()) << "fault " << i + 1 << ": " << status;
    }
    ASSERT_TRUE(load.AwaitProgress(100));
    load.Stop();
    ExpectAllIn(load.history());
  }

  Fault KillAll() {
    return [this] {
      cluster_->KillAll();
      return cluster_->StartAll();
    };
  }

  Fault KillLeaderAtSync(int n) {
    return [this, n] {
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
      return cluster_->Start(leader);
    };
  }

 private:
  void ExpectAllIn(const History& history) {
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
  ExpectNothingLost(500, std::vector(3, KillAll()));
}

TEST_F(CrashTest, NothingAcknowledgedIsLostWhenTheOnlyReplicaIsKilledUnderLoad) {
  Cluster::Options options = Cluster::Defaults(1);
  options.server_flags = {"--dev"};
  cluster_ = std::make_unique<Cluster>(options);
  ASSERT_TRUE(cluster_->StartAll().ok());
  ExpectNothingLost(300, std::vector(4, KillAll()));
}

// The moments around a sync are those where an order of writes and messages can be wrong.
// tools/torture does this for many more N.
TEST_F(CrashTest, NothingAcknowledgedIsLostWhenTheLeaderDiesAtItsNthSync) {
  StartCluster();
  if (HasFatalFailure()) return;
  ExpectNothingLost(100, {KillLeaderAtSync(1), KillLeaderAtSync(2), KillLeaderAtSync(7)});
}

}  // namespace
}  // namespace distlog
