// What the chosen values mean: positions, producers, refusals, changes of members, terms.

#ifndef DISTLOG_LOG_SEQUENCER_H_
#define DISTLOG_LOG_SEQUENCER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/operations.h"
#include "paxos/configuration.h"
#include "paxos/types.h"
#include "proto/distlog/v1/record.pb.h"
#include "wire/batch_outline.h"

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

struct AppliedAppend {
  RefusalReason reason = RefusalReason::kNone;  // kNone: it is in the log.
  bool duplicate = false;                       // It was in the log (or refused) before.
  // Neither this request nor an earlier one with the same producer and sequence is in the log: what
  // ErrorDetail.not_appended may say. Not set by a refusal that leaves open what an earlier request
  // came to: kResultNotKept, and kEpoch or kSequenceBoundaries of sequences that are decided.
  bool not_appended = false;
  uint64_t first_position = 0;
  uint32_t count = 0;
  uint64_t expected = 0;  // Of a refusal: as at ErrorDetail.
  uint64_t actual = 0;
  friend bool operator==(const AppliedAppend&, const AppliedAppend&) = default;
};

struct OpenProducerResult {
  RefusalReason reason = RefusalReason::kNone;
  uint64_t epoch = 0;
  uint64_t next_sequence = 0;
  uint64_t expected = 0;
  uint64_t actual = 0;
  friend bool operator==(const OpenProducerResult&, const OpenProducerResult&) = default;
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
  std::vector<AppliedAppend> appends;        // Of a batch, one per append.
  std::optional<OpenProducerResult> opened;  // Of that command.
  std::optional<OperationResult> operation;  // Of a command about one.
  bool begins_term = false;                  // Of a LeadershipCommand: it is no copy.
  friend bool operator==(const Applied&, const Applied&) = default;
};

// Applies chosen values in slot order, in memory: a deterministic function of the values alone, the
// same on every replica. Everything it depends on is in the log. docs/protocol.md, "Applying".
//
// An append of a producer is decided in this order: kUnknownProducer, kEpoch, a repeat of what was
// decided (the original answer, a refusal included), kSequenceBoundaries, kResultNotKept,
// kSequenceGap, kPosition, appended. Only the last two consume the range of sequences and are
// remembered.
//
// - A name becomes known by its first opening, or by an append of epoch 0, sequence 1. Any opening
//   raises the epoch, and so fences the epochs before, epoch 0 among them.
// - Sequences go on across epochs, answers do not: a request is (producer, epoch, range). One of
// the
//   current epoch with sequences that an earlier epoch decided is no repeat, for its payloads may
//   be others: kSequenceBoundaries. An exact copy from the earlier epoch is refused as kEpoch. What
//   became of it is to be asked for, or read; never to be sent again under the new epoch.
// - An append without payloads has no range: kSequenceBoundaries, with or without a producer.
// - A fence other than 0 is not understood yet, and stops apply as an unknown kind does.
//
// Not thread-safe.
class Sequencer {
 public:
  // Results kept per producer: a repeat of an older append is refused as kResultNotKept. Part of
  // feature level 1.
  static constexpr size_t kResultsKept = 1024;
  static constexpr size_t kTermsKept = 1000;

  // The state before slot 1 of a cluster with this genesis.
  explicit Sequencer(const paxos::Configuration& genesis);

  // The state that Snapshot() gave. DataLoss if it cannot be understood; Unimplemented if its
  // format is newer.
  static absl::StatusOr<Sequencer> Restore(const std::string& snapshot);

  // The complete applied state: AppliedState of record.proto, serialized deterministically.
  std::string Snapshot() const;

  // Applies the value of the slot after applied_through(). An error means that the value cannot be
  // understood (an unknown kind or command, undecodable bytes): apply must stop here, and nothing
  // of this value has been applied. Unimplemented: a newer program may understand it. DataLoss:
  // none will.
  absl::StatusOr<Applied> Apply(const paxos::AcceptedValue& value);

  paxos::Slot applied_through() const { return applied_through_; }
  uint64_t first_position() const { return first_position_; }  // First retained.
  uint64_t last_position() const { return last_position_; }    // 0: none.
  // Over the genesis, the values applied and what came of them; ballots do not count. The same on
  // all replicas that have applied the same slots.
  uint64_t digest() const { return digest_; }
  uint64_t cluster_time_ms() const { return cluster_time_ms_; }
  const paxos::Configuration& configuration() const { return configuration_; }
  paxos::Slot configuration_slot() const { return configuration_slot_; }
  // The one before that; none while that is the genesis.
  const std::optional<paxos::Configuration>& previous_configuration() const {
    return previous_configuration_;
  }
  const Operations& operations() const { return operations_; }
  // Who led, by ballot; the newest kTermsKept.
  const std::deque<v1::TermState>& terms() const { return terms_; }
  // Oldest first.
  const std::vector<v1::RecoveryCommand>& recoveries() const { return recoveries_; }
  const paxos::Ballot& highest_ballot() const { return highest_ballot_; }
  size_t producers() const { return producers_.size(); }

 private:
  // What was decided for the sequences first_sequence .. first_sequence + count - 1.
  struct Result {
    uint64_t first_sequence = 0;
    uint64_t epoch = 0;  // Under which it was decided.
    uint64_t first_position = 0;
    uint64_t expected = 0;
    uint64_t actual = 0;
    uint32_t count = 0;
    RefusalReason reason = RefusalReason::kNone;
  };
  struct Producer {
    uint64_t epoch = 0;
    uint64_t next_sequence = 1;
    uint64_t nonce = 0;  // Of the opening of this epoch.
    uint64_t opened_next_sequence = 1;
    uint64_t touched_ms = 0;
    std::deque<Result> results;  // The newest, by sequence, without gaps, up to next_sequence.
  };
  // Lets the map be searched without making a string.
  struct NameHash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };

  Sequencer() = default;

  // Each applies one kind of value, whole or (with an error) not at all.
  absl::Status ApplyBatch(const std::string& payload, Applied* applied);
  absl::Status ApplyCommand(const std::string& payload, Applied* applied);
  void ApplyConfiguration(const paxos::AcceptedValue& value);

  // A command that is understood.
  void Decide(const v1::Command& command, Applied* applied);
  bool BeginTerm(const v1::LeadershipCommand& command, paxos::Slot slot, int64_t time_ms);

  AppliedAppend ApplyAppend(const BatchOutline::Append& append);
  AppliedAppend Place(const BatchOutline::Append& append);
  AppliedAppend ResultOfRepeat(const Producer& producer, const BatchOutline::Append& append) const;
  OpenProducerResult OpenProducer(const v1::OpenProducerCommand& command);

  static absl::Status RestoreProducer(const v1::ProducerState& state, uint64_t last_position,
                                      Producer* producer);
  absl::Status RestoreChanges(const v1::AppliedState& state);

  paxos::Slot applied_through_ = 0;
  uint64_t first_position_ = 1;
  uint64_t last_position_ = 0;
  uint64_t digest_ = 0;
  uint64_t cluster_time_ms_ = 0;
  std::unordered_map<std::string, Producer, NameHash, std::equal_to<>> producers_;
  paxos::Configuration configuration_;
  paxos::Slot configuration_slot_ = 0;
  std::optional<paxos::Configuration> previous_configuration_;
  paxos::Ballot highest_ballot_;
  Operations operations_;
  std::deque<v1::TermState> terms_;
  std::vector<v1::RecoveryCommand> recoveries_;
};

}  // namespace distlog

#endif  // DISTLOG_LOG_SEQUENCER_H_
