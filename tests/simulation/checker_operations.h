// What the log says of operators' changes of members, worked out a second time from the values
// alone, and whether operators were told the truth about it.

#ifndef DISTLOG_TESTS_SIMULATION_CHECKER_OPERATIONS_H_
#define DISTLOG_TESTS_SIMULATION_CHECKER_OPERATIONS_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "log/operations.h"
#include "log/sequencer.h"
#include "paxos/configuration.h"
#include "paxos/types.h"
#include "proto/distlog/v1/record.pb.h"

namespace distlog::simulation {

// Each function that returns a text says what is wrong; nothing if all is right.
class OperationTable {
 public:
  struct Operation {
    uint64_t id = 0;
    v1::BeginOperationCommand begun;
    OperationPhase phase = OperationPhase::kChanging;
    std::set<paxos::ReplicaId> added;
    paxos::ReplicaId begun_under{};   // Who led then.
    paxos::Configuration base;        // In force then.
    bool has_foreign_change = false;  // Somebody was asked for a configuration meanwhile.
    bool has_changed_leader = false;
  };
  // What there was, for counters.
  struct Met {
    uint64_t terms = 0;
    uint64_t begun = 0;
    uint64_t done = 0;
    uint64_t cancelled = 0;
    uint64_t failed = 0;
    uint64_t carried_on = 0;                 // To an end, under another leader than at first.
    std::array<uint64_t, 5> leaders_lost{};  // By the phase in which another one took over.
  };

  // ---- What is chosen, slot by slot. ----

  // The slot holds this command, `in_force` decides it, and a replica made `applied` of it.
  std::optional<std::string> Apply(const v1::Command& command, const paxos::Configuration& in_force,
                                   const Applied& applied);
  // `next` took effect in this slot, after `in_force`.
  std::optional<std::string> Follow(paxos::Slot slot, const paxos::Configuration& in_force,
                                    const paxos::Configuration& next);
  // A replica that has applied `through`, and nothing more, has this table. To be asked when what
  // is above was told here, or not.
  std::optional<std::string> Compare(paxos::Slot through, const Operations& table) const;

  // ---- What operators want, and are told. ----

  // Somebody was asked for this configuration itself: it need not be an operation's.
  void AskedFor(const paxos::Configuration& next) { asked_for_.push_back(next); }
  void BeginAsked(uint64_t nonce) { ++begins_[nonce].copies; }
  std::optional<std::string> BeginAnswered(uint64_t nonce, const absl::StatusOr<uint64_t>& answer);
  void CancelAsked(uint64_t id) { ++cancels_[id].copies; }
  std::optional<std::string> CancelAnswered(uint64_t id, const absl::StatusOr<uint64_t>& answer);
  // In the end: nothing happened that all who asked for it were refused.
  std::optional<std::string> CheckRefusals() const;

  // ---- What is true. ----

  const std::vector<Operation>& all() const { return all_; }
  const Operation* running() const;  // Null: none.
  const Met& met() const { return met_; }

 private:
  // Requests for the same.
  struct Asked {
    uint64_t copies = 0;
    uint64_t refused = 0;
    bool IsRefused() const { return copies == refused; }
  };
  struct Newest {
    uint64_t id = 0;
    OperationPhase phase = OperationPhase::kChanging;
    std::set<paxos::ReplicaId> added;
  };

  Operation* FindRunning();
  const Operation* Find(uint64_t id) const;
  const Operation* FindNonce(uint64_t nonce) const;
  std::optional<std::string> BeginTerm(const v1::LeadershipCommand& command,
                                       const Applied& applied);
  OperationResult Begin(const v1::BeginOperationCommand& command,
                        const paxos::Configuration& in_force);
  OperationResult Cancel(uint64_t id, const paxos::Configuration& in_force);
  OperationResult Advance(const v1::AdvanceOperationCommand& command,
                          const paxos::Configuration& in_force);
  std::optional<std::string> CheckEnd(const Operation& operation,
                                      const paxos::Configuration& in_force) const;
  void Enter(OperationPhase phase, Operation* operation);
  void Note(paxos::Slot slot);

  std::vector<Operation> all_;
  std::map<paxos::Slot, Newest> newest_;  // As of each slot in which it may have changed.
  paxos::Ballot term_;
  std::vector<paxos::Configuration> asked_for_;
  std::map<uint64_t, Asked> begins_;   // By nonce.
  std::map<uint64_t, Asked> cancels_;  // By id.
  Met met_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CHECKER_OPERATIONS_H_
