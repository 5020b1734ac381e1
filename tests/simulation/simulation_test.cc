// A fixed set of seeds of the simulation, each of them clean, and together enough to have met
// everything worth meeting; more by hand: bazel run //tools:simulate.

#include "tests/simulation/simulation.h"

#include <cstdint>
#include <cstdio>

#include "gtest/gtest.h"
#include "tests/simulation/campaign.h"

namespace distlog::simulation {
namespace {

TEST(SimulationTest, EverySeedIsCleanAndEverythingHappens) {
  ReportSeedOnCheckFailure();
  Tally tally;
  CampaignOptions options;
  options.seeds = 500;
  options.jobs = 2;
  RunCampaign(options, &tally);
  std::printf("%s", Report(tally).c_str());
  EXPECT_EQ(tally.seeds(), options.seeds);
  for (const auto& [seed, what] : tally.violations) {
    ADD_FAILURE() << what << Report(Simulate(seed, {.on = true, .print = false}));
  }
  // A fault that never happened tested nothing.
  for (const std::string& each : Shortcomings(tally)) ADD_FAILURE() << each;
}

// docs/testing.md, "Violations found", of runs as they are made now; the older ones have tests of
// their own beside the code that was wrong.
TEST(SimulationTest, SeedsThatOnceFailedAreClean) {
  ReportSeedOnCheckFailure();
  for (const uint64_t seed : {4367, 4441, 6612, 12615, 23588}) {
    EXPECT_EQ(Simulate(seed, {}).violation, std::nullopt) << "seed " << seed;
  }
}

TEST(DeterminismTest, TheSameSeedGivesTheSameTrace) {
  for (const uint64_t seed : {3, 17, 29}) {
    const Result first = Simulate(seed, {.on = true, .print = false});
    const Result second = Simulate(seed, {.on = true, .print = false});
    EXPECT_GT(first.trace_lines, 0u);
    EXPECT_EQ(first.trace_hash, second.trace_hash) << "seed " << seed;
    EXPECT_EQ(first.last_lines, second.last_lines) << "seed " << seed;
    EXPECT_EQ(first.counters, second.counters) << "seed " << seed;
  }
}

// LevelDB has threads of its own.
TEST(DeterminismTest, TheRealStoreChangesNothing) {
  for (const uint64_t seed : {1, 2}) {
    Plan plan = MakePlan(seed);
    plan.on_store = true;
    const Result first = Simulate(plan, {.on = true, .print = false});
    const Result second = Simulate(plan, {.on = true, .print = false});
    EXPECT_EQ(first.violation, std::nullopt);
    EXPECT_EQ(first.trace_hash, second.trace_hash) << "seed " << seed;
  }
}

TEST(DeterminismTest, LookingOnChangesNothing) {
  for (const uint64_t seed : {3, 17, 29}) {
    EXPECT_EQ(Simulate(seed, {.on = true, .print = false}).counters, Simulate(seed, {}).counters)
        << "seed " << seed;
  }
}

// The whole trace of the seed, in a number. Builds with and without optimisation, and with
// sanitizers, must agree on it; whoever changes what happens in a run writes down the new numbers.
struct Pin {
  uint64_t seed;
  uint64_t trace_hash;
};

TEST(DeterminismTest, EveryBuildGivesTheSameTrace) {
  constexpr Pin kPins[] = {
      {1, 0x11efd84498c9e7f9},
      {2, 0x12d64e6cfb3a35cb},
      {5, 0x137cd09a1fe453ee},
      {9, 0x9a99f9fc21136333},
  };
  for (const Pin& pin : kPins) {
    const Result result = Simulate(pin.seed, {.on = true, .print = false});
    EXPECT_EQ(result.violation, std::nullopt);
    EXPECT_EQ(result.trace_hash, pin.trace_hash) << "seed " << pin.seed;
  }
}

// One small plan again and again: in each run a process dies at another point where it can.
class BoundaryTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  static Plan Small() {
    Plan plan;
    plan.seed = 11;
    plan.duration = std::chrono::milliseconds(1500);
    plan.clients = 2;
    plan.max_think = std::chrono::milliseconds(200);
    plan.max_pipeline = 1;
    return plan;
  }
};

TEST_P(BoundaryTest, DyingThereLosesNothing) {
  const uint64_t boundaries = Simulate(Small(), {}).boundaries;
  ASSERT_GT(boundaries, 500u);
  uint64_t died = 0;
  for (uint64_t at = 1 + GetParam(); at <= 500; at += 4) {
    Plan plan = Small();
    plan.crash_at = at;
    const Result result = Simulate(plan, {});
    died += result.counters.crashes_at_boundaries;
    ASSERT_EQ(result.violation, std::nullopt) << ToString(plan);
  }
  EXPECT_EQ(died, 125u);
}

INSTANTIATE_TEST_SUITE_P(Quarters, BoundaryTest, ::testing::Values(0, 1, 2, 3));

}  // namespace
}  // namespace distlog::simulation
