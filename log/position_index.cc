#include "log/position_index.h"

#include <glog/logging.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <limits>

namespace distlog {

void PositionIndex::Add(const Applied& applied) {
  CHECK_EQ(applied.slot, first_slot_ + counts_.size()) << "slots are applied in order";
  CHECK_LE(applied.entries, std::numeric_limits<uint32_t>::max());
  CHECK(counts_.empty() || applied.first_position == end_position_)
      << "positions have no gap: slot " << applied.slot << " begins at " << applied.first_position
      << ", the one before ends below " << end_position_;
  if (counts_.size() % kStride == 0) marks_.push_back(applied.first_position);
  counts_.push_back(applied.entries);
  end_position_ = applied.first_position + applied.entries;
  if (!applied.skipped.empty()) exceptions_.push_back({applied.slot, applied.skipped});
}

PositionIndex::Place PositionIndex::Find(uint64_t position) const {
  CHECK(!counts_.empty() && position >= first_position() && position < end_position_);
  const auto after = std::upper_bound(marks_.begin(), marks_.end(), position);
  const size_t mark = after - marks_.begin() - 1;
  size_t i = mark * kStride;
  uint64_t first = marks_[mark];
  while (first + counts_[i] <= position) first += counts_[i++];
  return {.slot = first_slot_ + i, .first_position = first, .entries = counts_[i]};
}

const std::vector<uint32_t>& PositionIndex::Skipped(paxos::Slot slot) const {
  static const std::vector<uint32_t> none;
  const auto found = std::lower_bound(
      exceptions_.begin(), exceptions_.end(), slot,
      [](const Exception& exception, paxos::Slot wanted) { return exception.slot < wanted; });
  return found == exceptions_.end() || found->slot != slot ? none : found->skipped;
}

std::string PositionIndex::Encode() const {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.WriteVarint64(first_slot_);
    out.WriteVarint64(marks_.empty() ? end_position_ : marks_.front());
    out.WriteVarint64(counts_.size());
    for (uint32_t count : counts_) out.WriteVarint32(count);
    out.WriteVarint64(exceptions_.size());
    for (const Exception& exception : exceptions_) {
      out.WriteVarint64(exception.slot);
      out.WriteVarint64(exception.skipped.size());
      for (uint32_t skipped : exception.skipped) out.WriteVarint32(skipped);
    }
  }
  return bytes;
}

absl::StatusOr<PositionIndex> PositionIndex::Decode(const std::string& bytes) {
  const absl::Status damaged = absl::DataLossError("position index cannot be decoded");
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                                            bytes.size());
  uint64_t first_slot, position, slots, exceptions;
  if (!in.ReadVarint64(&first_slot) || !in.ReadVarint64(&position) || !in.ReadVarint64(&slots)) {
    return damaged;
  }
  // No log lives to see a number above this; beyond it sums might overflow.
  constexpr uint64_t kMaxNumber = uint64_t{1} << 62;
  if (first_slot > kMaxNumber || position > kMaxNumber || slots > bytes.size()) return damaged;
  PositionIndex index(first_slot);
  for (uint64_t i = 0; i < slots; ++i) {
    uint32_t count;
    if (!in.ReadVarint32(&count)) return damaged;
    Applied applied;
    applied.slot = first_slot + i;
    applied.first_position = position;
    applied.entries = count;
    index.Add(applied);
    position += count;
  }
  if (!in.ReadVarint64(&exceptions)) return damaged;
  for (uint64_t i = 0; i < exceptions; ++i) {
    Exception exception;
    uint64_t size;
    if (!in.ReadVarint64(&exception.slot) || !in.ReadVarint64(&size)) return damaged;
    const bool is_later = i == 0 || exception.slot > index.exceptions_.back().slot;
    if (!is_later || exception.slot < first_slot || exception.slot - first_slot >= slots) {
      return damaged;
    }
    for (uint64_t j = 0; j < size; ++j) {
      uint32_t skipped;
      if (!in.ReadVarint32(&skipped)) return damaged;
      if (j > 0 && skipped <= exception.skipped.back()) return damaged;
      exception.skipped.push_back(skipped);
    }
    index.exceptions_.push_back(std::move(exception));
  }
  if (in.CurrentPosition() != static_cast<int>(bytes.size())) return damaged;
  return index;
}

}  // namespace distlog
