// Stored records: bytes that no store wrote are refused, and those that one wrote are read back,
// unless a byte of them has changed.

#include "glog/logging.h"
#include "log/record.h"
#include "tests/fuzz/bytes.h"
#include "wire/checksum.h"

namespace distlog {
namespace {

void DecodeAnything(const std::string& bytes) {
  const auto key = DecodeKey(bytes.substr(0, kRecordKeyBytes));
  if (!key.has_value()) return;
  CHECK_EQ(EncodeKey(*key), bytes.substr(0, kRecordKeyBytes));
  const std::string record = bytes.substr(kRecordKeyBytes);
  const auto header = DecodeHeader(*key, record);
  if (!header.ok()) return;
  CHECK_EQ(EncodeHeader(*header), record.substr(0, kRecordHeaderBytes));
  (void)DecodeRecord(*header, record);
}

bool IsRead(const RecordKey& key, const std::string& record) {
  const auto header = DecodeHeader(key, record);
  return header.ok() && DecodeRecord(*header, record).ok();
}

// A record as a store writes it, of what the input says.
void WriteAndRead(Bytes input) {
  const auto where = input.Take<uint16_t>();
  const auto how = input.Take<uint8_t>();
  RecordHeader header;
  header.owner = {input.Take<uint64_t>(), {input.Take<uint64_t>(), input.Take<uint64_t>()}};
  header.slot = input.Take<uint64_t>();
  header.ballot = {input.Take<uint64_t>(), paxos::ReplicaId{input.Take<uint64_t>()}};
  header.chosen_through = input.Take<uint64_t>();
  header.write = input.Take<uint64_t>();
  header.previous_write = input.Take<uint64_t>();
  header.digest = input.Take<uint64_t>();
  header.index = input.Take<uint32_t>();
  header.count = input.Take<uint32_t>();
  header.kind = input.Take<uint8_t>();
  const std::string payload = input.rest();
  header.value_checksum = Checksum(payload);
  header.payload_bytes = payload.size();
  const std::string record = EncodeHeader(header) + payload;
  const RecordKey key{header.slot, header.write};
  const auto read = DecodeHeader(key, record);
  CHECK(read.ok()) << read.status();
  CHECK_EQ(EncodeHeader(*read), EncodeHeader(header));
  const auto value = DecodeRecord(*read, record);
  if (value.ok() && value->value.payload != nullptr) CHECK_EQ(*value->value.payload, payload);
  CHECK(!IsRead(key, WithByteFlipped(record, where, how)));
  CHECK(!IsRead(key, record.substr(0, where % record.size())));
  CHECK(!IsRead({key.slot + 1, key.write}, record));
}

}  // namespace
}  // namespace distlog

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  if (data[0] % 2 == 0) {
    distlog::DecodeAnything(std::string(reinterpret_cast<const char*>(data + 1), size - 1));
  } else {
    distlog::WriteAndRead(distlog::Bytes(data + 1, size - 1));
  }
  return 0;
}
