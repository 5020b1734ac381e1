// What is written while an operation goes on: on a terminal one line that is written over,
// elsewhere a line only when something is new.

#include "cli/progress.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

v1::Operation Learning(uint64_t chosen, uint64_t target) {
  v1::Operation operation;
  operation.set_id(5);
  operation.set_phase(v1::Operation::PHASE_LEARNING);
  v1::Operation::Progress* progress = operation.add_progress();
  progress->set_id(4);
  progress->set_address("a:1");
  progress->set_chosen_through(chosen);
  progress->set_target(target);
  progress->set_is_reachable(true);
  return operation;
}

TEST(ProgressTest, PercentAndBar) {
  EXPECT_EQ(Percent(Learning(0, 0).progress(0)), 100);
  EXPECT_EQ(Percent(Learning(0, 10).progress(0)), 0);
  EXPECT_EQ(Percent(Learning(999, 1000).progress(0)), 99);
  EXPECT_EQ(Percent(Learning(11, 10).progress(0)), 100);
  EXPECT_EQ(Bar(0), "[--------------------]");
  EXPECT_EQ(Bar(50), "[##########----------]");
  EXPECT_EQ(Bar(100), "[####################]");
}

TEST(ProgressTest, ALineIsWrittenForEachTenthAndForWhatElseIsNew) {
  Progress progress(0);
  v1::Operation operation = Learning(10, 100);
  operation.set_cause("member 4 is behind");
  EXPECT_EQ(progress.Next(operation, kStart),
            "operation 5: learning, replica 4 at a:1 10 % (10 of 100 slots): member 4 is behind\n");
  operation.mutable_progress(0)->set_chosen_through(19);
  EXPECT_EQ(progress.Next(operation, kStart), "");
  operation.mutable_progress(0)->set_chosen_through(20);
  EXPECT_THAT(progress.Next(operation, kStart), HasSubstr("20 % (20 of 100 slots)"));
  operation.mutable_progress(0)->set_is_reachable(false);
  EXPECT_THAT(progress.Next(operation, kStart), HasSubstr("replica 4 at a:1 cannot be reached"));
  operation.clear_progress();
  operation.set_cause("");
  operation.set_phase(v1::Operation::PHASE_SETTLING);
  EXPECT_EQ(progress.Next(operation, kStart), "operation 5: settling\n");
  EXPECT_EQ(progress.Next(operation, kStart), "");
  EXPECT_EQ(progress.End(), "");
}

// How long it keeps up already is no news, round after round; what it waits for is.
TEST(ProgressTest, ACountThatGoesOnIsWrittenOnce) {
  Progress progress(0);
  v1::Operation operation = Learning(100, 100);
  operation.set_cause("what it adds has kept up for 0 of 10 rounds of heartbeats");
  EXPECT_THAT(progress.Next(operation, kStart), HasSubstr("kept up for 0 of 10 rounds"));
  operation.set_cause("what it adds has kept up for 1 of 10 rounds of heartbeats");
  EXPECT_EQ(progress.Next(operation, kStart), "");
  operation.set_cause("member 4 (a:1) is behind, at slot 20 of 100");
  EXPECT_THAT(progress.Next(operation, kStart), HasSubstr("member 4 (a:1) is behind"));
  operation.set_cause("member 4 (a:1) is behind, at slot 30 of 105");
  EXPECT_EQ(progress.Next(operation, kStart), "");
  operation.set_cause("member 5 (a:2) is behind, at slot 30 of 105");
  EXPECT_THAT(progress.Next(operation, kStart), HasSubstr("member 5 (a:2) is behind"));
}

TEST(ProgressTest, TheRateTellsHowLongItStillTakes) {
  Progress progress(0);
  EXPECT_THAT(progress.Next(Learning(0, 100), kStart), Not(HasSubstr("left")));
  EXPECT_THAT(progress.Next(Learning(25, 100), kStart + absl::Seconds(10)),
              HasSubstr("(25 of 100 slots, about 30 s left)"));
  // The target has moved on as fast as the newcomer: there is no telling.
  EXPECT_THAT(progress.Next(Learning(200, 300), kStart + absl::Seconds(20)),
              Not(HasSubstr("left")));
}

TEST(ProgressTest, OfSeveralNewcomersTheSlowestIsShown) {
  Progress progress(0);
  v1::Operation operation = Learning(90, 100);
  v1::Operation::Progress* second = operation.add_progress();
  second->set_address("b:2");
  second->set_target(100);
  second->set_chosen_through(100);
  EXPECT_THAT(progress.Next(operation, kStart),
              HasSubstr("the newcomer at b:2 cannot be reached, the last of 2 newcomers"));
  second->set_is_reachable(true);
  EXPECT_THAT(progress.Next(operation, kStart), HasSubstr("replica 4 at a:1 90 %"));
}

TEST(ProgressTest, ANewcomerThatIsNotWaitedForIsNotShown) {
  Progress progress(0);
  v1::Operation operation = Learning(0, 100);
  operation.set_phase(v1::Operation::PHASE_CANCELLING);
  EXPECT_EQ(progress.Next(operation, kStart), "operation 5: cancelling\n");
}

TEST(ProgressTest, OnATerminalTheLineIsWrittenOverAndNeverWraps) {
  Progress wide(200);
  EXPECT_EQ(wide.Next(Learning(50, 100), kStart),
            "\r\x1b[Koperation 5: learning, replica 4 at a:1 [##########----------] 50 % (50 of "
            "100 slots)");
  EXPECT_EQ(wide.End(), "\r\x1b[K");
  Progress narrow(20);
  EXPECT_EQ(narrow.Next(Learning(50, 100), kStart), "\r\x1b[Koperation 5: learni");
}

// What comes from servers cannot move the cursor.
TEST(ProgressTest, ControlBytesOfACauseAreEscaped) {
  Progress progress(0);
  v1::Operation operation = Learning(0, 1);
  operation.set_cause("a\x1b[2Jb");
  EXPECT_THAT(progress.Next(operation, kStart), HasSubstr("a\\x1b[2Jb\n"));
}

}  // namespace
}  // namespace distlog::cli
