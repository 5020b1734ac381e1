// What people rely on between two runs: plans and tallies read back as they were written, nonsense
// is refused with a word about it, and a campaign goes on where its file says.

#include "tests/simulation/campaign.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "paxos/break.h"
#include "tests/simulation/flags.h"
#include "tests/simulation/simulation.h"

namespace distlog::simulation {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(PlanTest, ReadsBackAsWritten) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    const Plan plan = MakePlan(seed);
    Plan read;
    EXPECT_EQ(ApplyTo(&read, ToString(plan)), "");
    EXPECT_EQ(read, plan);
    Plan changed;
    EXPECT_EQ(ApplyTo(&changed, Difference(plan, changed)), "");
    EXPECT_EQ(changed, plan);
  }
}

TEST(PlanTest, NonsenseIsRefused) {
  Plan plan;
  EXPECT_THAT(ApplyTo(&plan, "colour=3"), HasSubstr("no field \"colour=3\""));
  EXPECT_THAT(ApplyTo(&plan, "replicas"), HasSubstr("no field"));
  EXPECT_THAT(ApplyTo(&plan, "replicas=three"), HasSubstr("no value of a plan's replicas"));
  EXPECT_THAT(ApplyTo(&plan, "loss=0.1x"), HasSubstr("no value"));
  EXPECT_THAT(ApplyTo(&plan, "replicas=9"), HasSubstr("1 to 7 replicas"));
  EXPECT_THAT(ApplyTo(&plan, "healing=all replicas=3"), IsEmpty());
}

Tally SomeTally() {
  Tally tally;
  tally.commit = "0123abc";
  tally.first_seed = 7;
  tally.next_seed = 9;
  tally.cpu_seconds = 1.5;
  Counters counters;
  counters.acknowledged_entries = 1010;
  counters.takeovers = 4;
  tally.Add(counters);
  tally.Add(counters);
  tally.violations[8] = "two values are chosen in slot 3";
  return tally;
}

TEST(TallyTest, ReadsBackAsWritten) {
  const Tally tally = SomeTally();
  Tally read;
  ASSERT_EQ(FromString(ToString(tally), &read), "");
  EXPECT_EQ(ToString(read), ToString(tally));
  EXPECT_EQ(read.counters, tally.counters);
  EXPECT_EQ(read.violations, tally.violations);
  EXPECT_EQ(Median(read.entries), 1000u);
  EXPECT_EQ(Median(read.leaders), 4u);
}

TEST(CampaignFileTest, ListsEarlierCampaignsAndReadsBackAsWritten) {
  CampaignFile file;
  file.newest = SomeTally();
  Tally next = SomeTally();
  next.commit = "4567def";
  file.Begin(next);
  EXPECT_THAT(ToString(file), HasSubstr("| 0123abc | 7 to 8 | 1 | 1000, 4 | 0.00 |\n| 4567def |"));
  CampaignFile read;
  ASSERT_EQ(FromString(ToString(file), &read), "");
  EXPECT_EQ(ToString(read), ToString(file));
  EXPECT_THAT(FromString("commit a\n", &read), HasSubstr("does not look like one"));
}

TEST(TallyTest, AnotherProgramsCountersAreRefused) {
  Tally read;
  EXPECT_THAT(FromString("seeds 3\n", &read), HasSubstr("begins with \"seeds\""));
  EXPECT_THAT(FromString("commit a\n", &read), Not(IsEmpty()));
  EXPECT_THAT(FromString("counters\nsteps 1\n", &read), HasSubstr("not those of this program"));
}

TEST(TallyTest, WhatNeverHappenedIsMissed) {
  Tally tally;
  tally.next_seed = 600;
  EXPECT_THAT(Shortcomings(tally), ::testing::Contains("takeovers never happened"));
  tally.next_seed = 10;
  EXPECT_THAT(Shortcomings(tally), IsEmpty()) << "too few seeds to say";
}

TEST(ReportTest, TheCommandThatShowsARunAgainMakesTheSameMistake) {
  const Result result{.plan = MakePlan(7)};
  EXPECT_THAT(Report(result), HasSubstr("--seed=7 --trace\n"));
  paxos::SetBreak(paxos::Break::kQuorumOfHalf);
  EXPECT_THAT(Report(result), HasSubstr("--seed=7 --break=quorum_of_half --trace\n"));
  paxos::SetBreak(paxos::Break::kNone);
}

TEST(CampaignTest, GoesOnWhereItEnded) {
  CampaignOptions options;
  options.seeds = 6;
  options.plan = [](uint64_t seed) {
    Plan plan;
    plan.seed = seed;
    plan.duration = std::chrono::milliseconds(500);
    return plan;
  };
  Tally whole;
  RunCampaign(options, &whole);
  EXPECT_EQ(whole.next_seed, 7u);
  EXPECT_THAT(whole.violations, IsEmpty());

  Tally halves;
  options.seeds = 3;
  RunCampaign(options, &halves);
  EXPECT_EQ(halves.next_seed, 4u);
  Tally read;
  ASSERT_EQ(FromString(ToString(halves), &read), "");
  options.seeds = 6;
  RunCampaign(options, &read);
  EXPECT_EQ(read.counters, whole.counters);
  EXPECT_EQ(read.entries, whole.entries);
}

TEST(FlagsTest, UnknownOnesAndNonsenseAreRefused) {
  FlagValue<uint64_t> seeds("seeds", 0);
  FlagValue<bool> trace("trace", false);
  const auto read = [&](std::string argument) {
    char* argv[] = {nullptr, argument.data()};
    return ReadFlags(2, argv, {&seeds, &trace});
  };
  EXPECT_EQ(read("--seeds=3"), "");
  EXPECT_EQ(seeds.value(), 3u);
  EXPECT_EQ(read("--trace"), "");
  EXPECT_TRUE(trace.value());
  EXPECT_THAT(read("--seed=3"), HasSubstr("no flag"));
  EXPECT_THAT(read("--seeds=many"), HasSubstr("no value of --seeds"));
  EXPECT_THAT(read("--seeds=-1"), HasSubstr("no value of --seeds"));
  EXPECT_THAT(read("3"), HasSubstr("no flag"));
}

}  // namespace
}  // namespace distlog::simulation
