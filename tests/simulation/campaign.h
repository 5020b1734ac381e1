// Many seeds, on several processors, with what came of them in a file to go on from.

#ifndef DISTLOG_TESTS_SIMULATION_CAMPAIGN_H_
#define DISTLOG_TESTS_SIMULATION_CAMPAIGN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/simulation/counters.h"
#include "tests/simulation/plan.h"

namespace distlog::simulation {

// What all seeds of a campaign came to: those from first_seed up to, not including, next_seed.
struct Tally {
  std::string commit;  // Of the code. Empty: not known.
  uint64_t first_seed = 1;
  uint64_t next_seed = 1;
  double cpu_seconds = 0;
  std::map<uint64_t, uint64_t> entries;  // Acknowledged in a seed -> seeds. In steps of kStep.
  std::map<uint64_t, uint64_t> leaders;  // Takeovers in a seed -> seeds.
  std::map<uint64_t, std::string> violations;  // By seed.
  Counters counters;

  static constexpr uint64_t kStep = 100;

  uint64_t seeds() const { return next_seed - first_seed; }
  void Add(const Counters& of_a_seed);
};

// The value that half of the seeds reach.
uint64_t Median(const std::map<uint64_t, uint64_t>& seeds_by_value);

// For people: all counters, the medians, the speed.
std::string Report(const Tally& tally);

// What a campaign of enough seeds should have met and has not, a sentence each. Violations are not
// among them.
std::vector<std::string> Shortcomings(const Tally& tally);

// As text, for a file. An error is a sentence; empty: none.
std::string ToString(const Tally& tally);
std::string FromString(const std::string& text, Tally* tally);

// A campaign file, in Markdown: a row for each campaign, and the newest in full, to go on from.
struct CampaignFile {
  std::vector<std::string> earlier;  // Rows.
  Tally newest;

  // The newest is over, and becomes a row.
  void Begin(Tally next);
};
std::string ToString(const CampaignFile& file);
// An error is a sentence; empty: none. After an error newest.commit is known if the file has one.
std::string FromString(const std::string& text, CampaignFile* file);

struct CampaignOptions {
  uint64_t seeds = 0;       // In all, with those that the tally has; 0: no limit.
  double minutes = 0;       // Begins nothing after; 0: no limit.
  uint64_t jobs = 1;        // Processes.
  bool keep_going = false;  // After a violation.
  std::function<Plan(uint64_t seed)> plan = MakePlan;
  // Is told the tally after every block of seeds, whose numbers come in order.
  std::function<void(const Tally&)> progress = [](const Tally&) {};
};

// Runs seeds from tally->next_seed on. Each block of them runs in a process of its own, so that a
// CHECK that fails is a violation of its seed like any other.
void RunCampaign(const CampaignOptions& options, Tally* tally);

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CAMPAIGN_H_
