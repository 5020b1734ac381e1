// Members that come and go, as an operator does it (docs/operations.md), under a load of appends
// and linearizable reads whose history is checked at the end.

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/e2e/member_fixture.h"

namespace distlog {
namespace {

using ::testing::HasSubstr;

using MemberTest = ChangingMembers;

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
    const auto change = StartChange({"replace", ids[i], cluster_->endpoint(3 + i)});
    absl::SleepFor(absl::Milliseconds(GetParam() * (i + 1)));
    KillAndStart(Leader());
    ExpectDone(change.get());
    if (HasFatalFailure()) return;
    cluster_->Destroy(i);
  }
  ExpectWholeOn({3, 4, 5});
}

// In milliseconds: a change takes about two seconds, most of which its newcomer catches up. Each
// phase by itself: member_phases_test.cc.
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

}  // namespace
}  // namespace distlog
