// What is left of a log when a quorum of its members is lost for good, and the log that goes on
// from there: `distlog recover`. Offline, over the data directories that survive.

#ifndef DISTLOG_LOG_RECOVERY_H_
#define DISTLOG_LOG_RECOVERY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "log/sequencer.h"
#include "log/store.h"
#include "paxos/configuration.h"
#include "paxos/types.h"
#include "proto/distlog/v1/record.pb.h"

namespace distlog {

// What one of the directories holds.
struct SurvivingDirectory {
  std::string dir;
  paxos::Uuid uuid;
  // As of the configuration in force at the end; kNoReplica: no member of it.
  paxos::ReplicaId replica{};
  std::string address;
  bool is_voter = false;
  paxos::Slot chosen_through = 0;    // The mark: all through it is known chosen, and here.
  paxos::Slot accepted_through = 0;  // The highest slot with a value; chosen_through if none above.
};

// What will be kept, and what can be lost.
struct RecoveryPlan {
  std::string cluster_id;
  paxos::Configuration configuration;  // In force at the end, before the recovery.
  std::vector<SurvivingDirectory> directories;
  size_t base = 0;                     // The one that goes on: that with the highest mark.
  std::vector<paxos::Member> missing;  // Members of `configuration` without a directory here.

  // Through these, everything is known chosen: kept, the same in every member that ever had it.
  paxos::Slot shared_slot = 0;
  uint64_t shared_position = 0;
  // From there to these, everything that a directory has accepted is kept: in each slot the value
  // of the highest ballot. It may have been acknowledged or not.
  paxos::Slot last_slot = 0;
  uint64_t last_position = 0;
  // Slots between, which none of the directories has: no-ops are put there.
  std::vector<paxos::Slot> holes;
  // Whether missing members alone could choose, and so acknowledge, what no directory here has.
  bool can_lose = false;
  // Of the base, in a sentence each: entries that cannot be read any more.
  std::vector<std::string> damage;

  // All of that in words, a sentence each.
  std::vector<std::string> report;
  // Why Apply will not do it, in a sentence with the remedy; empty: it will.
  std::string refusal;
};

// What Apply has made.
struct RecoveredCluster {
  std::string cluster_id;
  paxos::Member member;  // Its only one.
  std::string dir;
  uint64_t configuration_version = 0;
};

// Holds the directories locked as long as it lives, so that what is applied is what was planned.
//
// Opening starts each store, as a server does (its start counter rises), and changes nothing else.
// Apply writes to the base alone. The others stay what they are: members of a cluster that cannot
// go on, which the new one, having another id, never lets in.
//
// Not thread-safe.
class Recovery {
 public:
  struct Options {
    Store::Options store;
    // Of the server that is to run on the base: HOST:PORT. Empty: the one that the log has for it.
    std::string address;
  };

  // FailedPrecondition: a directory is none of a store, in use, unassigned, regressed, given twice
  // or a copy of another, of another cluster than the first, or holds what this program cannot
  // apply. DataLoss: damaged. Each names the directory. Nothing has changed.
  static absl::StatusOr<std::unique_ptr<Recovery>> Open(const Options& options,
                                                        const std::vector<std::string>& dirs);

  const RecoveryPlan& plan() const { return plan_; }

  // Makes the base the only member of a new cluster, which knows what it comes from: the values
  // through plan().last_slot are chosen, the next slot holds the configuration, and the one after
  // it a RecoveryCommand with the report, made at `now_ms`. Once.
  //
  // One durable write does it (Store::Continue): a crash, or any other error, leaves the directory
  // as it was, and the same call over the same directories does it then; or the new one, complete.
  // Unknown: that write failed; which of the two it is, the next Open tells. FailedPrecondition:
  // plan().refusal.
  absl::StatusOr<RecoveredCluster> Apply(int64_t now_ms);

 private:
  explicit Recovery(const Options& options) : options_(options) {}

  absl::Status OpenAll(const std::vector<std::string>& dirs);
  absl::Status OpenOne(const std::string& dir);
  absl::Status CollectValues();
  absl::Status ApplyAccepted();
  void NoteMembers();
  void Judge();
  absl::Status FindDamage();
  void Report();
  bool IsHere(const paxos::Uuid& uuid) const;
  paxos::Configuration Next(const paxos::Uuid& uuid) const;
  v1::Command Told(paxos::ReplicaId by, int64_t now_ms) const;
  absl::Status Decide(const v1::Command& command, Store::Continuation* next) const;

  const Options options_;
  std::vector<std::unique_ptr<Store>> stores_;  // As plan_.directories.
  RecoveryPlan plan_;
  paxos::Ballot highest_ballot_;
  std::vector<paxos::AcceptedValue> values_;          // Of the slots from shared_slot + 1 on.
  std::unique_ptr<Sequencer> sequencer_;              // Applied through last_slot.
  std::vector<paxos::Configuration> configurations_;  // In force at any slot above shared_slot.
};

}  // namespace distlog

#endif  // DISTLOG_LOG_RECOVERY_H_
