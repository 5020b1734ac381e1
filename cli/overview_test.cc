// What status and election status make of an answer: fault tolerance, leader, problems; text and
// JSON as a whole.

#include "cli/overview.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Three voters on ports 4601 to 4603, led by 1, with 16 entries in 7 slots.
v1::StatusResponse Healthy() {
  v1::StatusResponse response;
  for (uint64_t id = 1; id <= 3; ++id) {
    v1::MemberStatus* member = response.add_members();
    member->set_id(id);
    member->set_address("127.0.0.1:460" + std::to_string(id));
    member->set_voter(true);
    member->set_reachable(true);
    v1::ServerStatus* status = member->mutable_status();
    status->set_assigned(true);
    status->set_cluster_id(std::string(32, '\xab'));
    status->set_replica_id(id);
    status->set_uuid(std::string(16, static_cast<char>(id)));
    status->set_leader_id(1);
    status->mutable_ballot()->set_round(3);
    status->mutable_ballot()->set_replica(1);
    *status->mutable_promised() = status->ballot();
    status->set_is_leader(id == 1);
    status->set_content(true);
    status->set_quorum_connected(true);
    for (uint64_t heard = 1; heard <= 3; ++heard) status->add_heard(heard);
    status->set_leader_since_ms(65000);
    status->set_chosen_through(7);
    status->set_applied_through(7);
    status->set_first_position(1);
    status->set_last_position(16);
    status->set_last_applied_age_ms(3000);
    status->set_last_error_age_ms(-1);
    status->set_disk_used_bytes(2048);
    status->mutable_configuration()->set_version(1);
  }
  *response.mutable_self() = response.members(0).status();
  return response;
}

void Lose(int index, v1::StatusResponse* response) {
  v1::MemberStatus* member = response->mutable_members(index);
  member->set_reachable(false);
  member->clear_status();
  member->set_unreachable_reason("connection refused");
}

