// What the tests of changing members share.

#ifndef DISTLOG_TESTS_E2E_MEMBER_FIXTURE_H_
#define DISTLOG_TESTS_E2E_MEMBER_FIXTURE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "tests/e2e/fixture.h"
#include "tests/e2e/load.h"

namespace distlog {

// A cluster whose members change, under a load of appends and linearizable reads whose history is
// checked at the end.
class ChangingMembers : public EndToEnd {
 protected:
  static constexpr int kSpares = 4;

  // Three members, and servers 3, 4 ... that belong to no cluster and are not started.
  void Begin() {
    StartCluster(3, {}, kSpares);
    if (HasFatalFailure()) return;
    Load::Options options;
    options.endpoints = cluster_->endpoints();
    options.producers = 2;
    options.readers = 1;
    options.pause = absl::Milliseconds(3);
    options.timeout = absl::Seconds(20);
    load_ = std::make_unique<Load>(options);
    ASSERT_TRUE(load_->AwaitProgress(kProgress));
  }

  std::string IdOf(int server) {
    return absl::StrCat(cluster_->MemberIds()[cluster_->endpoint(server)]);
  }
  std::vector<std::string> Addresses(const std::vector<int>& servers) {
    std::vector<std::string> addresses;
    for (const int server : servers) addresses.push_back(cluster_->endpoint(server));
    return addresses;
  }
  void StartServer(int server) {
    const absl::Status started = cluster_->Start(server);
    ASSERT_TRUE(started.ok()) << started;
  }
  void KillAndStart(int server) {
    cluster_->Kill(server);
    StartServer(server);
  }

  // `distlog member ...`, under way.
  std::unique_ptr<Process> StartChange(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--timeout=80s", "member"});
    return Process::Start(cluster_->DistlogCommand(arguments));
  }
  void ExpectDone(Process* change) {
    ASSERT_EQ(change->Wait(), 0) << change->error() << change->output();
  }
  // To its end.
  void Change(const std::vector<std::string>& arguments) {
    ExpectDone(StartChange(arguments).get());
  }

  // The members are these, all voters; everything acknowledged is on each of them, and no read
  // missed any of it.
  void ExpectWholeOn(const std::vector<int>& servers) {
    ASSERT_TRUE(load_->AwaitProgress(kProgress));
    load_->Stop();
    const Finished list = cluster_->Distlog({"--timeout=30s", "--output=json", "member", "list"});
    const auto json = ParseJson(list.out);
    ASSERT_TRUE(json.ok()) << json.status() << list.err;
    std::vector<std::string> members;
    for (const Json& member : Objects(*json, "members")) {
      members.push_back(absl::StrCat(Text(member, "role"), " ", Text(member, "address")));
    }
    std::vector<std::string> wanted;
    for (const std::string& address : Addresses(servers)) wanted.push_back("voter " + address);
    EXPECT_THAT(members, testing::UnorderedElementsAreArray(wanted));
    const auto equal = cluster_->AwaitEqual(servers);
    ASSERT_TRUE(equal.ok()) << equal.status();
    EXPECT_GT(load_->history().reads(), 0u);
    for (const int server : servers) {
      const auto log = ReadLocal(cluster_->endpoint(server));
      ASSERT_TRUE(log.ok()) << log.status();
      const absl::Status verdict = load_->history().Check(*log);
      EXPECT_TRUE(verdict.ok()) << "server " << server + 1 << ": " << verdict;
    }
  }

  std::unique_ptr<Load> load_;

 private:
  // Acknowledged appends before a change, and after it.
  static constexpr size_t kProgress = 200;
};

}  // namespace distlog

#endif  // DISTLOG_TESTS_E2E_MEMBER_FIXTURE_H_
