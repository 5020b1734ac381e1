// Whole replicas together, on a perfect network: what each can be relied upon for.

#include "paxos/replica.h"

#include "gtest/gtest.h"
#include "paxos/test_cluster.h"

namespace distlog::paxos {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr ReplicaId k1{1};
constexpr ReplicaId k2{2};
constexpr ReplicaId k3{3};

ReplicaId OtherThan(ReplicaId id) { return id == k1 ? k2 : k1; }

TEST(ReplicaTest, ElectsOneLeaderAndBallotsStopRising) {
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  const ReplicaId leader = cluster.Leader();
  ASSERT_NE(leader, kNoReplica);
  const Ballot ballot = cluster.at(leader).promised();
  cluster.Pass(seconds(60));
  EXPECT_EQ(cluster.Leader(), leader);
  for (ReplicaId id : {k1, k2, k3}) {
    EXPECT_EQ(cluster.at(id).promised(), ballot);
    EXPECT_EQ(cluster.at(id).followed(), ballot);
  }
}

TEST(ReplicaTest, ChoosesInOrderAndTellsIdleFollowers) {
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  const ReplicaId leader = cluster.Leader();
  for (int i = 0; i < 20; ++i) {
    cluster.Do(leader, Propose{Ticket(i), Batch("v" + std::to_string(i))});
  }
  ASSERT_EQ(cluster.outcomes(leader).size(), 20u);
  for (const Outcome& outcome : cluster.outcomes(leader)) {
    EXPECT_EQ(outcome.result, Outcome::Result::kChosen);
    EXPECT_EQ(outcome.slot, static_cast<Slot>(outcome.ticket) + 1);
  }
  cluster.Pass(milliseconds(10));
  for (ReplicaId id : {k1, k2, k3}) EXPECT_EQ(cluster.log(id), cluster.log(leader));
  EXPECT_EQ(cluster.log(k1).size(), 20u);
}

TEST(ReplicaTest, AKilledLeaderIsReplacedAndNothingIsLost) {
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  const ReplicaId first = cluster.Leader();
  for (int i = 0; i < 5; ++i) cluster.Do(first, Propose{Ticket(i), Batch(std::to_string(i))});
  cluster.Kill(first);
  cluster.Pass(milliseconds(250));
  const ReplicaId second = cluster.Leader();
  ASSERT_NE(second, kNoReplica);
  ASSERT_NE(second, first);
  cluster.Do(second, Propose{Ticket(9), Batch("9")});
  cluster.Restart(first);
  cluster.Pass(seconds(1));
  EXPECT_EQ(cluster.Leader(), second) << "a returning replica deposes nobody";
  EXPECT_EQ(cluster.log(second).size(), 6u);
  EXPECT_EQ(cluster.at(first).chosen_through(), 6u);
}

TEST(ReplicaTest, AReplicaFarBehindCatchesUpInBulk) {
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  const ReplicaId leader = cluster.Leader();
  const ReplicaId behind = OtherThan(leader);
  cluster.Kill(behind);
  for (int i = 0; i < 100; ++i) cluster.Do(leader, Propose{Ticket(i), Batch(std::to_string(i))});
  EXPECT_EQ(cluster.at(leader).chosen_through(), 100u);
  cluster.Restart(behind);
  cluster.Pass(seconds(1));
  EXPECT_EQ(cluster.at(behind).chosen_through(), 100u);
  EXPECT_EQ(cluster.log(behind), cluster.log(leader));
}

TEST(ReplicaTest, ALeaderWithoutAQuorumGivesWayAndAnswersNoRead) {
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  const ReplicaId leader = cluster.Leader();
  for (ReplicaId id : {k1, k2, k3}) {
    if (id == leader) continue;
    cluster.Cut(leader, id);
    cluster.Cut(id, leader);
  }
  cluster.Do(leader, Read{Ticket(1)});
  cluster.Do(leader, Propose{Ticket(2), Batch("lost?")});
  cluster.Pass(seconds(3));
  EXPECT_FALSE(cluster.at(leader).claimed().has_value());
  EXPECT_TRUE(cluster.outcomes(leader).empty());
  const ReplicaId second = cluster.Leader();
  ASSERT_NE(second, kNoReplica);
  cluster.Do(second, Propose{Ticket(3), Batch("new")});
  cluster.Heal();
  cluster.Pass(seconds(2));
  EXPECT_EQ(cluster.Leader(), second);
  // Now both are known: the read, through the new leader, and what became of the proposal.
  ASSERT_EQ(cluster.outcomes(leader).size(), 2u);
  for (const Outcome& outcome : cluster.outcomes(leader)) {
    EXPECT_EQ(outcome.result, outcome.ticket == Ticket(1) ? Outcome::Result::kReadable
                                                          : Outcome::Result::kNotChosen);
  }
}

TEST(ReplicaTest, EveryReplicaServesLinearizableReads) {
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  const ReplicaId leader = cluster.Leader();
  cluster.Do(leader, Propose{Ticket(1), Batch("a")});
  for (ReplicaId id : {k1, k2, k3}) {
    cluster.outcomes(id).clear();
    cluster.Do(id, Read{Ticket(7)});
    ASSERT_EQ(cluster.outcomes(id).size(), 1u) << "replica " << id;
    EXPECT_EQ(cluster.outcomes(id)[0].result, Outcome::Result::kReadable);
    EXPECT_EQ(cluster.outcomes(id)[0].slot, 1u);
  }
}

TEST(ReplicaTest, LeadershipIsHandedOverOnRequest) {
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  const ReplicaId leader = cluster.Leader();
  const ReplicaId successor = OtherThan(leader);
  cluster.Do(leader, Propose{Ticket(1), Batch("a")});
  cluster.Do(leader, TransferLeadership{successor});
  EXPECT_EQ(cluster.Leader(), successor) << "without any time passing";
  EXPECT_EQ(cluster.at(successor).chosen_through(), 1u);
}

TEST(ReplicaTest, APromiseLeftBehindIsRenewedOverWithoutAnElection) {
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  const ReplicaId leader = cluster.Leader();
  const ReplicaId other = OtherThan(leader);
  const ReplicaId ghost =
      static_cast<ReplicaId>(6 - static_cast<int>(leader) - static_cast<int>(other));
  // As if the third had stood, asked one replica, and died.
  const Ballot left{100, ghost};
  cluster.Do(other, Receive{{ghost, other, Prepare{left, 1, 1}}});
  cluster.Pass(milliseconds(500));
  EXPECT_EQ(cluster.Leader(), leader);
  EXPECT_GT(cluster.at(leader).promised(), left);
  EXPECT_LT(cluster.at(leader).leadership(), left) << "a renewal begins no new term";
  cluster.Do(leader, Propose{Ticket(1), Batch("a")});
  EXPECT_EQ(cluster.outcomes(leader).size(), 1u);
}

// What the log will say of how the term before ended, and that a renewal begins none.
TEST(ReplicaTest, ALeaderKnowsWhyItTookOver) {
  using enum Replica::TakeoverCause;
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  const ReplicaId first = cluster.Leader();
  EXPECT_EQ(cluster.at(first).takeover_cause(), kSilence);
  EXPECT_EQ(cluster.at(first).leadership(), *cluster.at(first).claimed());

  const ReplicaId told = OtherThan(first);
  cluster.Do(first, TransferLeadership{told});
  ASSERT_EQ(cluster.Leader(), told);
  EXPECT_EQ(cluster.at(told).takeover_cause(), kToldTo);
  cluster.Pass(seconds(1));

  cluster.Kill(told);
  cluster.Pass(seconds(1));
  const ReplicaId survivor = cluster.Leader();
  ASSERT_NE(survivor, kNoReplica);
  EXPECT_EQ(cluster.at(survivor).takeover_cause(), kConnectionLost);
  EXPECT_EQ(cluster.at(survivor).leadership().owner, survivor);
  cluster.Restart(told);
  cluster.Pass(seconds(1));

  for (const ReplicaId other : {k1, k2, k3}) {
    if (other == survivor) continue;
    cluster.Cut(survivor, other);
    cluster.Cut(other, survivor);
  }
  cluster.Pass(seconds(3));
  const ReplicaId last = cluster.Leader();
  ASSERT_NE(last, kNoReplica);
  ASSERT_NE(last, survivor);
  EXPECT_EQ(cluster.at(last).takeover_cause(), kSilence) << "what was lost before is long over";
}

// Clients are sent on at once after a handover, not when the next round of heartbeats has ended.
TEST(ReplicaTest, WhoTookOverIsKnownToAllBeforeTheRoundEnds) {
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  const ReplicaId first = cluster.Leader();
  const ReplicaId told = OtherThan(first);
  cluster.Do(first, TransferLeadership{told});
  ASSERT_EQ(cluster.Leader(), told);
  cluster.Do(told, Propose{Ticket(1), Batch("a")});
  for (const ReplicaId id : {k1, k2, k3}) EXPECT_EQ(cluster.at(id).leader_hint(), told);
  cluster.Pass(seconds(1));
  cluster.Kill(told);
  for (const ReplicaId id : {k1, k2, k3}) {
    if (id == told) continue;
    EXPECT_NE(cluster.at(id).leader_hint(), told) << "its process is gone";
  }
}

// A candidate proposes in every slot up to the highest one reported. No acceptor takes anything
// more than two windows above its mark: whoever says so is broken, and must not make others so.
TEST(ReplicaTest, APromiseOfWhatNoAcceptorCanHoldDoesNotCount) {
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  const ReplicaId leader = cluster.Leader();
  Replica candidate = cluster.at(OtherThan(leader));
  Effects effects;
  const auto receive = [&](ReplicaId from, Message message) {
    candidate.Step(seconds(2), Receive{{from, candidate.self(), std::move(message)}}, &effects);
  };
  receive(leader, TakeOver{cluster.at(leader).promised()});
  candidate.Step(seconds(2), WriteFinished{effects.last_record}, &effects);
  const Ballot ballot = *candidate.claimed();
  receive(candidate.self(), Promise{ballot, 1, 0, true, {}, 0});
  const Slot far = 2 * 8 + 1;  // The window of TestCluster is 8.
  receive(leader, Promise{ballot, 1, far, true, {{far, Ballot{1, leader}, Batch("x")}}, 0});
  EXPECT_FALSE(candidate.is_leading());
  receive(ReplicaId{9}, Promise{ballot, 1, 0, true, {}, 0});
  EXPECT_FALSE(candidate.is_leading()) << "a stranger is no voter";
  receive(leader, Promise{ballot, 1, far - 1, true, {{far - 1, Ballot{1, leader}, Batch("x")}}, 0});
  EXPECT_TRUE(candidate.is_leading());
}

TEST(ReplicaTest, OneReplicaIsItsOwnQuorum) {
  TestCluster cluster(1);
  cluster.Pass(seconds(1));
  ASSERT_EQ(cluster.Leader(), k1);
  cluster.Do(k1, Propose{Ticket(1), Batch("a")});
  cluster.Do(k1, Read{Ticket(2)});
  EXPECT_EQ(cluster.outcomes(k1),
            (std::vector<Outcome>{{Ticket(1), Outcome::Result::kChosen, 1},
                                  {Ticket(2), Outcome::Result::kReadable, 1}}));
  cluster.Kill(k1);
  cluster.Restart(k1);
  cluster.Pass(seconds(1));
  EXPECT_EQ(cluster.at(k1).chosen_through(), 1u);
}

// Others choose without it: its mark moves on, and with it the two windows that it takes Accepts
// in. Nothing else would keep what waits for a disk that has stopped from filling the memory.
TEST(ReplicaTest, AFollowerTakesNoMoreThanItsDiskKeepsUpWith) {
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  const ReplicaId leader = cluster.Leader();
  Replica follower = cluster.at(OtherThan(leader));
  const Ballot ballot = cluster.at(leader).promised();
  const Value value = Batch(std::string(1 << 20, 'x'));
  const auto accept = [&](Slot slot) {
    Effects effects;
    follower.Step(seconds(2),
                  Receive{{leader, follower.self(), Accept{ballot, slot, {value}, slot - 1, 1}}},
                  &effects);
    return effects;
  };
  Slot slot = 1;
  uint64_t last_record = 0;
  Effects effects;
  follower.Step(seconds(2), Tick{}, &effects);  // A round ends just now.
  effects = accept(slot);
  while (!effects.write.empty()) {
    ASSERT_LE(slot << 20, 2 * Options{}.unwritten_bytes);
    last_record = effects.last_record;
    effects = accept(++slot);
  }
  EXPECT_GT((slot + 1) << 20, Options{}.unwritten_bytes);
  EXPECT_TRUE(effects.after_write.empty()) << "what is not taken is not accepted";
  ASSERT_EQ(effects.send.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Progress>(effects.send[0].message));

  // Nor does it ask for more, nor want to be woken for that.
  const Slot known = follower.chosen_through() + 100;
  effects = {};
  follower.Step(seconds(2), Receive{{leader, follower.self(), Announce{Pair{ballot, known}}}},
                &effects);
  EXPECT_TRUE(effects.send.empty());
  EXPECT_GT(follower.deadline(), seconds(2));

  effects = {};
  follower.Step(seconds(2), WriteFinished{last_record}, &effects);
  ASSERT_EQ(effects.send.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<LearnRequest>(effects.send[0].message));
  EXPECT_FALSE(accept(slot).write.empty());
}

TEST(ReplicaTest, ALeaderProposesNoMoreThanItsDiskKeepsUpWith) {
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  Replica leader = cluster.at(cluster.Leader());
  const Value value = Batch(std::string(1 << 20, 'x'));
  uint64_t last_record = 0;
  for (Slot slot = 1; leader.CanPropose(value.size()); ++slot) {
    ASSERT_LE(slot << 20, 2 * Options{}.unwritten_bytes);
    Effects effects;
    leader.Step(seconds(2), Propose{Ticket(slot), value}, &effects);
    last_record = effects.last_record;
    for (ReplicaId voter : {k1, k2, k3}) {
      if (voter == leader.self()) continue;
      const Accepted accepted{leader.promised(), slot, slot};
      leader.Step(seconds(2), Receive{{voter, leader.self(), accepted}}, &effects);
    }
    ASSERT_EQ(leader.chosen_through(), slot);
  }
  Effects effects;
  leader.Step(seconds(2), WriteFinished{last_record}, &effects);
  EXPECT_TRUE(leader.CanPropose(value.size()));
}

TEST(ReplicaTest, IsAPlainValue) {
  TestCluster cluster(3);
  cluster.Pass(seconds(2));
  const ReplicaId leader = cluster.Leader();
  Replica copy = cluster.at(leader);
  EXPECT_EQ(copy, cluster.at(leader));
  cluster.Do(leader, Propose{Ticket(1), Batch("a")});
  EXPECT_FALSE(copy == cluster.at(leader));
}

}  // namespace
}  // namespace distlog::paxos
