// Rounds of heartbeats: whom to follow, when to stand.

#include "paxos/election.h"

#include "gtest/gtest.h"
#include "paxos/test_cluster.h"

namespace distlog::paxos {
namespace {

using std::chrono::milliseconds;
constexpr ReplicaId k1{1};
constexpr ReplicaId k2{2};
constexpr ReplicaId k3{3};
constexpr Time kInterval = milliseconds(100);
const Ballot kOf2{5, k2};

// Replica 1 of three, and what it hears in each round.
class ElectionTest : public testing::Test {
 protected:
  Election::Verdict Round(const std::map<ReplicaId, HeartbeatReply>& replies,
                          std::optional<Ballot> claim = std::nullopt) {
    election_.BeginRound(now_);
    return Finish(replies, claim);
  }
  Election::Verdict Finish(const std::map<ReplicaId, HeartbeatReply>& replies,
                           std::optional<Ballot> claim = std::nullopt) {
    for (auto [peer, reply] : replies) {
      reply.round = election_.round();
      election_.OnReply(peer, reply);
    }
    now_ += kInterval;
    return election_.EndRound(now_, {.configuration = &configuration_,
                                     .claim = claim,
                                     .has_proposer = claim.has_value(),
                                     .may_stand = true});
  }

  static HeartbeatReply Leads(const Ballot& ballot) {
    return {.round = 0,
            .claimed = ballot,
            .followed = ballot,
            .promised = ballot,
            .content = true,
            .chosen_through = 0,
            .configuration_version = 1,
            .received_through = 0};
  }
  static HeartbeatReply Follows(const Ballot& ballot, bool content) {
    return {.round = 0,
            .claimed = {},
            .followed = ballot,
            .promised = ballot,
            .content = content,
            .chosen_through = 0,
            .configuration_version = 1,
            .received_through = 0};
  }

  Time now_{};
  Configuration configuration_ = VotersOnly(3);
  Election election_{k1, 42, kInterval, Time{}};
};

TEST_F(ElectionTest, FollowsAContentClaimOfItsOwner) {
  Round({{k2, Leads(kOf2)}});
  EXPECT_EQ(election_.followed(), kOf2);
  EXPECT_TRUE(election_.is_content());
}

TEST_F(ElectionTest, ABallotThatOnlyOthersFollowIsNotFollowed) {
  Round({{k3, Follows(kOf2, true)}});
  EXPECT_EQ(election_.followed(), Ballot{});
  EXPECT_FALSE(election_.is_content());
}

TEST_F(ElectionTest, ContentLapsesAfterTwoRoundsWithout) {
  Round({{k2, Leads(kOf2)}});
  Round({{k3, Follows(kOf2, true)}});
  EXPECT_TRUE(election_.is_content());
  Round({{k3, Follows(kOf2, true)}});
  EXPECT_FALSE(election_.is_content());
}

TEST_F(ElectionTest, StandsOnlyIfNobodyHeardIsContent) {
  for (int i = 0; i < 5; ++i) Round({{k3, Follows(kOf2, true)}});
  EXPECT_EQ(election_.stand_at(), Time::max());
  Round({{k3, Follows({}, false)}});
  EXPECT_NE(election_.stand_at(), Time::max());
}

TEST_F(ElectionTest, StandsOnlyIfItHearsAQuorum) {
  for (int i = 0; i < 5; ++i) Round({});
  EXPECT_EQ(election_.stand_at(), Time::max());
}

TEST_F(ElectionTest, AsksAgainBeforeItTakesOver) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Round({{k3, Follows({}, false)}}), Election::Verdict::kNone);
  }
  ASSERT_NE(election_.stand_at(), Time::max());
  election_.BeginStanding(now_);
  EXPECT_EQ(Finish({{k2, Leads(kOf2)}, {k3, Follows(kOf2, true)}}), Election::Verdict::kNone)
      << "somebody was quicker";
  for (int i = 0; i < 3; ++i) Round({{k3, Follows({}, false)}});
  election_.BeginStanding(now_);
  EXPECT_EQ(Finish({{k3, Follows({}, false)}}), Election::Verdict::kTakeOver);
}

