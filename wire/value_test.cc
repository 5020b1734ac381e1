// Values cross disks and networks: what comes back is the same bytes, or an error, never another
// value.

#include "wire/value.h"

#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "wire/checksum.h"

namespace distlog {
namespace {

using Kind = paxos::Value::Kind;

paxos::Member MemberAt(uint64_t id, const std::string& address, bool voter = true) {
  return paxos::Member{paxos::ReplicaId{id}, paxos::Uuid{id + 100, id}, address, voter};
}

paxos::Configuration Three() {
  return MakeGenesis({MemberAt(0, "c:1"), MemberAt(7, "a:1"), MemberAt(9, "b:1")}).value();
}

v1::Batch SomeBatch() {
  v1::Batch batch;
  batch.mutable_origin()->set_replica(1);
  batch.add_appends()->add_payloads("a line");
  return batch;
}

absl::StatusOr<paxos::Value> Decoded(const paxos::Value& value) {
  return DecodeValue(static_cast<uint32_t>(value.kind),
                     value.payload == nullptr ? "" : *value.payload, value.checksum);
}

TEST(ValueTest, EveryKindComesBackAsItWas) {
  v1::Command command;
  command.mutable_open_producer()->set_name("p");
  for (const paxos::Value& value :
       {paxos::Value{}, MakeValue(SomeBatch()), MakeValue(command), MakeValue(Three())}) {
    const absl::StatusOr<paxos::Value> decoded = Decoded(value);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, value);
    EXPECT_EQ(decoded->payload == nullptr, value.kind == Kind::kNoOp);
    EXPECT_EQ(decoded->configuration != nullptr, value.kind == Kind::kConfiguration);
    if (decoded->configuration != nullptr) {
      EXPECT_EQ(*decoded->configuration, Three());
    }
  }
}

// Only apply minds a kind of a later program: until then it is stored and handed on as it is.
TEST(ValueTest, UnknownKindIsKeptVerbatim) {
  for (uint32_t kind : {4u, 255u}) {
    const absl::StatusOr<paxos::Value> value = DecodeValue(kind, "new", Checksum("new"));
    ASSERT_TRUE(value.ok()) << value.status();
    EXPECT_EQ(static_cast<uint32_t>(value->kind), kind);
    EXPECT_EQ(*value->payload, "new");
  }
}

TEST(ValueTest, WhatIsDamagedIsDataLoss) {
  const struct {
    const char* what;
    uint32_t kind;
    std::string payload;
    uint64_t checksum;
  } kCases[] = {
      {"wrong checksum", 1, "x", Checksum("y")},
      {"wrong checksum of nothing", 1, "", 0},
      {"no-op with a payload", 0, "x", Checksum("x")},
      {"no-op with a checksum", 0, "", Checksum("")},
      {"kind that would wrap to a no-op", 256, "", 0},
      {"kind that would wrap to a batch", 257, "x", Checksum("x")},
      {"configuration that is no message", 2, "\xff", Checksum("\xff")},
      {"configuration that breaks a rule", 2, "", Checksum("")},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(DecodeValue(c.kind, c.payload, c.checksum).status().code(),
              absl::StatusCode::kDataLoss)
        << c.what;
  }
}

// Big values are moved, not copied.
TEST(ValueTest, DecodingKeepsTheBytesWhereTheyAre) {
  std::string payload(1 << 20, 'x');
  const char* bytes = payload.data();
  const uint64_t checksum = Checksum(payload);
  EXPECT_EQ(DecodeValue(1, std::move(payload), checksum)->payload->data(), bytes);
}

TEST(ValueTest, DamagedConfigurationsAreNeverTakenForAnother) {
  const std::string good = *MakeValue(Three()).payload;
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    std::mt19937_64 random(seed);
    std::string bytes = good.substr(0, random() % (good.size() + 1));
    if (!bytes.empty()) bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    // With the checksum of the original: always found. With its own: decoded within the rules or
    // not.
    EXPECT_FALSE(DecodeValue(2, bytes, Checksum(good)).ok()) << "seed " << seed;
    const absl::StatusOr<paxos::Value> value = DecodeValue(2, bytes, Checksum(bytes));
    if (!value.ok()) continue;
    EXPECT_TRUE(FromProto(ToProto(*value->configuration)).ok()) << "seed " << seed;
  }
}

