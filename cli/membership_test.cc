// What the commands about members print: plans, ends of operations, members, the list of
// operations.

#include "cli/membership.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

v1::MemberMessage Member(uint64_t id, bool voter) {
  v1::MemberMessage member;
  member.set_id(id);
  member.set_address("a:" + std::to_string(id));
  if (id == 0) member.set_address("new:1");
  member.set_uuid(std::string(16, static_cast<char>(id)));
  member.set_voter(voter);
  return member;
}

v1::ConfigurationMessage TwoVotersAndALearner() {
  v1::ConfigurationMessage configuration;
  configuration.set_version(4);
  *configuration.add_members() = Member(1, true);
  *configuration.add_members() = Member(2, true);
  *configuration.add_members() = Member(5, false);
  return configuration;
}

v1::Operation Ended(v1::Operation::Phase phase) {
  v1::Operation operation;
  operation.set_id(3);
  operation.set_verb(v1::Operation::VERB_ADD);
  operation.set_request("add a:5 as a learner");
  operation.set_phase(phase);
  operation.set_begun_ms(1'700'000'000'000);
  operation.set_changed_ms(1'700'000'004'000);
  return operation;
}

v1::OperationsResponse Answer(const v1::Operation& operation) {
  v1::OperationsResponse response;
  *response.mutable_configuration() = TwoVotersAndALearner();
  response.set_settled(true);
  response.set_from_leader(true);
  *response.add_operations() = operation;
  return response;
}

v1::Plan AddPlan() {
  v1::Plan plan;
  plan.set_base_version(4);
  v1::PlanStep* now = plan.add_steps();
  now->set_what("now");
  *now->mutable_members() = TwoVotersAndALearner().members();
  now->set_voters(2);
  now->set_quorum(2);
  for (const uint64_t id : {1, 2, 5}) {
    v1::DeathEffect* death = now->add_deaths();
    death->set_id(id);
    death->set_effect(id == 5 ? "none" : "no quorum");
  }
  v1::PlanStep* then = plan.add_steps();
  then->set_what("make new:1 a voter");
  *then->add_members() = Member(1, true);
  *then->add_members() = Member(0, true);
  then->set_voters(2);
  then->set_quorum(2);
  then->set_can_lose(-1);
  return plan;
}

TEST(MembershipTest, APlanShowsEachStepAndWhatDeathsMean) {
  v1::Plan plan = AddPlan();
  EXPECT_EQ(PlanText(plan),
            "plan from configuration 4:\n"
            "\n"
            "step                voters  quorum  can lose     members\n"
            "now                 2       2       0            1, 2, 5 (learner)\n"
            "make new:1 a voter  2       2       quorum lost  1, new:1\n"
            "\n"
            "what the death of one member would mean:\n"
            "  now\n"
            "    1, 2: no quorum\n"
            "    5: none\n");
  plan.add_warnings("no voter can fail");
  plan.set_refusal("operation 2 is running");
  EXPECT_THAT(PlanText(plan), HasSubstr("    5: none\n"
                                        "\n"
                                        "warning: no voter can fail\n"
                                        "would be refused: operation 2 is running\n"));
}

TEST(MembershipTest, AChangeAsJson) {
  v1::ChangeResponse begun;
  begun.set_operation_id(3);
  *begun.mutable_plan() = AddPlan();
  begun.mutable_plan()->mutable_steps()->DeleteSubrange(0, 1);
  begun.mutable_plan()->add_warnings("w");
  begun.mutable_plan()->set_refusal("r");
  const std::string plan =
      "{\"operation_id\":\"3\",\"plan\":{\"base_version\":\"4\",\"steps\":[{\"what\":\"make new:1 "
      "a voter\",\"members\":[{\"id\":\"1\",\"uuid\":\"01010101-0101-0101-0101-010101010101\","
      "\"address\":\"a:1\",\"role\":\"voter\"},{\"id\":\"0\","
      "\"uuid\":\"00000000-0000-0000-0000-000000000000\",\"address\":\"new:1\","
      "\"role\":\"voter\"}],\"voters\":\"2\",\"quorum\":\"2\",\"can_lose\":\"-1\",\"deaths\":[]}],"
      "\"refusal\":\"r\",\"warnings\":[\"w\"]}";
  EXPECT_EQ(ChangeJson(begun, nullptr), plan + ",\"operation\":null}\n");
  const v1::OperationsResponse ended = Answer(Ended(v1::Operation::PHASE_DONE));
  EXPECT_THAT(ChangeJson(begun, &ended), HasSubstr(plan + ",\"operation\":{\"id\":\"3\""));
  EXPECT_THAT(ChangeJson(begun, &ended),
              HasSubstr("},\"configuration_version\":\"4\",\"members\":[{\"id\":\"1\","));
  EXPECT_THAT(ChangeJson(begun, &ended), testing::EndsWith("\"role\":\"learner\"}]}\n"));
}

