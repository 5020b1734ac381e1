// One stored record: its key and its bytes. docs/storage_format.md, "Records".

#ifndef DISTLOG_LOG_RECORD_H_
#define DISTLOG_LOG_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "paxos/types.h"

namespace distlog {

inline constexpr uint32_t kRecordFormat = 1;

// Whose records they are: every record says it.
struct Owner {
  uint64_t cluster = 0;  // The first 8 bytes of the cluster's id.
  paxos::Uuid uuid;      // Of the data directory.
  friend bool operator==(const Owner&, const Owner&) = default;
};

// Whose records a store may hold.
struct Owners {
  // A cluster that this one was recovered from, and the last slot taken over from it.
  struct Parent {
    uint64_t cluster = 0;
    paxos::Slot last = 0;
  };
  Owner now;
  std::vector<Parent> parents;

  bool Has(const Owner& owner, paxos::Slot slot) const;
};

// What stands before the payload of each record.
struct RecordHeader {
  Owner owner;
  paxos::Slot slot = 0;
  paxos::Ballot ballot;
  paxos::Slot chosen_through = 0;  // The writer's own, as of this record.

  // The write this record came in: one LevelDB batch. Numbers rise by one over the whole store.
  uint64_t write = 0;
  uint64_t previous_write = 0;  // In the same segment; 0 for its first.
  uint64_t digest = 0;          // Over all earlier writes in the same segment.
  uint32_t index = 0;           // Of this record in its write, from 0,
  uint32_t count = 0;           // of so many.

  uint32_t kind = 0;
  uint64_t value_checksum = 0;
  uint64_t payload_bytes = 0;
};

inline constexpr size_t kRecordHeaderBytes = 120;

// Orders records by slot, and those of a slot by when they were written.
struct RecordKey {
  paxos::Slot slot = 0;
  uint64_t write = 0;
};
inline constexpr size_t kRecordKeyBytes = 16;
std::string EncodeKey(const RecordKey& key);
std::optional<RecordKey> DecodeKey(std::string_view bytes);

// The header's bytes, its checksum last.
std::string EncodeHeader(const RecordHeader& header);
// The checksum at the end of an encoded header. It stands for the whole record, since the header
// has the checksum of the value.
uint64_t HeaderChecksum(std::string_view header);

// Checks what can be checked without the payload: length, checksum, format, and that it stands
// under its key. DataLoss tells which (without naming the record: the caller knows it).
absl::StatusOr<RecordHeader> DecodeHeader(const RecordKey& key, std::string_view record);

// DataLoss if the payload is not the one of the header.
absl::StatusOr<paxos::AcceptedValue> DecodeRecord(const RecordHeader& header,
                                                  std::string_view record);

}  // namespace distlog

#endif  // DISTLOG_LOG_RECORD_H_
