// The commands about members and leadership against a fake cluster: what they ask for, what they
// print, how they exit, and that what is refused here never reaches a server.

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/test_console.h"
#include "client/fake_server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using Strings = std::vector<std::string>;

v1::Operation Stage(v1::Operation::Phase phase, const std::string& cause = "") {
  v1::Operation operation;
  operation.set_phase(phase);
  operation.set_cause(cause);
  return operation;
}

class MemberTest : public testing::Test {
 protected:
  Ran Do(Strings words) {
    words.insert(words.begin(), "--endpoints=" + absl::StrJoin(cluster_.endpoints(), ","));
    return RunWith(words);
  }

  FakeCluster cluster_{3};
};

TEST_F(MemberTest, AChangeIsWaitedForAndItsEndPrinted) {
  cluster_.membership().Script({Stage(v1::Operation::PHASE_LEARNING, "member 4 is behind"),
                                Stage(v1::Operation::PHASE_SETTLING),
                                Stage(v1::Operation::PHASE_DONE)});
  const Ran ran = Do({"member", "add", "127.0.0.1:4604"});
  EXPECT_EQ(ran.exit_status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("operation 1 (add 127.0.0.1:4604) is done"));
  EXPECT_THAT(ran.out, HasSubstr("configuration 1 has 3 voters: 1, 2, 3\n"));
  EXPECT_EQ(ran.err,
            "operation 1: learning: member 4 is behind\n"
            "operation 1: settling\n");
}

