// Virtual time: what happens next, and what each machine's own clock says.

#ifndef DISTLOG_TESTS_SIMULATION_CLOCK_H_
#define DISTLOG_TESTS_SIMULATION_CLOCK_H_

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "paxos/types.h"

namespace distlog::simulation {

using paxos::Time;

// True time, and what is to happen in it. Actions due at one time run in the order they were added.
class Scheduler {
 public:
  Time now() const { return now_; }

  void After(Time delay, std::function<void()> action) { At(now_ + delay, std::move(action)); }
  void At(Time time, std::function<void()> action) {
    actions_.push({time < now_ ? now_ : time, ++added_, std::move(action)});
  }

  // Runs the next action, if it is due by `until`. Otherwise it is `until`, and nothing was run.
  bool RunNext(Time until) {
    if (actions_.empty() || actions_.top().time > until) {
      now_ = until;
      return false;
    }
    // The queue gives no way to move out of its top.
    std::function<void()> action = std::move(const_cast<Action&>(actions_.top()).run);
    now_ = actions_.top().time;
    actions_.pop();
    action();
    return true;
  }

 private:
  struct Action {
    Time time;
    uint64_t order;
    std::function<void()> run;
    bool operator<(const Action& other) const {  // Earliest on top.
      return std::pair(time, order) > std::pair(other.time, other.order);
    }
  };
  Time now_{0};
  uint64_t added_ = 0;
  std::priority_queue<Action> actions_;
};

// A machine's monotonic clock: it began at `offset`, and gains `drift_ppm` microseconds a second.
struct LocalClock {
  Time offset{0};
  int64_t drift_ppm = 0;

  Time Read(Time truth) const {
    return offset + truth + Time(truth.count() * drift_ppm / 1'000'000);
  }
  // The earliest time, to the microsecond or so, when this clock reads at least `local`.
  Time TrueTime(Time local) const {
    const int64_t since = (local - offset).count();
    Time truth(since / (1'000'000 + drift_ppm) * 1'000'000);
    while (Read(truth) < local) truth += std::chrono::microseconds(1);
    return truth;
  }
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CLOCK_H_
