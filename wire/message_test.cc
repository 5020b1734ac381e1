// Messages come from the network: what is right comes back as it was, what is wrong is refused as a
// whole, and nothing makes the reader fail.

#include "wire/message.h"

#include <random>
#include <string>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "proto/distlog/v1/record.pb.h"
#include "wire/value.h"

namespace distlog {
namespace {

constexpr paxos::Ballot kBallot{3, paxos::ReplicaId{1}};
constexpr paxos::Ballot kHigher{4, paxos::ReplicaId{2}};
constexpr uint64_t kTooHigh = (uint64_t{1} << 62) + 1;

paxos::Value Batch(const std::string& payload) {
  v1::Batch batch;
  batch.add_appends()->add_payloads(payload);
  return MakeValue(batch);
}

paxos::Value NewConfiguration() {
  return MakeValue(
      MakeGenesis({paxos::Member{paxos::ReplicaId{1}, paxos::Uuid{1, 2}, "a:1", true}}).value());
}

// One or more of every kind, with no field left at its default where that is possible.
std::vector<paxos::Message> EveryMessage() {
  const paxos::Pair pair{kBallot, 9};
  return {
      paxos::Prepare{kBallot, 7, 2},
      paxos::Promise{kBallot, 5, 9, true, {{5, kBallot, Batch("x")}, {9, kHigher, {}}}, 4},
      paxos::Promise{kBallot, 5, 4, true, {}, 4},
      paxos::Accept{kBallot, 7, {Batch("x"), {}, NewConfiguration()}, 6, 2},
      paxos::Accepted{kBallot, 7, 9},
      paxos::Nack{kBallot, kHigher},
      paxos::Progress{5},
      paxos::Stale{2, 5},
      paxos::Confirm{kBallot, 11, 9},
      paxos::Confirmed{kBallot, 11},
      paxos::ReadRequest{8},
      paxos::ReadReply{8, 9, pair},
      paxos::Heartbeat{1, pair, 2, 5, 4},
      paxos::Heartbeat{},
      paxos::HeartbeatReply{1, kBallot, kHigher, kHigher, true, 5, 2, 8, 4},
      paxos::HeartbeatReply{},
      paxos::Announce{pair},
      paxos::LearnRequest{7},
      paxos::LearnReply{{{7, kBallot, Batch("x")}, {8, kHigher, NewConfiguration()}}, 9},
      paxos::LearnReply{},
      paxos::TakeOver{kBallot},
  };
}

v1::PeerMessage Proto(const paxos::Message& message) {
  v1::PeerMessage proto;
  ToProto(message, &proto);
  return proto;
}

TEST(MessageTest, EveryMessageComesBackAsItWas) {
  std::vector<bool> seen(std::variant_size_v<paxos::Message>);
  for (const paxos::Message& message : EveryMessage()) {
    seen[message.index()] = true;
    v1::PeerMessage proto;
    ASSERT_TRUE(proto.ParseFromString(Proto(message).SerializeAsString()));
    const absl::StatusOr<paxos::Message> read = FromProto(&proto);
    ASSERT_TRUE(read.ok()) << message.index() << ": " << read.status();
    EXPECT_EQ(*read, message) << message.index();
  }
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_TRUE(seen[i]) << "no case for kind " << i;
}

// A configuration on the wire is of no use to the core as mere bytes.
TEST(MessageTest, ConfigurationsComeDecoded) {
  v1::PeerMessage proto = Proto(paxos::Accept{kBallot, 7, {NewConfiguration()}, 6, 2});
  const paxos::Message read = FromProto(&proto).value();
  ASSERT_NE(std::get<paxos::Accept>(read).values[0].configuration, nullptr);
}

TEST(MessageTest, PayloadsAreMovedOut) {
  v1::PeerMessage proto = Proto(paxos::Accept{kBallot, 7, {Batch(std::string(5000, 'x'))}, 6, 2});
  const char* bytes = proto.accept().values(0).payload().data();
  const paxos::Message read = FromProto(&proto).value();
  EXPECT_EQ(std::get<paxos::Accept>(read).values[0].payload->data(), bytes);
}

TEST(MessageTest, WhatIsMalformedIsRefused) {
  const paxos::AcceptedValue five{5, kBallot, Batch("x")};
  const paxos::AcceptedValue six{6, kBallot, Batch("x")};
  const paxos::AcceptedValue seven{7, kBallot, Batch("x")};
  paxos::Value bad_checksum = Batch("x");
  ++bad_checksum.checksum;
  paxos::Value odd_noop;
  odd_noop.checksum = 1;
  const paxos::Ballot no_owner{3, paxos::kNoReplica};
  const paxos::Ballot no_round{0, paxos::ReplicaId{1}};
  const paxos::Ballot too_high{kTooHigh, paxos::ReplicaId{1}};
  const struct {
    const char* what;
    paxos::Message message;
  } kCases[] = {
      {"prepare without ballot", paxos::Prepare{{}, 7, 2}},
      {"prepare of slot 0", paxos::Prepare{kBallot, 0, 2}},
      {"prepare far away", paxos::Prepare{kBallot, kTooHigh, 2}},
      {"prepare without owner", paxos::Prepare{no_owner, 7, 2}},
      {"prepare without round", paxos::Prepare{no_round, 7, 2}},
      {"prepare of the last round", paxos::Prepare{too_high, 7, 2}},
      {"promise without ballot", paxos::Promise{{}, 5, 9, true, {five}, 4}},
      {"promise of slot 0", paxos::Promise{kBallot, 0, 9, true, {five}, 4}},
      {"promise below first", paxos::Promise{kBallot, 6, 9, true, {five}, 4}},
      {"promise above last", paxos::Promise{kBallot, 5, 6, true, {five, seven}, 4}},
      {"promise with a slot twice", paxos::Promise{kBallot, 5, 9, true, {five, five}, 4}},
      {"promise out of order", paxos::Promise{kBallot, 5, 9, true, {six, five}, 4}},
      {"promise of a value without ballot",
       paxos::Promise{kBallot, 5, 9, true, {{5, {}, Batch("x")}}, 4}},
      {"promise of a bad value",
       paxos::Promise{kBallot, 5, 9, true, {{5, kBallot, bad_checksum}}, 4}},
      {"promise far away", paxos::Promise{kBallot, 5, kTooHigh, true, {}, 4}},
      {"promise with a mark far away", paxos::Promise{kBallot, 5, 9, true, {}, kTooHigh}},
      {"accept without ballot", paxos::Accept{{}, 7, {Batch("x")}, 6, 2}},
      {"accept of slot 0", paxos::Accept{kBallot, 0, {Batch("x")}, 6, 2}},
      {"accept of nothing", paxos::Accept{kBallot, 7, {}, 6, 2}},
      {"accept of a bad value", paxos::Accept{kBallot, 7, {Batch("x"), bad_checksum}, 6, 2}},
      {"accept of an odd no-op", paxos::Accept{kBallot, 7, {odd_noop}, 6, 2}},
      {"accept with a mark far away", paxos::Accept{kBallot, 7, {{}}, kTooHigh, 2}},
      {"accepted without ballot", paxos::Accepted{{}, 7, 9}},
      {"accepted slot 0", paxos::Accepted{kBallot, 0, 9}},
      {"accepted last below first", paxos::Accepted{kBallot, 7, 6}},
      {"accepted far away", paxos::Accepted{kBallot, 7, kTooHigh}},
      {"nack of nothing", paxos::Nack{{}, kHigher}},
      {"nack without promise", paxos::Nack{kBallot, {}}},
      {"progress far away", paxos::Progress{kTooHigh}},
      {"stale far away", paxos::Stale{2, kTooHigh}},
      {"confirm without ballot", paxos::Confirm{{}, 11, 9}},
      {"confirmed without ballot", paxos::Confirmed{{}, 11}},
      {"read reply far away", paxos::ReadReply{8, kTooHigh, {}}},
      {"read reply with half a ballot", paxos::ReadReply{8, 9, {no_owner, 9}}},
      {"heartbeat with half a ballot", paxos::Heartbeat{1, {no_round, 9}, 2, 5, 1}},
      {"heartbeat far away", paxos::Heartbeat{1, {kBallot, kTooHigh}, 2, 5, 1}},
      {"heartbeat marking far away", paxos::Heartbeat{1, {kBallot, 9}, 2, kTooHigh, 1}},
      {"reply claiming half a ballot",
       paxos::HeartbeatReply{1, no_owner, {}, {}, true, 5, 2, 8, 1}},
      {"reply following half a ballot",
       paxos::HeartbeatReply{1, {}, no_round, {}, true, 5, 2, 8, 1}},
      {"reply promising the last round",
       paxos::HeartbeatReply{1, {}, {}, too_high, true, 5, 2, 8, 1}},
      {"reply far away", paxos::HeartbeatReply{1, {}, {}, {}, true, kTooHigh, 2, 8, 1}},
      {"reply received far away", paxos::HeartbeatReply{1, {}, {}, {}, true, 5, 2, kTooHigh, 1}},
      {"announce with half a ballot", paxos::Announce{{no_owner, 9}}},
      {"learn request of slot 0", paxos::LearnRequest{0}},
      {"learn reply with a gap", paxos::LearnReply{{five, seven}, 9}},
      {"learn reply with slot 0", paxos::LearnReply{{{0, kBallot, {}}}, 9}},
      {"learn reply without ballot", paxos::LearnReply{{{5, {}, {}}}, 9}},
      {"learn reply of a bad value", paxos::LearnReply{{{5, kBallot, bad_checksum}}, 9}},
      {"take over without ballot", paxos::TakeOver{}},
  };
  for (const auto& c : kCases) {
    v1::PeerMessage proto = Proto(c.message);
    EXPECT_EQ(FromProto(&proto).status().code(), absl::StatusCode::kInvalidArgument) << c.what;
  }
}

TEST(MessageTest, NoMessageKindAbove255OrMissingValueIsRefused) {
  v1::PeerMessage nothing;
  EXPECT_EQ(FromProto(&nothing).status().code(), absl::StatusCode::kInvalidArgument);

  v1::PeerMessage kind = Proto(paxos::Accept{kBallot, 7, {{}}, 6, 2});
  kind.mutable_accept()->mutable_values(0)->set_kind(256);
  EXPECT_EQ(FromProto(&kind).status().code(), absl::StatusCode::kInvalidArgument);

  // A value left out would read as a no-op, and could be taken for one that was chosen.
  v1::PeerMessage value = Proto(paxos::LearnReply{{{7, kBallot, {}}}, 9});
  value.mutable_learn_reply()->mutable_chosen(0)->clear_value();
  EXPECT_EQ(FromProto(&value).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(MessageTest, DamagedBytesAreRefusedOrReadWithinTheRules) {
  const std::vector<paxos::Message> messages = EveryMessage();
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    std::string bytes = Proto(messages[random() % messages.size()]).SerializeAsString();
    if (random() % 3 == 0) bytes.resize(random() % (bytes.size() + 1));
    for (uint64_t flips = random() % 4; flips > 0 && !bytes.empty(); --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    v1::PeerMessage proto;
    if (!proto.ParseFromString(bytes)) continue;
    const absl::StatusOr<paxos::Message> read = FromProto(&proto);
    if (!read.ok()) {
      EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
      continue;
    }
    // What was taken can be said again, and is understood the same.
    v1::PeerMessage again = Proto(*read);
    const absl::StatusOr<paxos::Message> reread = FromProto(&again);
    ASSERT_TRUE(reread.ok()) << reread.status();
    EXPECT_EQ(*reread, *read);
  }
}

}  // namespace
}  // namespace distlog
