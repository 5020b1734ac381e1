// Members that come and go, as an operator does it (docs/operations.md), under a load of appends
// and linearizable reads whose history is checked at the end; and what is refused.

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/e2e/fixture.h"
#include "tests/e2e/load.h"

namespace distlog {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

class MemberTest : public EndToEnd {
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
    ASSERT_TRUE(load_->AwaitProgress(200));
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

  // `distlog member ...` to its end. With `kill_after`, the leader is killed that long after the
  // command began, and started again.
  void Change(std::vector<std::string> arguments,
              absl::Duration kill_after = absl::InfiniteDuration()) {
    arguments.insert(arguments.begin(), {"--timeout=80s", "member"});
    const auto command = Process::Start(cluster_->DistlogCommand(arguments));
    if (kill_after < absl::InfiniteDuration()) {
      absl::SleepFor(kill_after);
      const int leader = Leader();
      cluster_->Kill(leader);
      const absl::Status started = cluster_->Start(leader);
      ASSERT_TRUE(started.ok()) << started;
    }
    ASSERT_EQ(command->Wait(), 0) << absl::StrJoin(arguments, " ") << ": " << command->error()
                                  << command->output();
  }

  // The members are these, all voters; everything acknowledged is on each of them, and no read
  // missed any of it.
  void ExpectWholeOn(const std::vector<int>& servers) {
    ASSERT_TRUE(load_->AwaitProgress(200));
    load_->Stop();
    std::vector<std::string> addresses;
    for (const auto& [address, id] : cluster_->MemberIds()) addresses.push_back(address);
    EXPECT_THAT(addresses, testing::UnorderedElementsAreArray(Addresses(servers)));
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
};

TEST_F(MemberTest, ThreeGrowToFiveAndShrinkAgain) {
  Begin();
  if (HasFatalFailure()) return;
  for (const int newcomer : {3, 4}) {
    StartServer(newcomer);
    Change({"add", cluster_->endpoint(newcomer)});
  }
  EXPECT_EQ(cluster_->MemberIds().size(), 5u);
  const int leader = Leader();
  Change({"remove", IdOf(leader)});  // It hands over.
  cluster_->Destroy(leader);
  std::vector<int> rest = {0, 1, 2, 3, 4};
  rest.erase(std::find(rest.begin(), rest.end(), leader));
  Change({"remove", IdOf(rest.back())});
  cluster_->Destroy(rest.back());
  rest.pop_back();
  ExpectWholeOn(rest);
}

TEST_F(MemberTest, ADeadMachineIsReplaced) {
  Begin();
  if (HasFatalFailure()) return;
  const std::string id = IdOf(0);
  cluster_->Destroy(0);
  StartServer(3);
  Change({"replace", id, cluster_->endpoint(3)});
  ExpectWholeOn({1, 2, 3});
}

// Whoever has left may be destroyed the moment the command returns.
class KilledLeaderTest : public MemberTest, public testing::WithParamInterface<int> {};

TEST_P(KilledLeaderTest, EveryMachineIsReplacedThoughLeadersDie) {
  Begin();
  if (HasFatalFailure()) return;
  const std::vector<std::string> ids = {IdOf(0), IdOf(1), IdOf(2)};
  for (int i = 0; i < 3; ++i) {
    StartServer(3 + i);
    Change({"replace", ids[i], cluster_->endpoint(3 + i)},
           absl::Milliseconds(GetParam() * (i + 1)));
    if (HasFatalFailure()) return;
    cluster_->Destroy(i);
  }
  ExpectWholeOn({3, 4, 5});
}

// In milliseconds: a change takes about two seconds, most of which its newcomer catches up.
INSTANTIATE_TEST_SUITE_P(After, KilledLeaderTest, testing::Values(0, 300, 700));

TEST_F(MemberTest, TheWholeClusterMovesAtOnceAndSurvivesAPowerCut) {
  Begin();
  if (HasFatalFailure()) return;
  for (const int newcomer : {3, 4, 5}) StartServer(newcomer);
  std::vector<std::string> arguments = Addresses({3, 4, 5});
  arguments.insert(arguments.begin(), "set");
  Change(arguments);
  for (const int old : {0, 1, 2}) cluster_->process(old)->Signal(SIGKILL);
  for (const int current : {3, 4, 5}) cluster_->process(current)->Signal(SIGKILL);
  for (const int old : {0, 1, 2}) cluster_->Destroy(old);
  for (const int current : {3, 4, 5}) cluster_->Kill(current);
  for (const int current : {3, 4, 5}) StartServer(current);
  ExpectWholeOn({3, 4, 5});
}

TEST_F(MemberTest, AWipedDirectoryNeverVotesAndReplaceBringsItBack) {
  Begin();
  if (HasFatalFailure()) return;
  const int wiped = Leader() == 0 ? 1 : 0;
  const std::string id = IdOf(wiped);
  cluster_->Destroy(wiped);
  StartServer(wiped);
  // The others tell that a stranger is there, and what to do.
  Finished status;
  EXPECT_TRUE(Await([&] {
    status = cluster_->Distlog({"--timeout=5s", "status"});
    return status.out.find("member replace") != std::string::npos;
  })) << status.out;
  const Finished alone = cluster_->Distlog(
      {absl::StrCat("--endpoints=", cluster_->endpoint(wiped)), "--timeout=5s", "append", "x"});
  EXPECT_NE(alone.status, 0);
  Change({"replace", id, cluster_->endpoint(wiped)});
  ExpectWholeOn({0, 1, 2});
}

TEST_F(MemberTest, ADirectoryRestoredFromAnOldCopyIsRefused) {
  Begin();
  if (HasFatalFailure()) return;
  const int restored = Leader() == 0 ? 1 : 0;
  const std::string copy = absl::StrCat(cluster_->dir(), "/copy");
  EXPECT_EQ(cluster_->Terminate(restored), 0);
  std::filesystem::copy(cluster_->data_dir(restored), copy,
                        std::filesystem::copy_options::recursive);
  StartServer(restored);
  ASSERT_TRUE(load_->AwaitProgress(200));
  EXPECT_EQ(cluster_->Terminate(restored), 0);
  std::filesystem::remove_all(cluster_->data_dir(restored));
  std::filesystem::rename(copy, cluster_->data_dir(restored));
  cluster_->Launch(restored);
  EXPECT_TRUE(Await([&] {
    return cluster_->server_log(restored).find("member replace") != std::string::npos;
  })) << cluster_->server_log(restored);
  const std::string id = IdOf(restored);
  cluster_->Destroy(restored);
  StartServer(restored);
  Change({"replace", id, cluster_->endpoint(restored)});
  ExpectWholeOn({0, 1, 2});
}

TEST_F(MemberTest, ServersRestartOneAfterAnother) {
  Begin();
  if (HasFatalFailure()) return;
  for (const int server : {0, 1, 2}) {
    EXPECT_EQ(cluster_->Terminate(server), 0);
    StartServer(server);
    ASSERT_TRUE(load_->AwaitProgress(200));
  }
  ExpectWholeOn({0, 1, 2});
}

TEST_F(MemberTest, LeadershipIsTransferredAndTheLogTellsWhoLed) {
  Begin();
  if (HasFatalFailure()) return;
  const int leader = Leader();
  const int successor = (leader + 1) % 3;
  const Finished transfer =
      cluster_->Distlog({"--timeout=30s", "election", "transfer", IdOf(successor)});
  EXPECT_EQ(transfer.status, 0) << transfer.err;
  EXPECT_EQ(Leader(), successor);
  const Finished history = cluster_->Distlog({"--timeout=30s", "election", "history"});
  EXPECT_EQ(history.status, 0) << history.err;
  EXPECT_THAT(history.out, HasSubstr(cluster_->endpoint(leader)));
  EXPECT_THAT(history.out, HasSubstr(cluster_->endpoint(successor)));
  ExpectWholeOn({0, 1, 2});
}

TEST_F(MemberTest, WhatCannotBeSafeIsRefusedAndChangesNothing) {
  StartCluster(3, {}, kSpares);
  if (HasFatalFailure()) return;
  // A server of another cluster, and one that is nowhere.
  StartServer(3);
  const Finished other = cluster_->Distlog(
      {absl::StrCat("--endpoints=", cluster_->endpoint(3)), "init", cluster_->endpoint(3)});
  ASSERT_EQ(other.status, 0) << other.err;
  StartServer(4);
  const auto version = [&] {
    const Finished list =
        cluster_->Distlog({absl::StrCat("--endpoints=", absl::StrJoin(Addresses({0, 1, 2}), ",")),
                           "--output=json", "member", "list"});
    return list.out;
  };
  const std::string before = version();
  const auto expect_refused = [&](std::vector<std::string> arguments, const std::string& reason) {
    arguments.insert(arguments.begin(),
                     {absl::StrCat("--endpoints=", absl::StrJoin(Addresses({0, 1, 2}), ",")),
                      "--timeout=15s", "member"});
    const Finished refused = cluster_->Distlog(arguments);
    EXPECT_THAT(refused.status, AnyOf(4, 5)) << absl::StrJoin(arguments, " ") << refused.err;
    EXPECT_TRUE(IsOneSentence(refused.err)) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(reason));
  };
  expect_refused({"add", cluster_->endpoint(0)}, "member");
  expect_refused({"add", cluster_->endpoint(3)}, "another cluster");
  expect_refused({"add", cluster_->endpoint(6)}, cluster_->endpoint(6));
  expect_refused({"remove", "9"}, "9");
  expect_refused({"promote", "1"}, "voter");
  expect_refused({"replace", "9", cluster_->endpoint(4)}, "9");
  expect_refused({"add", cluster_->endpoint(4), "--expect_version=7"}, "7");
  EXPECT_EQ(version(), before);
  // With one member down, removing another living one would leave no quorum of the rest.
  const int leader = Leader();
  const int dead = (leader + 1) % 3;
  const int living = (leader + 2) % 3;
  const std::string id = IdOf(living);
  cluster_->Kill(dead);
  ASSERT_TRUE(Await([&] {
    const auto status = cluster_->Status(leader);
    return status.ok() && Text(*status, "can_lose") == "0";
  }));
  expect_refused({"remove", id}, "2 are needed");
  EXPECT_EQ(version(), before);
}

}  // namespace
}  // namespace distlog
