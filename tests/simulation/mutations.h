// Whether deliberate mistakes (paxos/break.h) are found.

#ifndef DISTLOG_TESTS_SIMULATION_MUTATIONS_H_
#define DISTLOG_TESTS_SIMULATION_MUTATIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "paxos/break.h"
#include "tests/simulation/plan.h"

namespace distlog::simulation {

// A mistake that the simulation has to find, and in how many seeds.
struct Mutation {
  paxos::Break mistake = paxos::Break::kNone;
  std::string name;
  uint64_t seeds = 0;  // Within so many, from 1 on.
  std::string plan;    // What is changed in the plan of each, so that the mistake matters.
};

// All of them.
const std::vector<Mutation>& AllMutations();

struct Finding {
  uint64_t seed = 0;
  std::string violation;  // In words of the checker, outside the code that is broken.
  // Which of the code's own CHECKs ends the same run when nobody watches it; may be empty.
  std::string first_check;
};

// The plan of a seed for this mistake.
Plan PlanFor(const Mutation& mutation, uint64_t seed);

// Runs the plan with the mistake made (kNone: with none) and the code's own invariants not fatal,
// and on a violation a second time without the checker and with them fatal. None: nothing was
// found.
std::optional<Finding> TryBroken(paxos::Break mistake, const Plan& plan);

// The first seed that finds it, if one of mutation.seeds does; `jobs` at once.
std::optional<Finding> Find(const Mutation& mutation, uint64_t jobs);

// A row of the table in docs/testing.md.
std::string Row(const Mutation& mutation, const std::optional<Finding>& finding);

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_MUTATIONS_H_
