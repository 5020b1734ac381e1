// Quorums, by table; and which configurations take effect (rule B2).

#include "paxos/configuration.h"

#include "gtest/gtest.h"
#include "paxos/quorum.h"
#include "paxos/test_cluster.h"

namespace distlog::paxos {
namespace {

TEST(ConfigurationTest, AnyTwoQuorumsMeet) {
  for (int voters = 1; voters <= 7; ++voters) {
    const Configuration configuration = VotersOnly(voters);
    const auto subset = [](int bits) {
      std::set<ReplicaId> replicas;
      for (int i = 0; i < 8; ++i) {
        if (bits & (1 << i)) replicas.insert(ReplicaId(i + 1));
      }
      return replicas;
    };
    for (int a = 0; a < 1 << voters; ++a) {
      EXPECT_EQ(IsQuorum(configuration, subset(a)), 2 * __builtin_popcount(a) > voters);
      for (int b = 0; b < 1 << voters; ++b) {
        if (IsQuorum(configuration, subset(a)) && IsQuorum(configuration, subset(b))) {
          EXPECT_NE(a & b, 0) << "quorums " << a << " and " << b << " of " << voters;
        }
      }
    }
  }
}

TEST(ConfigurationTest, LearnersAndStrangersAreNeverCounted) {
  Configuration configuration = VotersOnly(3);
  configuration.members[2].voter = false;  // Two voters: a quorum is both.
  EXPECT_FALSE(IsQuorum(configuration, {ReplicaId(1), ReplicaId(3), ReplicaId(9)}));
  EXPECT_TRUE(IsQuorum(configuration, {ReplicaId(1), ReplicaId(2)}));
}

TEST(ConfigurationTest, NobodyIsNoQuorum) {
  EXPECT_FALSE(IsQuorum(VotersOnly(1), {}));
  EXPECT_FALSE(IsQuorum(Configuration{}, {ReplicaId(1)}));
}

struct Change {
  const char* what;
  void (*make)(Configuration*);
  bool takes_effect;
};

TEST(ConfigurationTest, TakesEffectOnlyByTheRules) {
  const Change changes[] = {
      {"nothing but the version", [](Configuration*) {}, true},
      {"a version that replaces another", [](Configuration* c) { c->version = 3; }, false},
      {"the same version again", [](Configuration* c) { c->version = 1; }, false},
      {"one removed", [](Configuration* c) { c->members.pop_back(); }, true},
      {"one added under the next id",
       [](Configuration* c) {
         c->members.push_back({ReplicaId(4), Uuid{0, 4}, "host:4", true});
         c->next_replica_id = 5;
       },
       true},
      {"an id that is not given out yet",
       [](Configuration* c) {
         c->members.push_back({ReplicaId(4), Uuid{0, 4}, "host:4", true});
       },
       false},
      {"another disk under an old id",
       [](Configuration* c) {
         c->members[0].uuid = Uuid{0, 77};
       },
       false},
      {"an old disk under a new id",
       [](Configuration* c) {
         c->members.push_back({ReplicaId(4), Uuid{0, 1}, "host:4", true});
         c->next_replica_id = 5;
       },
       false},
      {"a lower next id", [](Configuration* c) { c->next_replica_id = 3; }, false},
      {"no voter left",
       [](Configuration* c) {
         for (Member& member : c->members) member.voter = false;
       },
       false},
  };
  for (const Change& change : changes) {
    Configuration next = VotersOnly(3);
    next.version = 2;
    change.make(&next);
    EXPECT_EQ(TakesEffect(next, VotersOnly(3)), change.takes_effect) << change.what;
  }
  // An id that left does not return.
  Configuration current = VotersOnly(3);
  current.members.pop_back();
  Configuration next = VotersOnly(3);
  next.version = 2;
  EXPECT_FALSE(TakesEffect(next, current));
}

}  // namespace
}  // namespace distlog::paxos
