// The table of operations is replicated: what a command comes to depends on nothing but the
// commands and configurations before it, at most one operation runs, and no configuration that it
// leads to could be one that a replica does not understand.

#include "log/operations.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "wire/value.h"

namespace distlog {
namespace {

using enum OperationPhase;

paxos::Uuid Disk(uint64_t number) { return {7, number}; }
std::string Address(uint64_t number) { return "h:" + std::to_string(number); }

// Members 1, 2, 3, all voters.
paxos::Configuration Three() {
  paxos::Configuration configuration{
      .version = 5, .members = {}, .next_replica_id = 4, .feature_level = 1};
  for (uint64_t i = 1; i <= 3; ++i) {
    configuration.members.push_back({paxos::ReplicaId{i}, Disk(i), Address(i), true});
  }
  return configuration;
}

struct Wanted {
  uint64_t id = 0;
  uint64_t disk = 0;
  bool voter = true;
};
constexpr Wanted k1{1, 1};
constexpr Wanted k2{2, 2};
constexpr Wanted k3{3, 3};
constexpr Wanted kNew4{0, 4};

class OperationsTest : public testing::Test {
 protected:
  v1::BeginOperationCommand To(const std::vector<Wanted>& goal, bool learn_first = false,
                               uint64_t nonce = 0) {
    v1::BeginOperationCommand command;
    command.set_base_version(in_force_.version);
    command.set_learn_first(learn_first);
    command.set_nonce(nonce);
    for (const Wanted& wanted : goal) {
      v1::MemberMessage* member = command.add_goal();
      member->set_id(wanted.id);
      member->set_uuid(ToBytes(Disk(wanted.disk)));
      member->set_address(Address(wanted.disk));
      member->set_voter(wanted.voter);
    }
    return command;
  }
  OperationResult Begin(const v1::BeginOperationCommand& command) {
    return table_.Begin(command, 10, 1000, in_force_);
  }
  OperationResult Cancel(uint64_t id) { return table_.Cancel(id, 2000, in_force_); }
  OperationResult Advance(uint64_t id, OperationPhase phase) {
    v1::AdvanceOperationCommand command;
    command.set_id(id);
    command.set_phase(static_cast<uint32_t>(phase));
    return table_.Advance(command, 3000, in_force_);
  }
  void PutInForce(const paxos::Configuration& next) {
    ASSERT_TRUE(paxos::TakesEffect(next, in_force_));
    in_force_ = next;
    table_.OnConfiguration(in_force_);
  }
  const v1::OperationState& last() const { return table_.all().back(); }

