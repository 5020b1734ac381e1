// Runs simulations: one plan, a range of seeds, or as many as fit a time. Exits 0 when all is clean
// and everything worth meeting was met, 1 if not, 2 if it was asked for something it cannot do.

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "glog/logging.h"
#include "paxos/break.h"
#include "paxos/invariant.h"
#include "tests/simulation/campaign.h"
#include "tests/simulation/flags.h"
#include "tests/simulation/mutations.h"
#include "tests/simulation/shrink.h"
#include "tests/simulation/simulation.h"

namespace distlog::simulation {
namespace {

constexpr size_t kShrinkRuns = 300;

constexpr const char* kUsage =
    "usage: simulate --seed=N [--plan='FIELD=VALUE ...'] [--trace]\n"
    "                [--break=MISTAKE] [--shrink]\n"
    "       simulate --mutations [--jobs=J]\n"
    "       simulate [--first_seed=A] (--seeds=N | --minutes=M) [--jobs=J] [--keep_going]\n"
    "                [--plan='FIELD=VALUE ...'] [--campaign_file=F [--commit=C]]\n"
    "  --seed            one seed; prints its counters, and on a violation the end of its trace\n"
    "  --trace           ... and everything that happens\n"
    "  --break           makes this mistake (paxos/break.h) on purpose\n"
    "  --shrink          makes a plan that fails as small as it can, and prints that one\n"
    "  --mutations       every mistake that must be found, and how it is: a table\n"
    "  --seeds           so many seeds, from --first_seed (1) on; --minutes: as many as fit\n"
    "  --jobs            processes (1)\n"
    "  --keep_going      past violations\n"
    "  --plan            changes of every seed's plan; docs/testing.md names the fields\n"
    "  --campaign_file   goes on where this file says, and keeps it up to date\n"
    "  --commit          of the code: another than the file's newest begins a new campaign\n";

struct Flags {
  FlagValue<uint64_t> seed{"seed", 0};
  FlagValue<uint64_t> first_seed{"first_seed", 1};
  FlagValue<uint64_t> seeds{"seeds", 0};
  FlagValue<double> minutes{"minutes", 0};
  FlagValue<uint64_t> jobs{"jobs", 1};
  FlagValue<bool> trace{"trace", false};
  FlagValue<bool> keep_going{"keep_going", false};
  FlagValue<std::string> plan{"plan", ""};
  FlagValue<std::string> mistake{"break", ""};
  FlagValue<bool> shrink{"shrink", false};
  FlagValue<bool> mutations{"mutations", false};
  FlagValue<std::string> campaign_file{"campaign_file", ""};
  FlagValue<std::string> commit{"commit", ""};

