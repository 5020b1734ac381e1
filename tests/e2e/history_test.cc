// The judge of all campaigns must see each kind of broken promise: one that always says OK would
// prove nothing.

#include "tests/e2e/history.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog {
namespace {

using ::testing::HasSubstr;

class HistoryTest : public testing::Test {
 protected:
  HistoryTest() {
    for (const char* payload : {"a", "b", "c"}) history_.Sent(payload, 7);
    history_.Sent("lone", 0);
    history_.Acknowledged("a", 1);
    history_.Acknowledged("b", 2);
  }

  std::string Verdict(const std::vector<ReadEntry>& log) {
    return std::string(history_.Check(log).message());
  }

  History history_;
};

TEST_F(HistoryTest, AcceptsWhatWasAcknowledgedAndWhatMayBeThere) {
  EXPECT_EQ(Verdict({{1, "a"}, {2, "b"}}), "");
  EXPECT_EQ(Verdict({{1, "a"}, {2, "b"}, {3, "lone"}, {4, "c"}}), "");
}

TEST_F(HistoryTest, SeesALostAcknowledgement) {
  EXPECT_THAT(Verdict({{1, "a"}}), HasSubstr("was acknowledged and is not in the log"));
}

TEST_F(HistoryTest, SeesAnEntryAtAnotherPosition) {
  EXPECT_THAT(Verdict({{1, "a"}, {2, "lone"}, {3, "b"}}), HasSubstr("acknowledged at position 2"));
}

TEST_F(HistoryTest, SeesADuplicate) {
  EXPECT_THAT(Verdict({{1, "a"}, {2, "b"}, {3, "a"}}), HasSubstr("is at position 1 too"));
}

TEST_F(HistoryTest, SeesAnEntryThatNobodySent) {
  EXPECT_THAT(Verdict({{1, "a"}, {2, "b"}, {3, "x"}}), HasSubstr("was never sent"));
}

TEST_F(HistoryTest, SeesAGapInThePositions) {
  EXPECT_THAT(Verdict({{1, "a"}, {2, "b"}, {4, "c"}}), HasSubstr("follows position 2"));
}

TEST_F(HistoryTest, SeesAGapInAProducersEntries) {
  history_.Sent("d", 7);
  EXPECT_THAT(Verdict({{1, "a"}, {2, "b"}, {3, "d"}}), HasSubstr("number 4 of its producer"));
}

TEST_F(HistoryTest, SeesAnEntryThatWasToldToBeNotThere) {
  history_.NotDone("lone");
  EXPECT_THAT(Verdict({{1, "a"}, {2, "b"}, {3, "lone"}}), HasSubstr("was told to be not"));
}

TEST_F(HistoryTest, SeesAReadThatMissesWhatWasAcknowledgedBeforeIt) {
  const uint64_t before = history_.highest();
  EXPECT_EQ(before, 2u);
  history_.SawEnd(before, 2);
  EXPECT_EQ(Verdict({{1, "a"}, {2, "b"}}), "");
  history_.SawEnd(before, 1);
  EXPECT_THAT(Verdict({{1, "a"}, {2, "b"}}), HasSubstr("a read saw the log end at position 1"));
}

}  // namespace
}  // namespace distlog
