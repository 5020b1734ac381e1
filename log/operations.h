// The changes of members that operators ask for, as the log holds them.

#ifndef DISTLOG_LOG_OPERATIONS_H_
#define DISTLOG_LOG_OPERATIONS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "paxos/configuration.h"
#include "paxos/types.h"
#include "proto/distlog/v1/record.pb.h"

namespace distlog {

// The values of Operation.Phase in cluster.proto.
enum class OperationPhase : uint32_t {
  kLearning = 1,
  kChanging = 2,
  kSettling = 3,
  kCancelling = 4,
  kDone = 5,
  kCancelled = 6,
  kFailed = 7,
};
OperationPhase PhaseOf(const v1::OperationState& operation);
bool IsFinished(const v1::OperationState& operation);

// Why a command about an operation had no effect.
enum class OperationRefusal : uint32_t {
  kNone = 0,
  kBusy = 1,          // Begin: the operation `id` is running.
  kVersionMoved = 2,  // Begin: the configuration in force has `version`.
  kBadGoal = 3,       // Begin: no configuration with this goal can follow the one in force.
  kUnknown = 4,       // Cancel, Advance: there is none with this id (any more).
  kTooLate = 5,       // Cancel: its goal is in force, or only what it added votes.
  kFinished = 6,      // Cancel: it has finished otherwise.
  kOutOfTurn = 7,     // Advance: it is in no phase that this one follows, or lacks its newcomers.
};

struct OperationResult {
  OperationRefusal refusal = OperationRefusal::kNone;
  uint64_t id = 0;       // Of the operation begun, cancelled or advanced; or as at the refusal.
  uint64_t version = 0;  // Of the configuration in force.
  friend bool operator==(const OperationResult&, const OperationResult&) = default;
};

// The table of operations: a deterministic function of the commands and configurations applied, the
// same on every replica. At most one operation is running.
//
// An operation begins in kLearning or kChanging. It is kSettling from the slot on where a
// configuration takes effect that has its goal's members, and the leader advances it to kDone.
// Cancelled before that, it is kCancelling as long as something that it added is in force. It has
// failed when a configuration takes effect that its goal cannot follow, or that is without
// newcomers who have learned already; or, cancelled, when none can that is without what it added.
//
// Not thread-safe.
class Operations {
 public:
  static constexpr size_t kFinishedKept = 100;

  // Each applies one command. Times are the leader's wall clock.
  OperationResult Begin(const v1::BeginOperationCommand& command, paxos::Slot slot, int64_t time_ms,
                        const paxos::Configuration& in_force);
  OperationResult Cancel(uint64_t id, int64_t time_ms, const paxos::Configuration& in_force);
  OperationResult Advance(const v1::AdvanceOperationCommand& command, int64_t time_ms,
                          const paxos::Configuration& in_force);
  // This configuration took effect.
  void OnConfiguration(const paxos::Configuration& in_force);

  // What Begin and Cancel would come to, so that what has no effect need not be proposed.
  OperationResult JudgeBegin(const v1::BeginOperationCommand& command,
                             const paxos::Configuration& in_force) const;
  OperationResult JudgeCancel(uint64_t id, const paxos::Configuration& in_force) const;

  // By id; the running one is the last.
  const std::deque<v1::OperationState>& all() const { return all_; }
  const v1::OperationState* running() const;  // Null if none is.
  const v1::OperationState* Find(uint64_t id) const;
  uint64_t next_id() const { return next_id_; }
  // Rises whenever something in the table may have changed. Of this process alone.
  uint64_t changes() const { return changes_; }

  // DataLoss if these cannot be what a table came to, with the reason only. A next id of 0 is that
  // of a state from before there were operations.
  static absl::StatusOr<Operations> Restore(
      const google::protobuf::RepeatedPtrField<v1::OperationState>& operations, uint64_t next_id);

 private:
  v1::OperationState* FindRunning();
  void Enter(OperationPhase phase, v1::OperationState* operation);

  std::deque<v1::OperationState> all_;
  uint64_t next_id_ = 1;
  uint64_t changes_ = 0;
};

// ---- The configurations on the way, each following `in_force`. ----

// With the goal's members. A newcomer that is in force has its id, others get the next ones.
paxos::Configuration GoalOf(const v1::OperationState& operation,
                            const paxos::Configuration& in_force);
// With the goal's newcomers as learners beside those in force.
paxos::Configuration WithLearners(const v1::OperationState& operation,
                                  const paxos::Configuration& in_force);
// Without what the operation has added.
paxos::Configuration WithoutAdded(const v1::OperationState& operation,
                                  const paxos::Configuration& in_force);
// Whether something that it has added is a member.
bool HasAdded(const v1::OperationState& operation, const paxos::Configuration& in_force);
// Whether all newcomers of its goal are members.
bool HasNewcomers(const v1::OperationState& operation, const paxos::Configuration& in_force);

}  // namespace distlog

#endif  // DISTLOG_LOG_OPERATIONS_H_
