// Which slot of a segment holds which positions.

#ifndef DISTLOG_LOG_POSITION_INDEX_H_
#define DISTLOG_LOG_POSITION_INDEX_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "log/sequencer.h"
#include "paxos/types.h"

namespace distlog {

// Of the slots `first_slot` .. `last_slot()`, without a gap: how many entries each appended, and,
// for the few that hold appends which appended nothing, which those are.
//
// Not thread-safe.
class PositionIndex {
 public:
  explicit PositionIndex(paxos::Slot first_slot) : first_slot_(first_slot) {}

  paxos::Slot first_slot() const { return first_slot_; }
  paxos::Slot last_slot() const { return first_slot_ + counts_.size() - 1; }
  bool is_empty() const { return counts_.empty(); }
  // The position of the first entry of the segment, if it has one; and of the one after its last.
  uint64_t first_position() const { return marks_.empty() ? 0 : marks_.front(); }
  uint64_t end_position() const { return end_position_; }

  // Adds the slot after last_slot(). Anything else is a broken rule.
  void Add(const Applied& applied);

  // A slot with entries.
  struct Place {
    paxos::Slot slot = 0;
    uint64_t first_position = 0;
    uint32_t entries = 0;
  };
  // The slot that holds `position`, which is in first_position() .. end_position() - 1.
  Place Find(uint64_t position) const;

  // How many entries the slot appended.
  uint32_t Entries(paxos::Slot slot) const { return counts_[slot - first_slot_]; }
  // Indices of the appends of the slot that appended nothing, rising.
  const std::vector<uint32_t>& Skipped(paxos::Slot slot) const;

  std::string Encode() const;
  // DataLoss if `bytes` are not what Encode gave.
  static absl::StatusOr<PositionIndex> Decode(const std::string& bytes);

 private:
  static constexpr size_t kStride = 64;

  struct Exception {
    paxos::Slot slot = 0;
    std::vector<uint32_t> skipped;
  };

  paxos::Slot first_slot_;
  uint64_t end_position_ = 1;
  std::vector<uint32_t> counts_;       // Entries, by slot.
  std::vector<uint64_t> marks_;        // The first position of every kStride-th slot.
  std::vector<Exception> exceptions_;  // By slot.
};

}  // namespace distlog

#endif  // DISTLOG_LOG_POSITION_INDEX_H_
