#include "tests/e2e/campaign.h"

#include <cstdio>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace distlog {

Campaign::Campaign(const Options& options)
    : options_(options), start_(absl::Now()), random_(options.seed) {}

void Campaign::Say(const std::string& text) const {
  std::printf("%7.1f s  %s\n", absl::ToDoubleSeconds(absl::Now() - start_), text.c_str());
  std::fflush(stdout);
}

void Campaign::Violation(const std::string& text) {
  ++violations_;
  Say(absl::StrCat("VIOLATION: ", text));
}

bool Campaign::Expect(const absl::Status& status, const std::string& what) {
  if (!status.ok()) Violation(absl::StrCat(what, ": ", std::string(status.message())));
  return status.ok();
}

void Campaign::Summary(const std::string& text) const {
  std::printf("SUMMARY %s, %d violations\n", text.c_str(), violations_);
  std::fflush(stdout);
}

std::unique_ptr<Cluster> Campaign::NewCluster(int replicas, std::vector<std::string> server_flags,
                                              std::vector<std::string> data_dirs, int spares) {
  Cluster::Options options;
  options.replicas = replicas;
  options.spares = spares;
  options.server_flags = std::move(server_flags);
  options.binaries = options_.binaries;
  options.dir = absl::StrCat(options_.dir, "/cluster", ++clusters_);
  options.data_dirs = std::move(data_dirs);
  std::filesystem::create_directories(options.dir);
  auto cluster = std::make_unique<Cluster>(std::move(options));
  if (!Expect(cluster->StartAndForm(), "forming a cluster")) return nullptr;
  return cluster;
}

Load::Options Campaign::LoadOn(const Cluster& cluster) const {
  Load::Options options;
  options.endpoints = cluster.endpoints();
  options.seed = options_.seed;
  // Some thousand entries a second: more would only make the comparison long.
  options.pause = absl::Milliseconds(1);
  return options;
}

bool Campaign::Judge(Cluster* cluster, const History& history, std::vector<int> replicas) {
  const int before = violations_;
  if (replicas.empty()) replicas = cluster->Founders();
  const auto equal = cluster->AwaitEqual(replicas);
  if (!Expect(equal.status(), "waiting for equal replicas")) return false;
  for (const int i : replicas) {
    const auto log = ReadLocal(cluster->endpoint(i));
    if (!Expect(log.status(), absl::StrCat("reading server ", i + 1))) continue;
    if (log->size() < *equal) {
      Violation(
          absl::StrCat("server ", i + 1, " gives back ", log->size(), " of ", *equal, " entries"));
    }
    Expect(history.Check(*log), absl::StrCat("server ", i + 1));
  }
  return violations_ == before;
}

}  // namespace distlog