TEST_F(ElectionTest, DoesNotStandAgainstOneThatItHasJustPromised) {
  for (int i = 0; i < 3; ++i) Round({{k3, Follows({}, false)}});
  election_.BeginStanding(now_);
  election_.OnOthersBallot();
  EXPECT_EQ(Finish({{k3, Follows({}, false)}}), Election::Verdict::kNone);
  EXPECT_EQ(election_.stand_at(), Time::max());
  Round({{k3, Follows({}, false)}});
  EXPECT_NE(election_.stand_at(), Time::max()) << "unless it is not heard for two rounds";
}

TEST_F(ElectionTest, ALostLeaderCountsAsBothMissedRounds) {
  Round({{k2, Leads(kOf2)}, {k3, Follows(kOf2, true)}});
  election_.OnPeerLost(now_, k2, configuration_, true);
  EXPECT_FALSE(election_.is_content());
  ASSERT_LT(election_.stand_at(), now_ + kInterval);
  election_.BeginStanding(now_);
  EXPECT_FALSE(election_.CanEndEarly(configuration_));
  HeartbeatReply reply = Follows({}, false);
  reply.round = election_.round();
  election_.OnReply(k3, reply);
  EXPECT_TRUE(election_.CanEndEarly(configuration_)) << "nobody else is there to answer";
}

TEST_F(ElectionTest, ALostFollowerChangesNothing) {
  Round({{k2, Leads(kOf2)}, {k3, Follows(kOf2, true)}});
  election_.OnPeerLost(now_, k3, configuration_, true);
  EXPECT_TRUE(election_.is_content());
  EXPECT_EQ(election_.stand_at(), Time::max());
}

TEST_F(ElectionTest, ALeaderThatHearsNoQuorumGivesUpAfterTwoRounds) {
  const Ballot own{6, k1};
  election_.OnProposerStarted(own, false);
  EXPECT_EQ(Round({}, own), Election::Verdict::kNone);
  EXPECT_EQ(Round({}, own), Election::Verdict::kGiveUp);
}

TEST_F(ElectionTest, ALeaderYieldsToAHigherContentClaim) {
  const Ballot own{4, k1};
  election_.OnProposerStarted(own, false);
  EXPECT_EQ(Round({{k2, Leads(kOf2)}, {k3, Follows(own, true)}}, own), Election::Verdict::kGiveUp);
  EXPECT_EQ(election_.followed(), kOf2);
}

TEST_F(ElectionTest, ARenewalDoesNotWinBackAVoterThatFollowsAHigherLeadership) {
  // 2 cannot be heard from here, but 3 hears it and follows it.
  election_.OnProposerStarted({4, k1}, false);
  const Ballot renewed{9, k1};
  election_.OnProposerStarted(renewed, true);
  EXPECT_EQ(Round({{k3, Follows(kOf2, true)}}, renewed), Election::Verdict::kNone);
  EXPECT_TRUE(election_.HeardClaim(Ballot{7, k2})) << "so it must not renew again";
  EXPECT_EQ(Round({{k3, Follows(kOf2, true)}}, renewed), Election::Verdict::kGiveUp);
}

TEST_F(ElectionTest, AnswersToAnotherRoundAreNoAnswers) {
  election_.BeginRound(now_);
  HeartbeatReply late = Leads(kOf2);
  late.round = election_.round() - 1;
  election_.OnReply(k2, late);
  Finish({});
  EXPECT_FALSE(election_.is_content());
}

TEST_F(ElectionTest, LearnersNeitherCountNorBlock) {
  configuration_.members[2].voter = false;
  for (int i = 0; i < 3; ++i) Round({{k3, Follows({}, false)}});
  EXPECT_EQ(election_.stand_at(), Time::max()) << "a learner makes no quorum";
  for (int i = 0; i < 3; ++i) Round({{k2, Follows({}, false)}, {k3, Follows(kOf2, true)}});
  EXPECT_NE(election_.stand_at(), Time::max()) << "and its content is nobody's business";
}

}  // namespace
}  // namespace distlog::paxos
