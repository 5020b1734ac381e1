// Every refusal of a change of members or of the leadership, as an operator meets it: one sentence
// with the reason, exit status 4 (5 where no leader could decide), and a cluster in whose log
// nothing has happened.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "tests/e2e/member_fixture.h"

namespace distlog {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class RefusalTest : public ChangingMembers {
 protected:
  // Rounds are long: a leader that changes by itself would write that into the log.
  void StartMembers(int members) {
    StartCluster(members, {"--heartbeat_interval_ms=400"}, kSpares);
    if (HasFatalFailure()) return;
    endpoints_ = absl::StrCat("--endpoints=", cluster_->endpoints());
  }
  // Others are not asked from now on.
  void AskOnly(const std::vector<int>& servers) {
    endpoints_ = absl::StrCat("--endpoints=", absl::StrJoin(Addresses(servers), ","));
  }

  Finished Run(std::vector<std::string> arguments, const std::string& timeout = "30s") {
    arguments.insert(arguments.begin(), {endpoints_, absl::StrCat("--timeout=", timeout)});
    return cluster_->Distlog(arguments);
  }
  void Do(const std::vector<std::string>& arguments) {
    const Finished done = Run(arguments);
    ASSERT_EQ(done.status, 0) << absl::StrJoin(arguments, " ") << ": " << done.err;
  }

  // All that a refusal must leave as it is: members, operations (not how far their learners are,
  // which the leader counts anew every round), and the log of the leader to its last slot.
  std::string State() {
    const Finished status = Run({"--output=json", "status"});
    const auto json = ParseJson(status.out);
    if (!json.ok()) return absl::StrCat("no status: ", status.err);
    std::string state = absl::StrCat("configuration ", Text(*json, "configuration_version"));
    for (const Json& member : Objects(*json, "members")) {
      if (Text(member, "is_leader") != "true") continue;
      absl::StrAppend(&state, ", leader ", Text(member, "id"), ", slot ",
                      Text(member, "applied_through"), ", digest ", Text(member, "digest"));
    }
    const Finished ops = Run({"--output=json", "member", "ops"});
    const auto operations = ParseJson(ops.out);
    if (!operations.ok()) return absl::StrCat("no operations: ", ops.err);
    for (const Json& operation : Objects(*operations, "operations")) {
      for (const char* field : {"id", "request", "phase", "cause", "begun_ms", "changed_ms"}) {
        absl::StrAppend(&state, field == std::string("id") ? "\n" : ", ", field, " ",
                        Text(operation, field));
      }
    }
    return state;
  }
  // An operation that is told to be done has yet to be noted so in the log; what is appended
  // afterwards is behind that.
  std::string SettledState() {
    EXPECT_EQ(Run({"append", "x"}).status, 0);
    return State();
  }

  void ExpectRefused(const std::vector<std::string>& arguments, const std::string& reason,
                     int exit_status = 4, const std::string& timeout = "30s") {
    const std::string words = absl::StrJoin(arguments, " ");
    const Finished refused = Run(arguments, timeout);
    EXPECT_EQ(refused.status, exit_status) << words << ": " << refused.err;
    EXPECT_TRUE(IsOneSentence(refused.err)) << words << ": " << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(reason)) << words;
    EXPECT_EQ(refused.out, "") << words;
  }

  // Until the leader has missed it in a round.
  bool AwaitUnheard(const std::string& id) {
    return Await([&] {
      const auto json = ParseJson(Run({"--output=json", "election", "status"}).out);
      if (!json.ok()) return false;
      for (const Json& view : Objects(*json, "views")) {
        if (Text(view, "id") != Text(*json, "leader_id")) continue;
        const auto& heard = view.fields().at("heard").list_value().values();
        return std::none_of(heard.begin(), heard.end(),
                            [&](const auto& one) { return one.string_value() == id; });
      }
      return false;
    });
  }

  std::string endpoints_;
};