TEST(ConfigurationTest, BrokenRulesAreRefused) {
  using Change = void (*)(v1::ConfigurationMessage*);
  const struct {
    const char* what;
    Change change;
  } kCases[] = {
      {"version 0", [](auto* c) { c->set_version(0); }},
      {"feature level 0", [](auto* c) { c->set_feature_level(0); }},
      {"id 0", [](auto* c) { c->mutable_members(0)->set_id(0); }},
      {"order", [](auto* c) { c->mutable_members()->SwapElements(0, 1); }},
      {"id twice", [](auto* c) { c->mutable_members(1)->set_id(1); }},
      {"UUID twice", [](auto* c) { c->mutable_members(1)->set_uuid(c->members(0).uuid()); }},
      {"UUID missing", [](auto* c) { c->mutable_members(1)->clear_uuid(); }},
      {"UUID too long", [](auto* c) { c->mutable_members(1)->mutable_uuid()->push_back('x'); }},
      {"UUID too short", [](auto* c) { c->mutable_members(1)->mutable_uuid()->pop_back(); }},
      {"address twice", [](auto* c) { c->mutable_members(1)->set_address("a:1"); }},
      {"address missing", [](auto* c) { c->mutable_members(1)->clear_address(); }},
      {"address too long",
       [](auto* c) { c->mutable_members(1)->set_address(std::string(300, 'a')); }},
      {"too many",
       [](auto* c) {
         for (int i = 4; i <= 65; ++i) {
           auto* member = c->add_members();
           member->set_id(i);
           member->set_uuid(ToBytes(paxos::Uuid{1, static_cast<uint64_t>(i)}));
           member->set_address("m" + std::to_string(i));
         }
       }},
      // Field 99: to miss what it says could mean counting another quorum.
      {"unknown field",
       [](auto* c) { ASSERT_TRUE(c->MergeFromString(std::string("\x98\x06\x01", 3))); }},
      {"unknown field of a member",
       [](auto* c) {
         ASSERT_TRUE(c->mutable_members(0)->MergeFromString(std::string("\x98\x06\x01", 3)));
       }},
  };
  ASSERT_TRUE(FromProto(ToProto(Three())).ok());
  for (const auto& c : kCases) {
    v1::ConfigurationMessage message = ToProto(Three());
    c.change(&message);
    EXPECT_EQ(FromProto(message).status().code(), absl::StatusCode::kInvalidArgument) << c.what;
  }
}

// Rule B2 makes these no-ops; so they must be readable.
TEST(ConfigurationTest, WhatRuleB2JudgesIsReadable) {
  paxos::Configuration configuration = Three();
  configuration.next_replica_id = 2;
  for (paxos::Member& member : configuration.members) member.voter = false;
  const absl::StatusOr<paxos::Configuration> read = FromProto(ToProto(configuration));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, configuration);
}

TEST(GenesisTest, IdsFollowSortedAddresses) {
  const paxos::Configuration genesis = Three();
  ASSERT_EQ(genesis.members.size(), 3u);
  EXPECT_EQ(genesis.members[0], (paxos::Member{paxos::ReplicaId{1}, {107, 7}, "a:1", true}));
  EXPECT_EQ(genesis.members[1], (paxos::Member{paxos::ReplicaId{2}, {109, 9}, "b:1", true}));
  EXPECT_EQ(genesis.members[2], (paxos::Member{paxos::ReplicaId{3}, {100, 0}, "c:1", true}));
  EXPECT_EQ(genesis.version, 1u);
  EXPECT_EQ(genesis.next_replica_id, 4u);
  EXPECT_EQ(genesis.feature_level, 1u);
}

