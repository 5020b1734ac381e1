// What all parts of a simulation share.

#ifndef DISTLOG_TESTS_SIMULATION_WORLD_H_
#define DISTLOG_TESTS_SIMULATION_WORLD_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "tests/simulation/clock.h"
#include "tests/simulation/counters.h"
#include "tests/simulation/random.h"

namespace distlog::simulation {

// Replica ids in a simulation are below.
inline constexpr size_t kMaxMachines = 32;

// What happened, a line each. Off, it costs nothing: ask on() before making a line.
class Trace {
 public:
  // `print`: every line also goes to standard output.
  Trace(bool on, bool print) : on_(on), print_(print) {}

  bool on() const { return on_; }
  void Add(Time now, const std::string& line);
  const std::deque<std::string>& last_lines() const { return last_lines_; }
  uint64_t hash() const { return hash_; }    // Of every line there was.
  uint64_t lines() const { return lines_; }  // How many those are.

 private:
  static constexpr size_t kKept = 200;
  bool on_;
  bool print_;
  uint64_t hash_ = 0xcbf29ce484222325;
  uint64_t lines_ = 0;
  std::deque<std::string> last_lines_;
};

struct World {
  World(uint64_t seed, bool trace_on, bool trace_print)
      : random(seed), trace(trace_on, trace_print) {}

  Random random;
  Scheduler scheduler;
  Trace trace;
  Counters counters;
  // Points so far between two things that a process did, where it could have died.
  uint64_t boundaries = 0;
  // The first broken rule, in words. The simulation ends with it.
  std::optional<std::string> violation;

  Time now() const { return scheduler.now(); }
  void Fail(const std::string& what) {
    if (violation.has_value()) return;
    violation = what;
    if (trace.on()) trace.Add(now(), "VIOLATION " + what);
  }
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_WORLD_H_
