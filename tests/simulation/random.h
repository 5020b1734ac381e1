// The one source of chance of a simulation. The same on every platform: nothing of <random>'s
// distributions.

#ifndef DISTLOG_TESTS_SIMULATION_RANDOM_H_
#define DISTLOG_TESTS_SIMULATION_RANDOM_H_

#include <cstdint>

#include "paxos/types.h"

namespace distlog::simulation {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {  // SplitMix64.
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // 0 .. bound - 1.
  uint64_t Below(uint64_t bound) { return Next() % bound; }
  // low .. high.
  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }
  paxos::Time Between(paxos::Time low, paxos::Time high) {
    return low + paxos::Time(static_cast<int64_t>(Below((high - low).count() + 1)));
  }
  bool Chance(double probability) {
    return static_cast<double>(Next() >> 11) * 0x1.0p-53 < probability;
  }
  // Mostly near `low`, at times far above it, never above `high`.
  paxos::Time LongTail(paxos::Time low, paxos::Time high) {
    paxos::Time span = high - low;
    for (int i = 0; i < 4 && Chance(0.75); ++i) span /= 4;
    return low + Between(paxos::Time(0), span);
  }

 private:
  uint64_t state_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_RANDOM_H_
