// A cluster in one process, in virtual time, with everything going wrong that a seed asks for.

#ifndef DISTLOG_TESTS_SIMULATION_SIMULATION_H_
#define DISTLOG_TESTS_SIMULATION_SIMULATION_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "tests/simulation/counters.h"
#include "tests/simulation/plan.h"

namespace distlog::simulation {

struct Result {
  Plan plan;
  std::optional<std::string> violation = std::nullopt;  // The rule that was broken, in words.
  std::deque<std::string> last_lines = {};              // Of the trace, if it was on.
  uint64_t trace_hash = 0;
  uint64_t trace_lines = 0;
  uint64_t boundaries = 0;  // Where a process could have died: what Plan::crash_at counts.
  Counters counters = {};
};

struct Tracing {
  bool on = false;
  bool print = false;
};

// Who ends a run that breaks a rule. kCodeAlone: what those who watch it from outside say ends
// nothing, so that the code's own CHECKs may come to it.
enum class Judge { kChecker, kCodeAlone };

// The same plan gives the same run, to the byte of its trace.
//
// First faults, chosen by the plan: of the network, the disks, the processes and the clocks;
// clients append and read meanwhile. Then the faults stop, but for some of the replicas or links
// staying dead, so that at least one replica is connected to a quorum: within a bounded number of
// rounds everything that clients asked for is answered, and ballots stop rising.
Result Simulate(const Plan& plan, Tracing tracing, Judge judge = Judge::kChecker);
Result Simulate(uint64_t seed, Tracing tracing);

// From here on, a CHECK that fails names the seed of the simulation that runs, and the end of its
// trace, before the process dies.
void ReportSeedOnCheckFailure();

// For people: the end of the trace, what was broken, and how to see it again.
std::string Report(const Result& result);

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_SIMULATION_H_
