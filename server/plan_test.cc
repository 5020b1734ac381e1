// What each change of members comes to, why it is refused, and what an operator is told before it.

#include "server/plan.h"

#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "wire/status.h"
#include "wire/value.h"

namespace distlog {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using v1::Operation;

constexpr uint64_t kPlenty = uint64_t{1} << 40;

std::string At(uint64_t number) { return "127.0.0.1:" + std::to_string(4600 + number); }

paxos::Configuration Of(uint64_t voters, uint64_t learners = 0) {
  paxos::Configuration configuration{.version = 5, .members = {}};
  for (uint64_t id = 1; id <= voters + learners; ++id) {
    configuration.members.push_back({paxos::ReplicaId{id}, {0, id}, At(id), id <= voters});
  }
  configuration.next_replica_id = voters + learners + 1;
  return configuration;
}

// Replica 1 leads, and hears all but the dead. Empty servers are at the addresses above theirs.
class PlanTest : public testing::Test {
 protected:
  void Cluster(const paxos::Configuration& configuration, std::set<uint64_t> dead = {}) {
    view_.cluster_id = std::string(32, 'c');
    view_.configuration = configuration;
    view_.leader = paxos::ReplicaId{1};
    for (const paxos::Member& member : configuration.members) {
      if (dead.contains(static_cast<uint64_t>(member.id))) continue;
      view_.heard.insert(member.id);
      view_.caught_up.insert(member.id);
    }
  }
  v1::ProbeResponse& Empty(uint64_t number) {
    Newcomer& newcomer = newcomers_[At(number)];
    v1::ProbeResponse answer;
    answer.set_uuid(ToBytes({9, number}));
    answer.set_address(At(number));
    answer.set_wire_version_min(1);
    answer.set_wire_version_max(1);
    answer.set_disk_free_bytes(kPlenty);
    newcomer.answer = answer;
    return *newcomer.answer;
  }
  Planned Add(uint64_t number, bool learner = false) {
    return Plan({.verb = Operation::VERB_ADD, .addresses = {At(number)}, .learner = learner});
  }
  Planned Remove(uint64_t id) { return Plan({.verb = Operation::VERB_REMOVE, .id = id}); }
  Planned Replace(uint64_t id, uint64_t number) {
    return Plan({.verb = Operation::VERB_REPLACE, .id = id, .addresses = {At(number)}});
  }
  Planned Promote(uint64_t id) { return Plan({.verb = Operation::VERB_PROMOTE, .id = id}); }
  Planned Set(const std::vector<uint64_t>& numbers) {
    Change change{.verb = Operation::VERB_SET};
    for (const uint64_t number : numbers) change.addresses.push_back(At(number));
    return Plan(change);
  }
  Planned Plan(Change change) {
    change.options.MergeFrom(options_);
    EXPECT_EQ(CheckChange(change), absl::OkStatus());
    return PlanChange(change, view_, newcomers_);
  }

