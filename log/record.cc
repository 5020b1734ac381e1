#include "log/record.h"

#include <glog/logging.h>

#include <algorithm>

#include "wire/checksum.h"
#include "wire/value.h"

namespace distlog {
namespace {

void AppendBigEndian(uint64_t number, std::string* bytes) {
  for (int shift = 56; shift >= 0; shift -= 8) bytes->push_back(static_cast<char>(number >> shift));
}

uint64_t BigEndian(std::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < 8; ++i) number = number << 8 | static_cast<uint8_t>(bytes[i]);
  return number;
}

template <typename Number>
void AppendLittleEndian(Number number, std::string* bytes) {
  for (size_t i = 0; i < sizeof(Number); ++i) bytes->push_back(static_cast<char>(number >> 8 * i));
}

// Takes numbers off the front of `bytes`, which must hold them.
struct Reader {
  std::string_view bytes;

  template <typename Number>
  Number Take() {
    Number number = 0;
    for (size_t i = 0; i < sizeof(Number); ++i) {
      number |= static_cast<Number>(static_cast<uint8_t>(bytes[i])) << 8 * i;
    }
    bytes.remove_prefix(sizeof(Number));
    return number;
  }
};

}  // namespace

bool Owners::Has(const Owner& owner, paxos::Slot slot) const {
  if (owner == now) return true;
  return owner.uuid == now.uuid &&
         std::any_of(parents.begin(), parents.end(), [&](const Parent& parent) {
           return parent.cluster == owner.cluster && slot <= parent.last;
         });
}

std::string EncodeKey(const RecordKey& key) {
  std::string bytes;
  bytes.reserve(kRecordKeyBytes);
  AppendBigEndian(key.slot, &bytes);
  AppendBigEndian(key.write, &bytes);
  return bytes;
}

std::optional<RecordKey> DecodeKey(std::string_view bytes) {
  if (bytes.size() != kRecordKeyBytes) return std::nullopt;
  return RecordKey{.slot = BigEndian(bytes), .write = BigEndian(bytes.substr(8))};
}

std::string EncodeHeader(const RecordHeader& header) {
  std::string bytes;
  bytes.reserve(kRecordHeaderBytes + header.payload_bytes);
  AppendLittleEndian<uint32_t>(kRecordFormat, &bytes);
  AppendLittleEndian<uint32_t>(header.kind, &bytes);
  for (uint64_t number :
       {header.owner.cluster, header.owner.uuid.high, header.owner.uuid.low, header.slot,
        header.ballot.round, static_cast<uint64_t>(header.ballot.owner), header.chosen_through,
        header.write, header.previous_write, header.digest}) {
    AppendLittleEndian(number, &bytes);
  }
  AppendLittleEndian(header.index, &bytes);
  AppendLittleEndian(header.count, &bytes);
  AppendLittleEndian(header.value_checksum, &bytes);
  AppendLittleEndian(header.payload_bytes, &bytes);
  AppendLittleEndian(Checksum(bytes), &bytes);
  CHECK_EQ(bytes.size(), kRecordHeaderBytes);
  return bytes;
}

uint64_t HeaderChecksum(std::string_view header) {
  return Reader{header.substr(kRecordHeaderBytes - 8, 8)}.Take<uint64_t>();
}

absl::StatusOr<RecordHeader> DecodeHeader(const RecordKey& key, std::string_view record) {
  if (record.size() < kRecordHeaderBytes) return absl::DataLossError("its record is cut off");
  if (Checksum(record.substr(0, kRecordHeaderBytes - 8)) != HeaderChecksum(record)) {
    return absl::DataLossError("bad checksum of its header");
  }
  Reader reader{record};
  RecordHeader header;
  if (reader.Take<uint32_t>() != kRecordFormat) {
    return absl::DataLossError("its record is of a format that this program does not know");
  }
  header.kind = reader.Take<uint32_t>();
  header.owner.cluster = reader.Take<uint64_t>();
  header.owner.uuid.high = reader.Take<uint64_t>();
  header.owner.uuid.low = reader.Take<uint64_t>();
  header.slot = reader.Take<uint64_t>();
  header.ballot.round = reader.Take<uint64_t>();
  header.ballot.owner = paxos::ReplicaId{reader.Take<uint64_t>()};
  header.chosen_through = reader.Take<uint64_t>();
  header.write = reader.Take<uint64_t>();
  header.previous_write = reader.Take<uint64_t>();
  header.digest = reader.Take<uint64_t>();
  header.index = reader.Take<uint32_t>();
  header.count = reader.Take<uint32_t>();
  header.value_checksum = reader.Take<uint64_t>();
  header.payload_bytes = reader.Take<uint64_t>();
  if (header.slot != key.slot || header.write != key.write) {
    return absl::DataLossError("another record stands under its key");
  }
  if (record.size() != kRecordHeaderBytes + header.payload_bytes) {
    return absl::DataLossError("its payload has another length than its header says");
  }
  return header;
}

absl::StatusOr<paxos::AcceptedValue> DecodeRecord(const RecordHeader& header,
                                                  std::string_view record) {
  absl::StatusOr<paxos::Value> value = DecodeValue(
      header.kind, std::string(record.substr(kRecordHeaderBytes)), header.value_checksum);
  if (!value.ok()) return value.status();
  return paxos::AcceptedValue{
      .slot = header.slot, .ballot = header.ballot, .value = *std::move(value)};
}

}  // namespace distlog
