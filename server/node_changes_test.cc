// What a Node does with changes of members and of the leader: they go through the log, every
// replica tells the same of them, and what is refused leaves no trace.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "server/local_network.h"
#include "server/node.h"
#include "wire/status.h"

namespace distlog {
namespace {

using Clock = std::chrono::steady_clock;
using Code = absl::StatusCode;

Clock::time_point Soon() { return Clock::now() + std::chrono::seconds(60); }

absl::StatusOr<uint64_t> Begin(Node& node, const v1::BeginOperationCommand& command,
                               Clock::time_point deadline = Soon()) {
  std::promise<absl::StatusOr<uint64_t>> promise;
  node.BeginOperation(command, deadline,
                      [&](const absl::StatusOr<uint64_t>& id) { promise.set_value(id); });
  return promise.get_future().get();
}

absl::Status Cancel(Node& node, uint64_t id) {
  std::promise<absl::Status> promise;
  node.CancelOperation(id, Soon(), [&](const absl::Status& status) { promise.set_value(status); });
  return promise.get_future().get();
}

absl::StatusOr<v1::AppendResponse> Append(Node& node) {
  v1::AppendRequest request;
  request.add_payloads("x");
  std::promise<absl::StatusOr<v1::AppendResponse>> promise;
  node.Append(request, Soon(), [&](const absl::StatusOr<v1::AppendResponse>& response) {
    promise.set_value(response);
  });
  return promise.get_future().get();
}

// What holds of every error of these calls.
v1::ErrorDetail Detail(const absl::Status& status) {
  EXPECT_FALSE(status.message().empty());
  const std::optional<v1::ErrorDetail> detail = DetailOf(status);
  EXPECT_TRUE(detail.has_value()) << status;
  return detail.value_or(v1::ErrorDetail());
}

v1::ServerStatus StatusOf(Node& node) {
  v1::ServerStatus status;
  node.FillStatus(&status);
  return status;
}

class NodeChangesTest : public ::testing::Test {
 protected:
  // A leader, whom everybody has heard of, and that has heard everybody.
  size_t Form(paxos::Options protocol = {}) {
    cluster_ = std::make_unique<LocalCluster>(3, Store::Options(), Node::Limits(),
                                              std::vector<std::string>(), protocol);
    cluster_->Assign();
    const size_t leader = cluster_->Leader();
    LocalCluster::WaitFor([&] {
      for (size_t i = 0; i < 3; ++i) {
        const Node::Leader known = node(i).leader();
        if (!known.is_here && known.address.empty()) return false;
        if (node(i).History().terms_size() == 0) return false;
        if (StatusOf(node(i)).heard_size() != 3) return false;
      }
      return true;
    });
    return leader;
  }
  Node& node(size_t index) { return cluster_->node(index); }

  // The members stay, and one of them does not vote any more.
  v1::BeginOperationCommand Demote(size_t index) const {
    v1::BeginOperationCommand command;
    command.set_verb(v1::Operation::VERB_SET);
    command.set_base_version(1);
    command.set_request("demote one");
    command.set_nonce(1);
    const v1::ConfigurationMessage genesis = ToProto(cluster_->genesis());
    *command.mutable_goal() = genesis.members();
    command.mutable_goal(static_cast<int>(index))->set_voter(false);
    return command;
  }
  // A newcomer is added that nobody ever reaches: this goes on until it is cancelled.
  v1::BeginOperationCommand AddUnreachable() const {
    v1::BeginOperationCommand command = Demote(0);
    command.set_verb(v1::Operation::VERB_ADD);
    command.set_nonce(2);
    command.set_learn_first(true);
    command.mutable_goal(0)->set_voter(true);
    v1::MemberMessage* newcomer = command.add_goal();
    newcomer->set_uuid(ToBytes({4, 4}));
    newcomer->set_address("127.0.0.1:9");
    newcomer->set_voter(true);
    return command;
  }
  // Until every node says so of the operation `id`.
  void UntilAll(uint64_t id, v1::Operation::Phase phase, uint64_t version) {
    LocalCluster::WaitFor([&] {
      for (size_t i = 0; i < 3; ++i) {
        const v1::OperationsResponse told = node(i).Operations();
        const auto& all = told.operations();
        const bool is_so = std::any_of(all.begin(), all.end(), [&](const v1::Operation& operation) {
          return operation.id() == id && operation.phase() == phase;
        });
        if (!is_so || told.configuration().version() != version) return false;
      }
      return true;
    });
  }

