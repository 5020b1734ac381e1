// What the chosen values mean, worked out a second time from docs/protocol.md, "Applying", without
// the sequencer.

#ifndef DISTLOG_TESTS_SIMULATION_CHECKER_POSITIONS_H_
#define DISTLOG_TESTS_SIMULATION_CHECKER_POSITIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "log/sequencer.h"
#include "paxos/types.h"
#include "proto/distlog/v1/record.pb.h"

namespace distlog::simulation {

class Positions {
 public:
  // The value of the slot after the last one. What is wrong with `applied`, which is what a replica
  // made of it; nothing if that is right.
  std::optional<std::string> Apply(const paxos::Value& value, const Applied& applied);
  // The same for a slot that was applied elsewhere before.
  std::optional<std::string> Compare(const Applied& applied, uint64_t digest) const;
  void SetDigest(uint64_t digest) { slots_.back().digest = digest; }

  paxos::Slot applied_through() const { return slots_.size(); }
  // The entries at positions 1, 2, ...
  const std::vector<std::string>& log() const { return log_; }

 private:
  // What became of an append, or of a producer's range of sequences.
  struct Decided {
    uint64_t first_sequence = 0;
    uint64_t count = 0;
    uint64_t first_position = 0;  // Of the first decision; for a repeat too.
    RefusalReason reason = RefusalReason::kNone;
    uint64_t actual = 0;  // Of a refused position: where the append would have gone.
    bool duplicate = false;
  };
  struct Producer {
    uint64_t epoch = 0;
    uint64_t nonce = 0;
    uint64_t opened_at = 1;  // The next sequence when this epoch was opened.
    uint64_t next_sequence = 1;
    std::vector<Decided> decided;  // By sequence, without gaps.
  };
  struct AppliedSlot {
    uint64_t digest = 0;
    uint64_t first_position = 0;
    uint64_t entries = 0;
    std::vector<AppliedAppend> appends;
    std::optional<OpenProducerResult> opened;
    std::optional<OperationResult> operation;
    bool begins_term = false;
  };

  Decided Decide(const v1::AppendRecord& append);
  Decided Place(const v1::AppendRecord& append);
  static Decided Repeat(const Producer& producer, const v1::AppendRecord& append);
  std::optional<std::string> CheckBatch(const v1::Batch& batch, const Applied& applied);
  std::optional<std::string> CheckOpening(const v1::Command& command, const Applied& applied);

  std::vector<AppliedSlot> slots_;  // From slot 1 on.
  std::vector<std::string> log_;
  std::unordered_map<std::string, Producer> producers_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CHECKER_POSITIONS_H_
