// The judge of operations is judged: a history as it should be, and then each of its rules broken
// by hand.

#include "tests/simulation/checker_operations.h"

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simulation/checker_fixture.h"
#include "wire/value.h"

namespace distlog::simulation {
namespace {

using paxos::Configuration;
using paxos::Member;
using paxos::ReplicaId;
using paxos::Uuid;
using ::testing::HasSubstr;
using ::testing::Optional;

using Wrong = std::optional<std::string>;

class OperationTableTest : public ::testing::Test {
 protected:
  OperationTableTest() : in_force_(Three()) { EXPECT_EQ(BeginTerm(1, kOne), std::nullopt); }

  static Member Newcomer(bool voter) { return {ReplicaId{4}, {1, 1}, "newcomer1:1", voter}; }
  // {1, 2, 3} and a newcomer, who learns first.
  v1::BeginOperationCommand Add(uint64_t nonce) const {
    v1::BeginOperationCommand begin;
    for (const Member& member : Three().members) *begin.add_goal() = MessageOf(member);
    *begin.add_goal() = MessageOf(Newcomer(true));
    begin.mutable_goal(3)->set_id(0);
    begin.set_base_version(in_force_.version);
    begin.set_learn_first(true);
    begin.set_nonce(nonce);
    return begin;
  }
  static v1::MemberMessage MessageOf(const Member& member) {
    v1::MemberMessage message;
    message.set_id(static_cast<uint64_t>(member.id));
    message.set_uuid(ToBytes(member.uuid));
    message.set_address(member.address);
    message.set_voter(member.voter);
    return message;
  }
  // Each is the next slot; what a replica makes of it.
  Wrong BeginTerm(uint64_t round, ReplicaId owner, bool begins = true) {
    v1::Command command;
    *command.mutable_leadership()->mutable_ballot() = ToProto(paxos::Ballot{round, owner});
    Applied applied;
    applied.slot = ++slot_;
    applied.begins_term = begins;
    return table_.Apply(command, in_force_, applied);
  }
  Wrong Begin(uint64_t nonce, const OperationResult& result) {
    v1::Command command;
    *command.mutable_begin_operation() = Add(nonce);
    return Apply(command, result);
  }
  Wrong Cancel(uint64_t id) {
    v1::Command command;
    command.mutable_cancel_operation()->set_id(id);
    return Apply(command, {.id = id, .version = in_force_.version});
  }
  Wrong Advance(uint64_t id, OperationPhase phase) {
    v1::Command command;
    command.mutable_advance_operation()->set_id(id);
    command.mutable_advance_operation()->set_phase(static_cast<uint32_t>(phase));
    return Apply(command, {.id = id, .version = in_force_.version});
  }
  Wrong Apply(const v1::Command& command, const OperationResult& result) {
    Applied applied;
    applied.slot = ++slot_;
    applied.operation = result;
    return table_.Apply(command, in_force_, applied);
  }
  // The newcomer is a learner, a voter, or gone.
  Wrong Follow(std::optional<bool> voter) {
    Configuration next = Three();
    next.version = in_force_.version + 1;
    next.next_replica_id = 5;
    if (voter.has_value()) next.members.push_back(Newcomer(*voter));
    return Follow(next);
  }
  Wrong Follow(const Configuration& next) {
    Wrong wrong = table_.Follow(++slot_, in_force_, next);
    in_force_ = next;
    return wrong;
  }
  OperationPhase phase() const { return table_.all().back().phase; }

