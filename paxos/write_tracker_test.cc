// Which records are durable, and what that lets a replica say.

#include "paxos/write_tracker.h"

#include "gtest/gtest.h"
#include "paxos/test_cluster.h"

namespace distlog::paxos {
namespace {

using std::chrono::seconds;
const Ballot kBallot{3, ReplicaId(1)};

TEST(WriteTrackerTest, NothingIsDurableBeforeItsWriteHasFinished) {
  WriteTracker writes;
  Effects effects;
  writes.Add(Time{}, PromiseRecord{kBallot}, &effects);
  writes.Add(Time{}, AcceptRecord{{1, kBallot, Batch("a")}, 0}, &effects);
  writes.Add(Time{}, AcceptRecord{{2, kBallot, Batch("b")}, 1}, &effects);
  EXPECT_EQ(effects.last_record, 3u);
  EXPECT_EQ(writes.durable_promised(), Ballot{});
  EXPECT_EQ(writes.StoredThrough(2), 0u);
  writes.Finish(1);
  EXPECT_EQ(writes.durable_promised(), kBallot);
  writes.Finish(2);
  EXPECT_EQ(writes.StoredThrough(2), 1u);
  EXPECT_EQ(writes.durable_mark(), 0u);
  writes.Finish(3);
  EXPECT_EQ(writes.StoredThrough(2), 2u);
  EXPECT_EQ(writes.durable_mark(), 1u) << "as the last record says";
}

TEST(WriteTrackerTest, OnlyTheNewestRecordOfASlotCounts) {
  WriteTracker writes;
  Effects effects;
  writes.Add(Time{}, AcceptRecord{{1, kBallot, Batch("a")}, 0}, &effects);
  writes.Add(Time{}, AcceptRecord{{1, Ballot{4, ReplicaId(2)}, Batch("b")}, 0}, &effects);
  writes.Finish(1);
  EXPECT_EQ(writes.StoredThrough(1), 0u);
  writes.Finish(2);
  EXPECT_EQ(writes.StoredThrough(1), 1u);
}

TEST(WriteTrackerTest, ADiskIsStalledWhenItsOldestWriteIsOld) {
  WriteTracker writes;
  Effects effects;
  EXPECT_FALSE(writes.IsStalled(seconds(100), seconds(2)));
  writes.Add(seconds(100), PromiseRecord{kBallot}, &effects);
  EXPECT_FALSE(writes.IsStalled(seconds(102), seconds(2)));
  EXPECT_TRUE(writes.IsStalled(seconds(103), seconds(2)));
  writes.Finish(1);
  EXPECT_FALSE(writes.IsStalled(seconds(103), seconds(2)));
}

}  // namespace
}  // namespace distlog::paxos
