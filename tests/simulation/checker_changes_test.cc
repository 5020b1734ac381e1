// The judge is judged: the rules of a change of configuration, B1 to B9, each broken by hand.

#include <cstdint>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/checker_fixture.h"
#include "wire/value.h"

namespace distlog::simulation {
namespace {

using paxos::Ballot;
using paxos::PromiseRecord;
using paxos::ReplicaId;
using paxos::Value;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class NewConfigurationTest : public CheckerFixture {
 protected:
  // 3, 4 and 5 are to follow 1, 2 and 3.
  NewConfigurationTest() {
    paxos::Configuration next = Three();
    next.version = 2;
    next.members.erase(next.members.begin(), next.members.begin() + 2);
    for (uint64_t id : {4, 5}) {
      next.members.push_back({ReplicaId{id}, {0, id}, "replica:" + std::to_string(id), true});
    }
    next.next_replica_id = 6;
    configuration_ = MakeValue(next);
  }
  static Ballot First() { return By(1, kOne); }
  // 1 and 2 have it in slot 1.
  void ChooseConfiguration() {
    Write(kOne, Record(1, First(), configuration_));
    Write(kTwo, Record(1, First(), configuration_));
  }
  // The replica holds it too, and would recover it as chosen.
  void Learn(ReplicaId replica) {
    if (replica > kTwo) Write(replica, Record(1, First(), configuration_));
    Write(replica, paxos::MarkRecord{1});
  }
  // What a replica says of itself that knows it to be in force.
  Checker::View View() const {
    return {.configuration = *configuration_.configuration, .configuration_slot = 1};
  }
  void Know(ReplicaId replica) {
    checker_.Chosen(replica, {1, First(), configuration_});
    checker_.Stands(replica, First(), 1, 0, 0);
  }
  Value configuration_;
};

TEST_F(NewConfigurationTest, DecidesTheSlotsAfterItsOwn) {
  Write(kOne, Record(1, By(1, kOne), configuration_));
  Write(kOne, Record(2, By(1, kOne), Text("a")));
  EXPECT_THAT(wrong_, ElementsAre(HasSubstr("above the configuration in slot 1")));
  wrong_.clear();
  Write(kTwo, Record(1, By(1, kOne), configuration_));
  Write(kTwo, Record(2, By(1, kOne), Text("a")));
  EXPECT_EQ(checker_.chosen_through(), 1u);  // Its own slot by the old quorum, the next not.
  Write(kThree, Record(2, By(2, kThree), Text("b")));
  Write(ReplicaId{4}, Record(2, By(2, kThree), Text("b")));
  EXPECT_EQ(checker_.chosen_through(), 2u);
  EXPECT_THAT(wrong_, IsEmpty());
}

TEST_F(NewConfigurationTest, WhoHasLeftDoesNotPropose) {
  Write(kOne, Record(1, By(1, kOne), configuration_));
  Write(kTwo, Record(1, By(1, kOne), configuration_));
  Learn(kTwo);
  Write(kTwo, PromiseRecord{By(2, kTwo)});
  Say(kTwo, kThree, paxos::Prepare{By(2, kTwo), 2, 2});
  ExpectWrong("it is no voter there");
}

TEST_F(NewConfigurationTest, WhoDoesNotKnowThatItHasLeftMayPropose) {
  ChooseConfiguration();
  Write(kTwo, PromiseRecord{By(2, kTwo)});
  Say(kTwo, kThree, paxos::Prepare{By(2, kTwo), 1, 1});
  EXPECT_THAT(wrong_, IsEmpty());
}

TEST_F(NewConfigurationTest, ItMayBeProposedInAnotherSlotToo) {
  Write(kOne, Record(1, First(), configuration_));
  Write(kTwo, Record(2, By(2, kTwo), configuration_));
  EXPECT_THAT(wrong_, IsEmpty());
}

TEST_F(NewConfigurationTest, ProposingAboveItBeforeItsProposerKnowsItChosenIsFound) {
  Prepare(First(), kThree);
  ChooseConfiguration();
  Say(kOne, kTwo, paxos::Accept{First(), 2, {Text("a")}, 0, 1});
  ExpectWrong("leaves with chosen_through=0, above the configuration in slot 1");
}

TEST_F(NewConfigurationTest, ProposingInItWithoutAskingItsVotersIsFound) {
  Prepare(By(1, kThree), kTwo);
  Write(kOne, Record(1, By(1, kThree), configuration_));
  Write(kThree, Record(1, By(1, kThree), configuration_));
  Write(kThree, paxos::MarkRecord{1});
  Say(kThree, ReplicaId{4}, paxos::Accept{By(1, kThree), 2, {Text("a")}, 1, 2});
  ASSERT_EQ(wrong_.size(), 2u);
  EXPECT_THAT(wrong_[0], HasSubstr("but its Prepare was of configuration 1"));
  EXPECT_THAT(wrong_[1], HasSubstr("no quorum has promised that ballot"));
}

TEST_F(NewConfigurationTest, GoingOnInItWithAPrepareOfBeforeIsFound) {
  ChooseConfiguration();
  Learn(kThree);
  Write(kThree, PromiseRecord{By(2, kThree)});
  Say(kThree, ReplicaId{4}, paxos::Prepare{By(2, kThree), 1, 2});
  ExpectWrong("which decides the slots after 1");
}

TEST_F(NewConfigurationTest, ActingInItBeforeItsMarkIsDurableIsFound) {
  ChooseConfiguration();
  Write(kThree, Record(1, First(), configuration_));
  Write(kThree, PromiseRecord{By(2, kThree)});
  Say(kThree, ReplicaId{4}, paxos::Prepare{By(2, kThree), 2, 2});
  ExpectWrong("below the configuration in slot 1");
}

TEST_F(NewConfigurationTest, TakingAnotherOneToBeInForceIsFound) {
  ChooseConfiguration();
  Know(kThree);
  checker_.Sees(kThree, View());
  EXPECT_THAT(wrong_, IsEmpty());
  paxos::Configuration other = *configuration_.configuration;
  other.members[0].voter = false;
  Know(kTwo);
  checker_.Sees(kTwo, {.configuration = other, .configuration_slot = 1});
  ExpectWrong("but that is 2 of slot 1");
}

TEST_F(NewConfigurationTest, CallingItSettledBeforeAQuorumOfItWouldRecoverItIsFound) {
  ChooseConfiguration();
  Learn(kThree);
  Write(ReplicaId{4}, Record(1, First(), configuration_));  // Without the mark.
  Say(kOne, kTwo, paxos::Heartbeat{.round = 1, .pair = {}, .settled_version = 2});
  ExpectWrong("says that configuration 2 is settled");
  wrong_.clear();
  Learn(ReplicaId{5});
  Say(kOne, kTwo, paxos::Heartbeat{.round = 1, .pair = {}, .settled_version = 2});
  EXPECT_THAT(wrong_, IsEmpty());
  EXPECT_EQ(checker_.settled_version(), 2u);
}

TEST_F(NewConfigurationTest, LeavingBeforeItIsSettledIsFound) {
  ChooseConfiguration();
  Learn(kOne);
  Know(kOne);
  checker_.Sees(
      kOne,
      {.configuration = *configuration_.configuration, .configuration_slot = 1, .has_left = true});
  ExpectWrong("who has left says that configuration 2 is settled");
}

TEST_F(NewConfigurationTest, WhoHasLeftMayBeDestroyedOnceItIsSettled) {
  ChooseConfiguration();
  for (const uint64_t id : {3, 4}) Learn(ReplicaId{id});
  Say(kThree, kTwo, paxos::Heartbeat{.round = 1, .pair = {}, .settled_version = 2});
  for (const ReplicaId id : {kOne, kTwo}) checker_.Destroyed(id);
  checker_.CheckDisks();
  EXPECT_THAT(wrong_, IsEmpty());
  checker_.Destroyed(kThree);
  checker_.CheckDisks();
  ExpectWrong("slot 1 is no longer on the disks of a quorum");
}

TEST_F(NewConfigurationTest, ReadingAcrossItIsFound) {
  Prepare(First(), kThree);
  Write(kOne, Record(1, First(), configuration_));  // Proposed, not chosen.
  Say(kThree, kOne, paxos::ReadRequest{7});
  Say(kOne, kTwo, paxos::Confirm{First(), 1, 0});
  Say(kTwo, kOne, paxos::Confirmed{First(), 1});
  Say(kOne, kThree, paxos::ReadReply{7, 0, {First(), 0}});
  ExpectWrong("across the configuration in slot 1");
}

TEST_F(NewConfigurationTest, ARoundOfBeforeGrantsNoReadAfter) {
  Say(kTwo, kThree, paxos::ReadRequest{7});
  Write(kThree, PromiseRecord{By(1, kThree)});
  Say(kThree, kTwo, paxos::Confirm{By(1, kThree), 1, 0});
  Write(kOne, Record(1, By(1, kThree), configuration_));
  Write(kThree, Record(1, By(1, kThree), configuration_));
  Say(kOne, kThree, paxos::Confirmed{By(1, kThree), 1});
  Say(kThree, kTwo, paxos::ReadReply{7, 1, {By(1, kThree), 1}});
  ExpectWrong("no quorum has confirmed in a round begun after");
}

}  // namespace
}  // namespace distlog::simulation
