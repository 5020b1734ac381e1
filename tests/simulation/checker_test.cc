// The judge is judged: each rule broken by hand, in a history as short as can be, must be found,
// and nothing else may be.

#include "tests/simulation/checker.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simulation/checker_fixture.h"
#include "wire/value.h"

namespace distlog::simulation {
namespace {

using paxos::AcceptRecord;
using paxos::Ballot;
using paxos::Outcome;
using paxos::PromiseRecord;
using paxos::ReplicaId;
using paxos::Slot;
using paxos::Ticket;
using paxos::Value;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CheckerTest : public CheckerFixture {
 protected:
  // Applies `batch`, with these results of its appends, at replica 1.
  void Apply(const v1::Batch& batch, std::vector<AppliedAppend> results) {
    const Slot slot = ++applied_;
    Applied applied;
    applied.slot = slot;
    applied.first_position = checker_.log().size() + 1;
    for (size_t i = 0; i < results.size(); ++i) {
      const bool appends = results[i].reason == RefusalReason::kNone && !results[i].duplicate;
      if (appends) applied.entries += batch.appends(static_cast<int>(i)).payloads_size();
      if (!appends) applied.skipped.push_back(static_cast<uint32_t>(i));
    }
    applied.appends = std::move(results);
    Choose(slot, MakeValue(batch));
    checker_.Applied(kOne, MakeValue(batch), applied, 17);
  }
  // A batch of one append of one entry, which no other batch equals.
  v1::Batch Batch(const std::string& producer, uint64_t sequence, uint64_t expect_position = 0) {
    v1::Batch batch;
    batch.mutable_origin()->set_sequence(++batches_);
    v1::AppendRecord* append = batch.add_appends();
    append->add_payloads("x");
    append->set_producer(producer);
    append->set_sequence(sequence);
    append->set_expect_position(expect_position);
    return batch;
  }
  static AppliedAppend At(uint64_t position, bool duplicate = false) {
    AppliedAppend result;
    result.first_position = position;
    result.count = 1;
    result.duplicate = duplicate;
    return result;
  }
  static AppliedAppend Refused(RefusalReason reason, uint64_t actual = 0) {
    AppliedAppend result;
    result.reason = reason;
    result.not_appended = true;
    result.actual = actual;
    return result;
  }

  Slot applied_ = 0;
  uint64_t batches_ = 0;
};

TEST_F(CheckerTest, AValueIsChosenWhenAQuorumsDisksHoldItAtOneBallot) {
  Write(kOne, Record(1, By(1, kOne), Text("a")));
  Write(kTwo, Record(1, By(2, kTwo), Text("a")));
  EXPECT_EQ(checker_.chosen_through(), 0u);  // Two ballots: not yet.
  checker_.Written(kThree, Record(1, By(2, kTwo), Text("a")));
  EXPECT_EQ(checker_.chosen_through(), 0u);  // Not on the disk.
  checker_.Durable(kThree, Record(1, By(2, kTwo), Text("a")));
  EXPECT_EQ(checker_.chosen_through(), 1u);
  EXPECT_THAT(wrong_, IsEmpty());
}

TEST_F(CheckerTest, TwoValuesInOneSlotAndBallotAreFound) {
  Write(kOne, Record(1, By(1, kOne), Text("a")));
  Write(kTwo, Record(1, By(1, kOne), Text("b")));
  ExpectWrong("two values at slot 1");
}

TEST_F(CheckerTest, AnotherValueProposedAboveAChosenOneIsFound) {
  ChooseA();
  Prepare(By(2, kThree), kTwo);
  Say(kThree, kOne, paxos::Accept{By(2, kThree), 1, {Text("b")}, 0, 1});
  ExpectWrong("is proposed at 2.3");
}

TEST_F(CheckerTest, AnotherValueProposedBeforeAtAHigherBallotIsFound) {
  Write(kOne, Record(1, By(1, kOne), Text("a")));
  checker_.Written(kTwo, Record(1, By(1, kOne), Text("a")));
  Prepare(By(2, kThree), kTwo);
  Say(kThree, kOne, paxos::Accept{By(2, kThree), 1, {Text("b")}, 0, 1});
  EXPECT_THAT(wrong_, IsEmpty());
  checker_.Durable(kTwo, Record(1, By(1, kOne), Text("a")));
  ExpectWrong("was proposed at 2.3");
}

TEST_F(CheckerTest, AValueInTwoSlotsIsFound) {
  Prepare(By(1, kOne), kThree);
  Say(kOne, kTwo, paxos::Accept{By(1, kOne), 1, {Text("a"), Text("a")}, 0, 1});
  ExpectWrong("in slot 1 and in slot 2");
}

TEST_F(CheckerTest, APromiseThatFallsIsFound) {
  Write(kOne, PromiseRecord{By(2, kTwo)});
  Write(kOne, PromiseRecord{By(1, kThree)});
  ExpectWrongFirst("promises fall");
}

TEST_F(CheckerTest, APromiseForgottenByARestartIsFound) {
  Write(kOne, PromiseRecord{By(2, kTwo)});
  checker_.Crashed(kOne);
  checker_.Started(kOne, {});
  ExpectWrong("promise 2.2 was durable");
}

TEST_F(CheckerTest, AcceptingBelowThePromiseIsFoundUnlessItIsChosen) {
  ChooseA();
  Write(kThree, PromiseRecord{By(9, kTwo)});
  Write(kThree, Record(1, By(1, kOne), Text("a")));  // Learned.
  EXPECT_THAT(wrong_, IsEmpty());
  Write(kThree, Record(2, By(1, kOne), Text("b")));
  ExpectWrong("below the promise");
}

TEST_F(CheckerTest, AcceptingTwoWindowsAheadIsFound) {
  Write(kOne, Record(8, By(1, kOne), Text("h")));
  EXPECT_THAT(wrong_, IsEmpty());
  Write(kOne, Record(9, By(1, kOne), Text("i")));
  ExpectWrong("two windows");
}

TEST_F(CheckerTest, SayingAcceptedBeforeItIsDurableIsFound) {
  checker_.Written(kTwo, Record(1, By(1, kOne), Text("a")));
  Say(kTwo, kOne, paxos::Accepted{By(1, kOne), 1, 1});
  ExpectWrong("Accepted of slot 1");
}

TEST_F(CheckerTest, PromisingBeforeItIsDurableIsFound) {
  checker_.Written(kTwo, PromiseRecord{By(1, kOne)});
  Say(kTwo, kOne, paxos::Promise{By(1, kOne), 1, 0, true, {}, 0});
  ExpectWrong("Promise of 1.1 leaves");
}

TEST_F(CheckerTest, PreparingBeforeTheOwnPromiseIsDurableIsFound) {
  checker_.Written(kOne, PromiseRecord{By(1, kOne)});
  Say(kOne, kTwo, paxos::Prepare{By(1, kOne), 1, 1});
  ExpectWrong("Prepare of 1.1 leaves");
}

TEST_F(CheckerTest, APromiseThatLeavesOutASlotIsFound) {
  Write(kTwo, Record(1, By(1, kOne), Text("a")));
  Write(kTwo, PromiseRecord{By(2, kThree)});
  Say(kTwo, kThree, paxos::Promise{By(2, kThree), 1, 0, true, {}, 0});
  ExpectWrong("leaves out slot 1");
}

TEST_F(CheckerTest, APromiseWithAValueThatIsNotHeldIsFound) {
  Write(kTwo, PromiseRecord{By(2, kThree)});
  Say(kTwo, kThree, paxos::Promise{By(2, kThree), 1, 1, true, {{1, By(1, kOne), Text("a")}}, 0});
  ExpectWrongFirst("which is not what it holds");
}

TEST_F(CheckerTest, ConfirmingBelowThePromiseIsFound) {
  Write(kTwo, PromiseRecord{By(2, kThree)});
  checker_.Stands(kTwo, By(2, kThree), 0, 0, 0);
  Say(kTwo, kOne, paxos::Confirmed{By(1, kOne), 1});
  ExpectWrong("it confirms 1.1");
}

TEST_F(CheckerTest, ProposingInAnothersBallotIsFound) {
  Prepare(By(1, kOne), kThree);
  Say(kTwo, kOne, paxos::Accept{By(1, kOne), 1, {Text("a")}, 0, 1});
  ExpectWrong("which is not its own");
}

TEST_F(CheckerTest, ABallotUsedAgainAfterARestartIsFound) {
  Write(kOne, PromiseRecord{By(1, kOne)});
  Say(kOne, kTwo, paxos::Prepare{By(1, kOne), 1, 1});
  checker_.Crashed(kOne);
  paxos::DurableState recovered;
  recovered.promised = By(1, kOne);
  checker_.Started(kOne, recovered);
  Say(kOne, kTwo, paxos::Prepare{By(1, kOne), 1, 1});
  ExpectWrong("used again");
}

TEST_F(CheckerTest, AMarkAboveWhatIsChosenIsFound) {
  Say(kOne, kTwo, paxos::Progress{1});
  ExpectWrong("chosen_through=1");
}

TEST_F(CheckerTest, AHeartbeatAnswerThatCallsAMarkDurableThatIsNotIsFound) {
  ChooseA();
  paxos::HeartbeatReply reply;
  reply.chosen_through = 1;
  Say(kOne, kTwo, reply);
  ExpectWrong("would be recovered");
}

TEST_F(CheckerTest, AMarkAboveWhatIsStoredIsFound) {
  ChooseA();
  checker_.MarkSaved(kThree, 1);
  ExpectWrong("durable only through 0");
}

TEST_F(CheckerTest, ApplyingWhatIsNotChosenIsFound) {
  Write(kOne, Record(1, By(1, kOne), Text("a")));
  checker_.Chosen(kOne, {1, By(1, kOne), Text("a")});
  ExpectWrong("nothing is chosen there");
}

TEST_F(CheckerTest, ApplyingAnotherValueThanTheChosenOneIsFound) {
  ChooseA();
  checker_.Chosen(kThree, {1, By(1, kOne), Text("b")});
  ExpectWrong("given to apply with");
}

TEST_F(CheckerTest, ApplyingWithAGapIsFound) {
  ChooseA();
  checker_.Chosen(kOne, {2, By(1, kOne), Text("b")});
  ExpectWrongFirst("slot 2 is given to apply after slot 0");
}

TEST_F(CheckerTest, SupplyingAnotherValueThanTheChosenOneIsFound) {
  ChooseA();
  Say(kOne, kThree, paxos::LearnReply{{{1, By(1, kOne), Text("b")}}, 1});
  ExpectWrongFirst("LearnReply supplies another value");
}

TEST_F(CheckerTest, ApplyingAgainOrWithAGapOrAheadIsFound) {
  const v1::Batch batch = Batch("", 0);
  Apply(batch, {At(1)});
  EXPECT_THAT(wrong_, IsEmpty());
  Applied applied;
  applied.slot = 1;
  checker_.Applied(kOne, MakeValue(batch), applied, 17);
  EXPECT_THAT(wrong_, ::testing::Contains(HasSubstr("slot 1 is applied after slot 1")));
  wrong_.clear();
  applied.slot = 2;
  checker_.Applied(kThree, Text("a"), applied, 17);
  EXPECT_THAT(wrong_, ::testing::Contains(HasSubstr("given to apply through 1")));
}

TEST_F(CheckerTest, ApplyingAnotherValueThanTheOneGivenIsFound) {
  Choose(1, MakeValue(Batch("", 0)));
  Applied applied;
  applied.slot = 1;
  applied.entries = 1;
  applied.first_position = 1;
  applied.appends = {At(1)};
  checker_.Applied(kOne, MakeValue(Batch("", 0)), applied, 17);
  ExpectWrong("slot 1 is applied with another value");
}

TEST_F(CheckerTest, DifferentResultsOfApplyingAreFound) {
  const v1::Batch batch = Batch("", 0);
  Apply(batch, {At(1)});
  Applied applied;
  applied.slot = 1;
  applied.entries = 1;
  applied.first_position = 1;
  applied.appends = {At(1)};
  checker_.Applied(kTwo, MakeValue(batch), applied, 17);
  EXPECT_THAT(wrong_, IsEmpty());
  checker_.Applied(kThree, MakeValue(batch), applied, 18);  // Another digest.
  ExpectWrong("another result than elsewhere");
}

TEST_F(CheckerTest, APositionThatIsSkippedIsFound) {
  Apply(Batch("", 0), {At(2)});
  ExpectWrong("appends at position 2, not 1");
}

TEST_F(CheckerTest, AProducersSequenceThatIsAppliedTwiceIsFound) {
  Apply(Batch("p", 1), {At(1)});
  Apply(Batch("p", 1), {At(1, true)});
  EXPECT_THAT(wrong_, IsEmpty());
  Apply(Batch("p", 1), {At(2)});
  ExpectWrong("is a repeat, but is not called one");
}

TEST_F(CheckerTest, ARepeatThatIsAnsweredWithAnotherPositionIsFound) {
  Apply(Batch("", 0), {At(1)});
  Apply(Batch("p", 1), {At(2)});
  Apply(Batch("p", 1), {At(1, true)});
  ExpectWrong("appends at position 1, not 2");
}

TEST_F(CheckerTest, ASequenceThatIsSkippedIsFound) {
  Apply(Batch("p", 1), {At(1)});
  Apply(Batch("p", 3), {Refused(RefusalReason::kSequenceGap)});
  EXPECT_THAT(wrong_, IsEmpty());
  Apply(Batch("p", 3), {At(2)});
  ExpectWrong("is refused for reason 0, not 6");
}

TEST_F(CheckerTest, AConditionalAppendAtAnotherPositionIsFound) {
  Apply(Batch("", 0, 2), {Refused(RefusalReason::kPosition, 1)});
  Apply(Batch("", 0, 1), {At(1)});
  EXPECT_THAT(wrong_, IsEmpty());
  Apply(Batch("", 0, 1), {At(2)});
  ExpectWrong("is refused for reason 0, not 4");
}

TEST_F(CheckerTest, ARefusalThatTellsAnotherEndIsFound) {
  Apply(Batch("", 0), {At(1)});
  Apply(Batch("", 0, 1), {Refused(RefusalReason::kPosition, 1)});
  ExpectWrong("is refused as the next position is 1, but it is 2");
}

TEST_F(CheckerTest, ARefusedPositionThatSucceedsWhenRepeatedIsFound) {
  Apply(Batch("p", 1, 7), {Refused(RefusalReason::kPosition, 1)});
  AppliedAppend repeat = Refused(RefusalReason::kPosition, 1);
  repeat.duplicate = true;
  Apply(Batch("p", 1, 7), {repeat});
  EXPECT_THAT(wrong_, IsEmpty());
  Apply(Batch("p", 1), {At(1)});
  ExpectWrong("is refused for reason 0, not 4");
}

TEST_F(CheckerTest, AnOutcomeThatSaysChosenFalselyIsFound) {
  checker_.Proposed(kOne, Ticket{1}, Text("a"));
  checker_.Resolved(kOne, {Ticket{1}, Outcome::Result::kChosen, 1});
  ExpectWrong("it says that value #1 is chosen");
}

TEST_F(CheckerTest, AnOutcomeThatSaysNotChosenFalselyIsFoundEvenLater) {
  checker_.Proposed(kOne, Ticket{1}, Text("a"));
  checker_.Resolved(kOne, {Ticket{1}, Outcome::Result::kNotChosen, 0});
  EXPECT_THAT(wrong_, IsEmpty());
  ChooseA();
  ExpectWrong("which it said never would be");
}

// A round of confirmations to replica 1 at ballot 1.1, which replica 2 answers.
void Confirm(Checker* checker, uint64_t round) {
  checker->Left({kOne, kTwo, paxos::Confirm{{1, kOne}, round, 0}});
  checker->Left({kTwo, kOne, paxos::Confirmed{{1, kOne}, round}});
}

TEST_F(CheckerTest, TwoOutcomesForOneTicketAreFound) {
  checker_.ReadNoted(kOne, Ticket{1});
  Confirm(&checker_, 1);
  checker_.Resolved(kOne, {Ticket{1}, Outcome::Result::kReadable, 0});
  EXPECT_THAT(wrong_, IsEmpty());
  checker_.Resolved(kOne, {Ticket{1}, Outcome::Result::kReadable, 0});
  ExpectWrong("two outcomes");
}

TEST_F(CheckerTest, AStaleReadIsFound) {
  ChooseA();
  checker_.Answered(1);
  checker_.ReadNoted(kOne, Ticket{1});
  Confirm(&checker_, 1);
  checker_.Resolved(kOne, {Ticket{1}, Outcome::Result::kReadable, 0});
  ExpectWrong("stale read");
}

TEST_F(CheckerTest, AReadThatNobodyConfirmedIsFound) {
  checker_.ReadNoted(kOne, Ticket{1});
  checker_.Resolved(kOne, {Ticket{1}, Outcome::Result::kReadable, 0});
  ExpectWrong("without a round of confirmations");
}

TEST_F(CheckerTest, AReadThatJoinsARoundThatRunsIsFound) {
  checker_.Left({kOne, kTwo, paxos::Confirm{By(1, kOne), 1, 0}});
  checker_.ReadNoted(kOne, Ticket{1});
  Confirm(&checker_, 1);  // The same one.
  checker_.Resolved(kOne, {Ticket{1}, Outcome::Result::kReadable, 0});
  ExpectWrong("without a round of confirmations");
}

TEST_F(CheckerTest, AFollowersReadNeedsAMarkThatWasAskedForAndConfirmedAfterIt) {
  ChooseA();
  checker_.ReadNoted(kThree, Ticket{1});
  Say(kThree, kOne, paxos::ReadRequest{5});
  Confirm(&checker_, 1);
  Say(kOne, kThree, paxos::ReadReply{5, 1, {}});
  checker_.Resolved(kThree, {Ticket{1}, Outcome::Result::kReadable, 1});
  EXPECT_THAT(wrong_, IsEmpty());
  checker_.ReadNoted(kThree, Ticket{2});
  checker_.Resolved(kThree, {Ticket{2}, Outcome::Result::kReadable, 1});
  ExpectWrong("or a leader's mark, begun after it");
}

TEST_F(CheckerTest, AMarkGivenToAFollowerWithoutConfirmationIsFound) {
  Confirm(&checker_, 1);
  Say(kThree, kOne, paxos::ReadRequest{5});
  Say(kOne, kThree, paxos::ReadReply{5, 0, {}});
  ExpectWrong("in a round begun after the request");
}

TEST_F(CheckerTest, AMarkBelowWhatWasAnsweredIsFound) {
  ChooseA();
  checker_.Answered(1);
  Say(kThree, kOne, paxos::ReadRequest{5});
  Confirm(&checker_, 1);
  Say(kOne, kThree, paxos::ReadReply{5, 0, {}});
  ExpectWrong("a ReadReply with mark 0");
}

// A deposed leader's value may still come over it, at a ballot below the one it was chosen at.
TEST_F(CheckerTest, AValueHeldBelowTheBallotItIsChosenAtMayBeOverwritten) {
  Write(kThree, Record(1, By(1, kOne), Text("a")));
  Write(kOne, Record(1, By(3, kOne), Text("a")));
  Write(kTwo, Record(1, By(3, kOne), Text("a")));
  Write(kThree, Record(1, By(2, kTwo), Text("b")));
  EXPECT_THAT(wrong_, IsEmpty());
}

TEST_F(CheckerTest, AChosenValueOverwrittenIsFoundAtOnceAndInTheEnd) {
  ChooseA();
  Write(kTwo, Record(1, By(3, kThree), Text("b")));
  EXPECT_THAT(wrong_, ::testing::Contains(HasSubstr("holds the chosen value and is overwritten")));
  wrong_.clear();
  checker_.CheckDisks();
  EXPECT_THAT(wrong_, ElementsAre(HasSubstr("slot 1 holds"),
                                  HasSubstr("no longer on the disks of a quorum")));
}

// ---- Restarts. ---------------------------------------------------------------------------------

TEST_F(CheckerTest, AMarkForgottenByARestartIsFound) {
  ChooseA();
  checker_.MarkSaved(kOne, 1);
  checker_.Crashed(kOne);
  paxos::DurableState recovered;
  recovered.promised = By(1, kOne);
  recovered.accepted = {{1, By(1, kOne), Text("a")}};
  checker_.Started(kOne, recovered);
  ExpectWrong("mark 1 was durable, but 0 is recovered");
}

TEST_F(CheckerTest, AnAcceptedSlotForgottenByARestartIsFound) {
  ChooseA();
  checker_.Crashed(kOne);
  paxos::DurableState recovered;
  recovered.promised = By(1, kOne);
  checker_.Started(kOne, recovered);
  ExpectWrong("1 slots above the mark 0 were durable, but 0 are recovered");
}

TEST_F(CheckerTest, AnAcceptedSlotThatComesBackDifferentIsFound) {
  ChooseA();
  checker_.Crashed(kOne);
  paxos::DurableState recovered;
  recovered.promised = By(2, kOne);
  recovered.accepted = {{1, By(2, kOne), Text("a")}};
  checker_.Started(kOne, recovered);
  ExpectWrong("which is not what was durable there");
}

TEST_F(CheckerTest, WhatIsLostBeforeItWasDurableIsNoFault) {
  checker_.Written(kOne, Record(1, By(1, kOne), Text("a")));
  checker_.Crashed(kOne);
  checker_.Started(kOne, {});
  EXPECT_THAT(wrong_, IsEmpty());
}

// ---- Phase 1, voters, configurations. ----------------------------------------------------------

TEST_F(CheckerTest, ProposingWithoutAQuorumOfPromisesIsFound) {
  Write(kOne, PromiseRecord{By(1, kOne)});
  Say(kOne, kOne, paxos::Prepare{By(1, kOne), 1, 1});
  Say(kOne, kOne, paxos::Promise{By(1, kOne), 1, 0, true, {}, 0});
  Say(kOne, kTwo, paxos::Accept{By(1, kOne), 1, {Text("a")}, 0, 1});
  ExpectWrong("no quorum has promised that ballot");
}

TEST_F(CheckerTest, StrangersAreNotCounted) {
  const ReplicaId stranger{9};
  checker_.Started(stranger, {});
  Write(kOne, Record(1, By(1, kOne), Text("a")));
  Write(stranger, Record(1, By(1, kOne), Text("a")));
  EXPECT_EQ(checker_.chosen_through(), 0u);
  EXPECT_THAT(wrong_, IsEmpty());
  checker_.Chosen(kOne, {1, By(1, kOne), Text("a")});
  ExpectWrong("by the disks nothing is chosen there");
}

TEST_F(CheckerTest, AStrangerThatPreparesIsFound) {
  const ReplicaId stranger{9};
  Write(stranger, PromiseRecord{By(1, stranger)});
  Say(stranger, kOne, paxos::Prepare{By(1, stranger), 1, 1});
  ExpectWrong("it is no voter there");
}

TEST_F(CheckerTest, LearnersAreNotCounted) {
  paxos::Configuration genesis = Three();
  genesis.members[2].voter = false;  // Two voters are left: both are needed.
  Checker checker(genesis, 4, [this](const std::string& what) { wrong_.push_back(what); });
  for (const ReplicaId id : {kOne, kThree}) {
    checker.Written(id, Record(1, By(1, kOne), Text("a")));
    checker.Durable(id, Record(1, By(1, kOne), Text("a")));
  }
  EXPECT_EQ(checker.chosen_through(), 0u);
}

TEST_F(CheckerTest, AConfigurationThatWasNotChosenIsNotSpokenOf) {
  Write(kOne, PromiseRecord{By(1, kOne)});
  Say(kOne, kTwo, paxos::Prepare{By(1, kOne), 1, 2});
  ExpectWrong("speaks of configuration 2");
}

TEST_F(CheckerTest, SupplyingWhatIsNotDurableIsFound) {
  ChooseA();
  Say(kThree, kOne, paxos::LearnReply{{{1, By(1, kOne), Text("a")}}, 1});
  ExpectWrong("which is not durable there");
}

}  // namespace
}  // namespace distlog::simulation
