// Histories around a change of configuration that are too long for an exhaustive search: the core
// that ships keeps one value to a slot in each of them, and the mistake that the history is about
// is seen.

#include "tests/model/schedule.h"

#include <string>

#include "gtest/gtest.h"
#include "paxos/break.h"
#include "paxos/invariant.h"

namespace distlog::model {
namespace {

using paxos::Ballot;
using paxos::Break;
using paxos::ReplicaId;

// {1, 2, 3}, and {3, 4, 5} to follow.
std::shared_ptr<const Configurations> ThreeToThree() {
  paxos::Configuration genesis{
      .version = 1, .members = {}, .next_replica_id = 4, .feature_level = 1};
  paxos::Configuration next{.version = 2, .members = {}, .next_replica_id = 6, .feature_level = 1};
  for (uint64_t id = 1; id <= 5; ++id) {
    const paxos::Member member{.id = ReplicaId(id), .uuid = {0, id}, .address = {}, .voter = true};
    if (id <= 3) genesis.members.push_back(member);
    if (id >= 3) next.members.push_back(member);
  }
  return std::make_shared<const Configurations>(Configurations{genesis, next});
}

class ScheduleTest : public ::testing::Test {
 protected:
  ScheduleTest() : schedule_(5, ThreeToThree(), 2) {}
  ~ScheduleTest() override {
    paxos::SetBreak(Break::kNone);
    paxos::SetInvariantsFatal(true);
    paxos::ClearCountedInvariants();
  }

  // `proposer` asks `peer` (Prepare or Accept), and hears the answer.
  void Ask(int proposer, int peer) {
    schedule_.Let(proposer, peer);
    schedule_.Let(peer, proposer);
  }

  // The history that B4 forbids (docs/protocol.md), in the form that needs this one mistake alone:
  // a configuration held at a low ballot is learned to be chosen at a higher one, is kept at the
  // low one, and is handed on so.
  void RunLowBallot() {
    // 1, leading at 1.1, proposes the configuration in slot 1. It alone accepts it.
    schedule_.Stand(1);
    Ask(1, 2);
    schedule_.Change(1);
    schedule_.DropAll();
    schedule_.Restart(1);
    // 3, leading at 3.3 with the promise of 2, has a leftover in slot 2 in its own log alone.
    schedule_.Stand(2);
    schedule_.Let(2, 3);
    schedule_.Drop(3, 2);
    schedule_.Stand(3);
    Ask(3, 2);
    ASSERT_TRUE(schedule_.at(3).replica().is_leading());
    schedule_.Propose(3);
    schedule_.Propose(3);
    schedule_.DropAll();
    ASSERT_EQ(schedule_.at(3).disk().accepted.at(2).ballot, (Ballot{3, ReplicaId(3)}));
    schedule_.Restart(3);
    // 2 leads at 4.2 with the promise of 1: it proposes the configuration again, 3 accepts it, and
    // it is chosen.
    schedule_.Stand(2);
    Ask(2, 1);
    schedule_.Drop(2, 1);
    Ask(2, 3);
    ASSERT_EQ(schedule_.at(2).replica().configuration().version, 2u);
    schedule_.Let(2, 3);  // It is told that it is chosen.
    schedule_.DropAll();
    ASSERT_EQ(schedule_.at(3).replica().configuration().version, 2u);
    // 1 learns it, and hands it on to the newcomers.
    schedule_.Supply(2, 1);
    schedule_.Supply(1, 4);
    schedule_.Supply(1, 5);
    ASSERT_EQ(schedule_.at(4).replica().configuration().version, 2u);
    ASSERT_EQ(schedule_.at(5).replica().configuration().version, 2u);
    // 5 leads with the promise of 4, and gets a value of its own chosen in slot 2. It alone knows.
    schedule_.Stand(5);
    Ask(5, 4);
    ASSERT_TRUE(schedule_.at(5).replica().is_leading());
    schedule_.Propose(5);
    Ask(5, 4);
    ASSERT_EQ(schedule_.at(5).replica().chosen_through(), 2u);
    schedule_.DropAll();
    // 3 leads with the promise of 4, once it has gone above what 4 has promised.
    for (int attempt = 0; attempt < 2; ++attempt) {
      schedule_.Stand(3);
      Ask(3, 4);
    }
    ASSERT_TRUE(schedule_.at(3).replica().is_leading());
    Ask(3, 4);
    ASSERT_EQ(schedule_.at(3).replica().chosen_through(), 2u);
  }

  std::string Violations() const {
    std::string text;
    for (const std::string& violation : schedule_.violations()) text += violation + "\n";
    return text;
  }

  Schedule schedule_;
};

TEST_F(ScheduleTest, ABallotInTheNewConfigurationIsNotBelowTheOneThatChoseIt) {
  RunLowBallot();
  EXPECT_EQ(Violations(), "");
  EXPECT_EQ(schedule_.taken_for_chosen(1).size(), 1u);
  EXPECT_EQ(schedule_.taken_for_chosen(2).size(), 1u);
}

TEST_F(ScheduleTest, WhoLearnsAndKeepsTheLowBallotLetsTwoValuesBeChosen) {
  paxos::SetBreak(Break::kLearnKeepsLowBallot);
  paxos::SetInvariantsFatal(false);
  RunLowBallot();
  EXPECT_EQ(schedule_.taken_for_chosen(2).size(), 2u) << "5 and 3 disagree";
  EXPECT_NE(Violations().find("P1: "), std::string::npos) << Violations();
}

}  // namespace
}  // namespace distlog::model
