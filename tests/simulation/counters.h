// How often each thing worth testing really happened.

#ifndef DISTLOG_TESTS_SIMULATION_COUNTERS_H_
#define DISTLOG_TESTS_SIMULATION_COUNTERS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace distlog::simulation {

// Of one run, or of a campaign of them.
struct Counters {
  // ---- The protocol. ----
  uint64_t steps = 0;
  uint64_t takeovers = 0;  // A proposer finished Phase 1 and had led at no ballot just before.
  uint64_t renewals = 0;
  uint64_t step_downs = 0;
  uint64_t transfers = 0;
  uint64_t promises = 0;
  uint64_t promises_in_parts = 0;
  uint64_t two_ballots_for_a_slot = 0;
  uint64_t values_of_the_dead = 0;
  uint64_t no_ops_in_gaps = 0;
  uint64_t nacks_of_prepare = 0;
  uint64_t nacks_of_accept = 0;
  uint64_t nacks_of_confirm = 0;
  uint64_t progress_answers = 0;
  uint64_t reads_in_a_later_round = 0;
  uint64_t marks_for_followers = 0;
  uint64_t reads_cancelled = 0;
  uint64_t catch_up_by_slots = 0;
  uint64_t outcomes_chosen = 0;
  uint64_t outcomes_not_chosen = 0;
  uint64_t outcomes_readable = 0;
  uint64_t window_full = 0;
  uint64_t slots_chosen = 0;
  uint64_t slots_applied = 0;
  uint64_t checkpoints = 0;
  uint64_t marks_saved = 0;

  // ---- Processes and disks. ----
  uint64_t crashes = 0;
  uint64_t crashes_of_all = 0;
  uint64_t crashes_at_boundaries = 0;
  uint64_t crashes_before_sync = 0;  // After something of the same step was said.
  uint64_t promises_lost = 0;        // Not synced at a crash.
  uint64_t accepts_lost = 0;
  uint64_t writes_kept = 0;  // Not synced at a crash, and there all the same.
  uint64_t writes_torn = 0;  // Some of the records there.
  uint64_t marks_forgotten = 0;
  uint64_t restarts = 0;
  uint64_t pauses = 0;
  uint64_t long_pauses = 0;
  uint64_t disk_stalls = 0;
  uint64_t slow_disks = 0;
  uint64_t full_disks = 0;
  uint64_t failed_writes = 0;
  uint64_t marks_failed = 0;        // As a mark was saved ...
  uint64_t checkpoints_failed = 0;  // ... or a checkpoint, which is rare ...
  uint64_t disks_run_out = 0;       // ... or while the disk was full.
  uint64_t clocks_fast_or_slow = 0;
  uint64_t wall_clock_jumps = 0;
  uint64_t clocks_that_drift = 0;

  // ---- The network. ----
  uint64_t messages = 0;
  uint64_t messages_lost = 0;
  uint64_t messages_repeated = 0;
  uint64_t messages_overtaken = 0;
  uint64_t messages_delayed_long = 0;
  uint64_t messages_encoded = 0;
  uint64_t links_cut = 0;
  uint64_t one_way_cuts = 0;
  uint64_t partitions_full = 0;
  uint64_t partitions_partial = 0;
  uint64_t leaders_cut_off = 0;
  uint64_t resets = 0;
  uint64_t resets_with_messages = 0;
  uint64_t connections_lost = 0;

  // ---- Clients. ----
  uint64_t operations = 0;
  uint64_t acknowledged_entries = 0;
  uint64_t reads = 0;  // Linearizable ones.
  uint64_t local_reads = 0;
  uint64_t entries_read = 0;
  uint64_t unknown_outcomes = 0;
  uint64_t attempts_repeated = 0;
  uint64_t duplicates_answered = 0;
  uint64_t producers_opened = 0;
  uint64_t passed_to_leader = 0;
  uint64_t refused_position = 0;
  uint64_t refused_gap = 0;
  uint64_t refused_no_leader = 0;
  uint64_t refused_busy = 0;
  uint64_t refused_disk_full = 0;
  uint64_t refused_deadline = 0;
  uint64_t client_messages_lost = 0;

  // ---- Changes of configuration. ----
  uint64_t changes_asked = 0;            // Of a host, to propose a configuration.
  uint64_t changes_refused_version = 0;  // As it does not follow the one in force.
  uint64_t changes_refused_busy = 0;
  uint64_t changes_refused_no_quorum = 0;
  uint64_t changes_refused_not_leading = 0;
  uint64_t configurations_chosen = 0;  // That took effect.
  uint64_t configurations_without_effect = 0;
  uint64_t disjoint_sets = 0;           // No voter of one is a voter of the next.
  uint64_t leaders_removed = 0;         // By what they got chosen.
  uint64_t leaders_lost_in_change = 0;  // Another got chosen what they proposed.
  uint64_t learners_promoted = 0;
  uint64_t newcomers_caught_up = 0;
  uint64_t changes_settled = 0;
  uint64_t changes_carried_by_leavers = 0;  // Supplied by one who has no seat any more.
  uint64_t leavers_destroyed = 0;
  uint64_t power_cuts_of_the_new = 0;  // Of all voters, as a change is settled.
  uint64_t runs_with_changes = 0;

  // ---- Operations. ----
  uint64_t terms_begun = 0;
  uint64_t operations_asked = 0;  // Of a host, to begin one.
  uint64_t operations_begun = 0;
  uint64_t operations_done = 0;
  uint64_t operations_cancelled = 0;
  uint64_t operations_failed = 0;    // By a configuration that was asked for directly.
  uint64_t operations_repeated = 0;  // A copy of the request was answered as the first one.
  uint64_t operations_refused_busy = 0;
  uint64_t operations_refused_version = 0;
  uint64_t operations_refused_goal = 0;
  uint64_t cancels_refused_late = 0;   // Its goal was in force, or it had finished.
  uint64_t operations_carried_on = 0;  // To an end, under another leader than at first.
  uint64_t leaders_lost_learning = 0;  // Another one took over while one was in this phase.
  uint64_t leaders_lost_changing = 0;
  uint64_t leaders_lost_settling = 0;
  uint64_t leaders_lost_cancelling = 0;
  uint64_t runs_with_operations = 0;

  // ---- Runs. ----
  uint64_t runs = 0;
  uint64_t runs_on_the_store = 0;
  uint64_t runs_calm = 0;
  uint64_t runs_healed = 0;  // Found a leader after faults.
  uint64_t virtual_ms = 0;

  Counters& operator+=(const Counters& other);
  friend bool operator==(const Counters&, const Counters&) = default;
};

struct CounterInfo {
  const char* name;
  uint64_t Counters::*value;
  // A campaign of so many seeds in which it stays at zero has tested less than it says.
  uint64_t required_from = 500;
};

// All of them, in order.
const std::vector<CounterInfo>& AllCounters();

// The names of those that are zero though a campaign of so many seeds should have them.
std::vector<std::string> Missing(const Counters& counters, uint64_t seeds);

// A line each, for people; and the same read back, for files. False: not such a text.
std::string ToString(const Counters& counters);
bool FromString(const std::string& text, Counters* counters);

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_COUNTERS_H_
