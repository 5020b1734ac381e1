// The topologies and accidents that elections get wrong, by name. In each, one replica is connected
// to a quorum, both ways: it, or whoever it agrees with, leads within a bounded number of rounds,
// ballots stop rising, and appends succeed. docs/testing.md, "Scenarios", has what was measured.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/simulation/topology.h"

namespace distlog::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kSeeds = 12;

class ScenarioTest : public ::testing::TestWithParam<size_t> {
 protected:
  size_t replicas() const { return GetParam(); }
  size_t quorum() const { return replicas() / 2 + 1; }

  // `scenario` sets the scene in a cluster that has a leader, and judges it.
  template <typename Scenario>
  void ForEachSeed(int bound, const Scenario& scenario) {
    int most = 0;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      Topology topology(replicas(), seed);
      ASSERT_NE(topology.Leader(), 0u);
      const Topology::Verdict verdict = scenario(&topology);
      ASSERT_EQ(topology.violation().value_or("none"), "none");
      EXPECT_LE(verdict.rounds, bound) << "ballots rise" << verdict.state;
      EXPECT_NE(verdict.leader, 0u) << verdict.state;
      // 50 a second are begun.
      EXPECT_GE(verdict.appended, 190u) << verdict.state;
      EXPECT_EQ(verdict.lost_appends, 0u) << verdict.state;
      most = std::max(most, verdict.rounds);
    }
    std::printf("%zu replicas: at most %d rounds\n", replicas(), most);
  }
};

// Everybody is connected to `hub` alone.
void MakeStar(Topology* topology, size_t hub) {
  std::vector<std::pair<size_t, size_t>> links;
  for (size_t other = 1; other <= topology->size(); ++other) {
    if (other != hub) links.push_back({hub, other});
  }
  topology->KeepOnly(links);
}

TEST_P(ScenarioTest, QuorumLossTheOneWhomEverybodySeesTakesOver) {
  ForEachSeed(12, [](Topology* topology) {
    const size_t hub = topology->Follower(0);
    MakeStar(topology, hub);
    const size_t leader = topology->Leader();
    const auto verdict = topology->Settle();
    // Of three, the leader and the hub are a quorum.
    EXPECT_EQ(verdict.leader, topology->size() > 3 ? hub : leader);
    return verdict;
  });
}

TEST_P(ScenarioTest, ConstrainedElectionTheOneThatIsBehindCatchesUpAndLeads) {
  ForEachSeed(12, [](Topology* topology) {
    const size_t leader = topology->Leader();
    const size_t behind = topology->Follower(0);
    topology->Isolate(behind);
    topology->Run(seconds(2));
    EXPECT_EQ(topology->Leader(), leader);
    EXPECT_LT(topology->host(behind)->replica()->chosen_through(),
              topology->host(topology->Follower(1))->replica()->chosen_through());
    MakeStar(topology, behind);
    topology->Isolate(leader);
    auto verdict = topology->Settle();
    // With three, the other one hears a quorum as well.
    if (topology->size() > 3) {
      EXPECT_EQ(topology->host(behind)->replica()->is_leading(), true);
    }
    return verdict;
  });
}

TEST_P(ScenarioTest, ChainedTheEndsOfALineDoNotSeeEachOther) {
  ForEachSeed(2, [](Topology* topology) {
    topology->CutBoth(topology->Leader(), topology->Follower(0));
    return topology->Settle();
  });
}

TEST_P(ScenarioTest, OneWayALeaderThatIsNotHeardIsReplaced) {
  ForEachSeed(12, [](Topology* topology) {
    const size_t leader = topology->Leader();
    for (size_t other = 1; other <= topology->size(); ++other) {
      if (other != leader) topology->Cut(leader, other);
    }
    const auto verdict = topology->Settle();
    EXPECT_NE(verdict.leader, leader);
    return verdict;
  });
}

TEST_P(ScenarioTest, OneWayALeaderThatHearsNobodyIsReplaced) {
  ForEachSeed(12, [](Topology* topology) {
    const size_t leader = topology->Leader();
    for (size_t other = 1; other <= topology->size(); ++other) {
      if (other != leader) topology->Cut(other, leader);
    }
    const auto verdict = topology->Settle();
    EXPECT_NE(verdict.leader, leader);
    return verdict;
  });
}

