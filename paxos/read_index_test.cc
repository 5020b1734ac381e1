// Linearizable reads: which confirmation round grants which read.

#include "paxos/read_index.h"

#include "gtest/gtest.h"
#include "paxos/test_cluster.h"

namespace distlog::paxos {
namespace {

constexpr ReplicaId k1{1};
constexpr ReplicaId k2{2};
constexpr size_t kLimit = 10;

TEST(ReadIndexTest, AReadThatArrivesDuringARoundSharesTheNextOne) {
  ReadIndex reads;
  reads.Add(Ticket(1), kLimit);
  reads.Note(5);
  ASSERT_TRUE(reads.WantsRound());
  const uint64_t round = reads.BeginRound();
  reads.Add(Ticket(2), kLimit);
  reads.Note(6);
  EXPECT_FALSE(reads.WantsRound());
  reads.OnConfirmed(k1, round);
  EXPECT_TRUE(reads.TakeGranted(VotersOnly(3)).empty()) << "one of three is no quorum";
  reads.OnConfirmed(k2, round);
  const auto granted = reads.TakeGranted(VotersOnly(3));
  ASSERT_EQ(granted.size(), 1u);
  EXPECT_EQ(granted[0].id, 1u);
  EXPECT_EQ(granted[0].mark, 5u);
  EXPECT_TRUE(reads.WantsRound()) << "for the second";
}

TEST(ReadIndexTest, AnswersToAnotherRoundDoNotCount) {
  ReadIndex reads;
  reads.Add(Ticket(1), kLimit);
  reads.Note(5);
  const uint64_t first = reads.BeginRound();
  reads.Reset();  // Another ballot.
  reads.Note(7);
  const uint64_t second = reads.BeginRound();
  EXPECT_NE(first, second);
  reads.OnConfirmed(k1, first);
  reads.OnConfirmed(k2, first);
  EXPECT_TRUE(reads.TakeGranted(VotersOnly(3)).empty());
  reads.OnConfirmed(k1, second);
  reads.OnConfirmed(k2, second);
  const auto granted = reads.TakeGranted(VotersOnly(3));
  ASSERT_EQ(granted.size(), 1u);
  EXPECT_EQ(granted[0].mark, 7u) << "noted again";
}

TEST(ReadIndexTest, AFollowerAsksWithAFreshIdEachTime) {
  ReadIndex reads(100);
  reads.Add(Ticket(1), kLimit);
  ASSERT_TRUE(reads.WantsToAsk());
  const uint64_t first = reads.Ask();
  reads.AskAgain();
  const uint64_t second = reads.Ask();
  EXPECT_TRUE(reads.OnAnswer(first).empty()) << "of a leader that is none any more";
  EXPECT_EQ(reads.OnAnswer(second), std::vector<Ticket>{Ticket(1)});
  EXPECT_TRUE(reads.OnAnswer(second).empty()) << "once";
}

TEST(ReadIndexTest, ACancelledReadIsForgottenWhereverItWaits) {
  ReadIndex reads;
  reads.Add(Ticket(1), kLimit);
  reads.Cancel(Ticket(1));
  EXPECT_FALSE(reads.HasWaiting());
  reads.Add(Ticket(2), kLimit);
  reads.Ask();
  reads.Cancel(Ticket(2));
  EXPECT_FALSE(reads.HasWaiting());
  reads.Add(Ticket(3), kLimit);
  reads.Note(1);
  reads.Cancel(Ticket(3));
  EXPECT_FALSE(reads.HasWaiting());
}

TEST(ReadIndexTest, TheNumberThatWaitsIsBounded) {
  ReadIndex reads;
  for (size_t i = 0; i < kLimit; ++i) EXPECT_TRUE(reads.Add(Ticket(i), kLimit));
  EXPECT_FALSE(reads.Add(Ticket(99), kLimit));
}

}  // namespace
}  // namespace distlog::paxos
