// The shape of a batch without its payloads.

#ifndef DISTLOG_WIRE_BATCH_OUTLINE_H_
#define DISTLOG_WIRE_BATCH_OUTLINE_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace distlog {

// What apply needs of a serialized v1::Batch: its fields, with the number of each append's payloads
// in place of their bytes. Views point into the serialized batch.
struct BatchOutline {
  struct Append {
    std::string_view producer;
    uint64_t epoch = 0;
    uint64_t sequence = 0;
    uint64_t expect_position = 0;
    uint64_t fence = 0;
    uint64_t cluster_time_ms = 0;
    uint32_t count = 0;  // Payloads.
  };
  uint64_t origin_replica = 0;
  uint64_t origin_start_nonce = 0;
  uint64_t origin_sequence = 0;
  uint64_t cluster_time_ms = 0;
  std::vector<Append> appends;
};

// Reads the outline in one pass that copies no payload. DataLoss: not a batch. Unimplemented: a
// batch with a field that this program does not know, and that may change what the rest means.
absl::StatusOr<BatchOutline> OutlineOf(std::string_view batch);

}  // namespace distlog

#endif  // DISTLOG_WIRE_BATCH_OUTLINE_H_