TEST_P(ScenarioTest, OneWayAFollowerThatIsNotHeardDisturbsNobody) {
  ForEachSeed(0, [](Topology* topology) {
    const size_t leader = topology->Leader();
    const size_t follower = topology->Follower(0);
    for (size_t other = 1; other <= topology->size(); ++other) {
      if (other != follower) topology->Cut(follower, other);
    }
    const auto verdict = topology->Settle();
    EXPECT_EQ(verdict.leader, leader);
    return verdict;
  });
}

TEST_P(ScenarioTest, OneWayAFollowerThatHearsNobodyDisturbsNobody) {
  ForEachSeed(0, [](Topology* topology) {
    const size_t leader = topology->Leader();
    const size_t follower = topology->Follower(0);
    for (size_t other = 1; other <= topology->size(); ++other) {
      if (other != follower) topology->Cut(other, follower);
    }
    const auto verdict = topology->Settle();
    EXPECT_EQ(verdict.leader, leader);
    return verdict;
  });
}

TEST_P(ScenarioTest, AFlappingLinkDeposesNobody) {
  ForEachSeed(0, [](Topology* topology) {
    const size_t leader = topology->Leader();
    const size_t follower = topology->Follower(0);
    const auto verdict = topology->Settle([&](int round) {
      // In the last rounds too: only what is answered by the others counts.
      if (round % 4 == 1) topology->CutBoth(leader, follower);
      if (round % 4 == 3) topology->MendBoth(leader, follower);
    });
    EXPECT_EQ(verdict.leader, leader);
    return verdict;
  });
}

TEST_P(ScenarioTest, ALeaderWithAStalledDiskGivesWayThoughItsNetworkIsHealthy) {
  ForEachSeed(35, [](Topology* topology) {
    const size_t leader = topology->Leader();
    topology->host(leader)->StallDisk(topology->world()->now() + seconds(3600));
    const auto verdict = topology->Settle();
    EXPECT_NE(verdict.leader, leader);
    return verdict;
  });
}

TEST_P(ScenarioTest, AReplicaThatReturnsWithAHigherBallotDeposesNobody) {
  ForEachSeed(4, [](Topology* topology) {
    const size_t leader = topology->Leader();
    const size_t away = topology->Follower(0);
    topology->Isolate(away);
    topology->LeavePromise(topology->Follower(1), away, 50);
    topology->Run(seconds(2));
    EXPECT_GE(topology->host(away)->replica()->promised().round, 50u);
    topology->MendAll();
    const auto verdict = topology->Settle();
    EXPECT_EQ(verdict.leader, leader);
    return verdict;
  });
}

TEST_P(ScenarioTest, APromiseThatADeadCandidateLeftBehindBlocksNobody) {
  ForEachSeed(4, [this](Topology* topology) {
    const size_t leader = topology->Leader();
    const size_t candidate = topology->Follower(0);
    // As many others die as may: all that are left are needed, and one has the promise.
    for (size_t i = 0; i < replicas() - quorum(); ++i) {
      topology->Kill(topology->Follower(i));
    }
    topology->LeavePromise(candidate, topology->Follower(replicas() - 2), 50);
    const auto verdict = topology->Settle();
    EXPECT_EQ(verdict.leader, leader);
    return verdict;
  });
}

TEST_P(ScenarioTest, ALeaderThatIsHeardButWhoseAcceptsDoNotArriveGivesWay) {
  ForEachSeed(45, [](Topology* topology) {
    const auto leader = static_cast<paxos::ReplicaId>(topology->Leader());
    topology->Lose([leader](const paxos::Envelope& envelope) {
      return envelope.from == leader && std::holds_alternative<paxos::Accept>(envelope.message);
    });
    const auto verdict = topology->Settle();
    EXPECT_NE(static_cast<paxos::ReplicaId>(verdict.leader), leader);
    return verdict;
  });
}

