// The arithmetic of percentiles: which sample one stands for, and how far from it it may be.

#include "cli/histogram.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

TEST(HistogramTest, WithoutSamplesEverythingIsZero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.Percentile(0.5), 0u);
  EXPECT_EQ(histogram.max(), 0u);
}

TEST(HistogramTest, SmallValuesAreExactAndAPercentileIsASampleNotBetweenTwo) {
  Histogram histogram;
  for (uint64_t ns = 1; ns <= 10; ++ns) histogram.Add(ns);
  EXPECT_EQ(histogram.Percentile(0.5), 5u);
  EXPECT_EQ(histogram.Percentile(0.51), 6u);
  EXPECT_EQ(histogram.Percentile(0.99), 10u);
  EXPECT_EQ(histogram.Percentile(1.0), 10u);
  EXPECT_EQ(histogram.Percentile(1e-9), 1u);
}

TEST(HistogramTest, AnyValueComesBackWithinTheRelativeErrorAndNeverLess) {
  for (int bits = 0; bits < 42; ++bits) {
    for (const double factor : {1.0, 1.01, 1.3, 1.5, 1.99}) {
      const uint64_t ns = static_cast<uint64_t>(std::ldexp(factor, bits));
      Histogram histogram;
      histogram.Add(ns);
      // So that the answer is the bucket's, not the greatest sample.
      histogram.Add(uint64_t{1} << 60);
      EXPECT_GE(histogram.Percentile(0.5), ns);
      EXPECT_LE(histogram.Percentile(0.5), ns * (1 + Histogram::kRelativeError)) << ns;
    }
  }
}

TEST(HistogramTest, PercentilesAreThoseOfTheSortedSamples) {
  constexpr uint64_t kSeed = 7;
  std::mt19937_64 random(kSeed);
  std::lognormal_distribution<double> latencies(13, 2);
  Histogram histogram;
  std::vector<uint64_t> samples;
  for (int i = 0; i < 20'001; ++i) {
    samples.push_back(static_cast<uint64_t>(latencies(random)));
    histogram.Add(samples.back());
  }
  std::sort(samples.begin(), samples.end());
  for (const double fraction : {0.001, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<size_t>(std::ceil(fraction * samples.size()));
    const uint64_t exact = samples[rank - 1];
    EXPECT_GE(histogram.Percentile(fraction), exact) << "seed " << kSeed;
    EXPECT_LE(histogram.Percentile(fraction), exact * (1 + Histogram::kRelativeError))
        << "seed " << kSeed;
  }
  EXPECT_EQ(histogram.max(), samples.back());
}

TEST(HistogramTest, ASampleCanCountManyTimes) {
  Histogram histogram;
  histogram.Add(3, 98);
  histogram.Add(40, 2);
  EXPECT_EQ(histogram.count(), 100u);
  EXPECT_EQ(histogram.Percentile(0.98), 3u);
  EXPECT_EQ(histogram.Percentile(0.99), 40u);
}

TEST(HistogramTest, WhatIsTooLongCountsAsTheLongest) {
  Histogram histogram;
  histogram.Add(~uint64_t{0});
  EXPECT_EQ(histogram.count(), 1u);
  EXPECT_EQ(histogram.max(), ~uint64_t{0});
  EXPECT_EQ(histogram.Percentile(0.5), (uint64_t{1} << 42) - 1);
}

TEST(HistogramTest, NothingIsLostBetweenThreads) {
  Histogram histogram;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (uint64_t n = 0; n < 10'000; ++n) histogram.Add(n * 4 + i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(histogram.count(), 40'000u);
  EXPECT_EQ(histogram.max(), 39'999u);
}

}  // namespace
}  // namespace distlog::cli