  // What is wrong with the arguments; empty: nothing.
  std::string Read(int argc, char** argv) {
    const std::string wrong =
        ReadFlags(argc, argv,
                  {&seed, &first_seed, &seeds, &minutes, &jobs, &trace, &keep_going, &plan,
                   &mistake, &shrink, &mutations, &campaign_file, &commit});
    if (!wrong.empty()) return wrong;
    const bool many = seeds.is_set() || minutes.is_set();
    if (static_cast<int>(seed.is_set()) + static_cast<int>(many) +
            static_cast<int>(mutations.value()) !=
        1) {
      return "give one of --seed, --seeds or --minutes, --mutations";
    }
    if (!seed.is_set() && (trace.value() || shrink.value())) {
      return "--trace and --shrink need --seed";
    }
    if (mistake.is_set() && !paxos::BreakNamed(mistake.value()).has_value()) {
      return "there is no mistake \"" + mistake.value() + "\" in paxos/break.h";
    }
    if (seeds.is_set() && seeds.value() == 0) return "--seeds must be at least 1";
    if (minutes.is_set() && !(minutes.value() > 0)) return "--minutes must be above 0";
    if (jobs.value() < 1 || jobs.value() > 64) return "--jobs must be 1 to 64";
    Plan changed;
    return ApplyTo(&changed, plan.value());
  }
  Plan PlanOf(uint64_t of) const {
    Plan made = MakePlan(of);
    CHECK_EQ(ApplyTo(&made, plan.value()), "");
    return made;
  }
};

int RunOne(const Flags& flags) {
  Plan plan = flags.PlanOf(flags.seed.value());
  if (flags.shrink.value()) {
    const std::optional<Failure> failure = TryPlan(plan);
    if (!failure.has_value()) {
      std::printf("seed %" PRIu64 " is clean: there is nothing to shrink\n", plan.seed);
      return 0;
    }
    plan = Shrink(*failure, kShrinkRuns).plan;
  }
  Result result = Simulate(plan, {.on = flags.trace.value(), .print = flags.trace.value()});
  std::printf("%s", ToString(result.counters).c_str());
  if (!flags.trace.value() && result.violation.has_value()) {
    result = Simulate(plan, {.on = true, .print = false});
  }
  if (flags.trace.value()) result.last_lines.clear();
  std::printf("%s  trace: %" PRIu64 " lines, hash %016" PRIx64 "\n", Report(result).c_str(),
              result.trace_lines, result.trace_hash);
  return result.violation.has_value() ? 1 : 0;
}

int RunMutations(const Flags& flags) {
  bool all_found = true;
  std::printf(
      "| mutation | found by the checker, which says | after seeds | CHECK that fires first |\n"
      "| --- | --- | --- | --- |\n");
  for (const Mutation& mutation : AllMutations()) {
    const std::optional<Finding> finding = Find(mutation, flags.jobs.value());
    std::printf("%s\n", Row(mutation, finding).c_str());
    std::fflush(stdout);
    if (!finding.has_value()) {
      all_found = false;
    } else if (const auto clean =
                   TryBroken(paxos::Break::kNone, PlanFor(mutation, finding->seed))) {
      std::printf("... but seed %" PRIu64 " fails without it: %s\n", clean->seed,
                  clean->violation.c_str());
      all_found = false;
    }
  }
  return all_found ? 0 : 1;
}

// A path as its user means it: `bazel run` runs programs elsewhere.
std::string PathOf(const std::string& path) {
  const char* const directory = std::getenv("BUILD_WORKING_DIRECTORY");
  if (path.empty() || path[0] == '/' || directory == nullptr) return path;
  return std::string(directory) + "/" + path;
}

// Empty: the campaign to run is a new one, or goes on where the file says.
std::string ReadCampaign(const Flags& flags, const std::string& path, CampaignFile* campaigns) {
  Tally fresh;
  fresh.first_seed = fresh.next_seed = flags.first_seed.value();
  fresh.commit = flags.commit.value();
  campaigns->newest = fresh;
  std::ifstream in(path);
  if (path.empty() || !in) return "";
  const std::string text(std::istreambuf_iterator<char>(in), {});
  CampaignFile read;
  const std::string wrong = FromString(text, &read);
  const Tally& newest = read.newest;
  if (!newest.commit.empty() && flags.commit.is_set() && flags.commit.value() != newest.commit) {
    read.Begin(fresh);  // The counters of the other one may be another program's.
  } else if (!wrong.empty()) {
    return "no campaign file to go on from: " + wrong;
  } else if (flags.first_seed.is_set() && flags.first_seed.value() != newest.first_seed) {
    return "it began at seed " + std::to_string(newest.first_seed);
  }
  *campaigns = read;
  return "";
}

void WriteCampaign(const std::string& path, const CampaignFile& campaigns) {
  const std::string next = path + ".new";
  std::ofstream(next) << ToString(campaigns);
  PCHECK(std::rename(next.c_str(), path.c_str()) == 0) << path;
}

int RunMany(const Flags& flags) {
  CampaignFile campaigns;
  const std::string file = PathOf(flags.campaign_file.value());
  const std::string wrong = ReadCampaign(flags, file, &campaigns);
  if (!wrong.empty()) {
    std::fprintf(stderr, "simulate: %s: %s\n", file.c_str(), wrong.c_str());
    return 2;
  }
  Tally tally = campaigns.newest;
  CampaignOptions options;
  options.seeds = flags.seeds.value();
  options.minutes = flags.minutes.value();
  options.jobs = flags.jobs.value();
  options.keep_going = flags.keep_going.value();
  options.plan = [&flags](uint64_t seed) { return flags.PlanOf(seed); };
  options.progress = [&](const Tally& now) {
    campaigns.newest = now;
    if (!file.empty()) WriteCampaign(file, campaigns);
    std::fprintf(stderr, "\r%" PRIu64 " seeds, %zu violations, %.0f CPU-seconds ", now.seeds(),
                 now.violations.size(), now.cpu_seconds);
  };
  RunCampaign(options, &tally);
  std::fputs("\n", stderr);
  std::printf("%s", Report(tally).c_str());
  for (const auto& [seed, what] : tally.violations) {
    std::printf("VIOLATION in seed %" PRIu64 ": %s\n", seed, what.c_str());
  }
  const std::vector<std::string> shortcomings = Shortcomings(tally);
  for (const std::string& each : shortcomings) std::printf("MISSED: %s\n", each.c_str());
  return tally.violations.empty() && shortcomings.empty() ? 0 : 1;
}

int Main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  Flags flags;
  const std::string wrong = flags.Read(argc, argv);
  if (!wrong.empty()) {
    std::fprintf(stderr, "simulate: %s\n%s", wrong.c_str(), kUsage);
    return 2;
  }
  if (flags.mutations.value()) return RunMutations(flags);
  if (flags.mistake.is_set()) {
    paxos::SetBreak(*paxos::BreakNamed(flags.mistake.value()));
    paxos::SetInvariantsFatal(false);
  }
  ReportSeedOnCheckFailure();
  return flags.seed.is_set() ? RunOne(flags) : RunMany(flags);
}

}  // namespace
}  // namespace distlog::simulation

int main(int argc, char** argv) { return distlog::simulation::Main(argc, argv); }
