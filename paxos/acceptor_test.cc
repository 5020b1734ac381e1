// What an acceptor must remember, and what it says of it.

#include "paxos/acceptor.h"

#include "gtest/gtest.h"
#include "paxos/test_cluster.h"

namespace distlog::paxos {
namespace {

const Ballot kLow{1, ReplicaId(1)};
const Ballot kHigh{2, ReplicaId(2)};

TEST(AcceptorTest, AnAcceptPromisesItsBallot) {
  Acceptor acceptor;
  acceptor.Accept({5, kHigh, Batch("a")});
  EXPECT_EQ(acceptor.promised(), kHigh);
}

TEST(AcceptorDeathTest, NothingIsAcceptedBelowThePromise) {
  Acceptor acceptor;
  acceptor.Promise(kHigh);
  EXPECT_DEATH(acceptor.Accept({5, kLow, Batch("a")}), "P3");
  EXPECT_DEATH(acceptor.Promise(kLow), "P3");
}

TEST(AcceptorDeathTest, OneValuePerSlotAndBallot) {
  Acceptor acceptor;
  acceptor.Accept({5, kLow, Batch("a")});
  acceptor.Accept({5, kLow, Batch("a")});
  EXPECT_DEATH(acceptor.Accept({5, kLow, Batch("b")}), "P2");
}

TEST(AcceptorTest, WhatIsLearnedIsHeldBelowThePromiseToo) {
  Acceptor acceptor;
  acceptor.Promise(kHigh);
  acceptor.Learn({5, kLow, Batch("chosen")});
  ASSERT_NE(acceptor.Find(5), nullptr);
  EXPECT_EQ(acceptor.Find(5)->ballot, kLow);
  EXPECT_EQ(acceptor.promised(), kHigh) << "and a promise never falls for it";
}

TEST(AcceptorTest, LearningAtAHigherBallotPromisesIt) {  // Rule B4.
  Acceptor acceptor;
  acceptor.Accept({5, kLow, Batch("a")});
  acceptor.Learn({5, kHigh, Batch("a")});
  EXPECT_EQ(acceptor.promised(), kHigh);
  EXPECT_EQ(acceptor.Find(5)->ballot, kHigh);
}

TEST(AcceptorTest, APromiseTravelsInPartsThatCoverEverySlot) {
  Acceptor acceptor;
  for (Slot slot : {3, 4, 7, 9}) acceptor.Accept({slot, kLow, Batch(std::string(10, 'x'))});
  acceptor.Promise(kHigh);
  const std::vector<Promise> parts = acceptor.PromiseParts(3, 2, 20);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].first, 3u);
  EXPECT_EQ(parts[0].last, 4u);
  EXPECT_FALSE(parts[0].is_final);
  EXPECT_EQ(parts[1].first, 5u);
  EXPECT_EQ(parts[1].last, 9u);
  EXPECT_TRUE(parts[1].is_final);
  EXPECT_EQ(parts[1].accepted.size(), 2u);
  // A value larger than a message goes alone.
  EXPECT_EQ(acceptor.PromiseParts(3, 2, 1).size(), 4u);
}

TEST(AcceptorTest, APromiseOfNothingIsOneFinalPart) {
  Acceptor acceptor;
  acceptor.Promise(kHigh);
  const std::vector<Promise> parts = acceptor.PromiseParts(8, 7, 100);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_TRUE(parts[0].is_final);
  EXPECT_EQ(parts[0].chosen_through, 7u);
}

}  // namespace
}  // namespace distlog::paxos
