// Values, and the outline of a batch: what is decoded holds the same bytes; a configuration that is
// taken encodes to one that is equal; an outline is that of the batch that protobuf reads.

#include "glog/logging.h"
#include "tests/fuzz/bytes.h"
#include "wire/batch_outline.h"
#include "wire/checksum.h"
#include "wire/value.h"

namespace distlog {
namespace {

void Decode(uint32_t kind, const std::string& payload, uint8_t how, uint16_t where) {
  const uint64_t checksum = kind == 0 && payload.empty() ? 0 : Checksum(payload);
  const auto value = DecodeValue(kind, payload, checksum);
  if (!payload.empty()) {
    CHECK(!DecodeValue(kind, WithByteFlipped(payload, where, how), checksum).ok());
  }
  if (!value.ok()) return;
  CHECK_EQ(static_cast<uint32_t>(value->kind), kind);
  CHECK_EQ(value->payload == nullptr ? "" : *value->payload, payload);
  if (value->configuration == nullptr) return;
  const auto again = FromProto(ToProto(*value->configuration));
  CHECK(again.ok()) << again.status();
  CHECK(*again == *value->configuration);
}

void Outline(const std::string& bytes) {
  const auto outline = OutlineOf(bytes);
  if (!outline.ok()) return;
  v1::Batch batch;
  // Protobuf refuses names that are not UTF-8. No client can send one.
  if (!batch.ParseFromString(bytes)) return;
  CHECK_EQ(outline->origin_replica, batch.origin().replica());
  CHECK_EQ(outline->origin_start_nonce, batch.origin().start_nonce());
  CHECK_EQ(outline->origin_sequence, batch.origin().sequence());
  CHECK_EQ(outline->cluster_time_ms, batch.cluster_time_ms());
  CHECK_EQ(outline->appends.size(), static_cast<size_t>(batch.appends_size()));
  for (int i = 0; i < batch.appends_size(); ++i) {
    const BatchOutline::Append& append = outline->appends[i];
    const v1::AppendRecord& record = batch.appends(i);
    CHECK_EQ(std::string(append.producer), record.producer());
    CHECK_EQ(append.epoch, record.epoch());
    CHECK_EQ(append.sequence, record.sequence());
    CHECK_EQ(append.expect_position, record.expect_position());
    CHECK_EQ(append.fence, record.fence());
    CHECK_EQ(append.cluster_time_ms, record.cluster_time_ms());
    CHECK_EQ(append.count, static_cast<uint32_t>(record.payloads_size()));
  }
}

}  // namespace
}  // namespace distlog

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  distlog::Bytes input(data, size);
  const auto kind = input.Take<uint8_t>();
  const auto how = input.Take<uint8_t>();
  const auto where = input.Take<uint16_t>();
  distlog::Decode(kind, input.rest(), how, where);
  distlog::Outline(input.rest());
  return 0;
}
