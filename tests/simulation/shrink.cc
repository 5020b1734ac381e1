#include "tests/simulation/shrink.h"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <vector>

#include "tests/simulation/forked.h"
#include "tests/simulation/simulation.h"

namespace distlog::simulation {
namespace {

// Seeds tried for each smaller plan: what is taken away changes all that happens by chance.
constexpr uint64_t kSeeds = 3;

// What a violation says, without whom and when.
std::string KindOf(const std::string& violation) {
  std::string kind;
  for (const char c : violation.substr(0, violation.find('\n'))) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) kind += c;
  }
  return kind.substr(0, 40);
}

struct Simpler {
  const Plan& plan;
  std::vector<std::string> operator()(uint64_t Plan::*field) const {
    const uint64_t now = plan.*field;
    if (field == &Plan::seed || field == &Plan::crash_at) return {};
    if (field == &Plan::replicas) return now > 3 ? Values({3, now - 1}) : Values({});
    if (field == &Plan::clients) return now > 1 ? Values({1, now / 2, now - 1}) : Values({});
    if (field == &Plan::max_pipeline) return now > 1 ? Values({1, now / 2}) : Values({});
    if (field == &Plan::max_payload || field == &Plan::max_drift_ppm || field == &Plan::learners ||
        field == &Plan::spares) {
      return now > 0 ? Values({0}) : Values({});
    }
    const Plan standard;  // Limits as large as they come.
    return now < standard.*field ? Values({standard.*field}) : Values({});
  }
  std::vector<std::string> operator()(double Plan::*field) const {
    if (plan.*field == 0) return {};
    return {"0"};
  }
  std::vector<std::string> operator()(bool Plan::*field) const {
    const bool simplest = field == &Plan::in_order || field == &Plan::has_faults;
    if (plan.*field == simplest) return {};
    return {simplest ? "1" : "0"};
  }
  std::vector<std::string> operator()(Time Plan::*field) const {
    const uint64_t now = (plan.*field).count();
    if (field == &Plan::duration) return Values({now / 4, now / 2, now * 3 / 4});
    const Plan standard;
    const uint64_t usual = (standard.*field).count();
    return now == usual ? Values({}) : Values({usual});
  }
  std::vector<std::string> operator()(Plan::Healing Plan::*field) const {
    if (plan.*field == Plan::Healing::kAll) return {};
    return {"all"};
  }
  static std::vector<std::string> Values(std::vector<uint64_t> numbers) {
    std::vector<std::string> values;
    for (const uint64_t number : numbers) values.push_back(std::to_string(number));
    return values;
  }
};

// The first of a few seeds with which `plan` fails as before, and in no longer a trace.
std::optional<Failure> FailsToo(Plan plan, const Failure& before, size_t* runs) {
  const std::string kind = KindOf(before.violation);
  for (uint64_t i = 0; i<kSeeds&& * runs> 0; ++i, plan.seed += 1'000'003) {
    --*runs;
    const std::optional<Failure> failure = TryPlan(plan);
    if (failure.has_value() && KindOf(failure->violation) == kind &&
        failure->trace_lines <= before.trace_lines) {
      return failure;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Failure> TryPlan(const Plan& plan) {
  Forked run(
      [&plan] {
        const Result result = Simulate(plan, {.on = true, .print = false});
        return std::to_string(result.trace_lines) + " " + result.violation.value_or("");
      },
      /*quiet=*/true);
  const std::optional<std::string> said = run.Get();
  if (!said.has_value()) return Failure{plan, "a CHECK failed", 0};
  std::istringstream in(*said);
  Failure failure{plan, "", 0};
  in >> failure.trace_lines;
  std::getline(in >> std::ws, failure.violation);
  if (failure.violation.empty()) return std::nullopt;
  return failure;
}

Failure Shrink(const Failure& failure, size_t runs) {
  Failure smallest = failure;
  for (bool progress = true; progress && runs > 0;) {
    progress = false;
    for (const PlanField& field : PlanFields()) {
      for (const std::string& value : std::visit(Simpler{smallest.plan}, field.value)) {
        Plan plan = smallest.plan;
        if (!ApplyTo(&plan, std::string(field.name) + "=" + value).empty()) continue;
        const std::optional<Failure> smaller = FailsToo(plan, smallest, &runs);
        if (!smaller.has_value()) continue;
        smallest = *smaller;
        progress = true;
        break;
      }
    }
  }
  return smallest;
}

}  // namespace distlog::simulation