  v1::ChangeOptions options_;
  ClusterView view_;
  std::map<std::string, Newcomer> newcomers_;
};

void ExpectRefused(const Planned& planned, const std::string& why) {
  EXPECT_EQ(planned.refusal.code(), absl::StatusCode::kFailedPrecondition) << planned.refusal;
  EXPECT_THAT(std::string(planned.refusal.message()), HasSubstr(why));
  EXPECT_EQ(planned.plan.refusal(), planned.refusal.message());
}

// "1 2 3 new:4604* ": learners have a star.
std::string Members(const google::protobuf::RepeatedPtrField<v1::MemberMessage>& members) {
  std::string words;
  for (const v1::MemberMessage& member : members) {
    words += member.id() == 0 ? "new:" + member.address().substr(10) : std::to_string(member.id());
    words += member.voter() ? " " : "* ";
  }
  return words;
}

std::vector<std::string> Steps(const Planned& planned) {
  std::vector<std::string> steps;
  for (const v1::PlanStep& step : planned.plan.steps()) steps.push_back(Members(step.members()));
  return steps;
}

std::vector<std::string> Warnings(const Planned& planned) {
  return {planned.plan.warnings().begin(), planned.plan.warnings().end()};
}

TEST_F(PlanTest, ANewVoterLearnsFirst) {
  Cluster(Of(3));
  Empty(4);
  const Planned planned = Add(4);
  ASSERT_EQ(planned.refusal, absl::OkStatus());
  EXPECT_THAT(Steps(planned), ElementsAre("1 2 3 ", "1 2 3 new:4604* ", "1 2 3 new:4604 "));
  EXPECT_TRUE(planned.has_effect);
  EXPECT_TRUE(planned.command.learn_first());
  EXPECT_EQ(planned.command.base_version(), 5);
  EXPECT_EQ(Members(planned.command.goal()), "1 2 3 new:4604 ");
  EXPECT_EQ(planned.command.goal(3).uuid(), ToBytes({9, 4}));
  EXPECT_EQ(planned.command.request(), "add 127.0.0.1:4604");
  EXPECT_EQ(planned.plan.steps(2).quorum(), 3);
  EXPECT_EQ(planned.plan.steps(2).can_lose(), 1);
  EXPECT_THAT(Warnings(planned), ElementsAre(HasSubstr("with 4 voters")));
}

TEST_F(PlanTest, ALearnerIsAddedInOneStep) {
  Cluster(Of(3));
  Empty(4);
  const Planned planned = Add(4, /*learner=*/true);
  ASSERT_EQ(planned.refusal, absl::OkStatus());
  EXPECT_THAT(Steps(planned), ElementsAre("1 2 3 ", "1 2 3 new:4604* "));
  EXPECT_FALSE(planned.command.learn_first());
  EXPECT_THAT(Warnings(planned), IsEmpty());
}

// At each step, what the death of each member would mean.
TEST_F(PlanTest, DeathsAreToldStepByStep) {
  Cluster(Of(3, 1), /*dead=*/{3});
  const Planned planned = Remove(3);
  ASSERT_EQ(planned.refusal, absl::OkStatus());
  const auto effects = [&](int step) {
    std::vector<std::string> words;
    for (const v1::DeathEffect& death : planned.plan.steps(step).deaths()) {
      words.push_back(death.effect());
    }
    return words;
  };
  EXPECT_THAT(effects(0), ElementsAre(HasSubstr("no quorum"), HasSubstr("no quorum"),
                                      HasSubstr("cannot be reached as it is"),
                                      HasSubstr("learners are not counted")));
  EXPECT_EQ(planned.plan.steps(0).can_lose(), 0);
  EXPECT_THAT(effects(1), ElementsAre(HasSubstr("no quorum"), HasSubstr("no quorum"),
                                      HasSubstr("learners are not counted")));
  Cluster(Of(5));
  const Planned five = Remove(5);
  EXPECT_THAT(five.plan.steps(0).deaths(0).effect(),
              HasSubstr("another takes the lead, and the cluster goes on; it can lose 1 more"));
  EXPECT_THAT(five.plan.steps(1).deaths(1).effect(), HasSubstr("one more death would stop it"));
}

// A member that is dead gives its seat at once; one that lives, only when the other can take it.
TEST_F(PlanTest, ALivingMemberIsNotExchangedForAnEmptyOne) {
  Cluster(Of(3));
  Empty(4);
  const Planned living = Replace(2, 4);
  ASSERT_EQ(living.refusal, absl::OkStatus());
  EXPECT_THAT(Steps(living), ElementsAre("1 2 3 ", "1 2 3 new:4604* ", "1 3 new:4604 "));
  EXPECT_TRUE(living.command.learn_first());
  view_.heard.erase(paxos::ReplicaId{2});
  view_.caught_up.erase(paxos::ReplicaId{2});
  const Planned dead = Replace(2, 4);
  ASSERT_EQ(dead.refusal, absl::OkStatus());
  EXPECT_THAT(Steps(dead), ElementsAre("1 2 3 ", "1 3 new:4604 "));
  EXPECT_FALSE(dead.command.learn_first());
  EXPECT_EQ(Members(dead.command.goal()), "1 3 new:4604 ");
}

// Four voters, one dead, one behind: with a newcomer at once only two of four could vote.
TEST_F(PlanTest, ANewcomerForTheDeadLearnsFirstIfItsVoteIsNeeded) {
  Cluster(Of(4), /*dead=*/{4});
  view_.caught_up.erase(paxos::ReplicaId{3});
  Empty(5);
  const Planned planned = Replace(4, 5);
  ASSERT_EQ(planned.refusal, absl::OkStatus());
  EXPECT_TRUE(planned.command.learn_first());
}

// A disk was lost, and an empty directory is served at the same address. Two members cannot have
// one address, so there is no step between.
TEST_F(PlanTest, AWipedMemberIsReplacedAtItsOwnAddress) {
  Cluster(Of(3), /*dead=*/{3});
  Empty(3);
  const Planned planned = Replace(3, 3);
  ASSERT_EQ(planned.refusal, absl::OkStatus());
  EXPECT_THAT(Steps(planned), ElementsAre("1 2 3 ", "1 2 new:4603 "));
  EXPECT_FALSE(planned.command.learn_first());
  ExpectRefused(Add(3), "run `distlog member replace 3 127.0.0.1:4603`");
  Empty(3).set_uuid(ToBytes({0, 3}));
  ExpectRefused(Replace(3, 3), "is a member already: replica 3");
}

TEST_F(PlanTest, ASetMayBeAnyOther) {
  Cluster(Of(3));
  for (const uint64_t number : {4, 5, 6}) Empty(number);
  const Planned disjoint = Set({6, 4, 5});
  ASSERT_EQ(disjoint.refusal, absl::OkStatus());
  EXPECT_THAT(Steps(disjoint), ElementsAre("1 2 3 ", "1 2 3 new:4606* new:4604* new:4605* ",
                                           "new:4606 new:4604 new:4605 "));
  EXPECT_THAT(Warnings(disjoint), Contains(HasSubstr("the lead goes to another")));
  const Planned same = Set({3, 1, 2});
  EXPECT_EQ(same.refusal, absl::OkStatus());
  EXPECT_FALSE(same.has_effect);
  EXPECT_THAT(Steps(same), ElementsAre("1 2 3 "));
  Cluster(Of(3, 2));
  const Planned promoting = Set({1, 2, 3, 4});
  ASSERT_EQ(promoting.refusal, absl::OkStatus());
  EXPECT_EQ(Members(promoting.command.goal()), "1 2 3 4 ");
  EXPECT_FALSE(promoting.command.learn_first());
}

TEST_F(PlanTest, ALeaderMayRemoveItself) {
  Cluster(Of(3));
  const Planned planned = Remove(1);
  ASSERT_EQ(planned.refusal, absl::OkStatus());
  EXPECT_THAT(Warnings(planned),
              ElementsAre(HasSubstr("no voter can fail"), HasSubstr("with 2 voters"),
                          HasSubstr("replica 1 at 127.0.0.1:4601 leads")));
}

// ---- Refusals ----------------------------------------------------------------------------------

TEST_F(PlanTest, AQuorumMustBeLeftThatCanVote) {
  Cluster(Of(3), /*dead=*/{3});
  ExpectRefused(Remove(2),
                "2 are needed and only 1 could vote (replica 3 at 127.0.0.1:4603 cannot "
                "be reached)");
  view_.heard.insert(paxos::ReplicaId{3});
  ExpectRefused(Remove(2), "replica 3 at 127.0.0.1:4603 is behind");
  options_.set_force(true);
  ExpectRefused(Remove(2), "is behind");
  view_.caught_up.insert(paxos::ReplicaId{3});
  EXPECT_EQ(Remove(2).refusal, absl::OkStatus());
  Cluster(Of(1, 1), /*dead=*/{});
  view_.caught_up = {paxos::ReplicaId{1}};
  ExpectRefused(Promote(2), "2 are needed and only 1 could vote");
}

TEST_F(PlanTest, TheLastVoterStays) {
  Cluster(Of(1));
  ExpectRefused(Remove(1), "no voter");
  ExpectRefused(Set({}), "no voter");
  Cluster(Of(1, 2));
  ExpectRefused(Remove(1), "no voter");
}

TEST_F(PlanTest, ANewcomerMustBeEmptyAndNobodyElses) {
  Cluster(Of(3));
  ExpectRefused(Add(2), "is a member already: replica 2");
  ExpectRefused(Replace(1, 2), "is a member already: replica 2");
  Empty(4).set_uuid(ToBytes({0, 2}));
  ExpectRefused(Add(4), "is a member already: replica 2");
  Empty(4).set_cluster_id(std::string(32, 'x'));
  ExpectRefused(Add(4), "belongs to another cluster (7878");
  Empty(4).set_cluster_id(view_.cluster_id);
  ExpectRefused(Add(4), "was a member of this cluster once and was removed");
}

TEST_F(PlanTest, ANewcomerMustBeReachableFromEverywhere) {
  Cluster(Of(3));
  newcomers_[At(4)].answer =
      absl::UnavailableError("the server at 127.0.0.1:4604 cannot be reached: connection refused");
  ExpectRefused(Add(4), "connection refused; it has to run");
  Empty(4);
  newcomers_[At(4)].unreached_from[paxos::ReplicaId{2}] = "no answer";
  ExpectRefused(Add(4), "cannot be reached from replica 2 at 127.0.0.1:4602 (no answer)");
  options_.set_force(true);
  ExpectRefused(Add(4), "cannot be reached from replica 2");
}

TEST_F(PlanTest, ANewcomerMustFitAndBeSane) {
  Cluster(Of(3));
  Empty(4).set_wire_version_min(2);
  newcomers_[At(4)].answer->set_wire_version_max(3);
  ExpectRefused(Add(4), "speaks wire versions 2 to 3, the leader 1 to 1");
  Empty(4).set_address("127.0.0.1:9");
  ExpectRefused(Add(4), "advertises 127.0.0.1:9: name it so");
  Empty(4).set_disk_free_bytes(100 << 20);
  ExpectRefused(Add(4), "has only 100 MiB left");
  options_.set_force(true);
  ExpectRefused(Add(4), "has only 100 MiB left");
}

// The clock endangers nothing but what people read: --force lets it pass, with a warning.
TEST_F(PlanTest, AClockThatIsOffNeedsForce) {
  Cluster(Of(3));
  Empty(4);
  newcomers_[At(4)].clock_ahead_ms = -5'001;
  ExpectRefused(Add(4), "is 5 s behind the leader's");
  options_.set_force(true);
  const Planned forced = Add(4);
  EXPECT_EQ(forced.refusal, absl::OkStatus());
  EXPECT_THAT(Warnings(forced), Contains(HasSubstr("is 5 s behind the leader's")));
  options_.set_force(false);
  newcomers_[At(4)].clock_ahead_ms = 5'000;
  EXPECT_EQ(Add(4).refusal, absl::OkStatus());
}

TEST_F(PlanTest, OneChangeAtATime) {
  Cluster(Of(3));
  view_.running_id = 7;
  view_.running = "add 127.0.0.1:4609";
  ExpectRefused(Remove(3), "operation 7 (add 127.0.0.1:4609) is running");
  ExpectRefused(Remove(3), "distlog member cancel 7");
}

TEST_F(PlanTest, AnExpectedVersionIsCompared) {
  Cluster(Of(3));
  options_.set_expect_version(4);
  const Planned planned = Remove(3);
  EXPECT_EQ(planned.refusal.code(), absl::StatusCode::kAborted);
  const auto detail = DetailOf(planned.refusal);
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason(), v1::ErrorDetail::REASON_CONFIGURATION);
  EXPECT_EQ(detail->actual(), 5);
  options_.set_expect_version(5);
  EXPECT_EQ(Remove(3).refusal, absl::OkStatus());
}

