// Changes of members and of the leader through a client: begun once however often they are sent,
// never called undone without proof, and followed to their end through the loss of every server
// that was known at first.

#include <memory>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/fake_server.h"
#include "client/verdict.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Strings = std::vector<std::string>;

std::unique_ptr<Client> ClientOf(const Strings& endpoints,
                                 absl::Duration timeout = absl::Seconds(30)) {
  auto client = Client::Connect({.endpoints = endpoints,
                                 .timeout = timeout,
                                 .attempt_timeout = absl::Milliseconds(300),
                                 .change_attempt_timeout = absl::Milliseconds(300)});
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

v1::AddMemberRequest Add(const std::string& address) {
  v1::AddMemberRequest request;
  request.set_address(address);
  return request;
}

v1::Operation Stage(v1::Operation::Phase phase) {
  v1::Operation operation;
  operation.set_phase(phase);
  return operation;
}

TEST(ClusterCallsTest, AChangeIsBegunOnceHoweverOftenItIsSent) {
  FakeCluster cluster(3);
  const auto client = ClientOf(cluster.endpoints());
  cluster.Script(
      {Fault::kRefuse, Fault::kFail, Fault::kFailAfter, Fault::kMove, Fault::kHang, Fault::kNone});
  const ChangeResult result = client->Change(Add("127.0.0.1:4604"));
  EXPECT_EQ(result.outcome, Outcome::kDone) << result.status;
  EXPECT_EQ(result.response.operation_id(), 1u);
  EXPECT_THAT(cluster.membership().requests(), ElementsAre("add 127.0.0.1:4604"));
  // Another one is another one.
  EXPECT_EQ(client->Change(Add("127.0.0.1:4604")).response.operation_id(), 2u);
}

TEST(ClusterCallsTest, EachKindOfChangeReachesTheLeader) {
  FakeCluster cluster(2);
  cluster.SetLeader(2);
  const auto client = ClientOf({cluster.endpoint(1)});
  v1::RemoveMemberRequest remove;
  remove.set_id(1);
  v1::ReplaceMemberRequest replace;
  replace.set_id(2);
  replace.set_address("a:1");
  v1::PromoteMemberRequest promote;
  promote.set_id(3);
  v1::SetMembersRequest set;
  set.add_addresses("a:1");
  set.add_addresses("b:2");
  for (const ChangeRequest& request : std::vector<ChangeRequest>{remove, replace, promote, set}) {
    EXPECT_EQ(client->Change(request).outcome, Outcome::kDone);
  }
  EXPECT_THAT(cluster.membership().requests(),
              ElementsAre("remove replica 1", "replace replica 2 by a:1", "promote replica 3",
                          "set a:1, b:2"));
}

TEST(ClusterCallsTest, ARefusalIsFinalAndCertain) {
  FakeCluster cluster(1);
  const auto client = ClientOf(cluster.endpoints());
  v1::AddMemberRequest request = Add("a:1");
  request.mutable_options()->set_expect_version(7);
  ChangeResult result = client->Change(request);
  EXPECT_EQ(result.outcome, Outcome::kNotDone);
  EXPECT_EQ(result.status.code(), absl::StatusCode::kAborted);
  cluster.membership().Refuse("operation 3 runs");
  result = client->Change(Add("a:1"));
  EXPECT_EQ(result.outcome, Outcome::kNotDone);
  EXPECT_EQ(result.status, absl::FailedPreconditionError("operation 3 runs"));
  EXPECT_EQ(cluster.appends_taken(), 2u) << "a refusal was tried again";
}

// The first copy may have begun it, or may yet: only its nonce could tell.
TEST(ClusterCallsTest, ARefusalAfterAnUnknownAttemptLeavesItUnknown) {
  FakeCluster cluster(1);
  const auto client = ClientOf(cluster.endpoints());
  cluster.membership().Refuse("operation 3 runs");
  cluster.Script({Fault::kFail});
  EXPECT_EQ(client->Change(Add("a:1")).outcome, Outcome::kUnknown);
  // A plan never changed anything.
  cluster.Script({Fault::kFail, Fault::kFail, Fault::kFail});
  v1::AddMemberRequest plan = Add("a:1");
  plan.mutable_options()->set_dry_run(true);
  const ChangeResult planned = client->Change(plan);
  EXPECT_EQ(planned.outcome, Outcome::kDone) << planned.status;
  EXPECT_EQ(planned.response.plan().refusal(), "operation 3 runs");
  EXPECT_EQ(planned.response.operation_id(), 0u);
}

TEST(ClusterCallsTest, WithoutALeaderNothingBegins) {
  FakeCluster cluster(3);
  cluster.SetLeader(0);
  const auto client = ClientOf(cluster.endpoints(), absl::Milliseconds(300));
  const ChangeResult result = client->Change(Add("a:1"));
  EXPECT_EQ(result.outcome, Outcome::kNotDone);
  EXPECT_EQ(ReasonOf(result.status), v1::ErrorDetail::REASON_NO_LEADER);
  // What is in the log can be asked for all the same.
  const auto operations = client->Operations();
  ASSERT_TRUE(operations.ok()) << operations.status();
  EXPECT_FALSE(operations->from_leader());
  EXPECT_EQ(operations->configuration().members_size(), 3);
  EXPECT_TRUE(client->History(0).ok());
}

TEST(ClusterCallsTest, AnOperationIsFollowedWhenAllServersKnownAtFirstAreRemoved) {
  FakeCluster cluster(5);
  cluster.membership().SetMembers({1, 2});
  const auto client = ClientOf({cluster.endpoint(1), cluster.endpoint(2)});
  const ChangeResult begun = client->Change(v1::SetMembersRequest());
  ASSERT_EQ(begun.outcome, Outcome::kDone) << begun.status;
  cluster.membership().Script(
      {Stage(v1::Operation::PHASE_LEARNING), Stage(v1::Operation::PHASE_CHANGING),
       Stage(v1::Operation::PHASE_SETTLING), Stage(v1::Operation::PHASE_DONE)});
  std::vector<v1::Operation::Phase> phases;
  const auto ended = client->AwaitOperation(begun.response.operation_id(),
                                            [&](const v1::OperationsResponse& answer) {
                                              phases.push_back(answer.operations(0).phase());
                                              if (phases.size() == 1)
                                                cluster.membership().SetMembers({1, 2, 3, 4, 5});
                                              if (phases.size() == 2) {
                                                // Those that were removed go on answering what they
                                                // knew, and one of them is gone.
                                                cluster.membership().SetMembers({3, 4, 5});
                                                cluster.SetLeader(4);
                                                cluster.Stop(1);
                                              }
                                              if (phases.size() == 3) cluster.Stop(2);
                                            });
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->operations(0).phase(), v1::Operation::PHASE_DONE);
  EXPECT_THAT(phases, ElementsAre(v1::Operation::PHASE_LEARNING, v1::Operation::PHASE_CHANGING,
                                  v1::Operation::PHASE_SETTLING));
}

