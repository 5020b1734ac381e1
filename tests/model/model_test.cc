// Every state of a small cluster, by every order of events: the replicas that ship keep the rules
// of docs/protocol.md in all of them, and a mistake at any rule within this space breaks one, as
// seen from outside, with the code's own checks off.

#include <cstdint>
#include <cstdio>
#include <ostream>
#include <string>

#include "gtest/gtest.h"
#include "paxos/break.h"
#include "paxos/invariant.h"
#include "tests/model/search.h"

namespace distlog::model {
namespace {

std::string Path(const Result& result) {
  std::string text = result.violation;
  for (const std::string& event : result.path) text += "\n  " + event;
  return text;
}

void Report(const char* name, const Result& result) {
  ::testing::Test::RecordProperty(std::string(name) + "_states", std::to_string(result.states));
  ::testing::Test::RecordProperty(std::string(name) + "_depth", std::to_string(result.depth));
  std::printf("%s: states=%lu depth=%lu takeovers_before_chosen=%lu crashes_with_loss=%lu\n", name,
              result.states, result.depth, result.takeovers_before_chosen,
              result.crashes_with_loss);
}

// ---- The code that ships -----------------------------------------------------------------------

// All within `bounds` is seen, and breaks no rule.
Result SeeAll(const char* name, Bounds bounds) {
  bounds.states = 30'000'000;
  const Result result = Search(bounds).Run();
  Report(name, result);
  EXPECT_EQ(result.violation, "") << Path(result);
  EXPECT_TRUE(result.complete);
  return result;
}

TEST(ModelTest, TwoProposersTakeOverInTwoSlots) {
  const Result result =
      SeeAll("two_slots", {.proposers = 2, .slots = 2, .takeovers = 2, .rounds = 2, .crashes = 0});
  EXPECT_GE(result.states, 1'000'000u);
  EXPECT_GT(result.takeovers_before_chosen, 0u);
  EXPECT_GT(result.proposed_again, 0u);
  EXPECT_GT(result.all_chosen, 0u);
}

TEST(ModelTest, AnyoneCrashesWhileTwoProposersTakeOver) {
  const Result result =
      SeeAll("crash", {.proposers = 2, .slots = 1, .takeovers = 2, .rounds = 2, .crashes = 1});
  EXPECT_GT(result.takeovers_before_chosen, 0u);
  EXPECT_GT(result.crashes_with_loss, 0u);
  EXPECT_GT(result.proposed_again, 0u);
}

TEST(ModelTest, ALeaderCrashesInTwoSlots) {
  const Result result = SeeAll(
      "leader_crash", {.proposers = 1, .slots = 2, .takeovers = 1, .rounds = 1, .crashes = 1});
  EXPECT_GT(result.crashes_with_loss, 0u);
}

TEST(ModelTest, EveryMessageArrivesAnyNumberOfTimes) {
  const Result result = SeeAll(
      "duplication",
      {.proposers = 3, .slots = 1, .takeovers = 2, .rounds = 2, .crashes = 0, .duplication = true});
  EXPECT_GT(result.takeovers_before_chosen, 0u);
}

TEST(ModelTest, AllMembersAreReplacedAndOneOfTheNewTakesOver) {
  const Result result = SeeAll("change_of_all", {.proposers = 0,
                                                 .slots = 2,
                                                 .takeovers = 1,
                                                 .rounds = 2,
                                                 .crashes = 0,
                                                 .change_to = Members({4, 5, 6}),
                                                 .new_proposers = 1,
                                                 .is_elected = true});
  EXPECT_GT(result.changes_settled, 0u);
  EXPECT_GT(result.chosen_after_change, 0u);
}

// Any of the old takes over, in particular while the configuration is proposed and not chosen.
void SeeTakeoverAmidChange(const char* name, uint32_t change_to) {
  const Result result = SeeAll(name, {.proposers = 3,
                                      .slots = 1,
                                      .takeovers = 1,
                                      .rounds = 2,
                                      .crashes = 0,
                                      .change_to = change_to,
                                      .is_elected = true});
  EXPECT_GT(result.takeovers_amid_change, 0u);
  EXPECT_GT(result.proposed_again, 0u);
  EXPECT_GT(result.changes_settled, 0u);
}

TEST(ModelTest, AnotherTakesOverWhileOneMemberStaysAndTwoAreReplaced) {
  SeeTakeoverAmidChange("takeover_amid_change", Members({3, 4, 5}));
}

TEST(ModelTest, AnotherTakesOverWhileAllMembersAreReplaced) {
  SeeTakeoverAmidChange("takeover_amid_change_of_all", Members({4, 5, 6}));
}

TEST(ModelTest, AnyoneCrashesDuringAChange) {
  const Result result = SeeAll("crash_amid_change", {.proposers = 0,
                                                     .slots = 1,
                                                     .takeovers = 0,
                                                     .rounds = 2,
                                                     .crashes = 1,
                                                     .change_to = Members({3, 4, 5}),
                                                     .is_elected = true});
  EXPECT_GT(result.crashes_with_loss, 0u);
  EXPECT_GT(result.changes_settled, 0u);
}

// ---- Mistakes ----------------------------------------------------------------------------------

struct Mistake {
  const char* name;
  const char* rule;  // That is seen to be broken.
  Bounds bounds;
};

void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

constexpr Bounds kThreeTakeovers{
    .proposers = 2, .slots = 1, .takeovers = 3, .rounds = 2, .crashes = 0, .states = 3'000'000};
constexpr Bounds kTwoSlots{
    .proposers = 2, .slots = 2, .takeovers = 2, .rounds = 2, .crashes = 0, .states = 3'000'000};
constexpr Bounds kCrash{
    .proposers = 2, .slots = 1, .takeovers = 2, .rounds = 2, .crashes = 1, .states = 3'000'000};

// The lowest of the voters that are to follow may take over.
constexpr Bounds ChangeTo(uint32_t change_to) {
  return {.proposers = 0,
          .slots = 2,
          .takeovers = 1,
          .rounds = 2,
          .crashes = 0,
          .change_to = change_to,
          .new_proposers = 1,
          .is_elected = true,
          .states = 3'000'000};
}
constexpr Bounds kChange = ChangeTo(Members({4, 5, 6}));
// One of the old leads on while another, that stays, takes over.
constexpr Bounds kChangeOfTwo = ChangeTo(Members({3, 4, 5}));

class MistakeTest : public ::testing::TestWithParam<Mistake> {
 protected:
  ~MistakeTest() override {
    paxos::SetBreak(paxos::Break::kNone);
    paxos::SetInvariantsFatal(true);
    paxos::ClearCountedInvariants();
  }
};

TEST_P(MistakeTest, IsFoundFromOutside) {
  const auto mistake = paxos::BreakNamed(GetParam().name);
  ASSERT_TRUE(mistake.has_value());
  paxos::SetBreak(*mistake);
  paxos::SetInvariantsFatal(false);
  const Result result = Search(GetParam().bounds).Run();
  Report(GetParam().name, result);
  EXPECT_EQ(result.violation.substr(0, result.violation.find(':')), GetParam().rule)
      << Path(result);
  EXPECT_FALSE(result.path.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Model, MistakeTest,
    ::testing::Values(Mistake{"ignore_higher_accepted", "P5", kThreeTakeovers},
                      Mistake{"lowest_ballot_wins", "P5", kThreeTakeovers},
                      Mistake{"quorum_of_half", "P1", kThreeTakeovers},
                      Mistake{"accept_below_promise", "P3", kThreeTakeovers},
                      Mistake{"b4_learn_keeps_low_ballot", "P1", kThreeTakeovers},
                      Mistake{"b8_no_yield", "P3", kThreeTakeovers},
                      Mistake{"lead_before_caught_up", "P5", kThreeTakeovers},
                      Mistake{"value_in_two_slots", "P10", kThreeTakeovers},
                      Mistake{"mark_covers_own_slot", "P6", kThreeTakeovers},
                      Mistake{"send_before_durable", "P4", kThreeTakeovers},
                      Mistake{"prepare_before_durable", "P4", kThreeTakeovers},
                      Mistake{"promise_before_durable", "P4", kThreeTakeovers},
                      Mistake{"accepted_before_durable", "P4", kThreeTakeovers},
                      Mistake{"own_vote_before_durable", "P4", kThreeTakeovers},
                      Mistake{"chosen_with_holes", "P1", kTwoSlots},
                      Mistake{"mark_of_any_ballot", "P1", kTwoSlots},
                      Mistake{"apply_out_of_order", "P6", kTwoSlots},
                      Mistake{"b1_no_barrier", "B1", kChange},
                      Mistake{"b3_old_phase1_above", "P5", kChangeOfTwo},
                      Mistake{"b5_settled_when_chosen", "P5", kChange},
                      Mistake{"b5_mark_is_hint", "B5", kChange},
                      Mistake{"leaver_stops_early", "P5", kChange},
                      Mistake{"reuse_ballot_after_restart", "P8", kCrash},
                      Mistake{"forget_promise_on_restart", "P3", kCrash},
                      Mistake{"forget_accepted_on_restart", "P5", kCrash},
                      Mistake{"promise_only_in_side_file", "P8", kCrash}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace distlog::model
