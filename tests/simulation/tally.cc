#include <cinttypes>
#include <cstdio>
#include <sstream>
#include <utility>

#include "tests/simulation/campaign.h"

namespace distlog::simulation {
namespace {

// Below this many seeds, chance decides what they meet.
constexpr uint64_t kEnoughSeeds = 500;
constexpr uint64_t kMedianEntries = 1000;
constexpr uint64_t kMedianLeaders = 3;

std::string ToString(const std::map<uint64_t, uint64_t>& seeds_by_value) {
  std::ostringstream out;
  for (const auto& [value, seeds] : seeds_by_value) out << " " << value << ":" << seeds;
  return out.str();
}

std::map<uint64_t, uint64_t> HistogramOf(const std::string& line) {
  std::map<uint64_t, uint64_t> histogram;
  std::istringstream in(line);
  uint64_t value = 0;
  uint64_t seeds = 0;
  for (char colon = 0; in >> value >> colon >> seeds;) histogram[value] = seeds;
  return histogram;
}

}  // namespace

void Tally::Add(const Counters& of_a_seed) {
  counters += of_a_seed;
  ++entries[of_a_seed.acknowledged_entries / kStep * kStep];
  ++leaders[of_a_seed.takeovers];
}

uint64_t Median(const std::map<uint64_t, uint64_t>& seeds_by_value) {
  uint64_t all = 0;
  for (const auto& [value, seeds] : seeds_by_value) all += seeds;
  uint64_t above = 0;
  for (auto it = seeds_by_value.rbegin(); it != seeds_by_value.rend(); ++it) {
    above += it->second;
    if (2 * above >= all) return it->first;
  }
  return 0;
}

std::string Report(const Tally& tally) {
  std::ostringstream out;
  for (const CounterInfo& info : AllCounters()) {
    out << "  " << info.name << ": " << tally.counters.*info.value << "\n";
  }
  const double cluster_seconds = static_cast<double>(tally.counters.virtual_ms) / 1000;
  char text[400];
  std::snprintf(text, sizeof text,
                "seeds %" PRIu64 "..%" PRIu64
                ": %zu violations\n"
                "  median seed: %" PRIu64 " acknowledged entries, %" PRIu64
                " leaders\n"
                "  %.1f CPU-seconds, %.4f a seed; %.0f simulated cluster-seconds per CPU-second\n",
                tally.first_seed, tally.next_seed - 1, tally.violations.size(),
                Median(tally.entries), Median(tally.leaders), tally.cpu_seconds,
                tally.cpu_seconds / static_cast<double>(tally.seeds()),
                cluster_seconds / tally.cpu_seconds);
  return out.str() + text;
}

std::vector<std::string> Shortcomings(const Tally& tally) {
  std::vector<std::string> all;
  if (tally.seeds() < kEnoughSeeds) return all;
  for (const std::string& name : Missing(tally.counters, tally.seeds()))
    all.push_back(name + " never happened");
  if (Median(tally.entries) < kMedianEntries) {
    all.push_back("the median seed has fewer than " + std::to_string(kMedianEntries) +
                  " acknowledged entries");
  }
  if (Median(tally.leaders) < kMedianLeaders) {
    all.push_back("the median seed has fewer than " + std::to_string(kMedianLeaders) + " leaders");
  }
  return all;
}

std::string ToString(const Tally& tally) {
  std::ostringstream out;
  out << "commit " << (tally.commit.empty() ? "unknown" : tally.commit) << "\nfirst_seed "
      << tally.first_seed << "\nnext_seed " << tally.next_seed << "\ncpu_seconds "
      << tally.cpu_seconds << "\nentries" << ToString(tally.entries) << "\nleaders"
      << ToString(tally.leaders) << "\n";
  for (const auto& [seed, what] : tally.violations) {
    std::string line = what;
    for (char& c : line) {
      if (c == '\n') c = ' ';
    }
    out << "violation " << seed << " " << line << "\n";
  }
  out << "counters\n" << ToString(tally.counters);
  return out.str();
}

std::string FromString(const std::string& text, Tally* tally) {
  std::istringstream in(text);
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    std::string rest;
    if (name == "commit") {
      words >> tally->commit;
    } else if (name == "first_seed") {
      words >> tally->first_seed;
    } else if (name == "next_seed") {
      words >> tally->next_seed;
    } else if (name == "cpu_seconds") {
      words >> tally->cpu_seconds;
    } else if (name == "entries" || name == "leaders") {
      std::getline(words, rest);
      (name == "entries" ? tally->entries : tally->leaders) = HistogramOf(rest);
    } else if (name == "violation") {
      uint64_t seed = 0;
      words >> seed;
      std::getline(words >> std::ws, rest);
      tally->violations[seed] = rest;
    } else if (name == "counters") {
      rest.assign(std::istreambuf_iterator<char>(in), {});
      return FromString(rest, &tally->counters) ? "" : "its counters are not those of this program";
    } else {
      return "it has a line that begins with \"" + name + "\"";
    }
  }
  return "it has no counters";
}

// ---- The file. ---------------------------------------------------------------------------------

namespace {

constexpr const char* kHead =
    "# Campaigns\n\n"
    "*What the simulation went through, by commit. `simulate --campaign_file` writes this file "
    "([testing.md](testing.md)).*\n\n"
    "| commit | seeds | violations | entries and leaders of the median seed | CPU-hours |\n"
    "| --- | --- | --- | --- | --- |\n";
constexpr const char* kNewest = "\nThe newest in full, from which it goes on:\n\n```\n";
constexpr const char* kEnd = "```\n";

std::string Row(const Tally& tally) {
  char hours[32];
  std::snprintf(hours, sizeof hours, "%.2f", tally.cpu_seconds / 3600);
  std::ostringstream out;
  out << "| " << (tally.commit.empty() ? "unknown" : tally.commit) << " | " << tally.first_seed
      << " to " << tally.next_seed - 1 << " | " << tally.violations.size() << " | "
      << Median(tally.entries) << ", " << Median(tally.leaders) << " | " << hours << " |";
  return out.str();
}

}  // namespace

void CampaignFile::Begin(Tally next) {
  earlier.push_back(Row(newest));
  newest = std::move(next);
}

std::string ToString(const CampaignFile& file) {
  std::string text = kHead;
  for (const std::string& row : file.earlier) text += row + "\n";
  return text + Row(file.newest) + "\n" + kNewest + ToString(file.newest) + kEnd;
}

std::string FromString(const std::string& text, CampaignFile* file) {
  const std::string head = kHead;
  const size_t newest = text.find(kNewest);
  const size_t end = text.rfind(kEnd);
  if (text.compare(0, head.size(), head) != 0 || newest == std::string::npos || end <= newest) {
    return "it does not look like one";
  }
  std::istringstream rows(text.substr(head.size(), newest - head.size()));
  file->earlier.clear();
  for (std::string row; std::getline(rows, row);) file->earlier.push_back(row);
  if (!file->earlier.empty()) file->earlier.pop_back();  // The newest.
  const size_t begin = newest + std::string(kNewest).size();
  return FromString(text.substr(begin, end - begin), &file->newest);
}

}  // namespace distlog::simulation
