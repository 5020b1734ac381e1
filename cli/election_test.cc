// What the commands about leadership print: every view, who hears whom, past terms, a transfer.

#include "cli/election.h"

#include "cli/healthy_cluster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

using testing::HasSubstr;

TEST(ElectionTest, StatusTellsEveryViewAndWhoHearsWhom) {
  v1::StatusResponse response = Healthy();
  Lose(2, &response);
  v1::ServerStatus* second = response.mutable_members(1)->mutable_status();
  second->set_leader_id(0);
  second->clear_ballot();
  second->clear_heard();
  second->set_quorum_connected(false);
  v1::PeerRoundTrip* round_trip = response.mutable_members(0)->mutable_status()->add_round_trips();
  round_trip->set_id(2);
  round_trip->set_us(123);
  EXPECT_EQ(ElectionText(response),
            "replica 1 leads in ballot 3.1, for 65 s\n"
            "\n"
            "id  address         follows      ballot  promised  content  quorum\n"
            "1   127.0.0.1:4601  1            3.1     3.1       yes      connected\n"
            "2   127.0.0.1:4602  nobody       -       3.1       yes      not connected\n"
            "3   127.0.0.1:4603  unreachable\n"
            "\n"
            "who hears whom in the last round, and how long that took there and back:\n"
            "hears  1   2        3\n"
            "1      -   0.12 ms  yes\n"
            "2      no  -        no\n"
            "3      ?   ?        -\n");
}

TEST(ElectionTest, StatusAsJsonHasAllKeysAlsoOfAnUnreachableMember) {
  v1::StatusResponse response = Healthy();
  response.mutable_members()->DeleteSubrange(1, 1);
  Lose(1, &response);
  v1::PeerRoundTrip* round_trip = response.mutable_members(0)->mutable_status()->add_round_trips();
  round_trip->set_id(3);
  round_trip->set_us(250);
  EXPECT_EQ(ElectionJson(response, 1'000'000),
            "{\"leader_id\":\"1\",\"ballot\":{\"round\":\"3\",\"replica\":\"1\"},"
            "\"since_ms\":\"935000\",\"term_ms\":\"65000\",\"views\":["
            "{\"id\":\"1\",\"leader_id\":\"1\",\"quorum_connected\":true,\"reachable\":true,"
            "\"content\":true,\"ballot\":{\"round\":\"3\",\"replica\":\"1\"},"
            "\"promised\":{\"round\":\"3\",\"replica\":\"1\"},\"heard\":[\"1\",\"2\",\"3\"],"
            "\"round_trips\":[{\"id\":\"3\",\"us\":\"250\"}]},"
            "{\"id\":\"3\",\"leader_id\":\"\",\"quorum_connected\":false,\"reachable\":false,"
            "\"content\":false,\"ballot\":{\"round\":\"0\",\"replica\":\"0\"},"
            "\"promised\":{\"round\":\"0\",\"replica\":\"0\"},\"heard\":[],"
            "\"round_trips\":[]}]}\n");
}

TEST(ElectionTest, WithoutALeaderNothingIsKnownOfATerm) {
  v1::StatusResponse response = Healthy();
  for (v1::MemberStatus& member : *response.mutable_members()) {
    member.mutable_status()->set_is_leader(false);
    member.mutable_status()->set_leader_id(0);
    member.mutable_status()->set_content(false);
  }
  EXPECT_THAT(ElectionText(response), testing::StartsWith("nobody leads\n\n"));
  EXPECT_THAT(ElectionJson(response, 1'000'000), HasSubstr("{\"leader_id\":\"0\""));
  EXPECT_THAT(ElectionJson(response, 1'000'000), HasSubstr("\"since_ms\":\"0\",\"term_ms\":\"0\""));
}

TEST(ElectionTest, AServerOfNoClusterSaysWhatToDo) {
  v1::StatusResponse response;
  response.mutable_self()->set_address("127.0.0.1:4601");
  EXPECT_THAT(ElectionText(response), HasSubstr("`distlog member add 127.0.0.1:4601`"));
}

v1::HistoryResponse TwoTerms() {
  v1::HistoryResponse response;
  v1::HistoryResponse::Term* first = response.add_terms();
  first->mutable_ballot()->set_round(1);
  first->mutable_ballot()->set_replica(3);
  first->set_leader_id(3);
  first->set_first_position(1);
  first->set_begun_ms(1'700'000'000'000);
  first->set_lasted_ms(5000);
  first->set_end("it was not heard any more");
  v1::HistoryResponse::Term* second = response.add_terms();
  second->mutable_ballot()->set_round(2);
  second->mutable_ballot()->set_replica(1);
  second->set_leader_id(1);
  second->set_leader_address("127.0.0.1:4601");
  second->set_first_position(18);
  second->set_begun_ms(1'700'000'005'000);
  second->set_lasted_ms(-1);
  return response;
}

TEST(ElectionTest, HistoryTellsWhoLedAndWhyItEnded) {
  EXPECT_EQ(HistoryText(v1::HistoryResponse(), 0), "nobody has led yet\n");
  EXPECT_EQ(HistoryText(TwoTerms(), 1'700'000'009'000),
            "ballot  leader  address         first position  begun                    lasted  "
            "ended\n"
            "1.3     3       no member now   1               2023-11-14 22:13:20 UTC  5 s     "
            "it was not heard any more\n"
            "2.1     1       127.0.0.1:4601  18              2023-11-14 22:13:25 UTC  4 s     "
            "goes on\n");
  // The clock here may be behind the leader's.
  EXPECT_THAT(HistoryText(TwoTerms(), 0), HasSubstr("0 ms    goes on"));
}

TEST(ElectionTest, HistoryAsJson) {
  EXPECT_EQ(HistoryJson(v1::HistoryResponse()), "{\"terms\":[]}\n");
  EXPECT_EQ(HistoryJson(TwoTerms()),
            "{\"terms\":[{\"ballot\":{\"round\":\"1\",\"replica\":\"3\"},\"leader_id\":\"3\","
            "\"leader_address\":\"\",\"first_position\":\"1\",\"begun_ms\":\"1700000000000\","
            "\"lasted_ms\":\"5000\",\"end\":\"it was not heard any more\"},"
            "{\"ballot\":{\"round\":\"2\",\"replica\":\"1\"},\"leader_id\":\"1\","
            "\"leader_address\":\"127.0.0.1:4601\",\"first_position\":\"18\","
            "\"begun_ms\":\"1700000005000\",\"lasted_ms\":\"-1\",\"end\":\"\"}]}\n");
}

TEST(ElectionTest, ATransferTellsFromWhomToWhom) {
  v1::TransferLeadershipResponse response;
  response.set_from_id(1);
  response.set_to_id(2);
  response.mutable_ballot()->set_round(4);
  response.mutable_ballot()->set_replica(2);
  EXPECT_EQ(TransferText(response, 31),
            "the leadership moved from replica 1 to replica 2, in ballot 4.2, in 31 ms\n");
  EXPECT_EQ(TransferJson(response, 31),
            "{\"from_id\":\"1\",\"to_id\":\"2\",\"ballot\":{\"round\":\"4\",\"replica\":\"2\"},"
            "\"took_ms\":\"31\"}\n");
  response.set_from_id(2);
  EXPECT_EQ(TransferText(response, 31), "replica 2 leads already, in ballot 4.2\n");
}

}  // namespace
}  // namespace distlog::cli
