#include "tests/simulation/counters.h"

#include <sstream>

namespace distlog::simulation {

const std::vector<CounterInfo>& AllCounters() {
  using C = Counters;
  constexpr uint64_t kRareSeeds = 10'000;  // One seed in some hundreds has it.
  static const std::vector<CounterInfo> all = {
      {"steps", &C::steps},
      {"takeovers", &C::takeovers},
      {"renewals", &C::renewals},
      {"step_downs", &C::step_downs},
      {"transfers", &C::transfers},
      {"promises", &C::promises},
      {"promises_in_parts", &C::promises_in_parts},
      {"two_ballots_for_a_slot", &C::two_ballots_for_a_slot},
      {"values_of_the_dead", &C::values_of_the_dead},
      {"no_ops_in_gaps", &C::no_ops_in_gaps},
      {"nacks_of_prepare", &C::nacks_of_prepare},
      {"nacks_of_accept", &C::nacks_of_accept},
      {"nacks_of_confirm", &C::nacks_of_confirm},
      {"progress_answers", &C::progress_answers},
      {"reads_in_a_later_round", &C::reads_in_a_later_round},
      {"marks_for_followers", &C::marks_for_followers},
      {"reads_cancelled", &C::reads_cancelled},
      {"catch_up_by_slots", &C::catch_up_by_slots},
      {"outcomes_chosen", &C::outcomes_chosen},
      {"outcomes_not_chosen", &C::outcomes_not_chosen},
      {"outcomes_readable", &C::outcomes_readable},
      {"window_full", &C::window_full},
      {"slots_chosen", &C::slots_chosen},
      {"slots_applied", &C::slots_applied},
      {"checkpoints", &C::checkpoints},
      {"marks_saved", &C::marks_saved},
      {"crashes", &C::crashes},
      {"crashes_of_all", &C::crashes_of_all},
      {"crashes_at_boundaries", &C::crashes_at_boundaries},
      {"crashes_before_sync", &C::crashes_before_sync},
      {"promises_lost", &C::promises_lost},
      {"accepts_lost", &C::accepts_lost},
      {"writes_kept", &C::writes_kept},
      {"writes_torn", &C::writes_torn},
      {"marks_forgotten", &C::marks_forgotten},
      {"restarts", &C::restarts},
      {"pauses", &C::pauses},
      {"long_pauses", &C::long_pauses},
      {"disk_stalls", &C::disk_stalls},
      {"slow_disks", &C::slow_disks},
      {"full_disks", &C::full_disks},
      {"failed_writes", &C::failed_writes},
      {"marks_failed", &C::marks_failed},
      {"checkpoints_failed", &C::checkpoints_failed, kRareSeeds},
      {"disks_run_out", &C::disks_run_out},
      {"clocks_fast_or_slow", &C::clocks_fast_or_slow},
      {"wall_clock_jumps", &C::wall_clock_jumps},
      {"clocks_that_drift", &C::clocks_that_drift},
      {"messages", &C::messages},
      {"messages_lost", &C::messages_lost},
      {"messages_repeated", &C::messages_repeated},
      {"messages_overtaken", &C::messages_overtaken},
      {"messages_delayed_long", &C::messages_delayed_long},
      {"messages_encoded", &C::messages_encoded},
      {"links_cut", &C::links_cut},
      {"one_way_cuts", &C::one_way_cuts},
      {"partitions_full", &C::partitions_full},
      {"partitions_partial", &C::partitions_partial},
      {"leaders_cut_off", &C::leaders_cut_off},
      {"resets", &C::resets},
      {"resets_with_messages", &C::resets_with_messages},
      {"connections_lost", &C::connections_lost},
      {"operations", &C::operations},
      {"acknowledged_entries", &C::acknowledged_entries},
      {"reads", &C::reads},
      {"local_reads", &C::local_reads},
      {"entries_read", &C::entries_read},
      {"unknown_outcomes", &C::unknown_outcomes},
      {"attempts_repeated", &C::attempts_repeated},
      {"duplicates_answered", &C::duplicates_answered},
      {"producers_opened", &C::producers_opened},
      {"passed_to_leader", &C::passed_to_leader},
      {"refused_position", &C::refused_position},
      {"refused_gap", &C::refused_gap},
      {"refused_no_leader", &C::refused_no_leader},
      {"refused_busy", &C::refused_busy},
      {"refused_disk_full", &C::refused_disk_full},
      {"refused_deadline", &C::refused_deadline},
      {"client_messages_lost", &C::client_messages_lost},
      {"changes_asked", &C::changes_asked},
      {"changes_refused_version", &C::changes_refused_version},
      {"changes_refused_busy", &C::changes_refused_busy},
      {"changes_refused_no_quorum", &C::changes_refused_no_quorum},
      {"changes_refused_not_leading", &C::changes_refused_not_leading},
      {"configurations_chosen", &C::configurations_chosen},
      {"configurations_without_effect", &C::configurations_without_effect, kRareSeeds},
      {"disjoint_sets", &C::disjoint_sets},
      {"leaders_removed", &C::leaders_removed},
      {"leaders_lost_in_change", &C::leaders_lost_in_change},
      {"learners_promoted", &C::learners_promoted},
      {"newcomers_caught_up", &C::newcomers_caught_up},
      {"changes_settled", &C::changes_settled},
      {"changes_carried_by_leavers", &C::changes_carried_by_leavers},
      {"leavers_destroyed", &C::leavers_destroyed},
      {"power_cuts_of_the_new", &C::power_cuts_of_the_new},
      {"runs_with_changes", &C::runs_with_changes},
      {"terms_begun", &C::terms_begun},
      {"operations_asked", &C::operations_asked},
      {"operations_begun", &C::operations_begun},
      {"operations_done", &C::operations_done},
      {"operations_cancelled", &C::operations_cancelled},
      {"operations_failed", &C::operations_failed},
      {"operations_repeated", &C::operations_repeated},
      {"operations_refused_busy", &C::operations_refused_busy},
      {"operations_refused_version", &C::operations_refused_version},
      {"operations_refused_goal", &C::operations_refused_goal},
      {"cancels_refused_late", &C::cancels_refused_late},
      {"operations_carried_on", &C::operations_carried_on},
      {"leaders_lost_learning", &C::leaders_lost_learning},
      {"leaders_lost_changing", &C::leaders_lost_changing},
      {"leaders_lost_settling", &C::leaders_lost_settling},
      {"leaders_lost_cancelling", &C::leaders_lost_cancelling},
      {"runs_with_operations", &C::runs_with_operations},
      {"runs", &C::runs},
      {"runs_on_the_store", &C::runs_on_the_store},
      {"runs_calm", &C::runs_calm},
      {"runs_healed", &C::runs_healed},
      {"virtual_ms", &C::virtual_ms},
  };
  return all;
}

Counters& Counters::operator+=(const Counters& other) {
  for (const CounterInfo& info : AllCounters()) this->*info.value += other.*info.value;
  return *this;
}

std::vector<std::string> Missing(const Counters& counters, uint64_t seeds) {
  std::vector<std::string> missing;
  for (const CounterInfo& info : AllCounters()) {
    if (seeds >= info.required_from && counters.*info.value == 0) missing.push_back(info.name);
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