TEST_F(RefusalTest, WhatCannotBeAddedAndWhoIsNoMember) {
  StartMembers(3);
  if (HasFatalFailure()) return;
  const std::string other = cluster_->endpoint(3);
  const std::string learner = cluster_->endpoint(4);
  const std::string removed = cluster_->endpoint(5);
  const std::string nowhere = cluster_->endpoint(6);
  StartServer(4);
  StartServer(5);
  Do({"member", "add", "--learner", removed});
  // Removed before it knows of its seat it would be as empty as before.
  ASSERT_TRUE(Await([&] {
    const auto status = cluster_->Status(5);
    return status.ok() && Text(*status, "assigned") == "true";
  }));
  Do({"member", "remove", IdOf(5)});
  Do({"member", "add", "--learner", learner});
  AskOnly({0, 1, 2});
  StartServer(3);
  const Finished formed = cluster_->Distlog({absl::StrCat("--endpoints=", other), "init", other});
  ASSERT_EQ(formed.status, 0) << formed.err;
  if (HasFatalFailure()) return;

  const std::string before = SettledState();
  const std::string first = cluster_->endpoint(0);
  const std::string second = cluster_->endpoint(1);
  ExpectRefused({"member", "add", first}, "is a member already");
  ExpectRefused({"member", "add", learner}, "is a member already");
  ExpectRefused({"member", "add", other}, "belongs to another cluster");
  ExpectRefused({"member", "add", "--force", other}, "belongs to another cluster");
  ExpectRefused({"member", "add", removed}, "was removed");
  ExpectRefused({"member", "add", nowhere}, "it has to run");
  ExpectRefused({"member", "set", first, second, other}, "belongs to another cluster");
  ExpectRefused({"member", "set", first, second, nowhere}, "it has to run");
  ExpectRefused({"member", "replace", IdOf(0), second}, "is a member already");
  ExpectRefused({"member", "replace", IdOf(0), other}, "belongs to another cluster");
  ExpectRefused({"member", "replace", "99", nowhere}, "no member has id 99");
  ExpectRefused({"member", "remove", "99"}, "no member has id 99");
  ExpectRefused({"member", "promote", "99"}, "no member has id 99");
  ExpectRefused({"member", "promote", IdOf(0)}, "only a learner can be promoted");
  ExpectRefused({"member", "remove", IdOf(0), "--expect_version=1"}, "has version 4, not 1");
  ExpectRefused({"member", "cancel", "2"}, "has finished already");
  ExpectRefused({"member", "cancel", "99"}, "there is no operation 99");
  ExpectRefused({"election", "transfer", "99"}, "it is no voter");
  ExpectRefused({"election", "transfer", IdOf(4)}, "it is no voter");
  ExpectRefused({"init", first, second, cluster_->endpoint(2)}, "nothing was changed");
  EXPECT_EQ(State(), before);

  // The plan of what would be refused says so, and exits alike.
  const Finished plan = Run({"member", "add", "--dry_run", other});
  EXPECT_EQ(plan.status, 4) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("would be refused: "));
  EXPECT_EQ(State(), before);
}

TEST_F(RefusalTest, AServerThatIsCalledOtherwise) {
  StartMembers(1);
  if (HasFatalFailure()) return;
  ASSERT_TRUE(cluster_->Start(1, {absl::StrCat("--advertise=localhost:", cluster_->port(1))}).ok());
  AskOnly({0});
  const std::string before = SettledState();
  ExpectRefused({"member", "add", cluster_->endpoint(1)}, "advertises localhost");
  EXPECT_EQ(State(), before);
}

// Of three one is dead: no other may leave, whatever --force is given; and what was wiped is not
// added beside itself.
TEST_F(RefusalTest, WhatWouldLeaveNoQuorum) {
  StartMembers(3);
  if (HasFatalFailure()) return;
  const int leader = Leader();
  const int dead = (leader + 1) % 3;
  const int living = (leader + 2) % 3;
  const std::string dead_id = IdOf(dead);
  const std::string living_id = IdOf(living);
  cluster_->Destroy(dead);
  ASSERT_TRUE(AwaitUnheard(dead_id));
  const std::string before = SettledState();
  for (const std::string force : {"--force=false", "--force"}) {
    ExpectRefused({"member", "remove", living_id, force}, "2 are needed and only 1 could vote");
    ExpectRefused({"member", "set", cluster_->endpoint(leader), cluster_->endpoint(dead), force},
                  "2 are needed and only 1 could vote");
  }
  ExpectRefused({"election", "transfer", dead_id}, "not reachable from the leader");
  EXPECT_EQ(State(), before);
  StartServer(dead);  // With an empty directory.
  ExpectRefused({"member", "add", cluster_->endpoint(dead)}, "distlog member replace " + dead_id);
  EXPECT_EQ(State(), before);
}