  // Who leads, as far as `index` has applied the log.
  uint64_t LastLeader(size_t index) {
    const v1::HistoryResponse history = node(index).History();
    return history.terms(history.terms_size() - 1).leader_id();
  }
  // Asked again as long as need be: a successor takes no notice before it follows this leader.
  void HandOver(size_t from, paxos::ReplicaId to) {
    ASSERT_EQ(node(from).TransferLeadership(to), absl::OkStatus());
    LocalCluster::WaitFor([&] {
      node(from).TransferLeadership(to).IgnoreError();
      return LastLeader(from) != from + 1;
    });
  }

  std::unique_ptr<LocalCluster> cluster_;
};

TEST_F(NodeChangesTest, AnOperationIsCarriedToItsEndAndEveryReplicaTellsOfIt) {
  const size_t leader = Form();
  const size_t other = (leader + 1) % 3;
  const auto id = Begin(node(leader), Demote(other));
  ASSERT_EQ(id.status(), absl::OkStatus());
  EXPECT_EQ(*id, 1u);
  UntilAll(1, v1::Operation::PHASE_DONE, 2);
  for (size_t i = 0; i < 3; ++i) {
    const v1::OperationsResponse told = node(i).Operations();
    ASSERT_EQ(told.operations_size(), 1);
    EXPECT_EQ(told.operations(0).verb(), v1::Operation::VERB_SET);
    EXPECT_EQ(told.operations(0).request(), "demote one");
    EXPECT_EQ(told.operations(0).goal_size(), 3);
    EXPECT_FALSE(told.configuration().members(static_cast<int>(other)).voter());
  }
  // A copy of the request begins nothing, though its version has moved on.
  const auto copy = Begin(node(leader), Demote(other));
  ASSERT_EQ(copy.status(), absl::OkStatus());
  EXPECT_EQ(*copy, 1u);
  EXPECT_EQ(node(leader).Operations().operations_size(), 1);
}

TEST_F(NodeChangesTest, WhatIsRefusedLeavesNoTraceInTheLog) {
  const size_t leader = Form();
  const size_t other = (leader + 1) % 3;
  const uint64_t chosen = StatusOf(node(leader)).chosen_through();

  const absl::Status elsewhere = Begin(node(other), Demote(other)).status();
  EXPECT_EQ(elsewhere.code(), Code::kUnavailable);
  EXPECT_EQ(Detail(elsewhere).reason(), v1::ErrorDetail::REASON_NO_LEADER);
  EXPECT_EQ(Detail(elsewhere).leader_address(), cluster_->genesis().members[leader].address);
  EXPECT_TRUE(Detail(elsewhere).not_appended());

  v1::BeginOperationCommand moved = Demote(other);
  moved.set_base_version(7);
  v1::BeginOperationCommand nobody = Demote(other);
  for (v1::MemberMessage& member : *nobody.mutable_goal()) member.set_voter(false);
  v1::BeginOperationCommand huge = Demote(other);
  huge.set_request(std::string(1 << 20, 'x'));
  const struct {
    v1::BeginOperationCommand command;
    Code code;
  } kRefused[] = {
      {moved, Code::kAborted}, {nobody, Code::kFailedPrecondition}, {huge, Code::kInvalidArgument}};
  for (const auto& refused : kRefused) {
    const absl::Status status = Begin(node(leader), refused.command).status();
    EXPECT_EQ(status.code(), refused.code) << status;
    Detail(status);
  }
  const absl::Status unknown = Cancel(node(leader), 9);
  EXPECT_EQ(unknown.code(), Code::kNotFound);
  Detail(unknown);

  EXPECT_EQ(StatusOf(node(leader)).chosen_through(), chosen);
  EXPECT_EQ(node(leader).Operations().operations_size(), 0);
}

TEST_F(NodeChangesTest, OneOperationRunsAtATimeAndACancelledOneIsUndone) {
  const size_t leader = Form();
  ASSERT_EQ(Begin(node(leader), AddUnreachable()).status(), absl::OkStatus());
  // The newcomer is a learner by now; as it is not heard it stays one.
  UntilAll(1, v1::Operation::PHASE_LEARNING, 2);
  EXPECT_EQ(node(leader).Operations().configuration().members_size(), 4);
  LocalCluster::WaitFor([&] {
    const v1::OperationsResponse told = node(leader).Operations();
    return told.operations(0).cause().find("not reachable") != std::string::npos;
  });

  v1::BeginOperationCommand second = Demote((leader + 1) % 3);
  second.set_base_version(2);
  EXPECT_EQ(Begin(node(leader), second).status().code(), Code::kFailedPrecondition);

  EXPECT_EQ(Cancel(node(leader), 1), absl::OkStatus());
  UntilAll(1, v1::Operation::PHASE_CANCELLED, 3);
  EXPECT_EQ(node(leader).Operations().configuration().members_size(), 3);
  EXPECT_EQ(Cancel(node(leader), 1), absl::OkStatus()) << "it is cancelled: that was wanted";

  second.set_base_version(3);
  const auto id = Begin(node(leader), second);
  ASSERT_EQ(id.status(), absl::OkStatus());
  EXPECT_EQ(*id, 2u);
  UntilAll(2, v1::Operation::PHASE_DONE, 4);
  EXPECT_EQ(Cancel(node(leader), 2).code(), Code::kFailedPrecondition);
}

// What runs is in the log: whoever leads next has it, and can end it.
TEST_F(NodeChangesTest, AnOperationOutlivesARestartOfAll) {
  const size_t leader = Form();
  ASSERT_EQ(Begin(node(leader), AddUnreachable()).status(), absl::OkStatus());
  UntilAll(1, v1::Operation::PHASE_LEARNING, 2);
  for (size_t i = 0; i < 3; ++i) cluster_->Stop(i, std::chrono::milliseconds(0));
  for (size_t i = 0; i < 3; ++i) cluster_->Restart(i);
  EXPECT_EQ(Cancel(node(cluster_->Leader()), 1), absl::OkStatus());
  UntilAll(1, v1::Operation::PHASE_CANCELLED, 3);
}

// As with an append: it may be begun or not, and only the log will tell.
TEST_F(NodeChangesTest, AnOpenOutcomeIsNotCalledNotAppended) {
  paxos::Options protocol;
  protocol.progress_timeout = std::chrono::minutes(10);
  const size_t leader = Form(protocol);
  cluster_->network().Drop([](const paxos::Message& message) {
    return std::holds_alternative<paxos::Accepted>(message);
  });
  const absl::Status open =
      Begin(node(leader), Demote((leader + 1) % 3), Clock::now() + std::chrono::milliseconds(200))
          .status();
  EXPECT_EQ(open.code(), Code::kDeadlineExceeded);
  EXPECT_FALSE(Detail(open).not_appended());
  cluster_->network().Drop(nullptr);
  UntilAll(1, v1::Operation::PHASE_DONE, 2);
}

TEST_F(NodeChangesTest, TheLeadershipIsHandedOverAndTheHistoryTellsOfIt) {
  const size_t leader = Form();
  const size_t next = (leader + 1) % 3;
  ASSERT_EQ(Append(node(leader)).status(), absl::OkStatus());
  HandOver(leader, LocalCluster::IdOf(next));
  for (size_t i = 0; i < 3; ++i) {
    LocalCluster::WaitFor([&] { return LastLeader(i) == next + 1; });
  }
  for (size_t i = 0; i < 3; ++i) {
    const v1::HistoryResponse history = node(i).History();
    ASSERT_EQ(history.terms_size(), 2);
    const v1::HistoryResponse::Term& first = history.terms(0);
    EXPECT_EQ(first.leader_id(), leader + 1);
    EXPECT_EQ(first.leader_address(), cluster_->genesis().members[leader].address);
    EXPECT_EQ(first.first_position(), 1u);
    EXPECT_EQ(first.end(), "it handed over");
    EXPECT_GE(first.lasted_ms(), 0);
    const v1::HistoryResponse::Term& second = history.terms(1);
    EXPECT_EQ(second.first_position(), 2u);
    EXPECT_EQ(second.end(), "");
    EXPECT_EQ(second.lasted_ms(), -1);
    EXPECT_GT(second.ballot().round(), first.ballot().round());
  }
  // Whoever knows most, if nobody is named.
  LocalCluster::WaitFor([&] { return StatusOf(node(next)).heard_size() == 3; });
  HandOver(next, paxos::kNoReplica);
}

TEST_F(NodeChangesTest, NobodyIsHandedALeadershipThatItCannotTake) {
  const size_t leader = Form();
  const size_t other = (leader + 1) % 3;
  const absl::Status elsewhere = node(other).TransferLeadership(LocalCluster::IdOf(other));
  EXPECT_EQ(elsewhere.code(), Code::kUnavailable);
  EXPECT_EQ(Detail(elsewhere).leader_address(), cluster_->genesis().members[leader].address);

  cluster_->network().CutOff(LocalCluster::IdOf(other), true);
  LocalCluster::WaitFor([&] { return StatusOf(node(leader)).heard_size() == 2; });
  const struct {
    paxos::ReplicaId to;
    std::string because;
  } kRefused[] = {{LocalCluster::IdOf(leader), "leads already"},
                  {LocalCluster::IdOf(other), "not reachable"},
                  {paxos::ReplicaId{9}, "no voter"}};
  for (const auto& refused : kRefused) {
    const absl::Status status = node(leader).TransferLeadership(refused.to);
    EXPECT_EQ(status.code(), Code::kFailedPrecondition) << status;
    EXPECT_NE(std::string(status.message()).find(refused.because), std::string::npos) << status;
    Detail(status);
  }
  EXPECT_TRUE(node(leader).leader().is_here);
  EXPECT_EQ(node(leader).History().terms_size(), 1);
}

TEST_F(NodeChangesTest, WhoBelongsToNoClusterOrStopsTakesNoChange) {
  LocalCluster empty(1);
  EXPECT_EQ(empty.node(0).Operations().operations_size(), 0);
  EXPECT_EQ(empty.node(0).History().terms_size(), 0);
  Form();
  node(0).Stop(std::chrono::seconds(10));
  const struct {
    Node& asked;
    v1::ErrorDetail::Reason reason;
  } kRefused[] = {{empty.node(0), v1::ErrorDetail::REASON_UNASSIGNED},
                  {node(0), v1::ErrorDetail::REASON_STOPPING}};
  for (const auto& refused : kRefused) {
    EXPECT_EQ(Detail(Begin(refused.asked, AddUnreachable()).status()).reason(), refused.reason);
    EXPECT_EQ(Detail(Cancel(refused.asked, 1)).reason(), refused.reason);
    EXPECT_EQ(Detail(refused.asked.TransferLeadership(paxos::kNoReplica)).reason(), refused.reason);
  }
}

}  // namespace
}  // namespace distlog
