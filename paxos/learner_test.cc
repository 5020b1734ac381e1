// The chosen prefix, and asking for what is missing of it.

#include "paxos/learner.h"

#include "gtest/gtest.h"
#include "paxos/test_cluster.h"

namespace distlog::paxos {
namespace {

using std::chrono::milliseconds;
constexpr ReplicaId k2{2};
constexpr ReplicaId k3{3};
constexpr Time kPatience = milliseconds(50);
constexpr Time kTimeout = milliseconds(500);
const Ballot kBallot{1, k2};

Learner Fresh() {
  DurableState state;
  state.configuration = VotersOnly(3);
  return Learner(state);
}

TEST(LearnerTest, AsksAtOnceForAHoleAndWaitsForWhatMayBeUnderWay) {
  Learner learner = Fresh();
  learner.NotePeer(Time{}, k2, 5);
  EXPECT_FALSE(learner.NextRequest(milliseconds(10), k2, kPatience, kTimeout).has_value());
  learner.NoteHole();
  const auto request = learner.NextRequest(milliseconds(10), k2, kPatience, kTimeout);
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->to, k2);
  EXPECT_EQ(request->first, 1u);
  EXPECT_FALSE(learner.NextRequest(milliseconds(20), k2, kPatience, kTimeout).has_value())
      << "one request at a time";
}

TEST(LearnerTest, AsksAfterPatienceWithoutAHole) {
  Learner learner = Fresh();
  learner.NotePeer(Time{}, k2, 5);
  EXPECT_EQ(learner.deadline(kPatience, kTimeout), kPatience);
  EXPECT_TRUE(learner.NextRequest(kPatience, k2, kPatience, kTimeout).has_value());
}

TEST(LearnerTest, AnUnansweredRequestGoesToAnother) {
  Learner learner = Fresh();
  learner.NotePeer(Time{}, k2, 5);
  learner.NotePeer(Time{}, k3, 5);
  EXPECT_EQ(learner.NextRequest(kPatience, k2, kPatience, kTimeout)->to, k2);
  EXPECT_EQ(learner.NextRequest(kPatience + kTimeout, k2, kPatience, kTimeout)->to, k3);
}

// 2 has the most, but its answers are lost. The simulation's seed 12615 waited half a second for 2
// after every answer of 3, and caught up too slowly to lead.
TEST(LearnerTest, WhoIsSilentIsNotAskedAgainWhileAnotherAnswers) {
  Learner learner = Fresh();
  learner.NotePeer(Time{}, k2, 9);
  learner.NotePeer(Time{}, k3, 5);
  EXPECT_EQ(learner.NextRequest(kPatience, k2, kPatience, kTimeout)->to, k2);
  const Time later = kPatience + kTimeout;
  for (Slot slot = 1; slot <= 5; ++slot) {
    const auto request = learner.NextRequest(later, k2, kPatience, kTimeout);
    ASSERT_TRUE(request.has_value());
    EXPECT_EQ(request->to, k3) << "slot " << slot;
    learner.Choose(later, {slot, kBallot, Batch("a")});
    learner.NoteReply(later, k3, slot, 5);
  }
  const auto rest = learner.NextRequest(later, k2, kPatience, kTimeout);
  ASSERT_TRUE(rest.has_value());
  EXPECT_EQ(rest->to, k2) << "nobody else has what is left";
}

TEST(LearnerTest, GoesOnAtOnceWhileAnswersBringSomething) {
  Learner learner = Fresh();
  learner.NotePeer(Time{}, k2, 2);
  learner.NoteHole();
  learner.NextRequest(Time{}, k2, kPatience, kTimeout);
  learner.Choose(Time{}, {1, kBallot, Batch("a")});
  learner.NoteReply(Time{}, k2, 1, 2);
  const auto request = learner.NextRequest(Time{}, k2, kPatience, kTimeout);
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->first, 2u);
  learner.Choose(Time{}, {2, kBallot, Batch("b")});
  learner.NoteReply(Time{}, k2, 2, 2);
  EXPECT_FALSE(learner.NextRequest(Time{}, k2, kPatience, kTimeout).has_value());
  EXPECT_EQ(learner.deadline(kPatience, kTimeout), Time::max());
}

TEST(LearnerTest, APeerThatHasLessThanItSaidIsBelieved) {
  // It knew slot 2 chosen, restarted without that knowledge, and answers that it has nothing.
  Learner learner = Fresh();
  learner.NotePeer(Time{}, k2, 2);
  learner.NotePeer(Time{}, k3, 1);
  learner.NoteHole();
  EXPECT_EQ(learner.NextRequest(Time{}, k2, kPatience, kTimeout)->to, k2);
  learner.NoteReply(Time{}, k2, 0, 0);
  EXPECT_EQ(learner.known_chosen(), 1u);
  EXPECT_FALSE(learner.NextRequest(Time{}, k2, kPatience, kTimeout).has_value()) << "no storm";
  EXPECT_EQ(learner.NextRequest(kPatience, k2, kPatience, kTimeout)->to, k3);
}

TEST(LearnerTest, ALateCopyOfAnAnswerSetsOffNoRequest) {
  Learner learner = Fresh();
  learner.NotePeer(Time{}, k2, 5);
  learner.NoteHole();
  learner.NextRequest(Time{}, k2, kPatience, kTimeout);
  learner.Choose(Time{}, {1, kBallot, Batch("a")});
  learner.NoteReply(Time{}, k2, 1, 5);
  EXPECT_EQ(learner.NextRequest(Time{}, k2, kPatience, kTimeout)->first, 2u);
  learner.NoteReply(Time{}, k2, 1, 5);
  EXPECT_FALSE(learner.NextRequest(Time{}, k2, kPatience, kTimeout).has_value());
}

TEST(LearnerTest, AConfigurationIsInForceFromTheNextSlotOn) {
  Learner learner = Fresh();
  Configuration next = VotersOnly(3);
  next.version = 2;
  next.members.pop_back();
  Value value;
  value.kind = Value::Kind::kConfiguration;
  value.configuration = std::make_shared<Configuration>(next);
  EXPECT_TRUE(learner.Choose(Time{}, {1, kBallot, value}));
  EXPECT_EQ(learner.configuration(), next);
  EXPECT_EQ(learner.configuration_slot(), 1u);
  EXPECT_FALSE(learner.Choose(Time{}, {2, kBallot, value})) << "its version has moved on";
  EXPECT_EQ(learner.configuration_slot(), 1u);
}

TEST(LearnerDeathTest, ThePrefixHasNoHoles) {
  Learner learner = Fresh();
  EXPECT_DEATH(learner.Choose(Time{}, {2, kBallot, Batch("b")}), "P6");
}

}  // namespace
}  // namespace distlog::paxos