TEST_F(RefusalTest, TheLastVoterStaysAndALearnerMustBeThereToBePromoted) {
  StartMembers(1);
  if (HasFatalFailure()) return;
  StartServer(1);
  Do({"member", "add", "--learner", cluster_->endpoint(1)});
  const std::string learner = IdOf(1);
  const std::string voter = IdOf(0);
  cluster_->Kill(1);
  ASSERT_TRUE(AwaitUnheard(learner));
  const std::string before = SettledState();
  ExpectRefused({"member", "promote", learner}, "cannot be reached");
  ExpectRefused({"member", "promote", learner, "--force"}, "2 are needed and only 1 could vote");
  ExpectRefused({"member", "remove", voter}, "it would leave no voter");
  ExpectRefused({"member", "remove", voter, "--force"}, "it would leave no voter");
  ExpectRefused({"election", "transfer"}, "no other voter is reachable");
  EXPECT_EQ(State(), before);
}

// The first one waits for a newcomer that is dead.
TEST_F(RefusalTest, ASecondChangeWhileOneRuns) {
  StartMembers(3);
  if (HasFatalFailure()) return;
  StartServer(3);
  StartServer(4);
  const Finished begun = Run({"member", "add", "--no_wait", cluster_->endpoint(3)});
  ASSERT_EQ(begun.status, 0) << begun.err;
  cluster_->Kill(3);
  ASSERT_TRUE(Await([&] {
    return Run({"member", "ops"}).out.find("is not reachable") != std::string::npos;
  }));
  const std::string before = SettledState();
  const std::string id = IdOf(1);
  ExpectRefused({"member", "add", cluster_->endpoint(4)}, "operation 1 (add ");
  ExpectRefused({"member", "remove", id}, "is running");
  ExpectRefused({"member", "replace", id, cluster_->endpoint(4)}, "is running");
  ExpectRefused({"member", "promote", IdOf(3)}, "is running");
  ExpectRefused({"member", "set", cluster_->endpoint(0), "--force"}, "is running");
  EXPECT_EQ(State(), before);
  Do({"member", "cancel", "1"});
  Do({"member", "add", cluster_->endpoint(4)});
}

TEST_F(RefusalTest, WithoutAQuorumNothingBegins) {
  StartMembers(3);
  if (HasFatalFailure()) return;
  StartServer(3);
  const std::string id = IdOf(1);
  const int left = Leader();
  for (const int server : {0, 1, 2}) {
    if (server != left) cluster_->Kill(server);
  }
  ASSERT_TRUE(Await([&] {
    const auto json = ParseJson(Run({"--output=json", "status"}).out);
    return json.ok() && Text(*json, "leader_id") == "0";
  }));
  ExpectRefused({"member", "add", cluster_->endpoint(3)}, "no leader", 5, "2s");
  ExpectRefused({"member", "remove", id}, "no leader", 5, "2s");
  ExpectRefused({"member", "replace", id, cluster_->endpoint(3)}, "no leader", 5, "2s");
  ExpectRefused({"member", "set", cluster_->endpoint(0), "--force"}, "no leader", 5, "2s");
  ExpectRefused({"member", "cancel", "1"}, "no leader", 5, "2s");
  ExpectRefused({"election", "transfer", id}, "no leader", 5, "2s");
  ASSERT_TRUE(cluster_->StartAll().ok());
  Leader();
  EXPECT_THAT(State(), StartsWith("configuration 1,"));
  EXPECT_THAT(Run({"--output=json", "member", "ops"}).out, HasSubstr("\"operations\":[]"));
}

}  // namespace
}  // namespace distlog
