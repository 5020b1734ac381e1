// A record says everything about itself, so that one that is damaged or stands elsewhere is found.

#include "log/record.h"

#include <string>

#include "gtest/gtest.h"
#include "wire/checksum.h"

namespace distlog {
namespace {

constexpr RecordKey kKey{.slot = 17, .write = 9};

std::string Payload() { return "some bytes"; }

RecordHeader Header() {
  return {.owner = {.cluster = 0x1122334455667788, .uuid = {3, 4}},
          .slot = kKey.slot,
          .ballot = {5, paxos::ReplicaId{6}},
          .chosen_through = 16,
          .write = kKey.write,
          .previous_write = 8,
          .digest = 0xfedcba9876543210,
          .index = 1,
          .count = 3,
          .kind = 3,
          .value_checksum = Checksum(Payload()),
          .payload_bytes = Payload().size()};
}

TEST(RecordTest, KeysSortBySlotAndThenByWrite) {
  EXPECT_LT(EncodeKey({1, 300}), EncodeKey({2, 1}));
  EXPECT_LT(EncodeKey({1, 2}), EncodeKey({1, 300}));
  EXPECT_LT(EncodeKey({255, 1}), EncodeKey({256, 1}));
  const auto key = DecodeKey(EncodeKey({1ull << 40, 77}));
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(key->slot, 1ull << 40);
  EXPECT_EQ(key->write, 77u);
  EXPECT_FALSE(DecodeKey("short").has_value());
}

TEST(RecordTest, WhatIsEncodedIsDecoded) {
  const std::string record = EncodeHeader(Header()) + Payload();
  ASSERT_EQ(record.size(), kRecordHeaderBytes + Payload().size());
  const auto header = DecodeHeader(kKey, record);
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(EncodeHeader(*header), EncodeHeader(Header()));
  EXPECT_EQ(header->owner, Header().owner);
  EXPECT_EQ(header->digest, Header().digest);
  const auto value = DecodeRecord(*header, record);
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(value->slot, kKey.slot);
  EXPECT_EQ(value->ballot, Header().ballot);
  EXPECT_EQ(*value->value.payload, Payload());
}

TEST(RecordTest, EveryFlippedBitAndEveryCutIsFound) {
  const std::string record = EncodeHeader(Header()) + Payload();
  for (size_t bit = 0; bit < record.size() * 8; ++bit) {
    std::string damaged = record;
    damaged[bit / 8] ^= 1 << bit % 8;
    const auto header = DecodeHeader(kKey, damaged);
    EXPECT_FALSE(header.ok() && DecodeRecord(*header, damaged).ok()) << "bit " << bit;
  }
  for (size_t size = 0; size < record.size(); ++size) {
    EXPECT_FALSE(DecodeHeader(kKey, record.substr(0, size)).ok()) << size << " bytes";
  }
}

TEST(RecordTest, ARecordUnderAnotherKeyIsFound) {
  const std::string record = EncodeHeader(Header()) + Payload();
  EXPECT_FALSE(DecodeHeader({kKey.slot + 1, kKey.write}, record).ok());
  EXPECT_FALSE(DecodeHeader({kKey.slot, kKey.write + 1}, record).ok());
}

}  // namespace
}  // namespace distlog
