#include "server/peer_registry.h"

#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/fake_own_state.h"
#include "wire/value.h"

namespace distlog {
namespace {

using paxos::Ballot;
using paxos::ReplicaId;
using paxos::Uuid;

paxos::Configuration ThreeMembers() {
  return *MakeGenesis({{.uuid = {0, 1}, .address = "127.0.0.1:1"},
                       {.uuid = {0, 2}, .address = "127.0.0.1:2"},
                       {.uuid = {0, 3}, .address = "127.0.0.1:3"}});
}

// Replica 1, the callee, and replica 2, who calls.
class PeerRegistryTest : public testing::Test {
 protected:
  PeerRegistryTest() {
    for (FakeOwnState* state : {&own_, &other_}) {
      state->Assign(ThreeMembers());
      state->SetStart(1, 11);
    }
    registry_.SetMembers(ThreeMembers());
    caller_.SetMembers(ThreeMembers());
  }

  v1::Hello Hello() { return caller_.MakeHello(ThreeMembers().members[0], v1::TRAFFIC_CLASS_LIVE); }
  absl::StatusOr<paxos::Member> Admit(const v1::Hello& hello) {
    std::optional<absl::StatusOr<paxos::Member>> result;
    registry_.Admit(hello, "ipv4:127.0.0.1:9",
                    [&](const absl::StatusOr<paxos::Member>& caller) { result = caller; });
    return *result;
  }
  void ExpectRefused(const v1::Hello& hello, const std::string& why) {
    const absl::StatusOr<paxos::Member> caller = Admit(hello);
    EXPECT_EQ(caller.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_NE(caller.status().message().find(why), absl::string_view::npos) << caller.status();
  }
  void ExpectRegressed(const std::string& why) {
    const absl::StatusOr<paxos::Member> caller = Admit(Hello());
    EXPECT_EQ(caller.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_NE(caller.status().message().find(why), absl::string_view::npos) << caller.status();
  }

  FakeOwnState own_{Uuid{0, 1}};
  FakeOwnState other_{Uuid{0, 2}};
  PeerRegistry registry_{&own_, "127.0.0.1:1"};
  PeerRegistry caller_{&other_, "127.0.0.1:2"};
};

TEST_F(PeerRegistryTest, AMemberIsAdmittedAsWhoItIs) {
  const absl::StatusOr<paxos::Member> caller = Admit(Hello());
  ASSERT_TRUE(caller.ok()) << caller.status();
  EXPECT_EQ(caller->id, ReplicaId{2});
  EXPECT_EQ(caller->uuid, (Uuid{0, 2}));
}

// What differs in one point is refused, with a sentence that names the point.
TEST_F(PeerRegistryTest, WhatDoesNotMatchIsRefused) {
  v1::Hello hello = Hello();
  hello.set_wire_version_min(kWireVersionMax + 1);
  hello.set_wire_version_max(kWireVersionMax + 1);
  ExpectRefused(hello, "wire versions");
  hello = Hello();
  hello.set_cluster_id(std::string(32, 'x'));
  ExpectRefused(hello, "belongs to cluster");
  hello = Hello();
  hello.set_to_uuid(ToBytes(Uuid{0, 9}));
  ExpectRefused(hello, "the server here has UUID");
  hello = Hello();
  hello.set_to_id(3);
  ExpectRefused(hello, "the server here is replica 1");
  hello = Hello();
  hello.set_from_id(4);
  ExpectRefused(hello, "no member");
  hello = Hello();
  hello.set_from_id(0);
  ExpectRefused(hello, "no member");
  hello = Hello();
  hello.set_from_uuid(ToBytes(Uuid{0, 9}));
  ExpectRefused(hello, "not the server with UUID");
  ExpectRefused(v1::Hello(), "wire versions");
  v1::ServerStatus status;
  registry_.FillStatus(&status);
  EXPECT_EQ(status.refused_connections(), 8);
}

TEST_F(PeerRegistryTest, AnUnassignedServerAdmitsNobody) {
  own_.SetClusterId("");
  ExpectRefused(Hello(), "belongs to no cluster");
}

// A member that lost its disk: the empty directory in its place says what to do, to the caller and
// to its own operator.
TEST_F(PeerRegistryTest, AnEmptyDirectoryInTheSeatOfAMemberNamesTheRemedy) {
  FakeOwnState empty(Uuid{0, 9});
  PeerRegistry wiped(&empty, "127.0.0.1:1");
  std::string refusal;
  wiped.Admit(Hello(), "ipv4:127.0.0.1:9", [&](const absl::StatusOr<paxos::Member>& caller) {
    refusal = std::string(caller.status().message());
  });
  EXPECT_NE(refusal.find("run `distlog member replace 1 127.0.0.1:1`"), std::string::npos)
      << refusal;
  v1::ServerStatus status;
  wiped.FillStatus(&status);
  EXPECT_EQ(status.last_error(), refusal);
}

// Rule B9: who leaves goes on until the change is settled. Then it is out for good, and told so.
TEST_F(PeerRegistryTest, WhoLeavesIsLetInUntilTheChangeIsSettled) {
  paxos::Configuration without = ThreeMembers();
  without.version = 2;
  without.members.erase(without.members.begin() + 1);
  registry_.SetMembers(without, {ThreeMembers().members[1]});
  EXPECT_TRUE(Admit(Hello()).ok());
  EXPECT_EQ(registry_.peers().size(), 2);
  registry_.SetMembers(without);
  EXPECT_EQ(Admit(Hello()).status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(registry_.peers().size(), 1);
  EXPECT_FALSE(registry_.IsPeer(ReplicaId{2}, {0, 2}));
}

// What one is told counts until one knows as much by oneself; older news never do.
TEST_F(PeerRegistryTest, AHintCountsWhileItIsNewer) {
  paxos::Configuration later = ThreeMembers();
  later.version = 3;
  later.next_replica_id = 5;
  later.members[1].id = ReplicaId{4};
  later.members[1].uuid = {0, 4};
  std::swap(later.members[1], later.members[2]);
  registry_.SetHint(later);
  EXPECT_EQ(registry_.peers().size(), 3) << "2 and 3 in force, 3 and 4 by the hint";
  EXPECT_TRUE(registry_.IsPeer(ReplicaId{4}, {0, 4}));
  EXPECT_EQ(registry_.members().version, 1);
  paxos::Configuration newest = later;
  newest.version = 4;
  newest.members.pop_back();
  registry_.SetMembers(newest);
  EXPECT_FALSE(registry_.IsPeer(ReplicaId{4}, {0, 4}));
  registry_.SetHint(later);
  EXPECT_FALSE(registry_.IsPeer(ReplicaId{4}, {0, 4}));
}

// Strangers cannot fill the memory of the one they bother.
TEST_F(PeerRegistryTest, TheListOfRefusedCallersIsBounded) {
  for (uint64_t i = 0; i < 1000; ++i) {
    v1::Hello hello = Hello();
    hello.set_from_uuid(ToBytes(Uuid{7, i}));
    ExpectRefused(hello, "not the server with UUID");
  }
  v1::ServerStatus status;
  registry_.FillStatus(&status);
  EXPECT_EQ(status.refused_connections(), 1000);
  EXPECT_LE(status.trouble_size(), 32);
}

// A copy of a data directory that was started, and then an older one.
TEST_F(PeerRegistryTest, AnOlderStartHasRegressed) {
  other_.SetStart(5, 55);
  ASSERT_TRUE(Admit(Hello()).ok());
  ASSERT_TRUE(Admit(Hello()).ok()) << "the same start on another stream";
  other_.SetStart(4, 44);
  ExpectRegressed("start number 4");
  other_.SetStart(5, 56);
  ExpectRegressed("another nonce");
  other_.SetStart(6, 66);
  EXPECT_TRUE(Admit(Hello()).ok());
}

// The start is remembered by the disk, not only by this process.
TEST_F(PeerRegistryTest, AnOlderStartIsKnownAfterARestartOfTheCallee) {
  other_.SetStart(5, 55);
  ASSERT_TRUE(Admit(Hello()).ok());
  PeerRegistry restarted(&own_, "127.0.0.1:1");
  restarted.SetMembers(ThreeMembers());
  other_.SetStart(4, 44);
  absl::Status refusal;
  restarted.Admit(Hello(), "", [&](const auto& caller) { refusal = caller.status(); });
  EXPECT_EQ(refusal.code(), absl::StatusCode::kDataLoss);
}

// A peer whose disk forgot what it told (a lost tail) must not be counted in any quorum.
TEST_F(PeerRegistryTest, ARestartThatForgotWhatWasToldHasRegressed) {
  ASSERT_TRUE(Admit(Hello()).ok());
  const Ballot told{.round = 3, .owner = ReplicaId{1}};
  registry_.Observe(Uuid{0, 2}, {{{}, {}, paxos::Accepted{told, 10, 17}}});
  other_.SetStart(2, 22);
  other_.SetHeld(Ballot{.round = 2, .owner = ReplicaId{3}}, 17);
  ExpectRegressed("highest promise");
  other_.SetHeld(told, 16);
  ExpectRegressed("accepted slot 17");
  other_.SetHeld(told, 17);
  EXPECT_TRUE(Admit(Hello()).ok());
}

TEST_F(PeerRegistryTest, APromiseCountsAsTold) {
  ASSERT_TRUE(Admit(Hello()).ok());
  const Ballot told{.round = 8, .owner = ReplicaId{3}};
  paxos::Promise promise;
  promise.ballot = told;
  promise.accepted.resize(1);
  promise.accepted[0].slot = 5;
  registry_.Observe(Uuid{0, 2}, {{{}, {}, promise}});
  other_.SetStart(2, 22);
  other_.SetHeld(told, 4);
  ExpectRegressed("accepted slot 5");
  other_.SetHeld({}, 5);
  ExpectRegressed("told 8.3");
}

// Streams of all classes come at once with one start; one write serves them, and none is answered
// before it is durable.
TEST_F(PeerRegistryTest, NobodyIsAdmittedBeforeItsStartIsDurable) {
  own_.HoldWrites();
  int admitted = 0;
  for (int i = 0; i < 3; ++i) {
    registry_.Admit(Hello(), "", [&](const auto& caller) { admitted += caller.ok(); });
  }
  EXPECT_EQ(admitted, 0);
  own_.FinishWrites();
  EXPECT_EQ(admitted, 3);
  EXPECT_EQ(own_.RememberedPeer(Uuid{0, 2}).start_nonce, 11);
}

// The peer restarts while its start is being written: who waits needs the newer one to be durable.
TEST_F(PeerRegistryTest, ANewerStartDuringTheWriteIsWrittenToo) {
  own_.HoldWrites();
  int admitted = 0;
  registry_.Admit(Hello(), "", [&](const auto& caller) { admitted += caller.ok(); });
  other_.SetStart(2, 22);
  registry_.Admit(Hello(), "", [&](const auto& caller) { admitted += caller.ok(); });
  own_.FinishWrites();
  EXPECT_EQ(admitted, 0);
  own_.FinishWrites();
  EXPECT_EQ(admitted, 2);
  EXPECT_EQ(own_.RememberedPeer(Uuid{0, 2}).start_nonce, 22);
}

TEST_F(PeerRegistryTest, TheAnswerMustComeFromTheOneDialed) {
  const paxos::Member& second = ThreeMembers().members[1];
  v1::Hello answer = Hello();
  EXPECT_TRUE(registry_.CheckAnswer(answer, second).ok());
  EXPECT_FALSE(registry_.CheckAnswer(answer, ThreeMembers().members[2]).ok());
  answer.set_cluster_id("other");
  EXPECT_FALSE(registry_.CheckAnswer(answer, second).ok());
}

}  // namespace
}  // namespace distlog