TEST_F(MemberTest, EachCommandAsksForItsChange) {
  for (const Strings& words :
       {Strings{"member", "add", "a:1", "--learner"}, Strings{"member", "remove", "2"},
        Strings{"member", "replace", "3", "b:1"}, Strings{"member", "promote", "4"},
        Strings{"member", "set", "a:1", "b:1"}}) {
    Strings quiet = words;
    quiet.push_back("--quiet");
    const Ran ran = Do(quiet);
    EXPECT_EQ(ran.exit_status, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
  }
  EXPECT_THAT(cluster_.membership().requests(),
              ElementsAre("add a:1 as a learner", "remove replica 2", "replace replica 3 by b:1",
                          "promote replica 4", "set a:1, b:1"));
}

TEST_F(MemberTest, AChangeAsJsonIsOneObject) {
  const Ran ran = Do({"member", "remove", "3", "--output=json"});
  EXPECT_EQ(ran.exit_status, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_THAT(ran.out, StartsWith("{\"operation_id\":\"1\",\"plan\":{\"base_version\":\"1\","));
  EXPECT_THAT(ran.out, HasSubstr("\"request\":\"remove replica 3\",\"phase\":\"done\""));
  EXPECT_THAT(ran.out, HasSubstr("\"configuration_version\":\"1\",\"members\":[{\"id\":\"1\","));
  const Ran begun = Do({"member", "remove", "3", "--output=json", "--no_wait"});
  EXPECT_THAT(begun.out, StartsWith("{\"operation_id\":\"2\","));
  EXPECT_THAT(begun.out, HasSubstr("\"operation\":null}\n"));
}

TEST_F(MemberTest, WhatIsMalformedExits2AndReachesNobody) {
  for (const Strings& words : {Strings{"member"},
                               Strings{"member", "grow"},
                               Strings{"member", "add"},
                               Strings{"member", "add", "nonsense"},
                               Strings{"member", "add", "a:0"},
                               Strings{"member", "add", "a:1", "b:1"},
                               Strings{"member", "add", "a:1", "--from=1"},
                               Strings{"member", "remove"},
                               Strings{"member", "remove", "x"},
                               Strings{"member", "remove", "0"},
                               Strings{"member", "remove", "a:1"},
                               Strings{"member", "replace", "1"},
                               Strings{"member", "replace", "1", "x"},
                               Strings{"member", "replace", "a:1", "b:1"},
                               Strings{"member", "promote", "01"},
                               Strings{"member", "set"},
                               Strings{"member", "set", "a:1", "a:1"},
                               Strings{"member", "set", "a:1", "b"},
                               Strings{"member", "cancel"},
                               Strings{"member", "cancel", "x"},
                               Strings{"member", "list", "1"},
                               Strings{"member", "remove", "1", "--expect_version=x"},
                               Strings{"election", "transfer", "x"},
                               Strings{"election", "transfer", "1", "2"},
                               Strings{"election", "history", "-n", "x"}}) {
    const Ran ran = Do(words);
    EXPECT_EQ(ran.exit_status, 2) << absl::StrJoin(words, " ");
    EXPECT_THAT(ran.err, StartsWith("distlog: ")) << absl::StrJoin(words, " ");
    EXPECT_EQ(ran.out, "");
  }
  EXPECT_EQ(cluster_.appends_taken(), 0u);
  EXPECT_THAT(cluster_.membership().requests(), IsEmpty());
}

TEST_F(MemberTest, ARefusedChangeExits4InOneSentence) {
  cluster_.membership().Refuse("operation 3 is running: wait for its end");
  const Ran ran = Do({"member", "remove", "3"});
  EXPECT_EQ(ran.exit_status, 4);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "distlog: operation 3 is running: wait for its end\n");
  const Ran json = Do({"member", "remove", "3", "--output=json"});
  EXPECT_EQ(json.exit_status, 4);
  EXPECT_EQ(json.err,
            "{\"error\":{\"code\":\"FAILED_PRECONDITION\",\"message\":\"operation 3 is running: "
            "wait for its end\"}}\n");
  EXPECT_THAT(cluster_.membership().requests(), IsEmpty());
}

TEST_F(MemberTest, AnExpectedVersionThatDoesNotHoldExits4) {
  const Ran ran = Do({"member", "remove", "3", "--expect_version=7"});
  EXPECT_EQ(ran.exit_status, 4) << ran.err;
  EXPECT_EQ(ran.err, "distlog: the configuration is at version 1, not 7\n");
  EXPECT_EQ(Do({"member", "remove", "3", "--expect_version=1"}).exit_status, 0);
}

TEST_F(MemberTest, ADryRunPrintsThePlanAndBeginsNothing) {
  const Ran ran = Do({"member", "add", "a:1", "--dry_run"});
  EXPECT_EQ(ran.exit_status, 0) << ran.err;
  EXPECT_THAT(ran.out, StartsWith("plan from configuration 1:\n\nstep"));
  EXPECT_EQ(Do({"member", "ops"}).out, "no operation was ever begun\n");
  cluster_.membership().Refuse("it would leave no voter");
  const Ran refused = Do({"member", "remove", "1", "--dry_run"});
  EXPECT_EQ(refused.exit_status, 4);
  EXPECT_THAT(refused.out, HasSubstr("would be refused: it would leave no voter\n"));
  const Ran json = Do({"member", "remove", "1", "--dry_run", "--output=json"});
  EXPECT_EQ(json.exit_status, 4);
  EXPECT_THAT(json.out, StartsWith("{\"operation_id\":\"0\",\"plan\":{"));
  EXPECT_THAT(json.out, HasSubstr("\"refusal\":\"it would leave no voter\""));
}

// Somebody else has cancelled it, or it could not be.
TEST_F(MemberTest, AChangeThatEndsOtherwiseExits4) {
  cluster_.membership().Script(
      {Stage(v1::Operation::PHASE_LEARNING), Stage(v1::Operation::PHASE_CANCELLED)});
  const Ran cancelled = Do({"member", "add", "a:1", "--quiet"});
  EXPECT_EQ(cancelled.exit_status, 4);
  EXPECT_THAT(cancelled.out, HasSubstr("operation 1 (add a:1) is cancelled"));
  cluster_.membership().Script({Stage(v1::Operation::PHASE_FAILED, "another took effect")});
  const Ran failed = Do({"member", "add", "a:1", "--output=json"});
  EXPECT_EQ(failed.exit_status, 4);
  EXPECT_THAT(failed.out, HasSubstr("\"phase\":\"failed\",\"cause\":\"another took effect\""));
}

TEST_F(MemberTest, CancelWaitsUntilTheOperationIsCancelled) {
  cluster_.membership().Script({Stage(v1::Operation::PHASE_LEARNING)});
  EXPECT_EQ(Do({"member", "add", "a:1", "--no_wait"}).out, "operation 1 has begun\n");
  const Ran ran = Do({"member", "cancel", "1"});
  EXPECT_EQ(ran.exit_status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("operation 1 (add a:1) is cancelled"));
  EXPECT_THAT(Do({"member", "cancel", "1", "--output=json"}).out,
              HasSubstr("\"operations\":[{\"id\":\"1\""));
}

TEST_F(MemberTest, ACancelThatIsTooLateOrNamesNoOperationExits4) {
  ASSERT_EQ(Do({"member", "add", "a:1"}).exit_status, 0);
  const Ran late = Do({"member", "cancel", "1"});
  EXPECT_EQ(late.exit_status, 4);
  EXPECT_EQ(late.err, "distlog: operation 1 is done: too late\n");
  const Ran none = Do({"member", "cancel", "9"});
  EXPECT_EQ(none.exit_status, 4);
  EXPECT_EQ(none.err, "distlog: there is no operation 9\n");
}

TEST_F(MemberTest, WithoutALeaderAChangeExits5AndTheMembersAreListedAllTheSame) {
  cluster_.SetLeader(0);
  for (const Strings& words :
       {Strings{"member", "add", "a:1"}, Strings{"member", "remove", "1"},
        Strings{"member", "cancel", "1"}, Strings{"election", "transfer", "2"}}) {
    Strings all = words;
    all.push_back("--timeout=200ms");
    EXPECT_EQ(Do(all).exit_status, 5) << absl::StrJoin(words, " ");
  }
  EXPECT_THAT(cluster_.membership().requests(), IsEmpty());
  const Ran list = Do({"member", "list"});
  EXPECT_EQ(list.exit_status, 0) << list.err;
  EXPECT_THAT(list.out, HasSubstr("as a member knows it that does not lead"));
  EXPECT_EQ(Do({"member", "ops"}).exit_status, 0);
  EXPECT_EQ(Do({"election", "history"}).exit_status, 0);
}

TEST_F(MemberTest, WithNobodyThereEverythingExits5) {
  for (int id : {1, 2, 3}) cluster_.Stop(id);
  for (const Strings& words : {Strings{"member", "list"}, Strings{"member", "ops"},
                               Strings{"member", "add", "a:1"}, Strings{"member", "cancel", "1"},
                               Strings{"election", "transfer"}, Strings{"election", "history"}}) {
    Strings all = words;
    all.push_back("--timeout=200ms");
    const Ran ran = Do(all);
    EXPECT_EQ(ran.exit_status, 5) << absl::StrJoin(words, " ") << ": " << ran.err;
  }
}

TEST_F(MemberTest, AChangeWithoutAnAnswerExits3) {
  cluster_.Script(std::vector<Fault>(50, Fault::kHang));
  const Ran ran = Do({"member", "add", "a:1", "--timeout=300ms"});
  EXPECT_EQ(ran.exit_status, 3) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("it may have been begun: see `distlog member ops`"));
}

