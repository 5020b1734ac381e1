// The tests are tested: the code with one deliberate mistake in it, and its own CHECKs of the rules
// not fatal, fails within a stated number of seeds, by what the checker sees from outside; the same
// seeds pass without the mistake. One that is not found is a hole in the simulation.

#include "tests/simulation/mutations.h"

#include <cstdio>
#include <string>

#include "gtest/gtest.h"

namespace distlog::simulation {
namespace {

class MutationTest : public ::testing::TestWithParam<size_t> {};

TEST_P(MutationTest, IsFound) {
  const Mutation& mutation = AllMutations()[GetParam()];
  const std::optional<Finding> finding = Find(mutation, /*jobs=*/2);
  ASSERT_TRUE(finding.has_value())
      << mutation.name << " goes unnoticed in " << mutation.seeds << " seeds";
  std::printf("%s\n", Row(mutation, finding).c_str());
  const std::optional<Finding> clean =
      TryBroken(paxos::Break::kNone, PlanFor(mutation, finding->seed));
  EXPECT_FALSE(clean.has_value()) << "seed " << finding->seed
                                  << " fails without it: " << clean->violation;
}

// Without the checker, so that what it says does not end the run before.
TEST(FirstCheckTest, IsTheOneThatEndsTheRunWhenNobodyWatches) {
  for (const Mutation& mutation : AllMutations()) {
    if (mutation.mistake != paxos::Break::kAcceptBelowPromise) continue;
    const std::optional<Finding> finding = Find(mutation, /*jobs=*/2);
    ASSERT_TRUE(finding.has_value());
    EXPECT_EQ(finding->first_check.substr(0, 15), "P3 acceptor.cc:");
  }
}

std::string NameOf(const ::testing::TestParamInfo<size_t>& info) {
  return AllMutations()[info.param].name;
}

INSTANTIATE_TEST_SUITE_P(Mutations, MutationTest,
                         ::testing::Range<size_t>(0, AllMutations().size()), NameOf);

}  // namespace
}  // namespace distlog::simulation
