// What the checker's own tests share: three replicas whose steps are told by hand.

#ifndef DISTLOG_TESTS_SIMULATION_CHECKER_FIXTURE_H_
#define DISTLOG_TESTS_SIMULATION_CHECKER_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simulation/checker.h"
#include "wire/checksum.h"

namespace distlog::simulation {

inline constexpr paxos::ReplicaId kOne{1};
inline constexpr paxos::ReplicaId kTwo{2};
inline constexpr paxos::ReplicaId kThree{3};

// The genesis: 1, 2 and 3 vote.
inline paxos::Configuration Three() {
  paxos::Configuration genesis;
  genesis.version = 1;
  genesis.next_replica_id = 4;
  for (uint64_t id = 1; id <= 3; ++id) {
    genesis.members.push_back(
        {paxos::ReplicaId{id}, {0, id}, "replica:" + std::to_string(id), true});
  }
  return genesis;
}

inline paxos::Value Text(const std::string& text) {
  paxos::Value value;
  value.kind = paxos::Value::Kind::kBatch;
  value.payload = std::make_shared<const std::string>(text);
  value.checksum = Checksum(text);
  return value;
}

// A checker of a cluster of three voters with a window of four slots, and what it objected to.
class CheckerFixture : public ::testing::Test {
 protected:
  CheckerFixture()
      : checker_(Three(), 4, [this](const std::string& what) { wrong_.push_back(what); }) {
    for (const paxos::ReplicaId id : {kOne, kTwo, kThree}) checker_.Started(id, {});
  }
  static paxos::Ballot By(uint64_t round, paxos::ReplicaId owner) { return {round, owner}; }
  static paxos::AcceptRecord Record(paxos::Slot slot, const paxos::Ballot& ballot,
                                    const paxos::Value& value, paxos::Slot chosen = 0) {
    return {{slot, ballot, value}, chosen};
  }
  void Write(paxos::ReplicaId replica, const paxos::Record& record) {
    checker_.Written(replica, record);
    checker_.Durable(replica, record);
  }
  // Slot 1 holds "a", chosen at 1.1 by 1 and 2.
  void ChooseA() {
    Write(kOne, Record(1, By(1, kOne), Text("a")));
    Write(kTwo, Record(1, By(1, kOne), Text("a")));
  }
  void Say(paxos::ReplicaId from, paxos::ReplicaId to, paxos::Message message) {
    const paxos::Envelope envelope{from, to, std::move(message)};
    checker_.Emitted(envelope);
    checker_.Left(envelope);
  }
  // Phase 1 at this ballot, with the promises of all others than `without`.
  void Prepare(const paxos::Ballot& ballot, paxos::ReplicaId without) {
    Write(ballot.owner, paxos::PromiseRecord{ballot});
    Say(ballot.owner, ballot.owner, paxos::Prepare{ballot, 1, 1});
    for (const paxos::ReplicaId id : {kOne, kTwo, kThree}) {
      if (id == without) continue;
      Write(id, paxos::PromiseRecord{ballot});
      paxos::Promise promise{ballot, 9, 0, true, {}, 0};  // From slot 9 on, nothing is held.
      Say(id, ballot.owner, promise);
    }
  }
  // `value` is chosen in the slot, and given to every replica to apply.
  void Choose(paxos::Slot slot, const paxos::Value& value) {
    Write(kOne, Record(slot, By(1, kOne), value));
    Write(kTwo, Record(slot, By(1, kOne), value));
    for (const paxos::ReplicaId id : {kOne, kTwo, kThree}) {
      checker_.Chosen(id, {slot, By(1, kOne), value});
    }
  }
  void ExpectWrong(const std::string& part) {
    EXPECT_THAT(wrong_, ::testing::ElementsAre(::testing::HasSubstr(part)));
  }
  // Where what was done breaks several rules.
  void ExpectWrongFirst(const std::string& part) {
    ASSERT_THAT(wrong_, ::testing::Not(::testing::IsEmpty()));
    EXPECT_THAT(wrong_.front(), ::testing::HasSubstr(part));
  }

  std::vector<std::string> wrong_;
  Checker checker_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CHECKER_FIXTURE_H_
