// What status makes of the answers: fault tolerance, leader; text and JSON as a whole.

#include "cli/overview.h"

#include "cli/healthy_cluster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const v1::OperationsResponse kNoOperations;

TEST(OverviewTest, CountsTheVotersThatCouldCarryOn) {
  v1::StatusResponse response = Healthy();
  EXPECT_EQ(Summarize(response).can_lose, 1);
  EXPECT_EQ(Summarize(response).leader_id, 1u);

  // A voter that lags is one that cannot be counted on, but the quorum is not lost for it.
  for (int i : {0, 1}) SetChosen(i, 5000, &response);
  EXPECT_EQ(Summarize(response).can_lose, 0);
  EXPECT_THAT(Summarize(response).problems, ElementsAre(HasSubstr("4993 slots behind")));
  SetChosen(1, 7, &response);
  EXPECT_EQ(Summarize(response).can_lose, 0);

  response = Healthy();
  Lose(2, &response);
  EXPECT_EQ(Summarize(response).can_lose, 0);
  Lose(1, &response);
  EXPECT_EQ(Summarize(response).can_lose, -1);
}

TEST(OverviewTest, LearnersDoNotCount) {
  v1::StatusResponse response = Healthy();
  response.mutable_members(2)->set_voter(false);
  EXPECT_EQ(Summarize(response).voters, 2u);
  EXPECT_EQ(Summarize(response).can_lose, 0);
}

TEST(OverviewTest, TheLeaderIsTheOneThatSaysSoInTheHighestBallot) {
  v1::StatusResponse response = Healthy();
  v1::ServerStatus* second = response.mutable_members(1)->mutable_status();
  second->set_is_leader(true);
  second->set_leader_id(2);
  second->mutable_ballot()->set_round(4);
  EXPECT_EQ(Summarize(response).leader_id, 2u);

  // It cannot be reached from here, but content replicas follow it.
  response = Healthy();
  Lose(0, &response);
  EXPECT_EQ(Summarize(response).leader_id, 1u);
  for (int i : {1, 2}) response.mutable_members(i)->mutable_status()->set_content(false);
  EXPECT_EQ(Summarize(response).leader_id, 0u);
  EXPECT_THAT(Summarize(response).problems,
              ElementsAre("nobody leads at the moment", HasSubstr("replica 1")));
}

TEST(OverviewTest, StatusIsOneScreen) {
  v1::StatusResponse response = Healthy();
  Lose(2, &response);
  EXPECT_EQ(
      StatusText(response, kNoOperations, /*color=*/false),
      "can lose no more replica (3 voters)\n"
      "  replica 3 at 127.0.0.1:4603 cannot be reached: connection refused\n"
      "cluster abababababababab, configuration 1, leader 1 in ballot 3.1, positions 1 to 16\n"
      "\n"
      "id  address         role   leader       ballot  chosen  applied  last  lag  last applied  "
      "disk"
      "     last error\n"
      "1   127.0.0.1:4601  voter  leads        3.1     7       7        16    -    3 s ago       "
      "2.0 KiB  -\n"
      "2   127.0.0.1:4602  voter  follows 1    3.1     7       7        16    -    3 s ago       "
      "2.0 KiB  -\n"
      "3   127.0.0.1:4603  voter  unreachable\n");
}

TEST(OverviewTest, StatusJsonHasAllKeysAlsoOfAnUnreachableMember) {
  v1::StatusResponse response = Healthy();
  response.mutable_members()->DeleteSubrange(1, 1);
  Lose(1, &response);
  EXPECT_EQ(
      StatusJson(response, kNoOperations),
      "{\"cluster_id\":\"abababababababababababababababababababababababababababababababab\","
      "\"assigned\":true,\"leader_id\":\"1\",\"ballot\":{\"round\":\"3\",\"replica\":\"1\"},"
      "\"configuration_version\":\"1\",\"first_position\":\"1\",\"last_position\":\"16\","
      "\"can_lose\":\"-1\",\"problems\":[\"nothing can be appended until more "
      "voters are back\",\"replica 3 at 127.0.0.1:4603 cannot be reached: connection refused\"],"
      "\"members\":[{\"id\":\"1\",\"address\":\"127.0.0.1:4601\",\"role\":\"voter\","
      "\"reachable\":true,\"is_leader\":true,\"leader_id\":\"1\",\"chosen_through\":\"7\","
      "\"applied_through\":\"7\",\"first_position\":\"1\",\"last_position\":\"16\","
      "\"lag_entries\":\"0\",\"last_applied_age_ms\":\"3000\",\"disk_used_bytes\":\"2048\","
      "\"disk_free_bytes\":\"53687091200\",\"digest\":\"0\","
      "\"uuid\":\"01010101-0101-0101-0101-010101010101\",\"version\":\"\",\"last_error\":\"\","
      "\"last_error_age_ms\":\"-1\",\"damaged_segments\":\"0\",\"repaired_segments\":\"0\","
      "\"scrub_completed_age_ms\":\"0\",\"wall_clock_ms\":\"0\",\"has_left\":false,"
      "\"unreachable_reason\":\"\"},"
      "{\"id\":\"3\",\"address\":\"127.0.0.1:4603\",\"role\":\"voter\",\"reachable\":false,"
      "\"is_leader\":false,\"leader_id\":\"\",\"chosen_through\":\"\",\"applied_through\":\"\","
      "\"first_position\":\"\",\"last_position\":\"\",\"lag_entries\":\"\","
      "\"last_applied_age_ms\":\"\",\"disk_used_bytes\":\"\",\"disk_free_bytes\":\"\","
      "\"digest\":\"\",\"uuid\":\"\",\"version\":\"\",\"last_error\":\"\","
      "\"last_error_age_ms\":\"\",\"damaged_segments\":\"\",\"repaired_segments\":\"\","
      "\"scrub_completed_age_ms\":\"\",\"wall_clock_ms\":\"\",\"has_left\":false,"
      "\"unreachable_reason\":\"connection refused\"}],\"operation\":null,\"parents\":[]}\n");
}

