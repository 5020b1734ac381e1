#include "cli/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace distlog::cli {

size_t Histogram::BucketOf(uint64_t ns) {
  ns = std::min(ns, (uint64_t{1} << kMaxBits) - 1);
  if (ns < kSteps) return ns;
  // The leading one and the kStepBits bits after it.
  const int shift = std::bit_width(ns) - 1 - kStepBits;
  return (shift + 1) * kSteps + (ns >> shift) - kSteps;
}

uint64_t Histogram::LastOf(size_t bucket) {
  if (bucket < kSteps) return bucket;
  const int shift = static_cast<int>(bucket / kSteps) - 1;
  return ((bucket % kSteps + kSteps + 1) << shift) - 1;
}

void Histogram::Add(uint64_t ns, uint64_t times) {
  counts_[BucketOf(ns)].fetch_add(times, std::memory_order_relaxed);
  uint64_t max = max_.load(std::memory_order_relaxed);
  while (ns > max && !max_.compare_exchange_weak(max, ns, std::memory_order_relaxed)) {
  }
}

uint64_t Histogram::count() const {
  uint64_t count = 0;
  for (const auto& one : counts_) count += one.load(std::memory_order_relaxed);
  return count;
}

uint64_t Histogram::Percentile(double fraction) const {
  const uint64_t total = count();
  if (total == 0) return 0;
  const uint64_t rank =
      std::clamp<uint64_t>(static_cast<uint64_t>(std::ceil(fraction * total)), 1, total);
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += counts_[bucket].load(std::memory_order_relaxed);
    if (seen >= rank) return std::min(LastOf(bucket), max());
  }
  return max();
}

}  // namespace distlog::cli
