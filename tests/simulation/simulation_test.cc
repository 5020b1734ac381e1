// A fixed set of seeds of the simulation, each of them clean; more by hand:
// //tests/simulation:simulate.

#include "tests/simulation/simulation.h"

#include <cstdint>
#include <cstdio>

#include "gtest/gtest.h"

namespace distlog::simulation {
namespace {

// Sharded by gtest: each block of seeds is one test.
constexpr uint64_t kSeedsPerBlock = 125;

// Under a sanitizer a seed takes several times as long, so there are fewer.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kBlocks = 4;
#else
constexpr uint64_t kBlocks = 12;
#endif

class SimulationTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  static void SetUpTestSuite() { ReportSeedOnCheckFailure(); }
};

TEST_P(SimulationTest, EverySeedIsClean) {
  Counters counters;
  for (uint64_t i = 1; i <= kSeedsPerBlock; ++i) {
    const uint64_t seed = GetParam() * kSeedsPerBlock + i;
    const Result result = Simulate(seed, {.on = false, .print = false});
    for (const auto& [name, count] : result.counters) counters[name] += count;
    if (result.violation.has_value()) {
      FAIL() << Report(Simulate(seed, {.on = true, .print = false}));
    }
  }
  std::printf("%s", Report(counters).c_str());
  // A fault that never happened tested nothing.
  for (const char* name :
       {"takeovers", "renewals", "values proposed again at another ballot", "no-ops applied",
        "Nacks", "Progress answers", "catch-up replies", "unsynced records lost",
        "duplicates answered", "promises in parts", "marks for followers", "disk stalls", "pauses",
        "messages lost", "messages repeated", "partitions", "crashes within effects",
        "proposals that waited for the window", "checkpoints"}) {
    EXPECT_GT(counters[name], 0u) << name << " never happened";
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SimulationTest, ::testing::Range<uint64_t>(0, kBlocks));

TEST(DeterminismTest, TheSameSeedGivesTheSameTrace) {
  for (const uint64_t seed : {3, 17, 29}) {
    const Result first = Simulate(seed, {.on = true, .print = false});
    const Result second = Simulate(seed, {.on = true, .print = false});
    EXPECT_NE(first.trace_hash, 0u);
    EXPECT_EQ(first.trace_hash, second.trace_hash) << "seed " << seed;
    EXPECT_EQ(first.last_lines, second.last_lines) << "seed " << seed;
    EXPECT_EQ(first.counters, second.counters) << "seed " << seed;
  }
}

}  // namespace
}  // namespace distlog::simulation
