// Sees every state of a small cluster within bounds. Exits 0 if no rule is broken within them, 1 if
// one is (and prints the shortest way there), 2 on usage, 3 if it gave up before it saw all states.

#include <cstdio>
#include <string>

#include "gflags/gflags.h"
#include "glog/logging.h"
#include "paxos/break.h"
#include "paxos/invariant.h"
#include "tests/model/search.h"

DEFINE_int32(replicas, 3, "replicas, all voters: 1 to 5");
DEFINE_int32(proposers, 3, "how many of them may take over");
DEFINE_uint64(slots, 2, "slots that clients' values go to: 1 to 8");
DEFINE_int32(takeovers, 2, "takeovers, of all replicas together");
DEFINE_uint64(ballots, 2, "the highest round of any ballot: takeovers and renewals need one each");
DEFINE_int32(crashes, 1, "crashes, of all replicas together");
DEFINE_bool(duplication, false, "messages may arrive any number of times, not once");
DEFINE_int32(saved_marks, 0, "marks made durable by themselves, of all replicas together");
DEFINE_string(change_to, "",
              "ids of the voters that may be proposed to follow, as in 345; empty: no change");
DEFINE_int32(changes, 1, "proposals of that change, of all replicas together");
DEFINE_int32(new_proposers, 0, "how many of those voters may take over, by lowest ids");
DEFINE_bool(learners_first, false, "the newcomers are learners first, from slot 1 (elected, too)");
DEFINE_bool(elected, false, "begin where replica 1 leads at 1.1 and nothing is under way");
DEFINE_uint64(states, 50'000'000, "gives up after this many states");
DEFINE_string(break, "", "makes this mistake (see paxos/break.h), with the code's own checks off");

namespace distlog::model {
namespace {

void Print(const Result& result) {
  std::printf(
      "states=%lu transitions=%lu depth=%lu machine_states=%lu machine_events=%lu messages=%lu\n"
      "takeovers_before_chosen=%lu states_with_values_proposed_again=%lu crashes_with_loss=%lu "
      "states_with_all_slots_chosen=%lu events_above_the_ballot_bound=%lu\n",
      result.states, result.transitions, result.depth, result.machines, result.steps,
      result.messages, result.takeovers_before_chosen, result.proposed_again,
      result.crashes_with_loss, result.all_chosen, result.beyond_rounds);
  std::printf(
      "takeovers_amid_change=%lu states_with_change_chosen=%lu states_with_change_settled=%lu "
      "states_with_more_chosen_after=%lu\n",
      result.takeovers_amid_change, result.changes_chosen, result.changes_settled,
      result.chosen_after_change);
  std::fflush(stdout);
}

int Usage(const std::string& what) {
  std::fprintf(stderr, "model_check: %s\n", what.c_str());
  return 2;
}

int Main() {
  uint32_t change_to = 0;
  for (const char id : FLAGS_change_to) {
    if (id < '1' || id > '6') return Usage("--change_to must be ids, 1 to 6");
    change_to |= Members({id - '0'});
  }
  const Bounds bounds{.replicas = FLAGS_replicas,
                      .proposers = FLAGS_proposers,
                      .slots = FLAGS_slots,
                      .takeovers = FLAGS_takeovers,
                      .rounds = FLAGS_ballots,
                      .crashes = FLAGS_crashes,
                      .duplication = FLAGS_duplication,
                      .saved_marks = FLAGS_saved_marks,
                      .change_to = change_to,
                      .changes = FLAGS_changes,
                      .new_proposers = FLAGS_new_proposers,
                      .learners_first = FLAGS_learners_first,
                      .is_elected = FLAGS_elected,
                      .states = FLAGS_states};
  if (bounds.replicas < 1 || bounds.replicas > 5) return Usage("--replicas must be 1 to 5");
  if (bounds.slots < 1 || bounds.slots > 8) return Usage("--slots must be 1 to 8");
  for (int bound : {bounds.proposers, bounds.takeovers, bounds.crashes, bounds.saved_marks,
                    bounds.changes, bounds.new_proposers}) {
    if (bound < 0 || bound > 8) return Usage("a bound must be 0 to 8");
  }
  if (bounds.rounds > 16) return Usage("--ballots must be 0 to 16");
  if (bounds.states > 400'000'000) return Usage("--states must be at most 400,000,000");
  if (!FLAGS_break.empty()) {
    const auto mistake = paxos::BreakNamed(FLAGS_break);
    if (!mistake.has_value()) return Usage("--break: there is no mistake named " + FLAGS_break);
    paxos::SetBreak(*mistake);
    paxos::SetInvariantsFatal(false);
  }
  std::printf(
      "bounds: replicas=%d proposers=%d slots=%lu takeovers=%d ballots=%lu crashes=%d "
      "duplication=%d saved_marks=%d change_to=%s changes=%d new_proposers=%d learners_first=%d "
      "elected=%d\n",
      bounds.replicas, bounds.proposers, bounds.slots, bounds.takeovers, bounds.rounds,
      bounds.crashes, bounds.duplication, bounds.saved_marks, FLAGS_change_to.c_str(),
      bounds.changes, bounds.new_proposers, bounds.learners_first, bounds.is_elected);
  const Result result = Search(bounds).Run(Print);
  Print(result);
  if (!FLAGS_break.empty() && paxos::CountedInvariants().count > 0) {
    std::printf("the code's own checks would have found: %s\n",
                paxos::CountedInvariants().first.c_str());
  }
  if (!result.violation.empty()) {
    std::printf("VIOLATION %s\n", result.violation.c_str());
    for (size_t i = 0; i < result.path.size(); ++i) {
      std::printf("%4zu  %s\n", i + 1, result.path[i].c_str());
    }
    return 1;
  }
  std::printf(result.complete ? "complete: no rule is broken within these bounds\n"
                              : "INCOMPLETE: more states than --states; none broke a rule\n");
  return result.complete ? 0 : 3;
}

}  // namespace
}  // namespace distlog::model

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  gflags::SetUsageMessage("sees every state of a small cluster within bounds");
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  if (argc > 1) return distlog::model::Usage(std::string("unexpected argument ") + argv[1]);
  return distlog::model::Main();
}
