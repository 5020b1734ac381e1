// The mistakes of paxos/break.h can be made by name, one at a time, and with one of them on the
// code's own checks can be told to count and go on, so that a test can see who else would notice.

#include "paxos/break.h"

#include <set>
#include <string>

#include "gtest/gtest.h"
#include "paxos/acceptor.h"
#include "paxos/invariant.h"
#include "paxos/quorum.h"
#include "paxos/test_cluster.h"

namespace distlog::paxos {
namespace {

class BreakTest : public ::testing::Test {
 protected:
  ~BreakTest() override {
    SetBreak(Break::kNone);
    SetInvariantsFatal(true);
    ClearCountedInvariants();
  }
};

TEST_F(BreakTest, EveryMistakeHasANameOfItsOwn) {
  std::set<std::string> names;
  for (const BreakDescription& each : AllBreaks()) {
    EXPECT_TRUE(names.insert(std::string(each.name)).second) << each.name;
    EXPECT_EQ(BreakNamed(each.name), each.mistake);
    EXPECT_FALSE(each.what.empty()) << each.name;
  }
  EXPECT_EQ(BreakNamed("no_such_mistake"), std::nullopt);
}

TEST_F(BreakTest, NothingIsBrokenUntilAskedFor) {
  const Configuration three = VotersOnly(3);
  EXPECT_FALSE(IsQuorum(three, {ReplicaId{1}}));
  SetBreak(*BreakNamed("quorum_of_half"));
  EXPECT_TRUE(IsQuorum(three, {ReplicaId{1}}));
  SetBreak(Break::kNone);
  EXPECT_FALSE(IsQuorum(three, {ReplicaId{1}}));
}

TEST_F(BreakTest, BrokenInvariantsAreFatalUnlessTheyAreToBeCounted) {
  Acceptor acceptor;
  acceptor.Promise({2, ReplicaId{2}});
  EXPECT_DEATH(acceptor.Promise({1, ReplicaId{1}}), "P3");

  SetInvariantsFatal(false);
  acceptor.Promise({1, ReplicaId{1}});
  acceptor.Promise({0, ReplicaId{1}});
  EXPECT_EQ(CountedInvariants().count, 2u);
  EXPECT_EQ(CountedInvariants().first.substr(0, 15), "P3 acceptor.cc:");
  ClearCountedInvariants();
  EXPECT_EQ(CountedInvariants().count, 0u);
}

}  // namespace
}  // namespace distlog::paxos
