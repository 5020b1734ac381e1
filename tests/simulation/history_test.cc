// The judge is judged: histories that no log explains must be refused, and good ones taken.

#include "tests/simulation/history.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simulation/random.h"

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
  // One of a producer that was invoked, and never answered.
  History::Id Produced(const std::string& producer, uint64_t sequence, uint32_t count = 1) {
    return history_.InvokeAppend(At(0), count, producer, sequence);
  }
  void Read(int64_t invoked, int64_t returned, uint64_t first,
            const std::vector<std::string>& entries) {
    history_.ReturnEntries(history_.InvokeRead(At(invoked)), At(returned), first, entries);
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

TEST_F(HistoryTest, EntriesThatDoNotReachAnAcknowledgedAppendAreFoundIfTheReadWasLinearizable) {
  const auto a = Appended(0, 1, 1);
  const auto b = Appended(2, 3, 2);
  Read(4, 5, 1, {Entry(a)});
  EXPECT_EQ(history_.Check({Entry(a), Entry(b)}), std::nullopt) << "a local one may be behind";
  history_.ReturnEntries(history_.InvokeRead(At(6)), At(7), 1, {Entry(a)}, /*end=*/1);
  EXPECT_THAT(history_.Check({Entry(a), Entry(b)}), Optional(HasSubstr("not linearizable")));
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

TEST_F(HistoryTest, AnEntryThatIsCutShortOrAlteredIsFound) {
  const auto a = Appended(0, 1, 1);
  EXPECT_THAT(history_.Check({Entry(a).substr(0, 5)}), Optional(HasSubstr("no client appended")));
  std::string altered = Entry(a);
  altered.back() = 'y';
  EXPECT_THAT(history_.Check({altered}), Optional(HasSubstr("no client appended")));
}

TEST_F(HistoryTest, SequencesOfAProducerOutOfOrderAreFound) {
  const auto a = Produced("p", 1);
  const auto b = Produced("p", 2);
  EXPECT_EQ(history_.Check({Entry(a), Entry(b)}), std::nullopt);
  EXPECT_THAT(history_.Check({Entry(b), Entry(a)}),
              Optional(HasSubstr("sequence 2 is in the log, but 1 is not")));
}

TEST_F(HistoryTest, ASequenceThatIsInTheLogTwiceIsFound) {
  const auto a = Produced("p", 1);
  const auto b = Produced("p", 1);  // Another request, with the same sequence.
  const auto c = Produced("q", 1);
  EXPECT_EQ(history_.Check({Entry(a), Entry(c)}), std::nullopt);
  EXPECT_THAT(history_.Check({Entry(a), Entry(c), Entry(b)}),
              Optional(HasSubstr("producer p: sequence 1 at position 3 comes after 1, or twice")));
}

TEST_F(HistoryTest, ASequenceThatOverlapsAnotherIsFound) {
  const auto a = Produced("p", 1, 3);
  const auto b = Produced("p", 3);
  EXPECT_THAT(history_.Check({Entry(a, 0), Entry(a, 1), Entry(a, 2), Entry(b)}),
              Optional(HasSubstr("comes after 3, or twice")));
}

TEST_F(HistoryTest, AGapInAProducersSequencesIsFound) {
  const auto a = Produced("p", 1);
  const auto b = Produced("p", 3);
  EXPECT_THAT(history_.Check({Entry(a), Entry(b)}),
              Optional(HasSubstr("sequence 3 is in the log, but 2 is not")));
  const auto c = Produced("p", 2);  // Nobody knows what became of it: it may be used up.
  EXPECT_EQ(history_.Check({Entry(a), Entry(b)}), std::nullopt);
  history_.ReturnRefused(c, At(9), std::nullopt);  // It is not.
  EXPECT_THAT(history_.Check({Entry(a), Entry(b)}),
              Optional(HasSubstr("sequence 3 is in the log, but 2 is not")));
}

TEST_F(HistoryTest, AConditionalAppendAtAnotherPositionIsFound) {
  const auto a = Appended(0, 1, 1);
  const auto b = history_.InvokeAppend(At(0), 1, "", 0, 1);
  EXPECT_EQ(history_.Check({Entry(a)}), std::nullopt);
  EXPECT_THAT(history_.Check({Entry(a), Entry(b)}), Optional(HasSubstr("only at 1, but is at 2")));
}

TEST_F(HistoryTest, AConditionalAppendRefusedWhereItBelongedIsFound) {
  const auto a = history_.InvokeAppend(At(0), 1, "", 0, 1);
  history_.ReturnRefused(a, At(1), 0);
  EXPECT_THAT(history_.Check({}), Optional(HasSubstr("at the very position that it expected, 1")));
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

TEST_F(HistoryTest, AnEndWithinAnAppendIsFound) {
  const auto a = history_.InvokeAppend(At(0), 2, "", 0);
  Saw(1, 2, 1);
  EXPECT_THAT(history_.Check({Entry(a, 0), Entry(a, 1)}), Optional(HasSubstr("within append 0")));
}

TEST_F(HistoryTest, EntriesThatWereReadAreThoseOfTheLog) {
  const auto a = Appended(0, 1, 1);
  const auto b = Appended(0, 1, 2);
  Read(2, 3, 1, {Entry(a), Entry(b)});
  EXPECT_EQ(history_.Check({Entry(a), Entry(b)}), std::nullopt);
  Read(2, 3, 2, {Entry(a)});
  EXPECT_THAT(history_.Check({Entry(a), Entry(b)}), Optional(HasSubstr("read 3 saw entry 0")));
}

TEST_F(HistoryTest, AnEntryThatWasReadAndIsLostIsFound) {
  const auto a = history_.InvokeAppend(At(0), 1, "", 0);
  Read(1, 2, 1, {Entry(a)});
  EXPECT_EQ(history_.Check({Entry(a)}), std::nullopt);
  EXPECT_THAT(history_.Check({}), Optional(HasSubstr("or none")));
}

TEST_F(HistoryTest, AnEntryReadBeforeItsAppendWasInvokedIsFound) {
  Read(0, 1, 1, {Entry(7)});
  EXPECT_THAT(history_.Check({}), Optional(HasSubstr("what no client had appended")));
  History other;  // The ids tell nothing here: only time does.
  const auto a = other.InvokeAppend(At(5), 1, "", 0);
  other.ReturnEntries(other.InvokeRead(At(0)), At(1), 1, {Entry(a)});
  EXPECT_THAT(other.Check({Entry(a)}), Optional(HasSubstr("not linearizable")));
}

TEST_F(HistoryTest, EntriesAreALowerBoundOfTheEnd) {
  const auto a = Appended(0, 1, 1);
  const auto b = Appended(0, 1, 2);
  Read(2, 3, 1, {Entry(a)});  // There may be more.
  EXPECT_EQ(history_.Check({Entry(a), Entry(b)}), std::nullopt);
}

// ---- Exact, and quick. -------------------------------------------------------------------------

// By trying every order of all operations.
struct SmallOperation {
  bool is_append = false;
  int64_t invoked = 0;
  int64_t returned = 0;
  uint64_t position = 0;  // Appended there, or the end that was seen.
};

bool CanBeOrdered(const std::vector<SmallOperation>& operations) {
  std::vector<size_t> order(operations.size());
  std::iota(order.begin(), order.end(), 0);
  do {
    uint64_t length = 0;
    bool good = true;
    for (size_t i = 0; good && i < order.size(); ++i) {
      const SmallOperation& each = operations[order[i]];
      if (each.is_append) ++length;
      good = each.position == length;
      for (size_t j = 0; good && j < i; ++j) {
        good = operations[order[j]].invoked <= each.returned;
      }
    }
    if (good) return true;
  } while (std::next_permutation(order.begin(), order.end()));
  return false;
}

TEST(HistoryExactnessTest, TheVerdictIsThatOfTryingEveryOrder) {
  Random random(1);
  std::array<int, 2> verdicts{};
  for (int run = 0; run < 20'000; ++run) {
    std::vector<SmallOperation> operations(random.Between(1, 6));
    uint64_t appends = 0;
    for (SmallOperation& each : operations) {
      each.is_append = random.Chance(0.5);
      if (each.is_append) ++appends;
      each.invoked = static_cast<int64_t>(random.Below(8));
      each.returned = each.invoked + static_cast<int64_t>(random.Below(5));
    }
    History history;
    std::vector<std::string> log;
    for (SmallOperation& each : operations) {
      if (each.is_append) {
        each.position = log.size() + 1;
        const auto id = history.InvokeAppend(At(each.invoked), 1, "", 0);
        history.ReturnAppended(id, At(each.returned), each.position);
        log.push_back(History::Payload(id, 0, 0));
      } else {
        each.position = random.Below(appends + 1);
        history.ReturnRead(history.InvokeRead(At(each.invoked)), At(each.returned), each.position);
      }
    }
    const bool expected = CanBeOrdered(operations);
    ++verdicts[expected ? 1 : 0];
    ASSERT_EQ(!history.Check(log).has_value(), expected) << "run " << run;
  }
  EXPECT_GT(verdicts[0], 1000);
  EXPECT_GT(verdicts[1], 1000);
}

// A history of this many operations that a log explains. If `stale`, one in the
// middle, which is returned, is a read that misses the append that was answered just before it.
History::Id Generate(uint64_t operations, bool stale, History* history,
                     std::vector<std::string>* log) {
  Random random(7);
  std::vector<uint64_t> next_sequence(100, 1);
  History::Id middle = 0;
  for (uint64_t i = 0; i < operations; ++i) {
    // Each takes place at `now`, somewhere between its invocation and its return.
    const auto now = static_cast<int64_t>(i * 100);
    const Time invoked = At(now - static_cast<int64_t>(random.Below(1000)));
    const Time returned = At(now + static_cast<int64_t>(random.Below(1000)));
    const uint64_t dice = random.Below(100);
    if (stale && i >= operations / 2 && middle == 0 && !log->empty()) {
      const auto id = history->InvokeAppend(At(now), 1, "", 0);
      log->push_back(History::Payload(id, 0, 4));
      history->ReturnAppended(id, At(now + 1), log->size());
      middle = history->InvokeRead(At(now + 2));
      history->ReturnRead(middle, At(now + 3), log->size() - 1);
    } else if (dice < 55) {
      const auto count = static_cast<uint32_t>(random.Between(1, 3));
      const uint64_t producer = random.Below(next_sequence.size());
      const auto id = history->InvokeAppend(invoked, count, "producer" + std::to_string(producer),
                                            next_sequence[producer]);
      next_sequence[producer] += count;
      if (random.Chance(0.02)) continue;  // Not appended, and nobody knows.
      for (uint32_t index = 0; index < count; ++index) {
        log->push_back(History::Payload(id, index, random.Below(20)));
      }
      if (random.Chance(0.02)) continue;  // Appended, and nobody knows.
      history->ReturnAppended(id, returned, log->size() - count + 1);
    } else if (dice < 65) {
      const auto id = history->InvokeAppend(invoked, 1, "", 0, log->size() + 2);
      history->ReturnRefused(id, returned, log->size());
    } else if (dice < 90) {
      history->ReturnRead(history->InvokeRead(invoked), returned, log->size());
    } else {
      const uint64_t count = std::min<uint64_t>(random.Between(1, 10), log->size());
      const uint64_t first = log->size() - count + 1;
      history->ReturnEntries(history->InvokeRead(invoked), returned, first,
                             {log->end() - static_cast<int64_t>(count), log->end()});
    }
  }
  return middle;
}

TEST(HistorySizeTest, AMillionOperationsAreCheckedAndOneStaleReadAmongThemIsFound) {
  for (const bool stale : {false, true}) {
    History history;
    std::vector<std::string> log;
    const History::Id middle = Generate(1'000'000, stale, &history, &log);
    const auto start = std::chrono::steady_clock::now();
    const std::optional<std::string> wrong = history.Check(log);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::printf("%zu operations, %zu entries: checked in %.2f s\n", history.size(), log.size(),
                took.count());
    if (stale) {
      EXPECT_THAT(wrong, Optional(HasSubstr("but operation " + std::to_string(middle) +
                                            ", which came before it")));
    } else {
      EXPECT_EQ(wrong, std::nullopt);
    }
  }
}

}  // namespace
}  // namespace distlog::simulation
