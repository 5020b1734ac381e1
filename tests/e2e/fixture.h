// What the end-to-end tests share.

#ifndef DISTLOG_TESTS_E2E_FIXTURE_H_
#define DISTLOG_TESTS_E2E_FIXTURE_H_

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/e2e/cluster.h"

namespace distlog {

// A test with a cluster. Shows what the servers said when it fails.
class EndToEnd : public testing::Test {
 protected:
  ~EndToEnd() override {
    if (HasFailure() && cluster_ != nullptr) cluster_->PrintLogs();
  }

  // A formed cluster with a leader.
  void StartCluster(int replicas = 3, std::vector<std::string> server_flags = {}, int spares = 0) {
    Cluster::Options options = Cluster::Defaults(replicas);
    options.server_flags = std::move(server_flags);
    options.spares = spares;
    cluster_ = std::make_unique<Cluster>(std::move(options));
    const absl::Status started = cluster_->StartAndForm();
    ASSERT_TRUE(started.ok()) << started;
  }

  // Which one leads; fails the test if nobody does.
  int Leader() {
    const absl::StatusOr<int> leader = cluster_->AwaitLeader();
    EXPECT_TRUE(leader.ok()) << leader.status();
    return leader.ok() ? *leader : 0;
  }

  // Every replica has the whole log, and it is `expected` as `read --raw` writes it.
  void ExpectEverywhere(const std::string& expected) {
    const auto equal = cluster_->AwaitEqual();
    ASSERT_TRUE(equal.ok()) << equal.status();
    for (int i = 0; i < cluster_->size(); ++i) {
      const auto copy = cluster_->ReadRaw(i);
      ASSERT_TRUE(copy.ok()) << copy.status();
      // Not EXPECT_EQ, which would print megabytes.
      EXPECT_TRUE(*copy == expected)
          << "server " << i + 1 << " gives back " << copy->size() << " bytes of " << expected.size()
          << ", the first wrong one is number "
          << std::mismatch(copy->begin(), copy->end(), expected.begin(), expected.end()).first -
                 copy->begin();
    }
  }

  std::unique_ptr<Cluster> cluster_;
};

// One sentence for people: a single line, not empty, without the marks of a log or a stack trace.
inline bool IsOneSentence(const std::string& err) {
  return err.size() > 10 && err.back() == '\n' && err.find('\n') == err.size() - 1 &&
         err.find("Check failed") == std::string::npos && err.find("    @") == std::string::npos;
}

}  // namespace distlog

#endif  // DISTLOG_TESTS_E2E_FIXTURE_H_
