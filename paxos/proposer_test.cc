// One ballot's proposer: what promises oblige it to, and what it may propose when.

#include "paxos/proposer.h"

#include <chrono>
#include <vector>

#include "gtest/gtest.h"
#include "paxos/test_cluster.h"

namespace distlog::paxos {
namespace {

constexpr ReplicaId k1{1};
constexpr ReplicaId k2{2};
constexpr ReplicaId k3{3};
const Ballot kOld{1, k2};
const Ballot kNewer{2, k3};
const Ballot kOwn{3, k1};

Promise Part(Slot first, Slot last, bool is_final, std::vector<AcceptedValue> accepted,
             Slot chosen_through = 0) {
  return {.ballot = kOwn,
          .first = first,
          .last = last,
          .is_final = is_final,
          .accepted = std::move(accepted),
          .chosen_through = chosen_through};
}

Proposer Preparing(std::map<Slot, AcceptedValue> carried = {}) {
  Proposer proposer(kOwn, !carried.empty(), std::move(carried), Time{});
  proposer.Prepare(1, Time{});
  return proposer;
}

TEST(ProposerTest, ProposesTheValueOfTheHighestBallotReported) {
  Proposer proposer = Preparing();
  proposer.OnPromise(k1, Part(1, 1, true, {{1, kOld, Batch("old")}}), Time{});
  EXPECT_FALSE(proposer.HasPromiseQuorum(VotersOnly(3)));
  proposer.OnPromise(k3, Part(1, 1, true, {{1, kNewer, Batch("newer")}}), Time{});
  ASSERT_TRUE(proposer.HasPromiseQuorum(VotersOnly(3)));
  proposer.Lead(0, Time{});
  ASSERT_TRUE(proposer.NextObligation(0, 8).has_value());
  EXPECT_EQ(proposer.NextObligation(0, 8)->second, Batch("newer"));
}

// With a minority down and an Accepted lost, its slot was said again only when the leader had given
// way: what the dead one was sent in every round put it off.
TEST(ProposerTest, SayingASlotAgainToOnePutsItOffForNoOther) {
  const auto at = [](int ms) { return Time(std::chrono::milliseconds(ms)); };
  Proposer proposer = Preparing();
  proposer.OnPromise(k1, Part(1, 0, true, {}), Time{});
  proposer.OnPromise(k2, Part(1, 0, true, {}), Time{});
  proposer.Lead(0, Time{});
  proposer.Propose(1, Batch("a"), at(0));
  const Slot received_by_2 = 1;  // And its answer was lost.
  const Slot received_by_3 = 0;
  for (int now = 100; now <= 300; now += 100) {
    EXPECT_EQ(proposer.SlotsToResend(k3, received_by_3, at(now - 100), at(now - 300)),
              std::vector<Slot>{1});
    proposer.NoteResent(k3, 1, at(now));
  }
  EXPECT_EQ(proposer.SlotsToResend(k2, received_by_2, at(200), at(0)), std::vector<Slot>{1});
  proposer.NoteResent(k2, 1, at(300));
  EXPECT_TRUE(proposer.SlotsToResend(k2, received_by_2, at(300), at(100)).empty());
}

TEST(ProposerTest, FillsGapsWithNoOpsAndPutsNewValuesAfterTheHighest) {
  Proposer proposer = Preparing();
  proposer.OnPromise(k1, Part(1, 0, true, {}), Time{});
  proposer.OnPromise(k2, Part(1, 3, true, {{3, kOld, Batch("c")}}), Time{});
  proposer.Lead(0, Time{});
  EXPECT_EQ(proposer.recovery_slot(), 3u);
  EXPECT_FALSE(proposer.HasRoom(1, 0, 8, 1000)) << "obligations come first";
  std::vector<Value::Kind> kinds;
  while (auto next = proposer.NextObligation(0, 8)) {
    kinds.push_back(next->second.kind);
    proposer.Propose(next->first, next->second, Time{});
  }
  EXPECT_EQ(kinds, (std::vector<Value::Kind>{Value::Kind::kNoOp, Value::Kind::kNoOp,
                                             Value::Kind::kBatch}));
  EXPECT_TRUE(proposer.HasRoom(1, 0, 8, 1000));
  EXPECT_EQ(proposer.next_slot(), 4u);
}

TEST(ProposerTest, APromiseCountsWhenAllItsPartsAreThere) {
  Proposer proposer = Preparing();
  proposer.OnPromise(k2, Part(3, 4, true, {{4, kOld, Batch("d")}}), Time{});
  EXPECT_FALSE(proposer.HasPromised(k2)) << "slots 1 and 2 are missing";
  proposer.OnPromise(k2, Part(1, 2, false, {{2, kOld, Batch("b")}}), Time{});
  EXPECT_FALSE(proposer.HasPromised(k2));
  proposer.OnPromise(k2, Part(3, 4, true, {{4, kOld, Batch("d")}}), Time{});
  EXPECT_TRUE(proposer.HasPromised(k2));
}

TEST(ProposerTest, WhatAnAcceptorKnowsChosenNeedsNoReport) {
  Proposer proposer = Preparing();
  proposer.OnPromise(k2, Part(6, 5, true, {}, 5), Time{});
  EXPECT_TRUE(proposer.HasPromised(k2));
  EXPECT_EQ(proposer.promised_chosen_through(), 5u);
  proposer.DropPromisesAbove(4);
  EXPECT_FALSE(proposer.HasPromised(k2)) << "its sender died, and nobody else has slot 5";
}

TEST(ProposerTest, ARenewalKeepsItsOwnValuesInTheirSlots) {
  Proposer proposer = Preparing({{2, {2, kNewer, Batch("mine")}}});
  proposer.OnPromise(k1, Part(1, 0, true, {}), Time{});
  proposer.OnPromise(k2, Part(1, 2, true, {{2, kOld, Batch("older")}}), Time{});
  proposer.Lead(0, Time{});
  proposer.Propose(1, proposer.NextObligation(0, 8)->second, Time{});
  EXPECT_EQ(proposer.NextObligation(0, 8)->second, Batch("mine"));
}

TEST(ProposerTest, TheWindowIsBoundInSlotsAndBytes) {
  Proposer proposer = Preparing();
  proposer.OnPromise(k1, Part(1, 0, true, {}), Time{});
  proposer.OnPromise(k2, Part(1, 0, true, {}), Time{});
  proposer.Lead(0, Time{});
  EXPECT_TRUE(proposer.HasRoom(5000, 0, 2, 100)) << "one of any size is always allowed";
  proposer.Propose(1, Batch(std::string(60, 'x')), Time{});
  EXPECT_FALSE(proposer.HasRoom(60, 0, 2, 100)) << "bytes";
  proposer.Propose(2, Batch("y"), Time{});
  EXPECT_FALSE(proposer.HasRoom(1, 0, 2, 100)) << "slots";
  proposer.OnChosen(1);
  EXPECT_TRUE(proposer.HasRoom(1, 1, 2, 100));
}

TEST(ProposerTest, NothingIsProposedAboveAConfigurationInFlight) {  // Rule B1.
  Proposer proposer = Preparing();
  proposer.OnPromise(k1, Part(1, 0, true, {}), Time{});
  proposer.OnPromise(k2, Part(1, 0, true, {}), Time{});
  proposer.Lead(0, Time{});
  Value change;
  change.kind = Value::Kind::kConfiguration;
  change.configuration = std::make_shared<Configuration>(VotersOnly(3));
  proposer.Propose(1, change, Time{});
  EXPECT_TRUE(proposer.HasBarrier());
  EXPECT_FALSE(proposer.HasRoom(1, 0, 8, 1000));
  proposer.OnChosen(1);
  EXPECT_TRUE(proposer.HasRoom(1, 1, 8, 1000));
}

TEST(ProposerTest, AQuorumOfDurableCopiesIsCountedAmongVotersOnly) {
  Proposer proposer = Preparing();
  proposer.OnPromise(k1, Part(1, 0, true, {}), Time{});
  proposer.OnPromise(k2, Part(1, 0, true, {}), Time{});
  proposer.Lead(0, Time{});
  proposer.Propose(1, Batch("a"), Time{});
  proposer.OnAccepted(ReplicaId(9), 1, 1);
  proposer.OnAccepted(k1, 1, 1);
  EXPECT_FALSE(proposer.IsAccepted(1, VotersOnly(3)));
  proposer.OnAccepted(k3, 1, 1);
  EXPECT_TRUE(proposer.IsAccepted(1, VotersOnly(3))) << "two disks of three";
}

TEST(ProposerTest, ProgressIsAskedForOnlyWhileSomethingIsOutstanding) {
  using std::chrono::seconds;
  Proposer proposer = Preparing();
  EXPECT_FALSE(proposer.IsProgressing(seconds(5), seconds(1), seconds(1))) << "Phase 1 hangs";
  proposer.Lead(0, seconds(5));
  EXPECT_TRUE(proposer.IsProgressing(seconds(50), seconds(1), seconds(1))) << "idle";
  proposer.Propose(1, Batch("a"), seconds(50));
  EXPECT_TRUE(proposer.IsProgressing(seconds(51), seconds(1), seconds(1)));
  EXPECT_FALSE(proposer.IsProgressing(seconds(52), seconds(1), seconds(1)));
}

}  // namespace
}  // namespace distlog::paxos
