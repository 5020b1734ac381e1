// Runs simulations: one seed, a range of them, or as many as fit a time.

#include <chrono>
#include <cinttypes>
#include <cstdio>

#include "gflags/gflags.h"
#include "glog/logging.h"
#include "tests/simulation/simulation.h"

DEFINE_uint64(seed, 0, "Run this seed alone.");
DEFINE_uint64(first_seed, 1, "Run from this seed on ...");
DEFINE_uint64(seeds, 0, "... this many of them; 0: until --minutes are over.");
DEFINE_double(minutes, 0, "Begin no seed after this many minutes; 0: no limit.");
DEFINE_bool(trace, false, "Print everything that happens. With --seed.");
DEFINE_bool(keep_going, false, "Go on after a violation, with its report in a line.");

namespace {

using distlog::simulation::Counters;
using distlog::simulation::Report;
using distlog::simulation::Result;
using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void PrintProgress(uint64_t seeds, uint64_t violations, double seconds, double virtual_seconds) {
  std::fprintf(stderr, "\r%" PRIu64 " seeds, %" PRIu64 " violations, %.0f s, %.0f times real time ",
               seeds, violations, seconds, virtual_seconds / seconds);
}

int RunOne() {
  const Result result =
      distlog::simulation::Simulate(FLAGS_seed, {.on = FLAGS_trace, .print = FLAGS_trace});
  std::printf("%sseed %" PRIu64 ": %s\n  plan: %s\n  trace hash: %016" PRIx64 "\n",
              Report(result.counters).c_str(), result.seed,
              result.violation.value_or("clean").c_str(), result.plan.c_str(), result.trace_hash);
  return result.violation.has_value() ? 1 : 0;
}

int RunMany() {
  const Clock::time_point start = Clock::now();
  Clock::time_point printed = start;
  Counters counters;
  double virtual_seconds = 0;
  uint64_t seeds = 0;
  uint64_t violations = 0;
  for (uint64_t seed = FLAGS_first_seed; FLAGS_seeds == 0 || seeds < FLAGS_seeds; ++seed) {
    if (FLAGS_minutes > 0 && SecondsSince(start) > FLAGS_minutes * 60) break;
    const Result result = distlog::simulation::Simulate(seed, {});
    ++seeds;
    virtual_seconds += std::chrono::duration<double>(result.virtual_time).count();
    for (const auto& [name, count] : result.counters) counters[name] += count;
    if (result.violation.has_value()) {
      ++violations;
      if (FLAGS_keep_going) {
        std::printf("seed %" PRIu64 ": %s\n", seed, result.violation->c_str());
        std::fflush(stdout);
      } else {
        const Result traced = distlog::simulation::Simulate(seed, {.on = true, .print = false});
        std::printf("\n%s", Report(traced).c_str());
        return 1;
      }
    }
    if (Clock::now() - printed > std::chrono::seconds(1)) {
      printed = Clock::now();
      PrintProgress(seeds, violations, SecondsSince(start), virtual_seconds);
    }
  }
  PrintProgress(seeds, violations, SecondsSince(start), virtual_seconds);
  std::printf("\n%sseeds %" PRIu64 "..%" PRIu64 ": %" PRIu64 " violations\n",
              Report(counters).c_str(), FLAGS_first_seed, FLAGS_first_seed + seeds - 1, violations);
  return violations > 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  gflags::SetUsageMessage("--seed=N [--trace] | [--first_seed=A] (--seeds=N | --minutes=M)");
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  const bool one = !gflags::GetCommandLineFlagInfoOrDie("seed").is_default;
  if (argc > 1 || (!one && FLAGS_seeds == 0 && FLAGS_minutes <= 0) || (!one && FLAGS_trace)) {
    std::fprintf(stderr, "simulate: usage: %s\n", gflags::ProgramUsage());
    return 2;
  }
  distlog::simulation::ReportSeedOnCheckFailure();
  return one ? RunOne() : RunMany();
}