// Every one that is left is needed, so that two lost rounds in a row are enough to lose a leader:
// that is rare, and ends as soon as the loss does.
TEST_P(ScenarioTest, LossOfTwoPercentWithAMinorityDown) {
  int most = 0;
  uint64_t fewest = 1000;
  ForEachSeed(8, [&](Topology* topology) {
    for (size_t i = 0; i < replicas() - quorum(); ++i) topology->Kill(topology->Follower(i));
    Network::Weather weather = topology->network()->weather();
    weather.loss = 0.02;
    topology->network()->set_weather(weather);
    const uint64_t appended = topology->appended();
    const auto with_loss = topology->Settle();
    fewest = std::min(fewest, topology->appended() - appended);
    most = std::max(most, with_loss.rises);
    weather.loss = 0;
    topology->network()->set_weather(weather);
    return topology->Settle();
  });
  std::printf("with loss, in 200 rounds: ballots rose %d times at most, %d of 1000 appended\n",
              most, static_cast<int>(fewest));
  EXPECT_LE(most, 6);
  EXPECT_GE(fewest, 700u);
}

// Who may connect is not the protocol's business: it is answered that it is no voter.
TEST_P(ScenarioTest, AStrangerThatCampaignsDeposesNobody) {
  ForEachSeed(0, [](Topology* topology) {
    const size_t leader = topology->Leader();
    const size_t stranger = topology->size() + 1;
    const auto verdict = topology->Settle([&](int round) {
      if (round > 100) return;
      EXPECT_EQ(topology->Leader(), leader);
      for (size_t to = 1; to <= topology->size(); ++to) {
        topology->LeavePromise(stranger, to, 10 * round);
      }
    });
    EXPECT_EQ(verdict.leader, leader);
    return verdict;
  });
}

// What it asks for belongs to another configuration: nobody promises it anything. It learns that it
// is out as soon as it hears of anybody.
TEST_P(ScenarioTest, ARemovedReplicaThatCampaignsIsPromisedNothing) {
  ForEachSeed(0, [](Topology* topology) {
    const size_t leader = topology->Leader();
    const size_t removed = topology->Follower(0);
    topology->Isolate(removed);
    std::set<size_t> others;
    for (size_t number = 1; number <= topology->size(); ++number) {
      if (number != removed) others.insert(number);
    }
    EXPECT_TRUE(topology->Change(others, {}));
    topology->Run(seconds(1));
    const paxos::Ballot before = topology->HighestBallot();
    const auto verdict = topology->Settle([&](int round) {
      for (const size_t to : others) topology->Campaign(removed, to, before.round + 10 * round);
    });
    EXPECT_EQ(verdict.leader, leader);
    EXPECT_FALSE(topology->host(removed)->replica()->has_left());
    topology->MendAll();
    topology->Run(seconds(2));
    EXPECT_TRUE(topology->host(removed)->replica()->has_left());
    EXPECT_EQ(topology->Leader(), leader);
    EXPECT_EQ(topology->HighestBallot(), before);
    return verdict;
  });
}

// {1, 2, 3} to {4, 5, 6}, and the like: the old ones are destroyed in the instant in which somebody
// first calls it settled, and the new ones lose their power in the same instant.
TEST_P(ScenarioTest, AllMachinesAreReplacedAndTheOldDestroyedAsTheNewLoseTheirPower) {
  ForEachSeed(5, [this](Topology* topology) {
    std::set<size_t> old_ones;
    std::set<size_t> new_ones;
    for (size_t i = 1; i <= replicas(); ++i) {
      old_ones.insert(i);
      new_ones.insert(topology->AddMachine());
    }
    EXPECT_TRUE(topology->Change(old_ones, new_ones));
    topology->Run(seconds(2));  // They catch up.
    paxos::Slot chosen = 0;
    EXPECT_TRUE(topology->Change(new_ones, {}, [&] {
      chosen = topology->chosen_through();
      for (const size_t number : new_ones) topology->Kill(number);
      for (const size_t number : old_ones) topology->Destroy(number);
    }));
    topology->Run(seconds(1));
    EXPECT_EQ(topology->Leader(), 0u);
    for (const size_t number : new_ones) topology->Restart(number);
    const auto verdict = topology->Settle();
    EXPECT_TRUE(new_ones.contains(verdict.leader));
    EXPECT_GT(chosen, 0u);
    for (const size_t number : new_ones) {
      EXPECT_GT(topology->host(number)->replica()->chosen_through(), chosen);
    }
    return verdict;
  });
}

INSTANTIATE_TEST_SUITE_P(Replicas, ScenarioTest, ::testing::Values(3, 4, 5, 7));

}  // namespace
}  // namespace distlog::simulation