TEST(GenesisTest, NoneTwiceOrTooManyIsRefused) {
  std::vector<paxos::Member> many;
  for (uint64_t i = 1; i <= 15; ++i) many.push_back(MemberAt(i, "h:" + std::to_string(i)));
  EXPECT_TRUE(MakeGenesis(many).ok());
  many.push_back(MemberAt(16, "h:16"));
  std::vector<paxos::Member> one_uuid = {MemberAt(1, "a:1"), MemberAt(1, "b:1")};
  std::vector<paxos::Member> one_address = {MemberAt(1, "a:1"), MemberAt(2, "a:1")};
  for (const std::vector<paxos::Member>& members : {{}, many, one_uuid, one_address}) {
    EXPECT_EQ(MakeGenesis(members).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

// The id of a cluster is for ever. Computed by hand from the encoding described at ClusterId.
TEST(GenesisTest, ClusterIdIsTheHashOfTheCanonicalEncoding) {
  EXPECT_EQ(HexString(ClusterId(Three())),
            "923c5e02237a92d29662c53c20df18114f3ee9f4dfba84fcaba034e94768f4ab");
  EXPECT_EQ(ClusterId(Three()).size(), 32u);
}

TEST(GenesisTest, ClusterIdKnowsEveryField) {
  std::set<std::string> ids = {ClusterId(Three())};
  using Change = void (*)(paxos::Configuration*);
  for (Change change : std::initializer_list<Change>{
           [](auto* c) { c->version = 2; }, [](auto* c) { c->next_replica_id = 9; },
           [](auto* c) { c->feature_level = 2; }, [](auto* c) { c->members.pop_back(); },
           [](auto* c) { c->members[0].id = paxos::ReplicaId{9}; },
           [](auto* c) { c->members[0].uuid.low ^= 1; },
           [](auto* c) { c->members[0].uuid.high ^= 1; },
           [](auto* c) { c->members[0].voter = false; },
           [](auto* c) { c->members[0].address += "0"; }}) {
    paxos::Configuration genesis = Three();
    change(&genesis);
    EXPECT_TRUE(ids.insert(ClusterId(genesis)).second);
  }
}

v1::RecoveredFrom RecoveryOf(const paxos::Configuration& genesis,
                             const std::vector<v1::RecoveredFrom>& before, uint64_t slot) {
  v1::RecoveredFrom recovery;
  recovery.set_parent_cluster_id(ClusterId(genesis, before));
  recovery.set_slot(slot);
  recovery.set_shared_slot(slot - 1);
  recovery.set_shared_position(slot);
  recovery.set_configuration_version(slot + 1);
  v1::MemberMessage* member = recovery.add_members();
  member->set_id(4);
  member->set_uuid(std::string(16, 'u'));
  member->set_address("a:1");
  member->set_voter(true);
  return recovery;
}

TEST(RecoveredTest, ClusterIdKnowsEveryFieldOfEachRecovery) {
  const paxos::Configuration genesis = Three();
  const v1::RecoveredFrom first = RecoveryOf(genesis, {}, 7);
  const v1::RecoveredFrom second = RecoveryOf(genesis, {first}, 9);
  std::set<std::string> ids = {ClusterId(genesis), ClusterId(genesis, {first})};
  EXPECT_EQ(ids.size(), 2u);
  EXPECT_TRUE(ids.insert(ClusterId(genesis, {first, second})).second);
  using Change = void (*)(v1::RecoveredFrom*);
  for (Change change : std::initializer_list<Change>{
           [](auto* r) { r->mutable_parent_cluster_id()->front() ^= 1; },
           [](auto* r) { r->set_slot(8); }, [](auto* r) { r->set_shared_slot(5); },
           [](auto* r) { r->set_shared_position(8); },
           [](auto* r) { r->set_configuration_version(9); },
           [](auto* r) { r->mutable_members()->Clear(); },
           [](auto* r) { r->mutable_members(0)->set_id(5); },
           [](auto* r) { r->mutable_members(0)->mutable_uuid()->front() ^= 1; },
           [](auto* r) { r->mutable_members(0)->set_address("a:2"); },
           [](auto* r) { r->mutable_members(0)->set_voter(false); }}) {
    v1::RecoveredFrom changed = first;
    change(&changed);
    EXPECT_TRUE(ids.insert(ClusterId(genesis, {changed})).second);
  }
}

TEST(RecoveredTest, OnlyWhatFollowsFromTheGenesisIsTaken) {
  const paxos::Configuration genesis = Three();
  const v1::RecoveredFrom first = RecoveryOf(genesis, {}, 7);
  const v1::RecoveredFrom second = RecoveryOf(genesis, {first}, 9);
  EXPECT_EQ(CheckRecovered(genesis, {}), absl::OkStatus());
  EXPECT_EQ(CheckRecovered(genesis, {first}), absl::OkStatus());
  EXPECT_EQ(CheckRecovered(genesis, {first, second}), absl::OkStatus());
  v1::RecoveredFrom back = RecoveryOf(genesis, {first}, 7);
  v1::RecoveredFrom nobody = first;
  nobody.clear_members();
  v1::RecoveredFrom unnamed = first;
  unnamed.mutable_members(0)->set_uuid("short");
  for (const std::vector<v1::RecoveredFrom>& wrong : std::vector<std::vector<v1::RecoveredFrom>>{
           {second}, {second, first}, {first, first}, {first, back}, {nobody}, {unnamed}}) {
    EXPECT_EQ(CheckRecovered(genesis, wrong).code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(NamesTest, UuidsAndBallotsComeBack) {
  const paxos::Uuid uuid{0x0102030405060708, 0xf1f2f3f4f5f6f7f8};
  EXPECT_EQ(HexString(ToBytes(uuid)), "0102030405060708f1f2f3f4f5f6f7f8");
  EXPECT_EQ(UuidFromBytes(ToBytes(uuid)), uuid);
  EXPECT_EQ(UuidFromBytes(""), paxos::Uuid{});
  EXPECT_EQ(UuidFromBytes(std::string(17, 'x')), paxos::Uuid{});
  const paxos::Ballot ballot{7, paxos::ReplicaId{3}};
  EXPECT_EQ(FromProto(ToProto(ballot)), ballot);
}

TEST(NamesTest, DrawnNamesDiffer) {
  EXPECT_NE(NewUuid(), NewUuid());
  EXPECT_NE(NewUuid().high, NewUuid().high);
  EXPECT_NE(NewUuid().low, NewUuid().low);
  EXPECT_NE(NewNonce(), NewNonce());
}

}  // namespace
}  // namespace distlog