TEST(MembershipTest, TheEndOfAnOperationIsOneSentence) {
  EXPECT_EQ(EndText(Answer(Ended(v1::Operation::PHASE_DONE))),
            "operation 3 (add a:5 as a learner) is done after 4 s; configuration 4 has 2 voters: "
            "1, 2, 5 (learner)\n");
  EXPECT_THAT(EndText(Answer(Ended(v1::Operation::PHASE_CANCELLED))), HasSubstr(") is cancelled"));
  v1::Operation failed = Ended(v1::Operation::PHASE_FAILED);
  failed.set_cause("it cannot be");
  // The clock of the leader was set meanwhile.
  failed.set_changed_ms(0);
  EXPECT_THAT(EndText(Answer(failed)), HasSubstr(") has failed: it cannot be; configuration 4"));
}

TEST(MembershipTest, MembersAreListedWithTheChangeUnderWay) {
  v1::OperationsResponse response = Answer(Ended(v1::Operation::PHASE_DONE));
  EXPECT_EQ(MembersText(response),
            "configuration 4\n"
            "\n"
            "id  address  role     uuid\n"
            "1   a:1      voter    01010101-0101-0101-0101-010101010101\n"
            "2   a:2      voter    02020202-0202-0202-0202-020202020202\n"
            "5   a:5      learner  05050505-0505-0505-0505-050505050505\n");
  EXPECT_THAT(MembersJson(response),
              HasSubstr("\"settled\":true,\"from_leader\":true,\"operation\":null}\n"));
  response.mutable_operations(0)->set_phase(v1::Operation::PHASE_SETTLING);
  response.set_settled(false);
  response.set_from_leader(false);
  EXPECT_THAT(MembersText(response),
              testing::StartsWith("configuration 4, not settled yet, as a member knows it that "
                                  "does not lead: it may be an old one\n"
                                  "  operation 3 is under way: add a:5 as a learner (settling)\n"));
  EXPECT_THAT(MembersJson(response), testing::StartsWith("{\"configuration_version\":\"4\","));
  EXPECT_THAT(MembersJson(response),
              HasSubstr("\"settled\":false,\"from_leader\":false,\"operation\":{\"id\":\"3\""));
}

TEST(MembershipTest, OperationsAreListedWithHowLongTheyTook) {
  EXPECT_EQ(OperationsText(v1::OperationsResponse(), 0), "no operation was ever begun\n");
  v1::OperationsResponse response = Answer(Ended(v1::Operation::PHASE_DONE));
  v1::Operation* running = response.add_operations();
  *running = Ended(v1::Operation::PHASE_LEARNING);
  running->set_id(4);
  running->set_cause("member 5 is behind");
  EXPECT_EQ(OperationsText(response, 1'700'000'060'000),
            "id  request               phase     begun                    lasted  cause\n"
            "3   add a:5 as a learner  done      2023-11-14 22:13:20 UTC  4 s     -\n"
            "4   add a:5 as a learner  learning  2023-11-14 22:13:20 UTC  60 s    member 5 is "
            "behind\n");
  EXPECT_THAT(OperationsJson(response),
              testing::StartsWith("{\"from_leader\":true,\"operations\":[{\"id\":\"3\","));
}

TEST(MembershipTest, WhatComesFromServersIsEscaped) {
  v1::Operation operation = Ended(v1::Operation::PHASE_LEARNING);
  operation.set_request("add \x1b[2J");
  EXPECT_THAT(OperationsText(Answer(operation), 0), Not(HasSubstr("\x1b")));
  EXPECT_THAT(MembersText(Answer(operation)), Not(HasSubstr("\x1b")));
  EXPECT_THAT(EndText(Answer(operation)), Not(HasSubstr("\x1b")));
  v1::Plan plan = AddPlan();
  plan.mutable_steps(0)->set_what("\x1b[2J");
  plan.set_refusal("\x1b[2J");
  EXPECT_THAT(PlanText(plan), Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace distlog::cli
