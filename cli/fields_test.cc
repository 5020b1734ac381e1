// What screens and objects show in the same way.

#include "cli/fields.h"

#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

v1::Operation OperationIn(v1::Operation::Phase phase) {
  v1::Operation operation;
  operation.set_id(5);
  operation.set_verb(v1::Operation::VERB_ADD);
  operation.set_request("add a:1");
  operation.set_phase(phase);
  return operation;
}

TEST(FieldsTest, BallotsUuidsTimesAndNames) {
  v1::BallotMessage ballot;
  EXPECT_EQ(Shown(ballot), "-");
  ballot.set_round(3);
  ballot.set_replica(1);
  EXPECT_EQ(Shown(ballot), "3.1");
  EXPECT_EQ(Uuid(std::string("\x01\x23\x45\x67\x89\xab\xcd\xef\0\x11\x22\x33\x44\x55\x66\x77", 16)),
            "01234567-89ab-cdef-0011-223344556677");
  EXPECT_EQ(Uuid(""), "");
  EXPECT_EQ(Utc(1'769'903'999'999), "2026-01-31 23:59:59 UTC");
  EXPECT_EQ(Named(3, "a:1"), "replica 3 at a:1");
  EXPECT_EQ(Named(0, "a:1"), "the newcomer at a:1");
}

TEST(FieldsTest, OnlyAnOperationThatHasNotFinishedIsUnderWay) {
  v1::OperationsResponse response;
  EXPECT_EQ(Running(response), nullptr);
  for (const auto phase :
       {v1::Operation::PHASE_DONE, v1::Operation::PHASE_CANCELLED, v1::Operation::PHASE_FAILED}) {
    EXPECT_TRUE(HasFinished(OperationIn(phase)));
    *response.add_operations() = OperationIn(phase);
  }
  EXPECT_EQ(Running(response), nullptr);
  for (const auto phase : {v1::Operation::PHASE_LEARNING, v1::Operation::PHASE_CHANGING,
                           v1::Operation::PHASE_SETTLING, v1::Operation::PHASE_CANCELLING}) {
    EXPECT_FALSE(HasFinished(OperationIn(phase)));
  }
  *response.add_operations() = OperationIn(v1::Operation::PHASE_SETTLING);
  ASSERT_NE(Running(response), nullptr);
  EXPECT_EQ(UnderWay(*Running(response)), "operation 5 is under way: add a:1 (settling)");
  v1::Operation delayed = OperationIn(v1::Operation::PHASE_LEARNING);
  delayed.set_cause("it is behind");
  EXPECT_EQ(UnderWay(delayed), "operation 5 is under way: add a:1 (learning): it is behind");
}

TEST(FieldsTest, AnOperationAsJsonHasAllKeys) {
  v1::Operation operation = OperationIn(v1::Operation::PHASE_LEARNING);
  operation.set_begun_ms(-1);
  operation.set_changed_ms(7);
  v1::MemberMessage* goal = operation.add_goal();
  goal->set_address("a:1");
  goal->set_voter(true);
  goal->set_uuid(std::string(16, '\x0f'));
  v1::Operation::Progress* progress = operation.add_progress();
  progress->set_id(4);
  progress->set_address("a:1");
  progress->set_chosen_through(10);
  progress->set_target(20);
  progress->set_is_reachable(true);
  EXPECT_EQ(JsonOperation(operation),
            "{\"id\":\"5\",\"verb\":\"add\",\"request\":\"add a:1\",\"phase\":\"learning\","
            "\"cause\":\"\",\"begun_ms\":\"-1\",\"changed_ms\":\"7\",\"goal\":[{\"id\":\"0\","
            "\"uuid\":\"0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f\",\"address\":\"a:1\","
            "\"role\":\"voter\"}],\"progress\":[{\"id\":\"4\",\"address\":\"a:1\","
            "\"chosen_through\":\"10\",\"target\":\"20\",\"reachable\":true}]}");
}

// A newer server may know phases and verbs that this program does not.
TEST(FieldsTest, AnUnknownPhaseIsNoReasonToStop) {
  EXPECT_EQ(PhaseOf(OperationIn(v1::Operation::PHASE_UNKNOWN)), "unknown");
  EXPECT_EQ(PhaseOf(OperationIn(static_cast<v1::Operation::Phase>(99))), "unknown");
}

}  // namespace
}  // namespace distlog::cli
