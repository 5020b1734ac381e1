// The judge is judged: histories that no log explains must be refused, and good ones taken.

#include "tests/simulation/history.h"

#include <chrono>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog::simulation {
namespace {

using paxos::Time;
using ::testing::HasSubstr;
using ::testing::Optional;

Time At(int64_t time) { return Time(time); }

class HistoryTest : public ::testing::Test {
 protected:
  // An append of one entry, acknowledged.
  History::Id Appended(int64_t invoked, int64_t returned, uint64_t position) {
    const History::Id id = history_.InvokeAppend(At(invoked), 1, "", 0);
    history_.ReturnAppended(id, At(returned), position);
    return id;
  }
  void Saw(int64_t invoked, int64_t returned, uint64_t end) {
    history_.ReturnRead(history_.InvokeRead(At(invoked)), At(returned), end);
  }
  static std::string Entry(History::Id id, uint32_t index = 0) {
    return History::Payload(id, index, 3);
  }

  History history_;
};

TEST_F(HistoryTest, AGoodHistoryIsExplained) {
  Saw(0, 1, 0);
  const auto a = Appended(2, 5, 1);
  const auto b = Appended(3, 9, 2);
  Saw(4, 6, 1);
  Saw(7, 10, 2);
  EXPECT_EQ(history_.Check({Entry(a), Entry(b)}), std::nullopt);
}

TEST_F(HistoryTest, AnAppendOfUnknownOutcomeMayBeInTheLogOrNot) {
  const auto a = history_.InvokeAppend(At(0), 1, "", 0);
  Saw(1, 2, 0);
  EXPECT_EQ(history_.Check({}), std::nullopt);
  Saw(3, 4, 1);
  EXPECT_EQ(history_.Check({Entry(a)}), std::nullopt);
}

TEST_F(HistoryTest, AnAcknowledgedAppendThatIsLostIsFound) {
  Appended(0, 1, 1);
  EXPECT_THAT(history_.Check({}), Optional(HasSubstr("is not in the log")));
}

TEST_F(HistoryTest, AnAppendAcknowledgedAtAnotherPositionIsFound) {
  const auto a = Appended(0, 9, 2);
  const auto b = Appended(0, 9, 1);
  EXPECT_THAT(history_.Check({Entry(a), Entry(b)}), Optional(HasSubstr("was acknowledged at")));
}

TEST_F(HistoryTest, ARepeatThatIsAppendedTwiceIsFound) {
  const auto a = Appended(0, 1, 1);
  EXPECT_THAT(history_.Check({Entry(a), Entry(a)}), Optional(HasSubstr("twice")));
}

TEST_F(HistoryTest, AnEntryThatNobodyAppendedIsFound) {
  EXPECT_THAT(history_.Check({Entry(7)}), Optional(HasSubstr("no client appended")));
  EXPECT_THAT(history_.Check({"garbage"}), Optional(HasSubstr("no client appended")));
}

TEST_F(HistoryTest, ARefusedAppendThatIsInTheLogIsFound) {
  const auto a = history_.InvokeAppend(At(0), 1, "", 0);
  history_.ReturnRefused(a, At(1), std::nullopt);
  EXPECT_THAT(history_.Check({Entry(a)}), Optional(HasSubstr("was refused")));
}

TEST_F(HistoryTest, AnAppendInPiecesOrInPartIsFound) {
  const auto a = history_.InvokeAppend(At(0), 2, "", 0);
  const auto b = Appended(0, 9, 2);
  EXPECT_THAT(history_.Check({Entry(a, 0), Entry(b), Entry(a, 1)}),
              Optional(HasSubstr("in pieces")));
  History part;
  const auto c = part.InvokeAppend(At(0), 2, "", 0);
  EXPECT_THAT(part.Check({Entry(c, 0)}), Optional(HasSubstr("in part")));
}

TEST_F(HistoryTest, SequencesOfAProducerOutOfOrderAreFound) {
  const auto a = history_.InvokeAppend(At(0), 1, "p", 1);
  const auto b = history_.InvokeAppend(At(0), 1, "p", 2);
  EXPECT_EQ(history_.Check({Entry(a), Entry(b)}), std::nullopt);
  EXPECT_THAT(history_.Check({Entry(b), Entry(a)}), Optional(HasSubstr("before a lower one")));
}

TEST_F(HistoryTest, AStaleReadIsFound) {
  const auto a = Appended(0, 1, 1);
  Saw(2, 3, 0);
  EXPECT_THAT(history_.Check({Entry(a)}), Optional(HasSubstr("not linearizable")));
}

TEST_F(HistoryTest, AReadFromTheFutureIsFound) {
  Saw(0, 1, 1);
  const auto a = Appended(2, 3, 1);
  EXPECT_THAT(history_.Check({Entry(a)}), Optional(HasSubstr("not linearizable")));
}

TEST_F(HistoryTest, ReadsThatGoBackAreFound) {
  const auto a = history_.InvokeAppend(At(0), 1, "", 0);
  Saw(1, 2, 1);
  Saw(3, 4, 0);
  EXPECT_THAT(history_.Check({Entry(a)}), Optional(HasSubstr("not linearizable")));
}

TEST_F(HistoryTest, AppendsAgainstTimeAreFound) {
  const auto a = Appended(5, 6, 1);
  const auto b = Appended(0, 1, 2);
  EXPECT_THAT(history_.Check({Entry(a), Entry(b)}), Optional(HasSubstr("not linearizable")));
}

TEST_F(HistoryTest, ARefusalThatSawAnEndThatWasNotIsFound) {
  const auto a = Appended(0, 1, 1);
  const auto b = history_.InvokeAppend(At(2), 1, "", 0);
  history_.ReturnRefused(b, At(3), 0);
  EXPECT_THAT(history_.Check({Entry(a)}), Optional(HasSubstr("not linearizable")));
}

TEST_F(HistoryTest, AnEndBeyondTheLogIsFound) {
  Saw(0, 1, 3);
  EXPECT_THAT(history_.Check({}), Optional(HasSubstr("it ends at 0")));
}

}  // namespace
}  // namespace distlog::simulation
