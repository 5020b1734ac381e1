// The index of positions: what is decoded encodes to what decodes to the same, and can be searched.

#include "glog/logging.h"
#include "log/position_index.h"
#include "tests/fuzz/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using distlog::PositionIndex;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const auto index = PositionIndex::Decode(bytes);
  if (!index.ok()) return 0;
  const std::string encoded = index->Encode();
  const auto again = PositionIndex::Decode(encoded);
  CHECK(again.ok()) << again.status();
  CHECK_EQ(again->Encode(), encoded);
  if (index->is_empty()) return 0;
  const uint64_t first = index->first_position();
  const uint64_t end = index->end_position();
  CHECK_LE(first, end);
  for (const uint64_t position : {first, first + (end - first) / 2, end - 1}) {
    if (position < first || position >= end) continue;
    const PositionIndex::Place place = index->Find(position);
    CHECK_LE(place.first_position, position);
    CHECK_LT(position - place.first_position, place.entries);
    CHECK_EQ(index->Entries(place.slot), place.entries);
  }
  return 0;
}