  paxos::Configuration in_force_ = Three();
  Operations table_;
};

TEST_F(OperationsTest, AGrowingClusterLearnsThenChangesThenSettles) {
  EXPECT_EQ(Begin(To({k1, k2, k3, kNew4}, true)).id, 1u);
  EXPECT_EQ(PhaseOf(last()), kLearning);
  const paxos::Configuration learning = WithLearners(last(), in_force_);
  EXPECT_EQ(learning.version, 6u);
  EXPECT_EQ(learning.next_replica_id, 5u);
  ASSERT_EQ(learning.members.size(), 4u);
  EXPECT_EQ(learning.members[3], (paxos::Member{paxos::ReplicaId{4}, Disk(4), Address(4), false}));
  EXPECT_FALSE(HasNewcomers(last(), in_force_));
  PutInForce(learning);
  EXPECT_EQ(PhaseOf(last()), kLearning);
  EXPECT_TRUE(HasNewcomers(last(), in_force_));
  EXPECT_EQ(last().added(0), 4u);

  EXPECT_EQ(Advance(1, kChanging).refusal, OperationRefusal::kNone);
  const paxos::Configuration goal = GoalOf(last(), in_force_);
  EXPECT_EQ(goal.next_replica_id, 5u) << "it has its id already";
  EXPECT_TRUE(goal.IsVoter(paxos::ReplicaId{4}));
  PutInForce(goal);
  EXPECT_EQ(PhaseOf(last()), kSettling);
  EXPECT_NE(table_.running(), nullptr);
  EXPECT_EQ(Advance(1, kDone).refusal, OperationRefusal::kNone);
  EXPECT_EQ(PhaseOf(last()), kDone);
  EXPECT_EQ(table_.running(), nullptr);
  EXPECT_EQ(last().begun_slot(), 10u);
  EXPECT_EQ(last().begun_ms(), 1000);
  EXPECT_EQ(last().changed_ms(), 3000);
}

TEST_F(OperationsTest, WithoutLearningItChangesAtOnce) {
  Begin(To({k1, k2, kNew4}));
  EXPECT_EQ(PhaseOf(last()), kChanging);
  const paxos::Configuration goal = GoalOf(last(), in_force_);
  EXPECT_EQ(goal.members[2].id, paxos::ReplicaId{4});
  PutInForce(goal);
  EXPECT_EQ(PhaseOf(last()), kSettling);
}

// A learner that stays one has nothing to keep up with; one that is promoted has.
TEST_F(OperationsTest, OnlyThoseThatAreToVoteLearnFirst) {
  Begin(To({k1, k2, k3, {0, 4, false}}, true));
  EXPECT_EQ(PhaseOf(last()), kChanging);
  PutInForce(GoalOf(last(), in_force_));
  Advance(1, kDone);
  Begin(To({k1, k2, k3, {4, 4}}, true));
  EXPECT_EQ(PhaseOf(last()), kLearning);
  EXPECT_TRUE(HasNewcomers(last(), in_force_));
}

TEST_F(OperationsTest, AtMostOneIsRunning) {
  Begin(To({k1, k2}));
  const OperationResult second = Begin(To({k1, k3}));
  EXPECT_EQ(second.refusal, OperationRefusal::kBusy);
  EXPECT_EQ(second.id, 1u);
  EXPECT_EQ(table_.all().size(), 1u);
  PutInForce(GoalOf(last(), in_force_));
  EXPECT_EQ(Begin(To({k1})).refusal, OperationRefusal::kBusy) << "it has not settled";
  Advance(1, kDone);
  EXPECT_EQ(Begin(To({k1})).id, 2u);
}

TEST_F(OperationsTest, ACopyOfARequestBeginsNothing) {
  const v1::BeginOperationCommand command = To({k1, k2}, false, 77);
  EXPECT_EQ(Begin(command).id, 1u);
  EXPECT_EQ(Begin(command).id, 1u);
  PutInForce(GoalOf(last(), in_force_));
  Advance(1, kDone);
  const OperationResult copy = Begin(command);
  EXPECT_EQ(copy.id, 1u);
  EXPECT_EQ(copy.refusal, OperationRefusal::kNone) << "though the version has moved on";
  EXPECT_EQ(table_.all().size(), 1u);
}

TEST_F(OperationsTest, ItIsBegunAgainstTheVersionInForce) {
  v1::BeginOperationCommand command = To({k1, k2});
  command.set_base_version(4);
  const OperationResult result = Begin(command);
  EXPECT_EQ(result.refusal, OperationRefusal::kVersionMoved);
  EXPECT_EQ(result.version, 5u);
  EXPECT_TRUE(table_.all().empty());
}

// Each of these would be a configuration that replicas cannot decode, or that takes no effect.
TEST_F(OperationsTest, AGoalThatCannotBeIsRefused) {
  v1::BeginOperationCommand same_address = To({k1, k2, k3, kNew4});
  same_address.mutable_goal(3)->set_address(Address(3));
  v1::BeginOperationCommand seat_beside = To({k1, k2, kNew4}, true);
  seat_beside.mutable_goal(2)->set_address(Address(3));  // While it learns, 3 is there, too.
  v1::BeginOperationCommand no_address = To({k1, k2, kNew4});
  no_address.mutable_goal(2)->clear_address();
  const struct {
    const char* what;
    v1::BeginOperationCommand command;
  } kCases[] = {
      {"nobody", To({})},
      {"no voter", To({{1, 1, false}, {2, 2, false}})},
      {"an id twice", To({k1, k1, k2})},
      {"a disk twice", To({k1, k2, {0, 2}})},
      {"an id with another disk", To({k1, {2, 9}})},
      {"an id that never was", To({k1, {9, 9}})},
      {"an id that has left", To({k1, {2, 2}, {4, 4}})},
      {"an address twice", same_address},
      {"an address twice while it learns", seat_beside},
      {"no address", no_address},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Begin(c.command).refusal, OperationRefusal::kBadGoal) << c.what;
  }
  EXPECT_TRUE(table_.all().empty());
  seat_beside.set_learn_first(false);
  EXPECT_EQ(Begin(seat_beside).id, 1u) << "in one step it may take a dead member's address";
}

TEST_F(OperationsTest, CancelledBeforeItAddedAnythingItIsOver) {
  Begin(To({k1, k2, k3, kNew4}, true));
  EXPECT_EQ(Cancel(1).refusal, OperationRefusal::kNone);
  EXPECT_EQ(PhaseOf(last()), kCancelled);
  EXPECT_EQ(last().changed_ms(), 2000);
  EXPECT_EQ(Cancel(1).refusal, OperationRefusal::kNone) << "that is what was wanted";
}

TEST_F(OperationsTest, CancelledLaterWhatItAddedIsRemoved) {
  Begin(To({k1, k2, k3, kNew4}, true));
  PutInForce(WithLearners(last(), in_force_));
  EXPECT_EQ(Cancel(1).refusal, OperationRefusal::kNone);
  EXPECT_EQ(PhaseOf(last()), kCancelling);
  EXPECT_EQ(Cancel(1).refusal, OperationRefusal::kNone);
  EXPECT_EQ(Advance(1, kChanging).refusal, OperationRefusal::kOutOfTurn) << "it is on its way back";
  EXPECT_TRUE(HasAdded(last(), in_force_));
  const paxos::Configuration without = WithoutAdded(last(), in_force_);
  EXPECT_EQ(without.members, Three().members);
  EXPECT_EQ(without.next_replica_id, 5u) << "ids never return";
  PutInForce(without);
  EXPECT_FALSE(HasAdded(last(), in_force_));
  EXPECT_EQ(Advance(1, kCancelled).refusal, OperationRefusal::kNone);
  EXPECT_EQ(PhaseOf(last()), kCancelled);
}

TEST_F(OperationsTest, CancellingIsRefusedWhenTheGoalIsInForceOrItHasFinished) {
  EXPECT_EQ(Cancel(1).refusal, OperationRefusal::kUnknown);
  Begin(To({k1, k2}));
  EXPECT_EQ(Cancel(2).refusal, OperationRefusal::kUnknown);
  PutInForce(GoalOf(last(), in_force_));
  EXPECT_EQ(Cancel(1).refusal, OperationRefusal::kTooLate);
  Advance(1, kDone);
  EXPECT_EQ(Cancel(1).refusal, OperationRefusal::kFinished);
}

TEST_F(OperationsTest, PhasesGoForwardOnly) {
  Begin(To({k1, k2, k3, kNew4}, true));
  EXPECT_EQ(Advance(1, kChanging).refusal, OperationRefusal::kOutOfTurn) << "nobody has learned";
  PutInForce(WithLearners(last(), in_force_));
  for (const OperationPhase phase : {kLearning, kSettling, kCancelling, kDone, kCancelled}) {
    EXPECT_EQ(Advance(1, phase).refusal, OperationRefusal::kOutOfTurn);
  }
  EXPECT_EQ(Advance(2, kChanging).refusal, OperationRefusal::kUnknown);
  EXPECT_EQ(Advance(1, kChanging).refusal, OperationRefusal::kNone);
  EXPECT_EQ(Advance(1, kChanging).refusal, OperationRefusal::kOutOfTurn);
  EXPECT_EQ(Advance(1, kFailed).refusal, OperationRefusal::kNone);
  EXPECT_EQ(Advance(1, kDone).refusal, OperationRefusal::kUnknown);
  EXPECT_EQ(PhaseOf(last()), kFailed);
}

// As after a recovery from the loss of a quorum, which puts a configuration of its own there.
TEST_F(OperationsTest, ItFailsWhenAConfigurationTakesEffectThatItsGoalCannotFollow) {
  Begin(To({k1, k2, k3, kNew4}, true));
  PutInForce({.version = 6,
              .members = {{paxos::ReplicaId{4}, Disk(50), Address(1), true}},
              .next_replica_id = 5,
              .feature_level = 1});
  EXPECT_EQ(PhaseOf(last()), kFailed);
  EXPECT_NE(last().reason(), "");
  EXPECT_EQ(Begin(To({{4, 50}, {0, 60}})).id, 2u);
}

// It would wait for ever for a newcomer that is to vote with nothing, and no other could begin.
TEST_F(OperationsTest, ItFailsWhenTheNewcomersThatHaveLearnedAreGone) {
  Begin(To({k1, kNew4}, true));
  PutInForce(WithLearners(last(), in_force_));
  Advance(1, kChanging);
  PutInForce(paxos::Configuration{
      .version = 7, .members = Three().members, .next_replica_id = 5, .feature_level = 1});
  EXPECT_EQ(PhaseOf(last()), kFailed);
  EXPECT_NE(last().reason(), "");
}

TEST_F(OperationsTest, ItLearnsAgainWhenANewcomerIsGoneThatHasNotLearned) {
  Begin(To({k1, kNew4}, true));
  PutInForce(WithLearners(last(), in_force_));
  PutInForce(paxos::Configuration{
      .version = 7, .members = Three().members, .next_replica_id = 5, .feature_level = 1});
  EXPECT_EQ(PhaseOf(last()), kLearning);
  PutInForce(WithLearners(last(), in_force_));
  EXPECT_EQ(Advance(1, kChanging).refusal, OperationRefusal::kNone);
}

// Without this it would run for ever, and no other could begin.
TEST_F(OperationsTest, ACancelledOneFailsWhenOnlyWhatItAddedIsLeftToVote) {
  Begin(To({k1, k2, k3, kNew4}, true));
  PutInForce(WithLearners(last(), in_force_));
  Cancel(1);
  PutInForce({.version = 7,
              .members = {{paxos::ReplicaId{3}, Disk(3), Address(3), true},
                          {paxos::ReplicaId{4}, Disk(4), Address(4), true}},
              .next_replica_id = 5,
              .feature_level = 1});
  EXPECT_EQ(PhaseOf(last()), kCancelling) << "3 can go on alone";
  PutInForce({.version = 8,
              .members = {{paxos::ReplicaId{4}, Disk(4), Address(4), true}},
              .next_replica_id = 5,
              .feature_level = 1});
  EXPECT_EQ(PhaseOf(last()), kFailed);
  EXPECT_NE(last().reason(), "");
}

TEST_F(OperationsTest, ItIsNotCancelledWhenOnlyWhatItAddedIsLeftToVote) {
  Begin(To({{0, 4}, {0, 5}}, true));
  PutInForce(WithLearners(last(), in_force_));
  PutInForce({.version = 7,
              .members = {{paxos::ReplicaId{4}, Disk(4), Address(4), true}},
              .next_replica_id = 6,
              .feature_level = 1});
  EXPECT_EQ(Cancel(1).refusal, OperationRefusal::kTooLate);
  EXPECT_EQ(PhaseOf(last()), kLearning);
}

TEST_F(OperationsTest, TheNewestFinishedOnesAreKept) {
  for (uint64_t id = 1; id <= Operations::kFinishedKept + 20; ++id) {
    ASSERT_EQ(Begin(To({k1, k2})).id, id);
    ASSERT_EQ(Cancel(id).refusal, OperationRefusal::kNone);
  }
  EXPECT_EQ(table_.all().size(), Operations::kFinishedKept);
  EXPECT_EQ(table_.all().front().id(), 21u);
  EXPECT_EQ(table_.Find(20), nullptr);
  Begin(To({k1, k2}));
  EXPECT_EQ(table_.all().size(), Operations::kFinishedKept + 1) << "and the one that runs";
}

}  // namespace
}  // namespace distlog
