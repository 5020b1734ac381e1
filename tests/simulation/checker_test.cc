// The judge is judged: each rule broken by hand, in a history as short as can be, must be found,
// and nothing else may be.

#include "tests/simulation/checker.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "wire/checksum.h"
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

constexpr ReplicaId kOne{1};
constexpr ReplicaId kTwo{2};
constexpr ReplicaId kThree{3};

paxos::Configuration Three() {
  paxos::Configuration genesis;
  genesis.version = 1;
  genesis.next_replica_id = 4;
  for (uint64_t id = 1; id <= 3; ++id) {
    genesis.members.push_back({ReplicaId{id}, {0, id}, "replica:" + std::to_string(id), true});
  }
  return genesis;
}

Value Text(const std::string& text) {
  Value value;
  value.kind = Value::Kind::kBatch;
  value.payload = std::make_shared<const std::string>(text);
  value.checksum = Checksum(text);
  return value;
}

class CheckerTest : public ::testing::Test {
 protected:
  CheckerTest()
      : checker_(Three(), 4, [this](const std::string& what) { wrong_.push_back(what); }) {
    for (const ReplicaId id : {kOne, kTwo, kThree}) checker_.Started(id, {});
  }
  static Ballot By(uint64_t round, ReplicaId owner) { return {round, owner}; }
  static AcceptRecord Record(Slot slot, const Ballot& ballot, const Value& value, Slot chosen = 0) {
    return {{slot, ballot, value}, chosen};
  }
  void Write(ReplicaId replica, const paxos::Record& record) {
    checker_.Written(replica, record);
    checker_.Durable(replica, record);
  }
  // Slot 1 holds "a", chosen at 1.1 by 1 and 2.
  void ChooseA() {
    Write(kOne, Record(1, By(1, kOne), Text("a")));
    Write(kTwo, Record(1, By(1, kOne), Text("a")));
  }
  void Say(ReplicaId from, ReplicaId to, paxos::Message message) {
    const paxos::Envelope envelope{from, to, std::move(message)};
    checker_.Emitted(envelope);
    checker_.Left(envelope);
  }
  void ExpectWrong(const std::string& part) {
    ASSERT_THAT(wrong_, ::testing::Not(IsEmpty()));
    EXPECT_THAT(wrong_.front(), HasSubstr(part));
  }

  std::vector<std::string> wrong_;
  Checker checker_;
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
  Say(kThree, kOne, paxos::Accept{By(2, kThree), 1, {Text("b")}, 0, 1});
  ExpectWrong("is proposed at 2.3");
}

TEST_F(CheckerTest, AnotherValueProposedBeforeAtAHigherBallotIsFound) {
  Say(kThree, kOne, paxos::Accept{By(2, kThree), 1, {Text("b")}, 0, 1});
  ChooseA();
  ExpectWrong("was proposed at 2.3");
}

TEST_F(CheckerTest, AValueInTwoSlotsIsFound) {
  Say(kOne, kTwo, paxos::Accept{By(1, kOne), 1, {Text("a"), Text("a")}, 0, 1});
  ExpectWrong("in slot 1 and in slot 2");
}

TEST_F(CheckerTest, APromiseThatFallsIsFound) {
  Write(kOne, PromiseRecord{By(2, kTwo)});
  Write(kOne, PromiseRecord{By(1, kThree)});
  ExpectWrong("promises fall");
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
  ExpectWrong("which is not what it holds");
}

TEST_F(CheckerTest, ConfirmingBelowThePromiseIsFound) {
  Write(kTwo, PromiseRecord{By(2, kThree)});
  checker_.Stands(kTwo, By(2, kThree), 0, 0, 0);
  Say(kTwo, kOne, paxos::Confirmed{By(1, kOne), 1});
  ExpectWrong("it confirms 1.1");
}

TEST_F(CheckerTest, ProposingInAnothersBallotIsFound) {
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
  ExpectWrong("slot 2 is given to apply after slot 0");
}

TEST_F(CheckerTest, SupplyingAnotherValueThanTheChosenOneIsFound) {
  ChooseA();
  Say(kOne, kThree, paxos::LearnReply{{{1, By(1, kOne), Text("b")}}, 1});
  ExpectWrong("LearnReply supplies another value");
}

TEST_F(CheckerTest, DifferentResultsOfApplyingAreFound) {
  Applied applied;
  applied.slot = 1;
  checker_.Applied(kOne, Value(), applied, 17);
  EXPECT_THAT(wrong_, IsEmpty());
  checker_.Applied(kTwo, Value(), applied, 18);
  ExpectWrong("another result than elsewhere");
}

TEST_F(CheckerTest, APositionThatIsSkippedIsFound) {
  v1::Batch batch;
  batch.add_appends()->add_payloads("x");
  Applied applied;
  applied.slot = 1;
  applied.entries = 1;
  applied.first_position = 2;
  applied.appends.push_back({.reason = RefusalReason::kNone,
                             .duplicate = false,
                             .first_position = 2,
                             .count = 1,
                             .expected = 0,
                             .actual = 0});
  checker_.Applied(kOne, MakeValue(batch), applied, 17);
  ExpectWrong("appends at position 2");
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

TEST_F(CheckerTest, TwoOutcomesForOneTicketAreFound) {
  checker_.ReadNoted(kOne, Ticket{1});
  checker_.Resolved(kOne, {Ticket{1}, Outcome::Result::kReadable, 0});
  checker_.Resolved(kOne, {Ticket{1}, Outcome::Result::kReadable, 0});
  EXPECT_THAT(wrong_, ElementsAre(HasSubstr("two outcomes")));
}

TEST_F(CheckerTest, AStaleReadIsFound) {
  ChooseA();
  checker_.Answered(1);
  checker_.ReadNoted(kThree, Ticket{1});
  checker_.Resolved(kThree, {Ticket{1}, Outcome::Result::kReadable, 0});
  ExpectWrong("stale read");
}

TEST_F(CheckerTest, AChosenValueOverwrittenOnTheDisksIsFound) {
  ChooseA();
  Write(kTwo, Record(1, By(3, kThree), Text("b")));
  wrong_.clear();  // The proposal was found already.
  checker_.CheckDisks();
  ExpectWrong("slot 1 holds");
}

}  // namespace
}  // namespace distlog::simulation
