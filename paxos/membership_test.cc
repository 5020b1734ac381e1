// Changes of configuration, by the rules B1 to B9 of docs/protocol.md, on a perfect network: that
// any set of voters follows any other in one step, and that the old ones are needed no more when
// the change is settled.

#include <algorithm>

#include "gtest/gtest.h"
#include "paxos/replica.h"
#include "paxos/test_cluster.h"

namespace distlog::paxos {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using enum Replica::Reconfiguration;

constexpr ReplicaId k1{1};
constexpr ReplicaId k2{2};
constexpr ReplicaId k3{3};
constexpr ReplicaId k4{4};

class MembershipTest : public testing::Test {
 protected:
  MembershipTest() : cluster_(3) {
    cluster_.Pass(seconds(2));
    leader_ = cluster_.Leader();
  }

  // What follows the configuration in force, with these voters and learners.
  Configuration Next(const std::set<int>& voters, const std::set<int>& learners = {}) {
    const Configuration& current = cluster_.at(leader_).configuration();
    Configuration next{.version = current.version + 1,
                       .members = {},
                       .next_replica_id = current.next_replica_id,
                       .feature_level = current.feature_level};
    std::set<int> all = voters;
    all.insert(learners.begin(), learners.end());
    for (const int id : all) {
      next.members.push_back({ReplicaId(id), Uuid{0, static_cast<uint64_t>(id)},
                              "host:" + std::to_string(id), voters.contains(id)});
      next.next_replica_id = std::max<uint64_t>(next.next_replica_id, id + 1);
    }
    return next;
  }

  void Append(int count) {
    for (int i = 0; i < count; ++i) {
      cluster_.Do(leader_, Propose{Ticket(++tickets_), Batch("v" + std::to_string(tickets_))});
    }
    cluster_.Pass(milliseconds(300));  // The others tell how far they are.
  }
  // Proposes it, and lets it settle.
  void Change(const Configuration& next) {
    ASSERT_EQ(cluster_.at(leader_).CanReconfigure(next), kAllowed);
    cluster_.Do(leader_, Propose{Ticket(++tickets_), paxos::Change(next)});
    cluster_.Pass(seconds(2));
    leader_ = cluster_.Leader();
    ASSERT_NE(leader_, kNoReplica);
    ASSERT_EQ(cluster_.at(leader_).configuration(), next);
    ASSERT_TRUE(cluster_.at(leader_).is_settled());
  }
  // Adds learners that have caught up.
  void AddLearners(const std::set<int>& learners) {
    for (const int id : learners) cluster_.Start(ReplicaId(id));
    Change(Next({1, 2, 3}, learners));
    cluster_.Pass(seconds(1));
    for (const int id : learners) {
      ASSERT_EQ(cluster_.log(ReplicaId(id)), cluster_.log(leader_)) << id;
    }
  }