TEST_F(PlanTest, IdsMustBeMembersAndLearnersBePromoted) {
  Cluster(Of(2, 2));
  ExpectRefused(Remove(9), "no member has id 9 (the members are 1, 2, 3, 4)");
  Empty(5);
  ExpectRefused(Replace(9, 5), "no member has id 9");
  ExpectRefused(Promote(9), "no member has id 9");
  ExpectRefused(Promote(2), "replica 2 is a voter");
  view_.caught_up.erase(paxos::ReplicaId{3});
  ExpectRefused(Promote(3), "has not caught up yet");
  view_.heard.erase(paxos::ReplicaId{4});
  view_.caught_up.erase(paxos::ReplicaId{4});
  ExpectRefused(Promote(4), "cannot be reached");
  options_.set_force(true);
  EXPECT_EQ(Promote(3).refusal, absl::OkStatus()) << "2 of 3 voters are ready";
}

// A learner's seat stays a learner's.
TEST_F(PlanTest, ALearnerIsReplacedByALearner) {
  Cluster(Of(3, 1));
  Empty(5);
  const Planned planned = Replace(4, 5);
  ASSERT_EQ(planned.refusal, absl::OkStatus());
  EXPECT_THAT(Steps(planned), ElementsAre("1 2 3 4* ", "1 2 3 new:4605* "));
}

