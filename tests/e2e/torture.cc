// The engine of tools/torture: runs one campaign against real processes. Exits 0 if no promise was
// broken.

#include <csignal>
#include <cstdio>
#include <map>
#include <string>

#include "gflags/gflags.h"
#include "tests/e2e/campaign.h"

DEFINE_string(distlogd, "", "path of the server");
DEFINE_string(distlog, "", "path of the command");
DEFINE_string(dir, "", "an empty directory for the campaign");
DEFINE_int32(rounds, 0, "how often; 0: as the campaign wants");
DEFINE_int32(first, 1, "fdatasync_kill, single: the first N");
DEFINE_int32(last, 60, "fdatasync_kill, single: the last N");
DEFINE_int32(lines, 300'000, "leaders: lines of the file");
DEFINE_int32(stop_seconds, 60, "behind: how long a follower is stopped");
DEFINE_int32(flips, 50, "damage: bit flips per file");
DEFINE_int32(truncations, 20, "damage: truncations per file");
DEFINE_double(bound_ms, 300, "failover: bound of the median");
DEFINE_double(stall_ms, 100, "stall: bound of the medians");
DEFINE_uint32(seed, 1, "of what is drawn");
DEFINE_bool(unsafe_no_sync, false, "power_cut: servers that never sync, which must lose something");

int main(int argc, char** argv) {
  gflags::SetUsageMessage("torture [flags] CAMPAIGN; started by tools/torture");
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  signal(SIGPIPE, SIG_IGN);
  const std::map<std::string, void (*)(distlog::Campaign*)> campaigns = {
      {"behind", distlog::Behind},         {"damage", distlog::Damage},
      {"failover", distlog::Failover},     {"fdatasync_kill", distlog::FdatasyncKill},
      {"kill_all", distlog::KillAll},      {"leaders", distlog::Leaders},
      {"members", distlog::MembersChange}, {"power_cut", distlog::PowerCut},
      {"single", distlog::Single},         {"stall", distlog::Stall},
  };
  const auto campaign = campaigns.find(argc == 2 ? argv[1] : "");
  if (campaign == campaigns.end() || FLAGS_distlogd.empty() || FLAGS_distlog.empty() ||
      FLAGS_dir.empty()) {
    std::fprintf(stderr,
                 "torture: wants --distlogd, --distlog, --dir and the name of a campaign\n");
    return 2;
  }
  distlog::Campaign::Options options;
  options.binaries = {FLAGS_distlogd, FLAGS_distlog};
  options.dir = FLAGS_dir;
  options.rounds = FLAGS_rounds;
  options.first = FLAGS_first;
  options.last = FLAGS_last;
  options.lines = FLAGS_lines;
  options.stop_seconds = FLAGS_stop_seconds;
  options.flips = FLAGS_flips;
  options.truncations = FLAGS_truncations;
  options.bound_ms = FLAGS_bound_ms;
  options.stall_ms = FLAGS_stall_ms;
  options.seed = FLAGS_seed;
  options.unsafe_no_sync = FLAGS_unsafe_no_sync;
  distlog::Campaign run(options);
  campaign->second(&run);
  return run.violations() == 0 ? 0 : 1;
}
