// What is wrong with a cluster, in words: each cause has its sentence, and what is as it should be
// has none.

#include "cli/problems.h"

#include "cli/healthy_cluster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> Problems(const v1::StatusResponse& response) {
  return Summarize(response).problems;
}

v1::ServerStatus* StatusOf(int index, v1::StatusResponse* response) {
  return response->mutable_members(index)->mutable_status();
}

TEST(ProblemsTest, AHealthyClusterHasNone) { EXPECT_THAT(Problems(Healthy()), IsEmpty()); }

TEST(ProblemsTest, ALostQuorumComesFirst) {
  v1::StatusResponse response = Healthy();
  Lose(0, &response);
  Lose(2, &response);
  EXPECT_THAT(Problems(response),
              ElementsAre("nothing can be appended until more voters are back",
                          "replica 1 at 127.0.0.1:4601 cannot be reached: connection refused",
                          "replica 3 at 127.0.0.1:4603 cannot be reached: connection refused"));
}

// While appends go on everybody is a little behind; in silence nobody should be.
TEST(ProblemsTest, ALittleLagIsAProblemOnlyWhenTheOthersAreQuiet) {
  v1::StatusResponse response = Healthy();
  for (int i : {0, 1}) {
    SetChosen(i, 10, &response);
    StatusOf(i, &response)->set_last_position(20);
    StatusOf(i, &response)->set_last_applied_age_ms(100);
  }
  EXPECT_THAT(Problems(response), IsEmpty());
  for (int i : {0, 1}) StatusOf(i, &response)->set_last_applied_age_ms(5000);
  StatusOf(2, &response)->set_last_applied_age_ms(9000);
  EXPECT_THAT(Problems(response), ElementsAre("replica 3 at 127.0.0.1:4603 is 4 entries (3 slots) "
                                              "behind, last applied 9 s ago"));
  StatusOf(2, &response)->set_last_applied_age_ms(-1);
  EXPECT_THAT(Problems(response), ElementsAre(HasSubstr("behind and has applied nothing yet")));
}

TEST(ProblemsTest, ADiskThatIsSlowOrFullIsNamed) {
  v1::StatusResponse response = Healthy();
  for (int i : {0, 1, 2}) SetChosen(i, 500, &response);
  StatusOf(1, &response)->set_stored_through(200);
  StatusOf(2, &response)->set_disk_free_bytes(100 << 20);
  EXPECT_THAT(Problems(response),
              ElementsAre("replica 2 at 127.0.0.1:4602 has a slow disk: 300 chosen slots are still "
                          "to be written there",
                          "replica 3 at 127.0.0.1:4603 has a disk that is nearly full: 100.0 MiB "
                          "are free, and below 128 MiB a leader refuses appends"));
}

TEST(ProblemsTest, DamageAndItsRepairAreProblems) {
  v1::StatusResponse response = Healthy();
  v1::ServerStatus* status = response.mutable_members(1)->mutable_status();
  v1::DamagedSegment* damaged = status->add_damaged_segments();
  damaged->set_first_slot(10);
  damaged->set_last_slot(18);
  damaged->set_damage("slot 12: bad checksum");
  status->set_repaired_segments(2);
  EXPECT_THAT(
      Problems(response),
      ElementsAre("replica 2 at 127.0.0.1:4602 has damage in slots 10 to 18, which is being "
                  "repaired: slot 12: bad checksum",
                  "replica 2 at 127.0.0.1:4602 has repaired 2 damaged segments since it started: "
                  "look at its disk"));
  damaged->set_repair_error("no other member can be reached");
  EXPECT_THAT(Problems(response)[0],
              HasSubstr("slots 10 to 18, which cannot be repaired yet: no other member"));
}

// By the median: the one that is off is named, not the others.
TEST(ProblemsTest, AClockThatIsOffIsNamed) {
  v1::StatusResponse response = Healthy();
  for (int i : {0, 1, 2}) StatusOf(i, &response)->set_wall_clock_ms(1'700'000'000'000 + i * 300);
  EXPECT_THAT(Problems(response), IsEmpty());
  StatusOf(0, &response)->set_wall_clock_ms(1'700'000'600'000);
  EXPECT_THAT(Problems(response),
              ElementsAre("replica 1 at 127.0.0.1:4601 has a clock that is 9 min ahead of the "
                          "others: set it, for timestamps come from the leader's"));
  StatusOf(0, &response)->set_wall_clock_ms(1'699'999'990'000);
  EXPECT_THAT(Problems(response), ElementsAre(HasSubstr("a clock that is 10 s behind the others")));
}

// A server that was wiped, or was restored from an old copy, is known by what its peers refuse.
TEST(ProblemsTest, WhyAMemberCannotBeReachedIsAlsoAskedOfItsPeers) {
  v1::StatusResponse response = Healthy();
  Lose(2, &response);
  for (int i : {0, 1}) {
    v1::PeerTrouble* trouble = StatusOf(i, &response)->add_trouble();
    trouble->set_replica_id(3);
    trouble->set_reason("its directory is another one");
    trouble->set_count(9);
  }
  EXPECT_THAT(Problems(response),
              ElementsAre("replica 3 at 127.0.0.1:4603 cannot be reached: connection refused; its "
                          "directory is another one"));
}

TEST(ProblemsTest, AMemberThatDoesNotGetThroughToAnotherIsToldOfOnceItLasts) {
  v1::StatusResponse response = Healthy();
  v1::PeerTrouble* trouble = StatusOf(0, &response)->add_trouble();
  trouble->set_replica_id(2);
  trouble->set_address("127.0.0.1:4602");
  trouble->set_reason("timed out");
  trouble->set_count(2);
  EXPECT_THAT(Problems(response), IsEmpty());
  trouble->set_count(3);
  EXPECT_THAT(Problems(response),
              ElementsAre("replica 1 at 127.0.0.1:4601 does not get through to replica 2 at "
                          "127.0.0.1:4602 (3 times in a row): timed out"));
  trouble->set_replica_id(0);
  EXPECT_THAT(Problems(response), ElementsAre(HasSubstr("to the server at 127.0.0.1:4602 (3")));
}

TEST(ProblemsTest, ARemovedServerNamesThoseToAsk) {
  v1::StatusResponse response = Healthy();
  response.mutable_self()->set_has_left(true);
  response.mutable_self()->set_address("127.0.0.1:4609");
  for (const char* address : {"127.0.0.1:4601", "127.0.0.1:4602"}) {
    response.mutable_self()->mutable_configuration()->add_members()->set_address(address);
  }
  EXPECT_THAT(Problems(response),
              ElementsAre("the server at 127.0.0.1:4609 was removed from the cluster and takes no "
                          "part in it: ask a member (127.0.0.1:4601, 127.0.0.1:4602)"));
}

TEST(ProblemsTest, WhatAMemberReportedIsPassedOn) {
  v1::StatusResponse response = Healthy();
  StatusOf(1, &response)->set_last_error("a write took 9 s");
  StatusOf(1, &response)->set_last_error_age_ms(4000);
  EXPECT_THAT(Problems(response),
              ElementsAre("replica 2 at 127.0.0.1:4602 reported 4 s ago: a write took 9 s"));
}

}  // namespace
}  // namespace distlog::cli