  OperationTable table_;
  Configuration in_force_;
  paxos::Slot slot_ = 0;
};

TEST_F(OperationTableTest, AnOperationCarriedToItsEndByTwoLeadersIsAsItShouldBe) {
  table_.BeginAsked(7);
  EXPECT_EQ(Begin(7, {.id = 1, .version = 1}), std::nullopt);
  EXPECT_EQ(table_.BeginAnswered(7, 1), std::nullopt);
  EXPECT_EQ(Follow(false), std::nullopt);
  EXPECT_EQ(BeginTerm(2, kTwo), std::nullopt);
  EXPECT_EQ(Advance(1, OperationPhase::kChanging), std::nullopt);
  EXPECT_EQ(Follow(true), std::nullopt);
  EXPECT_EQ(phase(), OperationPhase::kSettling);
  EXPECT_EQ(Advance(1, OperationPhase::kDone), std::nullopt);
  EXPECT_EQ(table_.running(), nullptr);
  EXPECT_EQ(table_.met().carried_on, 1u);
  EXPECT_EQ(table_.met().leaders_lost[1], 1u);
  EXPECT_EQ(table_.CheckRefusals(), std::nullopt);
}

TEST_F(OperationTableTest, OneCancelledWithoutWhatItAddedIsAsItShouldBe) {
  table_.BeginAsked(7);
  EXPECT_EQ(Begin(7, {.id = 1, .version = 1}), std::nullopt);
  EXPECT_EQ(Follow(false), std::nullopt);
  table_.CancelAsked(1);
  EXPECT_EQ(Cancel(1), std::nullopt);
  EXPECT_EQ(table_.CancelAnswered(1, 1), std::nullopt);
  EXPECT_EQ(phase(), OperationPhase::kCancelling);
  EXPECT_EQ(Follow(std::nullopt), std::nullopt);
  EXPECT_EQ(Advance(1, OperationPhase::kCancelled), std::nullopt);
  EXPECT_EQ(table_.met().cancelled, 1u);
  EXPECT_EQ(table_.CheckRefusals(), std::nullopt);
}

TEST_F(OperationTableTest, TwoAtOnceAreFound) {
  Begin(7, {.id = 1, .version = 1});
  EXPECT_EQ(Begin(8, {.refusal = OperationRefusal::kBusy, .id = 1, .version = 1}), std::nullopt);
  EXPECT_THAT(Begin(8, {.id = 2, .version = 1}), Optional(HasSubstr("not for 1 about 1")));
}

TEST_F(OperationTableTest, ACopyThatBeginsAnotherOneIsFound) {
  Begin(7, {.id = 1, .version = 1});
  Cancel(1);
  EXPECT_EQ(Begin(7, {.id = 1, .version = 1}), std::nullopt);
  EXPECT_THAT(Begin(7, {.id = 2, .version = 1}), Optional(HasSubstr("not for 0 about 1")));
}

TEST_F(OperationTableTest, AConfigurationAfterACancelIsFound) {
  Begin(7, {.id = 1, .version = 1});
  Cancel(1);
  EXPECT_THAT(Follow(false), Optional(HasSubstr("no operation is running")));
}

TEST_F(OperationTableTest, AGoalAfterACancelIsFound) {
  Begin(7, {.id = 1, .version = 1});
  Follow(false);
  Advance(1, OperationPhase::kChanging);
  Cancel(1);
  EXPECT_THAT(Follow(true), Optional(HasSubstr("no step of operation 1 in phase 4")));
}

TEST_F(OperationTableTest, WhatWasAskedForDirectlyNeedBeNoStep) {
  Begin(7, {.id = 1, .version = 1});
  Configuration other = Three();
  other.version = 2;
  other.members.pop_back();
  table_.AskedFor(other);
  EXPECT_EQ(Follow(other), std::nullopt);
  EXPECT_EQ(phase(), OperationPhase::kFailed);  // Its goal keeps who is gone.
}

TEST_F(OperationTableTest, EndingACancelledOneBeforeWhatItAddedIsGoneIsFound) {
  Begin(7, {.id = 1, .version = 1});
  Follow(false);
  Cancel(1);
  EXPECT_THAT(Advance(1, OperationPhase::kCancelled), Optional(HasSubstr("that it added")));
}

TEST_F(OperationTableTest, ATermThatIsToldTwiceIsFound) {
  EXPECT_EQ(BeginTerm(1, kOne, /*begins=*/false), std::nullopt);
  EXPECT_THAT(BeginTerm(1, kOne), Optional(HasSubstr("does not begin")));
}

TEST_F(OperationTableTest, AnswersThatTheLogDoesNotBearOutAreFound) {
  table_.BeginAsked(7);
  EXPECT_THAT(table_.BeginAnswered(7, 1), Optional(HasSubstr("not in the log")));
  Begin(7, {.id = 1, .version = 1});
  EXPECT_THAT(table_.BeginAnswered(7, 2), Optional(HasSubstr("not in the log")));
  table_.CancelAsked(1);
  EXPECT_THAT(table_.CancelAnswered(1, 1), Optional(HasSubstr("by the log it is not")));
}

TEST_F(OperationTableTest, RefusingWhatHasItsEffectIsFound) {
  table_.BeginAsked(7);
  table_.BeginAsked(7);
  Begin(7, {.id = 1, .version = 1});
  table_.BeginAnswered(7, absl::UnavailableError("no leader"));
  table_.BeginAnswered(7, absl::DeadlineExceededError("nobody knows"));
  EXPECT_EQ(table_.CheckRefusals(), std::nullopt);
  table_.BeginAnswered(7, absl::UnavailableError("no leader"));
  EXPECT_THAT(table_.CheckRefusals(), Optional(HasSubstr("everybody who asked was refused")));
}

TEST_F(OperationTableTest, ACancelThatAllWereRefusedIsFound) {
  table_.BeginAsked(7);
  Begin(7, {.id = 1, .version = 1});
  table_.CancelAsked(1);
  Cancel(1);
  EXPECT_EQ(table_.CheckRefusals(), std::nullopt);
  table_.CancelAnswered(1, absl::FailedPreconditionError("too late"));
  EXPECT_THAT(table_.CheckRefusals(), Optional(HasSubstr("was cancelled, but everybody")));
}

TEST_F(OperationTableTest, AReplicaWithAnotherTableIsFound) {
  Operations table;
  EXPECT_EQ(table_.Compare(slot_, table), std::nullopt);
  Begin(7, {.id = 1, .version = 1});
  EXPECT_EQ(table_.Compare(slot_ - 1, table), std::nullopt);
  EXPECT_THAT(table_.Compare(slot_, table), Optional(HasSubstr("not the newest one")));
  table.Begin(Add(7), slot_, 0, in_force_);
  EXPECT_EQ(table_.Compare(slot_, table), std::nullopt);
  Cancel(1);
  EXPECT_THAT(table_.Compare(slot_, table), Optional(HasSubstr("in phase 1 for it, not in 6")));
}

}  // namespace
}  // namespace distlog::simulation