  TestCluster cluster_;
  ReplicaId leader_{};
  uint64_t tickets_ = 0;
};

TEST_F(MembershipTest, ALearnerGetsTheLogAndIsNeverCounted) {
  Append(20);
  AddLearners({4});
  ASSERT_EQ(leader_, cluster_.Leader());
  for (const ReplicaId id : {k1, k2, k3}) {
    if (id != leader_) cluster_.Kill(id);
  }
  cluster_.outcomes(leader_).clear();
  Append(1);
  EXPECT_TRUE(cluster_.outcomes(leader_).empty()) << "one voter of three and a learner decided";
  EXPECT_EQ(cluster_.at(k4).promised().owner, leader_) << "it accepts, uncounted";
}

TEST_F(MembershipTest, ADeadMemberIsReplacedInOneStep) {
  Append(5);
  const ReplicaId dead = leader_ == k3 ? k2 : k3;
  cluster_.Destroy(dead);
  cluster_.Pass(seconds(1));
  cluster_.Start(k4);
  std::set<int> voters{1, 2, 3, 4};
  voters.erase(static_cast<int>(static_cast<uint64_t>(dead)));
  Change(Next(voters));
  Append(5);
  cluster_.Pass(seconds(1));
  EXPECT_EQ(cluster_.log(k4), cluster_.log(leader_));
  EXPECT_EQ(cluster_.log(k4).size(), 11u);
}

TEST_F(MembershipTest, AllMembersAreReplacedAtOnceAndTheOldOnesMayBeDestroyed) {
  Append(20);
  AddLearners({4, 5, 6});
  Change(Next({4, 5, 6}));
  EXPECT_GE(leader_, k4);
  for (const ReplicaId old : {k1, k2, k3}) {
    EXPECT_TRUE(cluster_.at(old).has_left());
    cluster_.Destroy(old);
  }
  for (int id : {4, 5, 6}) cluster_.Kill(ReplicaId(id));  // A power cut ...
  for (int id : {4, 5, 6}) cluster_.Start(ReplicaId(id));
  cluster_.Pass(seconds(2));
  leader_ = cluster_.Leader();
  ASSERT_NE(leader_, kNoReplica);
  Append(1);
  cluster_.Pass(seconds(1));
  // ... of processes that remember: each applies its log again from the mark on.
  EXPECT_EQ(cluster_.at(leader_).chosen_through(), 23u);
}

TEST_F(MembershipTest, TheLeaderRemovesItselfAndAnotherGoesOnAtOnce) {
  Append(3);
  std::set<int> others{1, 2, 3};
  others.erase(static_cast<int>(static_cast<uint64_t>(leader_)));
  const ReplicaId old = leader_;
  const Configuration next = Next(others);
  ASSERT_EQ(cluster_.at(leader_).CanReconfigure(next), kAllowed);
  cluster_.Do(leader_, Propose{Ticket(99), paxos::Change(next)});
  // It has told the best of the others to take over: no round of heartbeats was needed.
  leader_ = cluster_.Leader();
  ASSERT_NE(leader_, kNoReplica);
  EXPECT_NE(leader_, old);
  cluster_.Pass(seconds(1));
  EXPECT_TRUE(cluster_.at(old).has_left());
  EXPECT_EQ(cluster_.at(old).deadline(), Time::max()) << "it has nothing more to say";
  Append(1);
  EXPECT_EQ(cluster_.log(leader_).size(), 5u);
}

TEST_F(MembershipTest, WhoeverAloneKnowsTheChangeCarriesItToTheNewMembers) {
  AddLearners({4, 5, 6});
  // Nobody hears of the new configuration but the leader that got it chosen.
  for (const int from : {1, 2, 3}) {
    for (const int to : {4, 5, 6}) cluster_.Cut(ReplicaId(from), ReplicaId(to));
  }
  const ReplicaId old = leader_;
  const Configuration next = Next({4, 5, 6});
  cluster_.Do(leader_, Propose{Ticket(99), paxos::Change(next)});
  ASSERT_EQ(cluster_.at(old).configuration(), next);
  cluster_.Pass(seconds(3));
  EXPECT_EQ(cluster_.Leader(), kNoReplica);
  EXPECT_FALSE(cluster_.at(old).has_left());
  cluster_.Restart(old);  // It goes on after a restart, too, ...
  for (const int id : {1, 2, 3}) {
    if (ReplicaId(id) != old) cluster_.Destroy(ReplicaId(id));
  }
  cluster_.Heal();  // ... and alone.
  cluster_.Pass(seconds(2));
  leader_ = cluster_.Leader();
  ASSERT_NE(leader_, kNoReplica);
  EXPECT_GE(leader_, k4);
  EXPECT_TRUE(cluster_.at(old).has_left());
}

TEST_F(MembershipTest, AMemberThatSleptThroughItsRemovalLearnsOfIt) {
  const ReplicaId asleep = leader_ == k1 ? k2 : k1;
  cluster_.Kill(asleep);
  cluster_.Pass(seconds(1));
  std::set<int> voters{1, 2, 3};
  voters.erase(static_cast<int>(static_cast<uint64_t>(asleep)));
  Change(Next(voters));
  Append(2);
  const Ballot ballot = cluster_.at(leader_).promised();
  cluster_.Restart(asleep);
  cluster_.Pass(seconds(5));
  EXPECT_TRUE(cluster_.at(asleep).has_left());
  EXPECT_EQ(cluster_.Leader(), leader_);
  EXPECT_EQ(cluster_.at(leader_).promised(), ballot) << "it disturbed the others";
}

TEST_F(MembershipTest, OneChangeAtATime) {
  AddLearners({4});
  cluster_.Cut(leader_, leader_ == k1 ? k2 : k1);
  for (const ReplicaId id : {k1, k2, k3}) {
    if (id != leader_) cluster_.Cut(id, leader_);
  }
  const Configuration next = Next({1, 2, 3, 4});
  cluster_.Do(leader_, Propose{Ticket(98), paxos::Change(next)});
  EXPECT_EQ(cluster_.at(leader_).CanReconfigure(next), kBusy);
  EXPECT_FALSE(cluster_.at(leader_).CanPropose(1)) << "B1: nothing above it";
  cluster_.outcomes(leader_).clear();
  cluster_.Do(leader_, Propose{Ticket(99), paxos::Change(next)});
  ASSERT_EQ(cluster_.outcomes(leader_).size(), 1u);
  EXPECT_EQ(cluster_.outcomes(leader_)[0].result, Outcome::Result::kNotChosen);
}

TEST_F(MembershipTest, ItIsRefusedAgainstAnotherVersionAndWithoutAQuorumThatHasCaughtUp) {
  Configuration next = Next({1, 2});
  next.version += 1;
  EXPECT_EQ(cluster_.at(leader_).CanReconfigure(next), kNoEffect);
  next = Next({});
  EXPECT_EQ(cluster_.at(leader_).CanReconfigure(next), kNoEffect) << "nobody would decide";
  EXPECT_EQ(cluster_.at(leader_).CanReconfigure(Next({4, 5, 6})), kNoQuorum);
  EXPECT_EQ(cluster_.at(leader_).CanReconfigure(Next({1, 2, 3, 4})), kAllowed);
  const ReplicaId follower = leader_ == k1 ? k2 : k1;
  EXPECT_EQ(cluster_.at(follower).CanReconfigure(Next({1, 2})), kNotLeading);
}

TEST_F(MembershipTest, AReplicaThatIsGoneIsNoPartOfACaughtUpQuorum) {
  const ReplicaId dead = leader_ == k1 ? k2 : k1;
  cluster_.Kill(dead);
  cluster_.Pass(seconds(1));
  std::set<int> voters{static_cast<int>(static_cast<uint64_t>(leader_)),
                       static_cast<int>(static_cast<uint64_t>(dead))};
  EXPECT_EQ(cluster_.at(leader_).CanReconfigure(Next(voters)), kNoQuorum);
}

TEST_F(MembershipTest, PhaseOneInTheNewConfigurationIsNotSaidAgainBeforeItsMarkIsDurable) {
  Replica leader = cluster_.at(leader_);
  const ReplicaId other = leader_ == k1 ? k2 : k1;
  const Time now = leader.deadline();
  Effects proposed;
  leader.Step(now, Propose{Ticket(1), paxos::Change(Next({1, 2, 3}, {4}))}, &proposed);
  leader.Step(now, WriteFinished{proposed.last_record}, &proposed);
  Effects chosen;
  for (const ReplicaId from : {leader_, other}) {
    leader.Step(now, Receive{{from, leader_, Accepted{*leader.claimed(), 1, 1}}}, &chosen);
  }
  ASSERT_EQ(leader.configuration_slot(), 1u);
  const auto says_prepare = [&] {
    Effects effects;
    leader.Step(now, PeerConnected{other}, &effects);
    return std::any_of(effects.send.begin(), effects.send.end(), [](const Envelope& envelope) {
      return std::holds_alternative<Prepare>(envelope.message);
    });
  };
  EXPECT_FALSE(says_prepare());
  leader.Step(now, WriteFinished{chosen.last_record}, &chosen);
  EXPECT_TRUE(says_prepare());
}

TEST_F(MembershipTest, AChangeIsNotSettledBeforeAQuorumOfTheNewVotersHasTheMark) {
  AddLearners({4, 5, 6});
  for (const int id : {5, 6}) cluster_.Cut(ReplicaId(id), leader_);
  const Configuration next = Next({4, 5, 6});
  cluster_.Do(leader_, Propose{Ticket(99), paxos::Change(next)});
  ASSERT_EQ(cluster_.at(leader_).configuration(), next);
  EXPECT_FALSE(cluster_.at(leader_).is_settled());
}

}  // namespace
}  // namespace distlog::paxos
