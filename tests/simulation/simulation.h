// A cluster in one process, in virtual time, with everything going wrong that a seed asks for.

#ifndef DISTLOG_TESTS_SIMULATION_SIMULATION_H_
#define DISTLOG_TESTS_SIMULATION_SIMULATION_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "tests/simulation/world.h"

namespace distlog::simulation {

struct Result {
  uint64_t seed = 0;
  std::string plan;                      // What the seed chose, in a line.
  std::optional<std::string> violation;  // The rule that was broken, in words.
  std::deque<std::string> last_lines;    // Of the trace, if it was on.
  uint64_t trace_hash = 0;
  Time virtual_time{0};
  Counters counters;
};

struct Tracing {
  bool on = false;
  bool print = false;
};

// The same seed gives the same run, to the byte of its trace.
//
// First faults, chosen by the seed: of the network, the disks, the processes and the clocks;
// clients append and read meanwhile. Then the faults stop, but for some of the replicas or links
// staying dead, so that at least one replica is connected to a quorum: within a bounded number of
// rounds everything that clients asked for is answered, and ballots stop rising.
Result Simulate(uint64_t seed, Tracing tracing);

// From here on, a CHECK that fails names the seed of the simulation that runs, and the end of its
// trace, before the process dies.
void ReportSeedOnCheckFailure();

// For people: what was broken, and how to see it again.
std::string Report(const Result& result);
std::string Report(const Counters& counters);

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_SIMULATION_H_
