// What the chosen values mean: positions, producers, refusals.

#ifndef DISTLOG_LOG_SEQUENCER_H_
#define DISTLOG_LOG_SEQUENCER_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "paxos/configuration.h"
#include "paxos/types.h"
#include "proto/distlog/v1/record.pb.h"

namespace distlog {

// Why something was refused: the values of ErrorDetail.Reason in log.proto that apply can decide.
enum class RefusalReason : uint32_t {
  kNone = 0,
  kPosition = 4,            // expect_position did not hold.
  kEpoch = 5,               // Another epoch is current.
  kSequenceGap = 6,         // Not remembered: an earlier sequence may still be in flight.
  kSequenceBoundaries = 7,  // Overlaps an earlier range with other boundaries.
  kResultNotKept = 8,       // Decided long ago.
  kUnknownProducer = 9,
  kAfterEpoch = 13,  // OpenProducer only.
};

struct AppendResult {
  RefusalReason reason = RefusalReason::kNone;  // kNone: it is in the log.
  bool duplicate = false;                       // It was in the log (or refused) before.
  uint64_t first_position = 0;
  uint32_t count = 0;
  uint64_t expected = 0;  // Of a refusal.
  uint64_t actual = 0;
};

struct OpenProducerResult {
  RefusalReason reason = RefusalReason::kNone;
  uint64_t epoch = 0;
  uint64_t next_sequence = 0;
  uint64_t expected = 0;
  uint64_t actual = 0;
};

// What applying one slot did.
struct Applied {
  paxos::Slot slot = 0;
  uint64_t first_position = 0;    // Of the first entry that this slot appended, or would have.
  uint64_t entries = 0;           // How many it appended.
  std::vector<uint32_t> skipped;  // Indices of appends of the batch that appended nothing, rising.
  // For whoever proposed the value:
  uint64_t origin_replica = 0;  // All 0 for a no-op or a configuration.
  uint64_t origin_start_nonce = 0;
  uint64_t origin_sequence = 0;
  std::vector<AppendResult> appends;         // Of a batch, one per append.
  std::optional<OpenProducerResult> opened;  // Of that command.
};

// Applies chosen values in slot order, in memory: a deterministic function of the values alone, the
// same on every replica. Everything it depends on is in the log. docs/protocol.md, "Applying".
//
// Not thread-safe.
class Sequencer {
 public:
  // Results kept per producer: a repeat of an older append is refused as kResultNotKept. Part of
  // feature level 1.
  static constexpr size_t kResultsKept = 1024;

  // The state before slot 1 of a cluster with this genesis.
  explicit Sequencer(const paxos::Configuration& genesis);

  // The state that Snapshot() gave. DataLoss if it cannot be understood; Unimplemented if its format
  // is newer.
  static absl::StatusOr<Sequencer> Restore(const std::string& snapshot);

  // The complete applied state: AppliedState of record.proto, serialized deterministically.
  std::string Snapshot() const;

  // Applies the value of the slot after applied_through(). An error means that the value cannot be
  // understood (an unknown kind or command, undecodable bytes): apply must stop here, and nothing of
  // this value has been applied. Unimplemented: a newer program may understand it. DataLoss: none will.
  absl::StatusOr<Applied> Apply(const paxos::AcceptedValue& value);

  paxos::Slot applied_through() const { return applied_through_; }
  uint64_t first_position() const { return first_position_; }  // First retained.
  uint64_t last_position() const { return last_position_; }    // 0: none.
  uint64_t digest() const { return digest_; }  // Over the values applied and what came of them.
  uint64_t cluster_time_ms() const { return cluster_time_ms_; }
  const paxos::Configuration& configuration() const { return configuration_; }
  paxos::Slot configuration_slot() const { return configuration_slot_; }
  const paxos::Ballot& highest_ballot() const { return highest_ballot_; }
  size_t producers() const { return producers_.size(); }

 private:
  struct Producer {
    uint64_t epoch = 0;
    uint64_t next_sequence = 1;
    uint64_t nonce = 0;
    uint64_t opened_next_sequence = 1;
    uint64_t touched_ms = 0;
    std::deque<v1::ProducerResult> results;
  };

  paxos::Slot applied_through_ = 0;
  uint64_t first_position_ = 1;
  uint64_t last_position_ = 0;
  uint64_t digest_ = 0;
  uint64_t cluster_time_ms_ = 0;
  std::unordered_map<std::string, Producer> producers_;
  paxos::Configuration configuration_;
  paxos::Slot configuration_slot_ = 0;
  paxos::Ballot highest_ballot_;
};

}  // namespace distlog

#endif  // DISTLOG_LOG_SEQUENCER_H_
