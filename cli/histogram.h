// Counts durations in buckets of a fixed relative width: memory and the cost of a sample do not
// depend on how many samples there are, and percentiles of any range are equally exact.

#ifndef DISTLOG_CLI_HISTOGRAM_H_
#define DISTLOG_CLI_HISTOGRAM_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace distlog::cli {

// Of nanoseconds, up to about 73 minutes; what is longer counts as that. Any thread may add and ask
// at any time.
class Histogram {
 public:
  // A percentile is at most this much above the sample it stands for, and never below it.
  static constexpr double kRelativeError = 1.0 / 64;

  void Add(uint64_t ns, uint64_t times = 1);

  uint64_t count() const;
  uint64_t max() const { return max_.load(std::memory_order_relaxed); }
  // The least duration that at least `fraction` (0 < fraction <= 1) of the samples do not exceed. 0
  // without samples.
  uint64_t Percentile(double fraction) const;

 private:
  // Below kSteps each value has a bucket of its own; above, each power of two has kSteps of them.
  static constexpr int kStepBits = 6;
  static constexpr uint64_t kSteps = uint64_t{1} << kStepBits;
  static constexpr int kMaxBits = 42;
  static constexpr size_t kBuckets = (kMaxBits - kStepBits + 1) * kSteps;

  static size_t BucketOf(uint64_t ns);
  static uint64_t LastOf(size_t bucket);  // The largest value in it.

  std::array<std::atomic<uint64_t>, kBuckets> counts_{};
  std::atomic<uint64_t> max_{0};
};

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_HISTOGRAM_H_