TEST(ClusterCallsTest, ARemovedServerLeadsToTheOthers) {
  FakeCluster cluster(3);
  cluster.membership().SetMembers({2, 3});
  cluster.SetLeader(3);
  const auto client = ClientOf({cluster.endpoint(1)});
  EXPECT_EQ(client->Append({"a"}).outcome, Outcome::kDone);
  EXPECT_TRUE(client->Operations().ok());
  cluster.Stop(2);
  cluster.Stop(3);
  const auto alone = ClientOf({cluster.endpoint(1)}, absl::Milliseconds(300));
  EXPECT_THAT(std::string(alone->Append({"b"}).status.message()), HasSubstr("was removed"));
}

// It is in the log, and whoever leads next carries it on.
TEST(ClusterCallsTest, AnOperationOfWhichNoLeaderTellsIsGivenUpAfterTheTimeout) {
  FakeCluster cluster(3);
  const auto client = ClientOf(cluster.endpoints(), absl::Milliseconds(500));
  cluster.membership().Script({Stage(v1::Operation::PHASE_LEARNING)});
  ASSERT_EQ(client->Change(Add("a:1")).outcome, Outcome::kDone);
  int told = 0;
  const auto ended = client->AwaitOperation(1, [&](const v1::OperationsResponse&) {
    if (++told == 3) cluster.SetLeader(0);
  });
  EXPECT_EQ(ReasonOf(ended.status()), v1::ErrorDetail::REASON_NO_LEADER) << ended.status();
  EXPECT_EQ(told, 3);
  EXPECT_EQ(client->AwaitOperation(9, [](const auto&) {}).status().code(),
            absl::StatusCode::kUnavailable);
  cluster.SetLeader(1);
  EXPECT_EQ(client->AwaitOperation(9, [](const auto&) {}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(ClusterCallsTest, ACancelIsRepeatedAndRefusedWhenItIsTooLate) {
  FakeCluster cluster(3);
  const auto client = ClientOf(cluster.endpoints());
  cluster.membership().Script({Stage(v1::Operation::PHASE_LEARNING)});
  ASSERT_EQ(client->Change(Add("a:1")).outcome, Outcome::kDone);
  cluster.Script({Fault::kFailAfter, Fault::kMove});
  EXPECT_EQ(client->CancelOperation(1).outcome, Outcome::kDone);
  const auto ended = client->AwaitOperation(1, [](const auto&) {});
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->operations(0).phase(), v1::Operation::PHASE_CANCELLED);
  const CancelResult none = client->CancelOperation(7);
  EXPECT_EQ(none.outcome, Outcome::kNotDone);
  EXPECT_EQ(none.status.code(), absl::StatusCode::kNotFound);
}

TEST(ClusterCallsTest, ATransferIsRepeatedOnlyIfItNamesItsGoal) {
  FakeCluster cluster(3);
  const auto client = ClientOf(cluster.endpoints());
  cluster.Script({Fault::kFailAfter});
  EXPECT_EQ(client->TransferLeadership(0).outcome, Outcome::kUnknown);
  EXPECT_EQ(cluster.leader(), 2u) << "it was moved twice";
  cluster.Script({Fault::kRefuse, Fault::kFailAfter});
  const TransferResult result = client->TransferLeadership(1);
  EXPECT_EQ(result.outcome, Outcome::kDone) << result.status;
  EXPECT_EQ(result.response.to_id(), 1u);
  EXPECT_EQ(client->TransferLeadership(9).outcome, Outcome::kNotDone);
}

TEST(ClusterCallsTest, TheHistoryIsBounded) {
  FakeCluster cluster(3);
  for (uint64_t leader : {2, 3, 1}) cluster.SetLeader(leader);
  const auto history = ClientOf(cluster.endpoints())->History(2);
  ASSERT_TRUE(history.ok()) << history.status();
  ASSERT_EQ(history->terms_size(), 2);
  EXPECT_EQ(history->terms(1).ballot().round(), 4u);
}

}  // namespace
}  // namespace distlog