TEST_F(PlanTest, MembersAreBounded) {
  Cluster(Of(15));
  Empty(16);
  ExpectRefused(Add(16), "it would make 16 members, and a cluster has at most 15");
  EXPECT_EQ(Replace(2, 16).refusal, absl::OkStatus());
}

TEST_F(PlanTest, WhoIsUnreachableIsNamed) {
  Cluster(Of(5), /*dead=*/{4});
  EXPECT_THAT(Warnings(Remove(5)), Contains(HasSubstr("replica 4 at 127.0.0.1:4604 cannot be")));
  EXPECT_THAT(Warnings(Remove(4)), Not(Contains(HasSubstr("replica 4"))));
}

TEST(CheckChangeTest, MalformedRequestsAreInvalid) {
  const auto check = [](const std::vector<std::string>& addresses) {
    return CheckChange({.verb = Operation::VERB_SET, .addresses = addresses}).code();
  };
  EXPECT_EQ(check({At(1), At(2)}), absl::StatusCode::kOk);
  EXPECT_EQ(check({At(1), At(1)}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(check({"nonsense"}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(check({"127.0.0.1:0"}), absl::StatusCode::kInvalidArgument);
}

TEST(CheckChangeTest, OnlyUnknownAddressesAreProbed) {
  EXPECT_THAT(NewcomersOf({.verb = Operation::VERB_SET, .addresses = {At(1), At(4)}}, Of(3)),
              ElementsAre(At(4)));
  EXPECT_THAT(NewcomersOf({.verb = Operation::VERB_ADD, .addresses = {At(1)}}, Of(3)),
              ElementsAre(At(1)));
}

}  // namespace
}  // namespace distlog
