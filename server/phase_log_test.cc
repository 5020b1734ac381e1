// The leader's lines about an operation: one for each phase and each configuration on the way, none
// twice, none from a follower.

#include "server/phase_log.h"

#include <string>

#include "gtest/gtest.h"
#include "wire/value.h"

namespace distlog {
namespace {

// Members 1, 2, 3, all voters.
paxos::Configuration Three() {
  paxos::Configuration configuration{
      .version = 1, .members = {}, .next_replica_id = 4, .feature_level = 1};
  for (uint64_t id = 1; id <= 3; ++id) {
    configuration.members.push_back(
        {paxos::ReplicaId{id}, {7, id}, "127.0.0.1:460" + std::to_string(id), true});
  }
  return configuration;
}

class PhaseLogTest : public testing::Test {
 protected:
  PhaseLogTest() : in_force_(Three()) {
    begin_.set_base_version(1);
    begin_.set_request("add 127.0.0.1:4604");
    begin_.set_learn_first(true);
    *begin_.mutable_goal() = ToProto(in_force_).members();
    v1::MemberMessage* newcomer = begin_.add_goal();
    newcomer->set_uuid(ToBytes(paxos::Uuid{7, 4}));
    newcomer->set_address("127.0.0.1:4604");
    newcomer->set_voter(true);
  }

  std::string Begin() {
    operations_.Begin(begin_, /*slot=*/5, /*time_ms=*/0, in_force_);
    return Next();
  }
  std::string Advance(OperationPhase phase) {
    v1::AdvanceOperationCommand command;
    command.set_id(1);
    command.set_phase(static_cast<uint32_t>(phase));
    operations_.Advance(command, /*time_ms=*/0, in_force_);
    return Next();
  }
  std::string TakeEffect(const paxos::Configuration& next) {
    in_force_ = next;
    operations_.OnConfiguration(in_force_);
    return Next();
  }
  std::string Next(bool leads = true) { return log_.Next(operations_, in_force_.version, leads); }
  const v1::OperationState& operation() { return operations_.all().back(); }

  v1::BeginOperationCommand begin_;
  paxos::Configuration in_force_;
  Operations operations_;
  PhaseLog log_;
};

TEST_F(PhaseLogTest, EachPhaseAndEachConfigurationHasALine) {
  EXPECT_EQ(Next(), "");
  EXPECT_EQ(Begin(), "operation 1 (add 127.0.0.1:4604): learning, with configuration 1 in force");
  EXPECT_EQ(Next(), "");
  EXPECT_EQ(TakeEffect(WithLearners(operation(), in_force_)),
            "operation 1 (add 127.0.0.1:4604): learning, with configuration 2 in force");
  EXPECT_EQ(Advance(OperationPhase::kChanging),
            "operation 1 (add 127.0.0.1:4604): changing, with configuration 2 in force");
  EXPECT_EQ(TakeEffect(GoalOf(operation(), in_force_)),
            "operation 1 (add 127.0.0.1:4604): settling, with configuration 3 in force");
  EXPECT_EQ(Advance(OperationPhase::kDone),
            "operation 1 (add 127.0.0.1:4604): done, with configuration 3 in force");
  EXPECT_EQ(Next(), "");
}

TEST_F(PhaseLogTest, WhoeverLeadsNextSaysWhereItGoesOn) {
  operations_.Begin(begin_, 5, 0, in_force_);
  EXPECT_EQ(Next(/*leads=*/false), "");
  EXPECT_EQ(Next(), "operation 1 (add 127.0.0.1:4604): learning, with configuration 1 in force");
  EXPECT_EQ(Next(/*leads=*/false), "");
  EXPECT_EQ(Next(), "operation 1 (add 127.0.0.1:4604): learning, with configuration 1 in force");
}

TEST_F(PhaseLogTest, WhatHadEndedBeforeIsNoNews) {
  operations_.Begin(begin_, 5, 0, in_force_);
  operations_.Cancel(1, 0, in_force_);
  EXPECT_EQ(Next(), "");
}

TEST_F(PhaseLogTest, AFailureComesWithItsReason) {
  Begin();
  paxos::Configuration other = in_force_;
  ++other.version;
  other.members.pop_back();
  EXPECT_EQ(TakeEffect(other),
            "operation 1 (add 127.0.0.1:4604): failed, with configuration 2 in force: "
            "configuration version 2 took effect, which is none of its own");
}

}  // namespace
}  // namespace distlog
