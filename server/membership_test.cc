// Changes of members are carried by whoever leads, from the applied state alone: driven here with
// whole replicas on a perfect network, each with its own applied state, through deaths of leaders.

#include "server/membership.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "paxos/test_cluster.h"
#include "wire/value.h"

namespace distlog {
namespace {

using paxos::kNoReplica;
using paxos::ReplicaId;
using std::chrono::milliseconds;

class MembershipTest : public testing::Test {
 protected:
  MembershipTest() {
    Pass(2000);
    leader_ = cluster_.Leader();
  }

  struct Driver {
    Sequencer sequencer{paxos::VotersOnly(3)};
    Membership membership;
    size_t outcomes = 0;  // Taken.
  };

  // What the event loop does: applies, resolves, proposes.
  void Turn(ReplicaId id) {
    Driver& driver = drivers_[id];
    Answers answers;
    const std::vector<paxos::Value>& log = cluster_.log(id);
    while (driver.sequencer.applied_through() < log.size()) {
      const paxos::Slot slot = driver.sequencer.applied_through() + 1;
      const auto applied = driver.sequencer.Apply({slot, {}, log[slot - 1]});
      ASSERT_TRUE(applied.ok()) << applied.status();
      if (applied->origin_replica == static_cast<uint64_t>(id)) {
        driver.membership.OnApplied(*applied, &answers);
      }
    }
    for (; driver.outcomes < cluster_.outcomes(id).size(); ++driver.outcomes) {
      const paxos::Outcome& outcome = cluster_.outcomes(id)[driver.outcomes];
      const auto sequence = static_cast<uint64_t>(outcome.ticket);
      if (outcome.result == paxos::Outcome::Result::kChosen) driver.membership.OnChosen(sequence);
      if (outcome.result == paxos::Outcome::Result::kNotChosen) {
        driver.membership.OnNotChosen(sequence, absl::UnavailableError("not chosen"), &answers);
      }
    }
    AppendQueue::Making making;
    making.origin.set_replica(static_cast<uint64_t>(id));
    making.origin.set_sequence(++tickets_);
    making.timestamp_ms = ++time_ms_;
    const auto value = driver.membership.Next(cluster_.at(id), driver.sequencer, making, &answers);
    for (const auto& answer : answers) answer();
    if (!value.has_value()) return;
    ++proposed_;
    cluster_.Do(id, paxos::Propose{paxos::Ticket{tickets_}, *value});
    Turn(id);
  }
  void Pass(int ms) {
    for (int passed = 0; passed < ms; passed += 20) {
      cluster_.Pass(milliseconds(20));
      for (const ReplicaId id : alive_) Turn(id);
    }
    leader_ = cluster_.Leader();
  }
  void Kill(ReplicaId id) {
    alive_.erase(id);
    cluster_.Kill(id);
  }
  void StartNewcomer(uint64_t id) {
    alive_.insert(ReplicaId{id});
    cluster_.Start(ReplicaId{id});
  }

  v1::BeginOperationCommand To(const std::vector<uint64_t>& goal, bool learn_first) {
    v1::BeginOperationCommand command;
    command.set_base_version(sequencer().configuration().version);
    command.set_learn_first(learn_first);
    for (const uint64_t id : goal) {
      v1::MemberMessage* member = command.add_goal();
      if (sequencer().configuration().Find(ReplicaId{id}) != nullptr) member->set_id(id);
      member->set_uuid(ToBytes(paxos::Uuid{0, id}));
      member->set_address("host:" + std::to_string(id));
      member->set_voter(true);
    }
    return command;
  }
  void Ask(Membership::Request request) {
    request.deadline = Membership::Clock::time_point::max();
    request.done = [this](const absl::StatusOr<uint64_t>& answer) { answers_.push_back(answer); };
    Answers none;
    drivers_[leader_].membership.Add(std::move(request), &none);
    Turn(leader_);
  }
  void Begin(const v1::BeginOperationCommand& command) {
    Ask({.begin = std::make_unique<v1::BeginOperationCommand>(command),
         .cancel = 0,
         .deadline = {},
         .done = nullptr});
  }
  void Cancel(uint64_t id) {
    Ask({.begin = nullptr, .cancel = id, .deadline = {}, .done = nullptr});
  }
  const Sequencer& sequencer() { return drivers_[leader_].sequencer; }
  OperationPhase phase() { return PhaseOf(sequencer().operations().all().back()); }
  v1::Operation Described() {
    const v1::OperationsResponse all =
        drivers_[leader_].membership.Describe(cluster_.at(leader_), sequencer());
    return all.operations(all.operations_size() - 1);
  }

