// What the campaigns of tools/torture share. Each is a function that does its worst to a cluster
// and reports what it did and every promise that was broken.

#ifndef DISTLOG_TESTS_E2E_CAMPAIGN_H_
#define DISTLOG_TESTS_E2E_CAMPAIGN_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/history.h"
#include "tests/e2e/load.h"

namespace distlog {

class Campaign {
 public:
  struct Options {
    Binaries binaries;
    std::string dir;              // Its own; exists.
    int rounds = 0;               // 0: as many as the campaign wants.
    int first = 1;                // fdatasync_kill, single: the first N ...
    int last = 60;                // ... and the last.
    int lines = 300'000;          // leaders: of the file.
    int stop_seconds = 60;        // behind.
    int flips = 50;               // damage: per file.
    int truncations = 20;         // damage: per file.
    double bound_ms = 300;        // failover: of the median.
    double stall_ms = 100;        // stall: of the median.
    bool unsafe_no_sync = false;  // power_cut.
    uint32_t seed = 1;
  };

  explicit Campaign(const Options& options);

  const Options& options() const { return options_; }
  int rounds(int by_default) const { return options_.rounds > 0 ? options_.rounds : by_default; }
  std::mt19937& random() { return random_; }

  // Prints a line with the time since the start.
  void Say(const std::string& text) const;
  // A broken promise: printed, and the campaign has failed.
  void Violation(const std::string& text);
  // Whether `status` is OK; a violation otherwise.
  bool Expect(const absl::Status& status, const std::string& what);
  int violations() const { return violations_; }
  // "SUMMARY name: counts", the last line.
  void Summary(const std::string& text) const;

  // In a directory of its own. A formed cluster with a leader; null after a violation.
  std::unique_ptr<Cluster> NewCluster(int replicas, std::vector<std::string> server_flags = {},
                                      std::vector<std::string> data_dirs = {}, int spares = 0);
  Load::Options LoadOn(const Cluster& cluster) const;
  // Waits for the replicas (all but spares, if empty) to become equal, and compares each with the
  // history.
  bool Judge(Cluster* cluster, const History& history, std::vector<int> replicas = {});

 private:
  const Options options_;
  const absl::Time start_;
  std::mt19937 random_;
  int violations_ = 0;
  int clusters_ = 0;
};

// 10 times kill -9 of all three under load.
void KillAll(Campaign* campaign);
// The leader dies at its Nth fdatasync, for each N.
void FdatasyncKill(Campaign* campaign);
// A single replica: kill -9 under load, and death at its Nth fdatasync since its start.
void Single(Campaign* campaign);
// Power cuts of all three at once, each on its own file system. Needs root.
void PowerCut(Campaign* campaign);
// A real file goes in while leaders are killed and restarted.
void Leaders(Campaign* campaign);
// From the kill of an idle or a loaded leader to the next acknowledged append of a waiting client.
void Failover(Campaign* campaign);
// A replica far behind, a stopped follower, a stopped leader.
void Behind(Campaign* campaign);
// Members come and go under load, until no original machine is left; leaders are killed meanwhile.
void MembersChange(Campaign* campaign);
// How long appends stand still during planned changes and transfers.
void Stall(Campaign* campaign);
// Bit flips, truncations and removals of every file of a stopped replica.
void Damage(Campaign* campaign);

}  // namespace distlog

#endif  // DISTLOG_TESTS_E2E_CAMPAIGN_H_