TEST(OverviewTest, AnEmptyServerSaysWhatToDo) {
  v1::StatusResponse response;
  response.mutable_self()->set_address("127.0.0.1:4601");
  EXPECT_THAT(StatusText(response, kNoOperations, false), HasSubstr("distlog init"));
  EXPECT_THAT(StatusJson(response, kNoOperations), HasSubstr("\"leader_id\":\"0\""));
  EXPECT_THAT(StatusJson(response, kNoOperations), HasSubstr("\"can_lose\":\"-1\""));
  EXPECT_THAT(StatusJson(response, kNoOperations),
              HasSubstr("\"problems\":[\"the server at 127.0.0.1:4601 belongs to no cluster yet: "
                        "form one with `distlog init`, or add it to one with `distlog member add "
                        "127.0.0.1:4601`\"]"));
}

TEST(OverviewTest, AReplicaThatIsInNoBallotShowsNone) {
  v1::StatusResponse response = Healthy();
  v1::ServerStatus* status = response.mutable_members(2)->mutable_status();
  status->set_leader_id(0);
  status->clear_ballot();
  EXPECT_THAT(StatusText(response, kNoOperations, false),
              HasSubstr("voter  follows nobody  -       7 "));
}

TEST(OverviewTest, TheOperationUnderWayIsToldOfUntilItHasFinished) {
  v1::OperationsResponse operations;
  v1::Operation* operation = operations.add_operations();
  operation->set_id(4);
  operation->set_request("add 127.0.0.1:4604");
  operation->set_phase(v1::Operation::PHASE_LEARNING);
  operation->set_cause("member 4 is behind");
  EXPECT_THAT(StatusText(Healthy(), operations, false),
              HasSubstr("(3 voters)\n  operation 4 is under way: add 127.0.0.1:4604 (learning): "
                        "member 4 is behind\n"));
  EXPECT_THAT(StatusJson(Healthy(), operations), HasSubstr("],\"operation\":{\"id\":\"4\","));
  operation->set_phase(v1::Operation::PHASE_DONE);
  EXPECT_THAT(StatusText(Healthy(), operations, false), Not(HasSubstr("operation")));
  EXPECT_THAT(StatusJson(Healthy(), operations), HasSubstr("],\"operation\":null,"));
}

// Newest first, as the servers tell it.
TEST(OverviewTest, ARecoveredClusterNamesItsParentsAndWhereTheyPart) {
  v1::StatusResponse response = Healthy();
  v1::Lineage::Parent* parent = response.mutable_self()->mutable_lineage()->add_parents();
  parent->set_cluster_id(std::string(32, '\xcd'));
  parent->set_last_slot(5);
  parent->set_last_position(12);
  response.mutable_self()->mutable_lineage()->add_parents()->set_cluster_id(
      std::string(32, '\xef'));
  EXPECT_THAT(StatusText(response, kNoOperations, false),
              HasSubstr("positions 1 to 16\n"
                        "recovered from cluster cdcdcdcdcdcdcdcd: positions through 12 are the "
                        "same there, those above may differ\n"
                        "before that, from cluster efefefefefefefef: no position is certainly the "
                        "same there\n"
                        "\n"
                        "id  address"));
  EXPECT_THAT(StatusJson(response, kNoOperations),
              HasSubstr(",\"parents\":[{\"cluster_id\":\"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
                        "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd\",\"last_slot\":\"5\","
                        "\"last_position\":\"12\"},"));
}

// JSON escapes in its own way.
TEST(OverviewTest, ProblemsAreEscapedOnce) {
  v1::StatusResponse response = Healthy();
  Lose(2, &response);
  response.mutable_members(2)->set_unreachable_reason("a\\b\n");
  EXPECT_THAT(StatusText(response, kNoOperations, false),
              HasSubstr("cannot be reached: a\\b\\n\n"));
  EXPECT_THAT(StatusJson(response, kNoOperations), HasSubstr("cannot be reached: a\\\\b\\u000a\""));
}

}  // namespace
}  // namespace distlog::cli
