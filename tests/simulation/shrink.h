// Makes a failing run small enough to read.

#ifndef DISTLOG_TESTS_SIMULATION_SHRINK_H_
#define DISTLOG_TESTS_SIMULATION_SHRINK_H_

#include <functional>
#include <optional>
#include <string>

#include "tests/simulation/plan.h"

namespace distlog::simulation {

// How a run of a plan failed.
struct Failure {
  Plan plan;
  std::string violation;  // "a CHECK failed", if its process died.
  uint64_t trace_lines = 0;
};

// Runs the plan, in a process of its own. None: it is clean.
std::optional<Failure> TryPlan(const Plan& plan);

// Takes away from the plan whatever it can (faults, clients, replicas, time) as long as it fails
// the same way, with this seed or another one. Ends after so many runs.
Failure Shrink(const Failure& failure, size_t runs);

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_SHRINK_H_
