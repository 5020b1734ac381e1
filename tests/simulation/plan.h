// What a seed chooses: how many replicas, which limits, which faults and how often.

#ifndef DISTLOG_TESTS_SIMULATION_PLAN_H_
#define DISTLOG_TESTS_SIMULATION_PLAN_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "paxos/options.h"
#include "tests/simulation/clock.h"
#include "tests/simulation/network.h"
#include "tests/simulation/random.h"

namespace distlog::simulation {

struct Plan {
  uint64_t seed = 1;      // Of everything that happens by chance.
  uint64_t replicas = 3;  // That vote.
  uint64_t learners = 0;  // That do not.
  Time duration{0};       // Of the faults.
  bool has_faults = true;
  bool liveness = true;  // Goes on after them.

  // ---- Small limits, so that they are met. ----
  uint64_t window = 16;
  uint64_t window_bytes = 1 << 20;
  uint64_t message_bytes = 1 << 16;
  uint64_t batch_bytes = 1 << 14;
  uint64_t inflight_requests = 1000;
  uint64_t supply_bytes = 4096;
  Time heartbeat_interval = std::chrono::milliseconds(100);

  // ---- The network. ----
  double loss = 0;
  double duplication = 0;
  bool in_order = true;
  Time max_delay = std::chrono::milliseconds(1);
  bool encoded = false;  // Messages really travel as bytes.
  // Messages to and from a process outlive it.
  bool messages_outlive_processes = false;

  // ---- Faults, so many in a second of virtual time; each replica or link alike. 0: never. ----
  double crashes = 0;
  double crashes_of_all = 0;
  double pauses = 0;
  double resets = 0;       // A connection breaks, both ends alive.
  double link_cuts = 0;    // One direction.
  double partitions = 0;   // Halves, bridges, rings, stars, one replica alone.
  double leader_cuts = 0;  // Whoever leads is cut off from some, in the midst of its work.
  double disk_stalls = 0;
  double slow_disks = 0;
  double full_disks = 0;
  double clock_speeds = 0;  // A monotonic clock runs fast or slow for a while.
  double wall_jumps = 0;
  double transfers = 0;  // Of leadership, by an operator.
  double mark_saves = 1;

  // ---- A share of what could fail. ----
  double boundary_crashes = 0;  // Of the points between two things that a process does.
  double failed_writes = 0;     // Of the groups of writes; the process ends.
  uint64_t crash_at = 0;        // At this point, counted from 1. 0: none.
  uint64_t max_drift_ppm = 0;

  // ---- Disks. ----
  bool on_store = false;  // The real log/store.h, over a file system in memory.
  uint64_t segment_bytes = 1 << 14;
  Time max_sync = std::chrono::milliseconds(5);

  // ---- Clients. ----
  uint64_t clients = 3;
  Time max_think = std::chrono::milliseconds(100);
  uint64_t max_pipeline = 1;
  uint64_t max_payload = 100;
  double client_loss = 0;
  Time client_timeout = std::chrono::milliseconds(700);

  // ---- Changes of configuration. ----
  double changes = 0;   // Asked for by an operator, so many in a second.
  uint64_t spares = 0;  // Machines that may become members.
  // A share of them is begun as operations; the others are proposed as they are.
  double operations = 0;
  // A share of them.
  double change_crashes = 0;     // Whoever is to propose it dies soon after.
  double change_destroys = 0;    // When it is settled, who has left is destroyed ...
  double change_power_cuts = 0;  // ... and all voters lose their power in the same instant.

  // What stays broken when the faults stop.
  enum class Healing : uint64_t { kAll, kQuorumOnly, kStar, kChain, kOneWay };
  Healing healing = Healing::kAll;

  paxos::Options protocol() const;
  Network::Weather weather() const;
  friend bool operator==(const Plan&, const Plan&) = default;
};

// A plan's fields by name, so that one can be printed, read, and made smaller bit by bit.
struct PlanField {
  const char* name;
  std::variant<uint64_t Plan::*, double Plan::*, bool Plan::*, Time Plan::*, Plan::Healing Plan::*>
      value;
};
const std::vector<PlanField>& PlanFields();

Plan MakePlan(uint64_t seed);

// "seed=7 replicas=3 ...": all fields, or only those that differ from `base`.
std::string ToString(const Plan& plan);
std::string Difference(const Plan& plan, const Plan& base);
// Reads such a text into *plan, whose other fields stay. Returns what is wrong with it, or nothing.
std::string ApplyTo(Plan* plan, const std::string& text);

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_PLAN_H_
