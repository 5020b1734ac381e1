// Virtual time: what happens next, and what each machine's own clock says.

#ifndef DISTLOG_TESTS_SIMULATION_CLOCK_H_
#define DISTLOG_TESTS_SIMULATION_CLOCK_H_

#include <algorithm>
#include <cstdint>
#include <functional>
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
    actions_.push_back({time < now_ ? now_ : time, ++added_, std::move(action)});
    std::push_heap(actions_.begin(), actions_.end());
  }

  // Runs the next action, if it is due by `until`. Otherwise it is `until`, and nothing was run.
  bool RunNext(Time until) {
    if (actions_.empty() || actions_.front().time > until) {
      now_ = until;
      return false;
    }
    std::pop_heap(actions_.begin(), actions_.end());
    const Action action = std::move(actions_.back());
    actions_.pop_back();
    now_ = action.time;
    action.run();
    return true;
  }

 private:
  struct Action {
    Time time;
    uint64_t order;
    std::function<void()> run;
    bool operator<(const Action& other) const {  // Earliest on top.
      return time != other.time ? time > other.time : order > other.order;
    }
  };
  Time now_{0};
  uint64_t added_ = 0;
  std::vector<Action> actions_;  // A heap.
};

// A machine's clocks. The monotonic one begins at `offset` and gains `drift_ppm` microseconds a
// second, more or fewer while it runs fast or slow. The wall clock is as much off, and jumps.
struct LocalClock {
  Time offset{0};
  int64_t drift_ppm = 0;
  Time wall_ahead{0};

  Time Read(Time truth) const {
    return offset + since_ + Scale(truth - from_, 1'000'000 + drift_ppm, 1'000'000);
  }
  // The earliest time when this clock reads at least `local`, at its present speed.
  Time TrueTime(Time local) const {
    const Time truth = from_ + Scale(local - offset - since_, 1'000'000, 1'000'000 + drift_ppm);
    return Read(truth) < local ? truth + Time(1) : truth;
  }
  // From now on.
  void SetDrift(Time truth, int64_t ppm) {
    since_ = Read(truth) - offset;
    from_ = truth;
    drift_ppm = ppm;
  }

 private:
  static Time Scale(Time time, int64_t by, int64_t from) {
    return Time(static_cast<int64_t>(static_cast<__int128>(time.count()) * by / from));
  }
  Time from_{0};   // When it took up its present speed ...
  Time since_{0};  // ... it had run this long.
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CLOCK_H_