// It is in the log: whoever leads next carries it on.
TEST_F(MemberTest, AnOperationThatIsLostSightOfExits3) {
  cluster_.membership().Script({Stage(v1::Operation::PHASE_LEARNING)});
  std::thread loser([&] {
    while (cluster_.membership().requests().empty()) absl::SleepFor(absl::Milliseconds(5));
    // Not before the answer to the request has had its chance.
    while (cluster_.membership().told() < 3) absl::SleepFor(absl::Milliseconds(5));
    cluster_.SetLeader(0);
  });
  const Ran ran = Do({"member", "add", "a:1", "--timeout=500ms"});
  loser.join();
  EXPECT_EQ(ran.exit_status, 3) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("operation 1 is in the log and goes on"));
}

TEST_F(MemberTest, MembersAndOperationsAreListed) {
  ASSERT_EQ(Do({"member", "add", "a:1"}).exit_status, 0);
  ASSERT_EQ(Do({"member", "remove", "2"}).exit_status, 0);
  EXPECT_THAT(Do({"member", "list"}).out, StartsWith("configuration 1\n\nid  address"));
  EXPECT_THAT(Do({"member", "list", "--output=json"}).out,
              StartsWith("{\"configuration_version\":\"1\",\"members\":[{\"id\":\"1\",\"uuid\":"));
  const std::string operations = Do({"member", "ops"}).out;
  EXPECT_THAT(operations, HasSubstr("\n1   add a:1           done"));
  EXPECT_THAT(operations, HasSubstr("\n2   remove replica 2  done"));
  EXPECT_THAT(Do({"member", "ops", "--output=json"}).out,
              StartsWith("{\"from_leader\":true,\"operations\":[{\"id\":\"1\","));
}

