#include "tests/simulation/counters.h"

#include <sstream>

namespace distlog::simulation {

const std::vector<CounterInfo>& AllCounters() {
  using C = Counters;
  static const std::vector<CounterInfo> all = {
      {"steps", &C::steps, true},
      {"takeovers", &C::takeovers, true},
      {"renewals", &C::renewals, true},
      {"step_downs", &C::step_downs, true},
      {"transfers", &C::transfers, true},
      {"promises", &C::promises, true},
      {"promises_in_parts", &C::promises_in_parts, true},
      {"two_ballots_for_a_slot", &C::two_ballots_for_a_slot, true},
      {"values_of_the_dead", &C::values_of_the_dead, true},
      {"no_ops_in_gaps", &C::no_ops_in_gaps, true},
      {"nacks_of_prepare", &C::nacks_of_prepare, true},
      {"nacks_of_accept", &C::nacks_of_accept, true},
      {"nacks_of_confirm", &C::nacks_of_confirm, true},
      {"progress_answers", &C::progress_answers, true},
      {"reads_in_a_later_round", &C::reads_in_a_later_round, true},
      {"marks_for_followers", &C::marks_for_followers, true},
      {"reads_cancelled", &C::reads_cancelled, true},
      {"catch_up_by_slots", &C::catch_up_by_slots, true},
      {"outcomes_chosen", &C::outcomes_chosen, true},
      {"outcomes_not_chosen", &C::outcomes_not_chosen, true},
      {"outcomes_readable", &C::outcomes_readable, true},
      {"window_full", &C::window_full, true},
      {"slots_chosen", &C::slots_chosen, true},
      {"slots_applied", &C::slots_applied, true},
      {"checkpoints", &C::checkpoints, true},
      {"marks_saved", &C::marks_saved, true},
      {"crashes", &C::crashes, true},
      {"crashes_of_all", &C::crashes_of_all, true},
      {"crashes_at_boundaries", &C::crashes_at_boundaries, true},
      {"crashes_before_sync", &C::crashes_before_sync, true},
      {"promises_lost", &C::promises_lost, true},
      {"accepts_lost", &C::accepts_lost, true},
      {"writes_kept", &C::writes_kept, true},
      {"writes_torn", &C::writes_torn, true},
      {"marks_forgotten", &C::marks_forgotten, true},
      {"restarts", &C::restarts, true},
      {"pauses", &C::pauses, true},
      {"long_pauses", &C::long_pauses, true},
      {"disk_stalls", &C::disk_stalls, true},
      {"slow_disks", &C::slow_disks, true},
      {"full_disks", &C::full_disks, true},
      {"failed_writes", &C::failed_writes, true},
      {"marks_failed", &C::marks_failed, true},
      {"checkpoints_failed", &C::checkpoints_failed, false},
      {"disks_run_out", &C::disks_run_out, true},
      {"clocks_fast_or_slow", &C::clocks_fast_or_slow, true},
      {"wall_clock_jumps", &C::wall_clock_jumps, true},
      {"clocks_that_drift", &C::clocks_that_drift, true},
      {"messages", &C::messages, true},
      {"messages_lost", &C::messages_lost, true},
      {"messages_repeated", &C::messages_repeated, true},
      {"messages_overtaken", &C::messages_overtaken, true},
      {"messages_delayed_long", &C::messages_delayed_long, true},
      {"messages_encoded", &C::messages_encoded, true},
      {"links_cut", &C::links_cut, true},
      {"one_way_cuts", &C::one_way_cuts, true},
      {"partitions_full", &C::partitions_full, true},
      {"partitions_partial", &C::partitions_partial, true},
      {"leaders_cut_off", &C::leaders_cut_off, true},
      {"resets", &C::resets, true},
      {"resets_with_messages", &C::resets_with_messages, true},
      {"connections_lost", &C::connections_lost, true},
      {"operations", &C::operations, true},
      {"acknowledged_entries", &C::acknowledged_entries, true},
      {"reads", &C::reads, true},
      {"local_reads", &C::local_reads, true},
      {"entries_read", &C::entries_read, true},
      {"unknown_outcomes", &C::unknown_outcomes, true},
      {"attempts_repeated", &C::attempts_repeated, true},
      {"duplicates_answered", &C::duplicates_answered, true},
      {"producers_opened", &C::producers_opened, true},
      {"passed_to_leader", &C::passed_to_leader, true},
      {"refused_position", &C::refused_position, true},
      {"refused_gap", &C::refused_gap, true},
      {"refused_no_leader", &C::refused_no_leader, true},
      {"refused_busy", &C::refused_busy, true},
      {"refused_disk_full", &C::refused_disk_full, true},
      {"refused_deadline", &C::refused_deadline, true},
      {"client_messages_lost", &C::client_messages_lost, true},
      {"changes_asked", &C::changes_asked, true},
      {"changes_refused_version", &C::changes_refused_version, true},
      {"changes_refused_busy", &C::changes_refused_busy, true},
      {"changes_refused_no_quorum", &C::changes_refused_no_quorum, true},
      {"changes_refused_not_leading", &C::changes_refused_not_leading, true},
      {"configurations_chosen", &C::configurations_chosen, true},
      {"configurations_without_effect", &C::configurations_without_effect, false},
      {"disjoint_sets", &C::disjoint_sets, true},
      {"leaders_removed", &C::leaders_removed, true},
      {"leaders_lost_in_change", &C::leaders_lost_in_change, true},
      {"learners_promoted", &C::learners_promoted, true},
      {"newcomers_caught_up", &C::newcomers_caught_up, true},
      {"changes_settled", &C::changes_settled, true},
      {"changes_carried_by_leavers", &C::changes_carried_by_leavers, true},
      {"leavers_destroyed", &C::leavers_destroyed, true},
      {"power_cuts_of_the_new", &C::power_cuts_of_the_new, true},
      {"runs_with_changes", &C::runs_with_changes, true},
      {"runs", &C::runs, true},
      {"runs_on_the_store", &C::runs_on_the_store, true},
      {"runs_calm", &C::runs_calm, true},
      {"runs_healed", &C::runs_healed, true},
      {"virtual_ms", &C::virtual_ms, true},
  };
  return all;
}

Counters& Counters::operator+=(const Counters& other) {
  for (const CounterInfo& info : AllCounters()) this->*info.value += other.*info.value;
  return *this;
}

std::vector<std::string> Missing(const Counters& counters) {
  std::vector<std::string> missing;
  for (const CounterInfo& info : AllCounters()) {
    if (info.is_required && counters.*info.value == 0) missing.push_back(info.name);
  }
  return missing;
}

std::string ToString(const Counters& counters) {
  std::ostringstream out;
  for (const CounterInfo& info : AllCounters()) {
    out << info.name << " " << counters.*info.value << "\n";
  }
  return out.str();
}

bool FromString(const std::string& text, Counters* counters) {
  std::istringstream in(text);
  for (const CounterInfo& info : AllCounters()) {
    std::string name;
    if (!(in >> name >> counters->*info.value) || name != info.name) return false;
  }
  return true;
}

}  // namespace distlog::simulation
