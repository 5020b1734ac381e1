// Apply sees batches through this reader, everybody else through protobuf: both must see the same.

#include "wire/batch_outline.h"

#include <random>
#include <string>

#include "gtest/gtest.h"
#include "proto/distlog/v1/record.pb.h"

namespace distlog {
namespace {

v1::Batch RandomBatch(std::mt19937_64* random) {
  // Numbers of every length, 0 included.
  const auto number = [random] {
    return (*random)() % 5 == 0 ? 0 : (*random)() >> ((*random)() % 64);
  };
  v1::Batch batch;
  if ((*random)() % 8 != 0) {
    batch.mutable_origin()->set_replica(number());
    batch.mutable_origin()->set_start_nonce(number());
    batch.mutable_origin()->set_sequence(number());
  }
  batch.set_timestamp_ms(static_cast<int64_t>(number()));
  batch.set_cluster_time_ms(number());
  for (uint64_t appends = (*random)() % 4; appends > 0; --appends) {
    v1::AppendRecord* append = batch.add_appends();
    for (uint64_t payloads = (*random)() % 4; payloads > 0; --payloads) {
      append->add_payloads(std::string((*random)() % 300, '\x0a'));
    }
    append->set_producer(std::string((*random)() % 3, 'p'));
    append->set_epoch(number());
    append->set_sequence(number());
    append->set_expect_position(number());
    append->set_fence(number());
    append->set_cluster_time_ms(number());
  }
  return batch;
}

TEST(BatchOutlineTest, AgreesWithProtobufOnRandomBatches) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const v1::Batch batch = RandomBatch(&random);
    const std::string bytes = batch.SerializeAsString();
    const absl::StatusOr<BatchOutline> outline = OutlineOf(bytes);
    ASSERT_TRUE(outline.ok()) << outline.status();
    EXPECT_EQ(outline->origin_replica, batch.origin().replica());
    EXPECT_EQ(outline->origin_start_nonce, batch.origin().start_nonce());
    EXPECT_EQ(outline->origin_sequence, batch.origin().sequence());
    EXPECT_EQ(outline->cluster_time_ms, batch.cluster_time_ms());
    ASSERT_EQ(outline->appends.size(), static_cast<size_t>(batch.appends_size()));
    for (int i = 0; i < batch.appends_size(); ++i) {
      const BatchOutline::Append& seen = outline->appends[i];
      const v1::AppendRecord& append = batch.appends(i);
      EXPECT_EQ(seen.producer, append.producer());
      EXPECT_EQ(seen.epoch, append.epoch());
      EXPECT_EQ(seen.sequence, append.sequence());
      EXPECT_EQ(seen.expect_position, append.expect_position());
      EXPECT_EQ(seen.fence, append.fence());
      EXPECT_EQ(seen.cluster_time_ms, append.cluster_time_ms());
      EXPECT_EQ(seen.count, static_cast<uint32_t>(append.payloads_size()));
    }
  }
}

// Whatever this reader takes, protobuf takes too, with as many payloads in as many appends.
TEST(BatchOutlineTest, NeverTakesDamagedBytesThatProtobufRefuses) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    std::string bytes = RandomBatch(&random).SerializeAsString();
    if (bytes.empty()) continue;
    if (random() % 2 == 0) bytes.resize(random() % bytes.size());
    if (!bytes.empty()) bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    const absl::StatusOr<BatchOutline> outline = OutlineOf(bytes);
    if (!outline.ok()) continue;
    v1::Batch batch;
    // Protobuf minds names that are not UTF-8; this reader does not.
    bool utf8 = true;
    for (const auto& append : outline->appends) {
      for (char c : append.producer) utf8 &= static_cast<signed char>(c) >= 0;
    }
    if (!utf8) continue;
    ASSERT_TRUE(batch.ParseFromString(bytes));
    ASSERT_EQ(outline->appends.size(), static_cast<size_t>(batch.appends_size()));
    for (int i = 0; i < batch.appends_size(); ++i) {
      EXPECT_EQ(outline->appends[i].count, static_cast<uint32_t>(batch.appends(i).payloads_size()));
    }
  }
}

TEST(BatchOutlineTest, UnknownFieldsAreUnimplementedAtEveryLevel) {
  const std::string unknown("\x98\x06\x01", 3);  // Field 99, a varint.
  for (const std::string& bytes : {unknown, "\x0a\x03" + unknown, "\x22\x03" + unknown,
                                   // Known fields in another wire type are not those fields.
                                   std::string("\x20\x01"), std::string("\x22\x02\x08\x01")}) {
    EXPECT_EQ(OutlineOf(bytes).status().code(), absl::StatusCode::kUnimplemented)
        << testing::PrintToString(bytes);
  }
}

TEST(BatchOutlineTest, WhatIsNoMessageIsDataLoss) {
  for (const std::string& bytes : {
           std::string("\xff"),                                     // A tag cut off.
           std::string("\x00\x00", 2),                              // Field 0.
           std::string("\x18"),                                     // A varint missing,
           std::string("\x18\xff"),                                 // cut off,
           std::string("\x18") + std::string(10, '\xff') + "\x01",  // too long.
           std::string("\x22\x05"
                       "ab"),                // Bytes cut off.
           std::string("\x0a\x02\x11\x01"),  // A fixed64 cut off.
           std::string("\x23"),              // A group.
           std::string("\x98\x06\x01\x18"),  // Damage weighs more than an unknown field.
           std::string("garbage"),
       }) {
    EXPECT_EQ(OutlineOf(bytes).status().code(), absl::StatusCode::kDataLoss)
        << testing::PrintToString(bytes);
  }
}

}  // namespace
}  // namespace distlog
