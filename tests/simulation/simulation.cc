#include "tests/simulation/simulation.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "glog/logging.h"
#include "paxos/break.h"
#include "tests/simulation/run.h"

namespace distlog::simulation {
namespace {

Run* running = nullptr;
Plan running_plan;
bool reporting = false;

// Of the mistake that is made on purpose.
std::string BreakFlag() {
  for (const paxos::BreakDescription& each : paxos::AllBreaks()) {
    if (paxos::IsBroken(each.mistake)) return " --break=" + std::string(each.name);
  }
  return "";
}

[[noreturn]] void OnCheckFailure() {
  // The run is deterministic: once more, now with its trace, it fails at the same place.
  if (!std::exchange(reporting, true)) Simulate(running_plan, {.on = true, .print = false});
  Result result{.plan = running_plan};
  if (running != nullptr) result = running->MakeResult();
  result.violation = "a CHECK failed (its message is above)";
  std::fputs(Report(result).c_str(), stderr);
  std::abort();
}

}  // namespace

Result Simulate(const Plan& plan, Tracing tracing, Judge judge) {
  Run run(plan, tracing, judge);
  running = &run;
  running_plan = plan;
  Result result = run.Execute();
  running = nullptr;
  return result;
}

Result Simulate(uint64_t seed, Tracing tracing) { return Simulate(MakePlan(seed), tracing); }

void ReportSeedOnCheckFailure() { google::InstallFailureFunction(&OnCheckFailure); }

std::string Report(const Result& result) {
  std::ostringstream out;
  for (const std::string& line : result.last_lines) out << line << "\n";
  const std::string changed = Difference(result.plan, MakePlan(result.plan.seed));
  out << "seed " << result.plan.seed << ": " << result.violation.value_or("clean")
      << "\n  plan: " << ToString(result.plan)
      << "\n  again: bazel run //tools:simulate -- --seed=" << result.plan.seed
      << (changed.empty() ? "" : " --plan='" + changed + "'") << BreakFlag() << " --trace\n";
  return out.str();
}

}  // namespace distlog::simulation
