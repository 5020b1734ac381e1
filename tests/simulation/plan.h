// What a seed chooses: how many replicas, which limits, which faults and how often.

#ifndef DISTLOG_TESTS_SIMULATION_PLAN_H_
#define DISTLOG_TESTS_SIMULATION_PLAN_H_

#include <cstdint>
#include <string>

#include "paxos/options.h"
#include "tests/simulation/clock.h"
#include "tests/simulation/network.h"
#include "tests/simulation/random.h"

namespace distlog::simulation {

struct Plan {
  size_t replicas = 3;
  paxos::Options protocol;  // Small windows and messages, so that limits are met.
  Time duration{0};         // Of the faults.
  bool has_faults = true;

  Network::Weather weather;
  double client_loss = 0;
  // Messages to and from a process outlive it.
  bool messages_outlive_processes = false;
  // How often in a second of virtual time; each replica or link alike. 0: never.
  double crashes = 0;
  double crashes_of_all = 0;
  double pauses = 0;
  double resets = 0;       // A connection breaks, both ends alive.
  double link_cuts = 0;    // One direction.
  double partitions = 0;   // Halves, bridges, rings, one replica alone.
  double leader_cuts = 0;  // Whoever leads is cut off from some, in the midst of its work.
  double disk_stalls = 0;
  double slow_disks = 0;
  double transfers = 0;  // Of leadership, by an operator.
  double mark_saves = 1;
  double crash_in_effects = 0;  // A share of the steps.
  int64_t max_drift_ppm = 0;

  size_t clients = 3;
  Time max_think = std::chrono::milliseconds(100);
  size_t max_pipeline = 1;
  size_t max_payload = 100;

  // What stays broken when the faults stop.
  enum class Healing { kAll, kQuorumOnly, kStar, kChain, kOneWay };
  Healing healing = Healing::kAll;
};

Plan MakePlan(Random* random);
std::string ToString(const Plan& plan);

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_PLAN_H_