  paxos::TestCluster cluster_{3};
  std::set<ReplicaId> alive_{ReplicaId{1}, ReplicaId{2}, ReplicaId{3}};
  std::map<ReplicaId, Driver> drivers_;
  ReplicaId leader_{};
  uint64_t tickets_ = 0;
  int64_t time_ms_ = 0;
  int proposed_ = 0;
  std::vector<absl::StatusOr<uint64_t>> answers_;
};

TEST_F(MembershipTest, EachLeaderTellsTheLogOnceThatItLeads) {
  ASSERT_NE(leader_, kNoReplica);
  Pass(5000);
  ASSERT_EQ(sequencer().terms().size(), 1u);
  EXPECT_EQ(proposed_, 1);
  const ReplicaId first = leader_;
  Kill(first);
  Pass(2000);
  ASSERT_NE(leader_, kNoReplica);
  ASSERT_EQ(sequencer().terms().size(), 2u);
  EXPECT_EQ(FromProto(sequencer().terms()[1].ballot()).owner, leader_);
  EXPECT_EQ(sequencer().terms()[1].previous_end(), v1::TERM_END_CONNECTION_LOST);
}

TEST_F(MembershipTest, ANewcomerLearnsKeepsUpAndBecomesAVoterByItself) {
  Begin(To({1, 2, 3, 4}, true));
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].value(), 1u);
  Pass(3000);
  EXPECT_EQ(phase(), OperationPhase::kLearning) << "nobody is there";
  EXPECT_NE(Described().cause().find("member 4 (host:4) is not reachable"), std::string::npos)
      << Described().cause();
  StartNewcomer(4);
  Pass(600);
  EXPECT_EQ(phase(), OperationPhase::kLearning) << "it has not kept up for ten rounds";
  Pass(3000);
  EXPECT_EQ(phase(), OperationPhase::kDone);
  EXPECT_TRUE(sequencer().configuration().IsVoter(ReplicaId{4}));
}

TEST_F(MembershipTest, WhoeverLeadsNextGoesOn) {
  Begin(To({1, 2, 3, 4}, true));
  const ReplicaId first = leader_;
  Kill(first);
  StartNewcomer(4);
  Pass(8000);
  ASSERT_NE(leader_, kNoReplica);
  EXPECT_NE(leader_, first);
  EXPECT_EQ(phase(), OperationPhase::kDone);
  EXPECT_TRUE(sequencer().configuration().IsVoter(ReplicaId{4}));
}

TEST_F(MembershipTest, ALeaderRemovesItselfAndItsSuccessorFinishes) {
  const ReplicaId first = leader_;
  std::vector<uint64_t> goal;
  for (uint64_t id = 1; id <= 3; ++id) {
    if (ReplicaId{id} != first) goal.push_back(id);
  }
  Begin(To(goal, false));
  Pass(3000);
  ASSERT_NE(leader_, kNoReplica);
  EXPECT_NE(leader_, first);
  EXPECT_EQ(phase(), OperationPhase::kDone);
  EXPECT_EQ(sequencer().terms().back().previous_end(), v1::TERM_END_REMOVED);
  EXPECT_TRUE(cluster_.at(first).has_left());
}

TEST_F(MembershipTest, WhatIsCancelledIsTakenBack) {
  Begin(To({1, 2, 3, 4}, true));
  Pass(1000);
  EXPECT_EQ(sequencer().configuration().members.size(), 4u);
  Cancel(1);
  Pass(1000);
  EXPECT_EQ(phase(), OperationPhase::kCancelled);
  EXPECT_EQ(sequencer().configuration().members.size(), 3u);
}

TEST_F(MembershipTest, WhatHasNoEffectIsRefusedWithoutAValue) {
  Begin(To({1, 2, 3, 4}, true));
  Pass(1000);
  const size_t slots = cluster_.log(leader_).size();
  Begin(To({1, 2}, false));
  Cancel(7);
  v1::BeginOperationCommand stale = To({1, 2}, false);
  ASSERT_EQ(answers_.size(), 3u);
  EXPECT_EQ(answers_[1].status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(answers_[1].status().message().find("operation 1 is running"), absl::string_view::npos);
  EXPECT_EQ(answers_[2].status().code(), absl::StatusCode::kNotFound);
  Cancel(1);
  Pass(1000);
  Begin(stale);
  EXPECT_EQ(answers_.back().status().code(), absl::StatusCode::kAborted);
  EXPECT_GT(cluster_.log(leader_).size(), slots) << "the cancelling";
}

TEST_F(MembershipTest, WithoutAQuorumOfTheNewVotersNothingIsProposed) {
  Begin(To({1, 4, 5}, false));
  Pass(2000);
  EXPECT_EQ(phase(), OperationPhase::kChanging);
  EXPECT_EQ(sequencer().configuration().version, 1u);
  EXPECT_NE(Described().cause().find("no quorum of the voters that are to be"), std::string::npos)
      << Described().cause();
  Cancel(1);
  EXPECT_EQ(phase(), OperationPhase::kCancelled);
}

}  // namespace
}  // namespace distlog