TEST_F(MemberTest, TheLeadershipIsTransferred) {
  const Ran ran = Do({"election", "transfer", "2"});
  EXPECT_EQ(ran.exit_status, 0) << ran.err;
  EXPECT_THAT(ran.out, StartsWith("the leadership moved from replica 1 to replica 2, in ballot "
                                  "2.2, in "));
  EXPECT_EQ(cluster_.leader(), 2u);
  EXPECT_THAT(Do({"election", "transfer", "2"}).out, StartsWith("replica 2 leads already"));
  EXPECT_THAT(Do({"election", "transfer", "--output=json"}).out,
              StartsWith("{\"from_id\":\"2\",\"to_id\":\"3\",\"ballot\":{"));
  const Ran nobody = Do({"election", "transfer", "9"});
  EXPECT_EQ(nobody.exit_status, 4);
  EXPECT_EQ(nobody.err, "distlog: there is no replica 9\n");
}

TEST_F(MemberTest, TheHistoryIsThatOfTheNewestTerms) {
  for (uint64_t leader : {2, 3}) cluster_.SetLeader(leader);
  const std::string all = Do({"election", "history"}).out;
  EXPECT_THAT(all, HasSubstr("\n1.1 "));
  EXPECT_THAT(all, HasSubstr("handed over"));
  EXPECT_THAT(all, HasSubstr("goes on\n"));
  EXPECT_THAT(Do({"election", "history", "-n", "1"}).out, Not(HasSubstr("\n1.1 ")));
  EXPECT_THAT(Do({"election", "history", "-n", "1", "--output=json"}).out,
              StartsWith("{\"terms\":[{\"ballot\":{\"round\":\"3\",\"replica\":\"3\"}"));
}

TEST_F(MemberTest, StatusTellsOfTheOperationUnderWay) {
  cluster_.membership().Script({Stage(v1::Operation::PHASE_LEARNING, "member 4 is behind")});
  ASSERT_EQ(Do({"member", "add", "a:1", "--no_wait"}).exit_status, 0);
  EXPECT_THAT(Do({"status"}).out,
              HasSubstr("operation 1 is under way: add a:1 (learning): member 4 is behind\n"));
  EXPECT_THAT(Do({"status", "--output=json"}).out, HasSubstr("\"operation\":{\"id\":\"1\""));
}

// A removed server has nobody to ask about operations, and says at once what it is.
TEST_F(MemberTest, StatusOfARemovedServerSaysSo) {
  cluster_.membership().SetMembers({2, 3});
  const Ran ran = RunWith({"status", "--endpoints=" + cluster_.endpoint(1)});
  EXPECT_EQ(ran.exit_status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("was removed from the cluster and takes no part in it"));
}

}  // namespace
}  // namespace distlog::cli