TEST(OverviewTest, CountsTheVotersThatCouldCarryOn) {
  v1::StatusResponse response = Healthy();
  EXPECT_EQ(Summarize(response).can_lose, 1);
  EXPECT_EQ(Summarize(response).leader_id, 1u);

  // A voter that lags is one that cannot be counted on, but the quorum is not lost for it.
  for (int i : {0, 1}) response.mutable_members(i)->mutable_status()->set_chosen_through(5000);
  EXPECT_EQ(Summarize(response).can_lose, 0);
  EXPECT_THAT(Summarize(response).problems, ElementsAre(HasSubstr("4993 slots behind")));
  response.mutable_members(1)->mutable_status()->set_chosen_through(7);
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

TEST(OverviewTest, DamageAndItsRepairAreProblems) {
  v1::StatusResponse response = Healthy();
  v1::ServerStatus* status = response.mutable_members(1)->mutable_status();
  v1::DamagedSegment* damaged = status->add_damaged_segments();
  damaged->set_first_slot(10);
  damaged->set_last_slot(18);
  damaged->set_damage("slot 12: bad checksum");
  status->set_repaired_segments(2);
  EXPECT_THAT(
      Summarize(response).problems,
      ElementsAre("replica 2 at 127.0.0.1:4602 has damage in slots 10 to 18, which is being "
                  "repaired: slot 12: bad checksum",
                  "replica 2 at 127.0.0.1:4602 has repaired 2 damaged segments since it started: "
                  "look at its disk"));
  damaged->set_repair_error("no other member can be reached");
  EXPECT_THAT(Summarize(response).problems[0],
              HasSubstr("slots 10 to 18, which cannot be repaired yet: no other member"));
}

TEST(OverviewTest, StatusIsOneScreen) {
  v1::StatusResponse response = Healthy();
  Lose(2, &response);
  EXPECT_EQ(
      StatusText(response, /*color=*/false),
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
      StatusJson(response),
      "{\"cluster_id\":\"abababababababababababababababababababababababababababababababab\","
      "\"assigned\":true,\"leader_id\":\"1\",\"ballot\":{\"round\":\"3\",\"replica\":\"1\"},"
      "\"configuration_version\":\"1\",\"first_position\":\"1\",\"last_position\":\"16\","
      "\"can_lose\":\"-1\",\"problems\":[\"nothing can be appended until more "
      "voters are back\",\"replica 3 at 127.0.0.1:4603 cannot be reached: connection refused\"],"
      "\"members\":[{\"id\":\"1\",\"address\":\"127.0.0.1:4601\",\"role\":\"voter\","
      "\"reachable\":true,\"is_leader\":true,\"leader_id\":\"1\",\"chosen_through\":\"7\","
      "\"applied_through\":\"7\",\"first_position\":\"1\",\"last_position\":\"16\","
      "\"lag_entries\":\"0\",\"last_applied_age_ms\":\"3000\",\"disk_used_bytes\":\"2048\","
      "\"disk_free_bytes\":\"0\",\"digest\":\"0\","
      "\"uuid\":\"01010101-0101-0101-0101-010101010101\",\"version\":\"\",\"last_error\":\"\","
      "\"last_error_age_ms\":\"-1\",\"damaged_segments\":\"0\",\"repaired_segments\":\"0\","
      "\"scrub_completed_age_ms\":\"0\",\"unreachable_reason\":\"\"},"
      "{\"id\":\"3\",\"address\":\"127.0.0.1:4603\",\"role\":\"voter\",\"reachable\":false,"
      "\"is_leader\":false,\"leader_id\":\"\",\"chosen_through\":\"\",\"applied_through\":\"\","
      "\"first_position\":\"\",\"last_position\":\"\",\"lag_entries\":\"\","
      "\"last_applied_age_ms\":\"\",\"disk_used_bytes\":\"\",\"disk_free_bytes\":\"\","
      "\"digest\":\"\",\"uuid\":\"\",\"version\":\"\",\"last_error\":\"\","
      "\"last_error_age_ms\":\"\",\"damaged_segments\":\"\",\"repaired_segments\":\"\","
      "\"scrub_completed_age_ms\":\"\",\"unreachable_reason\":\"connection refused\"}]}\n");
}

TEST(OverviewTest, ElectionStatusTellsEveryView) {
  v1::StatusResponse response = Healthy();
  Lose(2, &response);
  response.mutable_members(1)->mutable_status()->set_leader_id(0);
  EXPECT_EQ(ElectionText(response),
            "replica 1 leads in ballot 3.1, for 65 s\n"
            "\n"
            "id  address         follows      ballot  promised  content  quorum     hears\n"
            "1   127.0.0.1:4601  1            3.1     3.1       yes      connected  1 2 3\n"
            "2   127.0.0.1:4602  nobody       3.1     3.1       yes      connected  1 2 3\n"
            "3   127.0.0.1:4603  unreachable\n");
  const std::string json = ElectionJson(response, 1'000'000);
  EXPECT_THAT(json, HasSubstr("{\"leader_id\":\"1\",\"ballot\":{\"round\":\"3\",\"replica\":\"1\"},"
                              "\"since_ms\":\"935000\""));
  EXPECT_THAT(json, HasSubstr("{\"id\":\"2\",\"leader_id\":\"0\",\"quorum_connected\":true"));
  EXPECT_THAT(json, HasSubstr("{\"id\":\"3\",\"leader_id\":\"\",\"quorum_connected\":false"));
}

TEST(OverviewTest, AnEmptyServerSaysWhatToDo) {
  v1::StatusResponse response;
  response.mutable_self()->set_address("127.0.0.1:4601");
  EXPECT_THAT(StatusText(response, false), HasSubstr("distlog init"));
  EXPECT_THAT(StatusJson(response), HasSubstr("\"leader_id\":\"0\""));
  EXPECT_THAT(StatusJson(response), HasSubstr("\"can_lose\":\"-1\""));
  EXPECT_THAT(StatusJson(response),
              HasSubstr("\"problems\":[\"the server at 127.0.0.1:4601 belongs to no cluster yet: "
                        "form one with `distlog init`\"]"));
}

TEST(OverviewTest, AReplicaThatIsInNoBallotShowsNone) {
  v1::StatusResponse response = Healthy();
  v1::ServerStatus* status = response.mutable_members(2)->mutable_status();
  status->set_leader_id(0);
  status->clear_ballot();
  EXPECT_THAT(StatusText(response, false), HasSubstr("voter  follows nobody  -       7 "));
  EXPECT_THAT(ElectionText(response), HasSubstr("127.0.0.1:4603  nobody   -       3.1 "));
}

// JSON escapes in its own way.
TEST(OverviewTest, ProblemsAreEscapedOnce) {
  v1::StatusResponse response = Healthy();
  Lose(2, &response);
  response.mutable_members(2)->set_unreachable_reason("a\\b\n");
  EXPECT_THAT(StatusText(response, false), HasSubstr("cannot be reached: a\\b\\n\n"));
  EXPECT_THAT(StatusJson(response), HasSubstr("cannot be reached: a\\\\b\\u000a\""));
}

}  // namespace
}  // namespace distlog::cli
