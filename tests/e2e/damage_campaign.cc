// Damage: every file of a stopped replica is flipped, cut and removed. The replica either refuses
// with a sentence or runs on with exactly the right entries, repaired from the others where they
// were damaged, and never helps to a quorum that lacks one.
//
// Three replicas: D, whose files are damaged; P, which has everything; L, which was down while the
// last entries were acknowledged by D and P. With D and L alone, D's vote decides what the log is:
// that is the hard case. Then P comes back.

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/e2e/campaign.h"

namespace distlog {
namespace {

namespace fs = std::filesystem;

constexpr int kDamaged = 0;
constexpr int kPeer = 1;
constexpr int kLate = 2;

struct Case {
  std::string file;  // Below the data directory.
  std::string name;  // What is done to it.
  enum class Kind { kFlip, kTruncate, kRemove } kind = Kind::kFlip;
  uint64_t at = 0;  // Bit, or new length.
};

std::vector<std::string> FilesBelow(const std::string& dir) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    if (entry.is_regular_file()) files.push_back(fs::relative(entry.path(), dir));
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<Case> CasesOf(const std::string& dir, const std::string& file, Campaign* campaign) {
  std::vector<Case> cases;
  cases.push_back({file, "removed", Case::Kind::kRemove, 0});
  const uint64_t bytes = fs::file_size(dir + "/" + file);
  if (bytes == 0) return cases;
  for (int i = 0; i < campaign->options().flips; ++i) {
    const uint64_t bit = campaign->random()() % (bytes * 8);
    cases.push_back({file, absl::StrCat("bit ", bit, " flipped"), Case::Kind::kFlip, bit});
  }
  for (int i = 0; i < campaign->options().truncations; ++i) {
    // Half of them near the end, where logs are cut in practice.
    const uint64_t range = i % 2 == 0 ? bytes : std::min<uint64_t>(bytes, 4096);
    const uint64_t length = bytes - 1 - campaign->random()() % range;
    cases.push_back({file, absl::StrCat("cut to ", length, " of ", bytes, " bytes"),
                     Case::Kind::kTruncate, length});
  }
  return cases;
}

void Apply(const Case& damage, const std::string& dir) {
  const std::string path = dir + "/" + damage.file;
  switch (damage.kind) {
    case Case::Kind::kRemove:
      fs::remove(path);
      break;
    case Case::Kind::kTruncate:
      fs::resize_file(path, damage.at);
      break;
    case Case::Kind::kFlip: {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(damage.at / 8);
      const int byte = file.get();
      file.seekp(damage.at / 8);
      file.put(static_cast<char>(byte ^ (1 << damage.at % 8)));
    }
  }
}

void Copy(const std::string& from, const std::string& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

class DamageRun {
 public:
  explicit DamageRun(Campaign* campaign) : campaign_(campaign) {}

  // Fills the cluster, and keeps a picture of the three directories.
  bool Prepare() {
    cluster_ = campaign_->NewCluster(3, {"--segment_bytes=65536", "--heartbeat_interval_ms=50",
                                         "--scrub_bytes_per_second=1073741824"});
    if (cluster_ == nullptr) return false;
    // Several sealed segments, which begin with checkpoints.
    if (!Fill(9'000)) return false;
    // L must be a follower, or its end would hold the appends up for a moment; either is allowed.
    cluster_->Kill(kLate);
    if (!Fill(200)) return false;
    // The mark of what is durable follows the last entry within a second.
    absl::SleepFor(absl::Seconds(2));
    const absl::StatusOr<uint64_t> equal = cluster_->AwaitEqual({kDamaged, kPeer});
    if (!campaign_->Expect(equal.status(), "equal replicas")) return false;
    const auto truth = ReadLocal(cluster_->endpoint(kPeer));
    if (!campaign_->Expect(truth.status(), "reading the truth")) return false;
    truth_ = *truth;
    if (!campaign_->Expect(history_->Check(truth_), "the truth")) return false;
    cluster_->KillAll();
    for (int i = 0; i < 3; ++i) Copy(cluster_->data_dir(i), Picture(i));
    return true;
  }

  std::string Picture(int replica) const {
    return absl::StrCat(cluster_->dir(), "/picture", replica);
  }

  void Try(const Case& damage) {
    cluster_->KillAll();
    for (int i = 0; i < 3; ++i) Copy(Picture(i), cluster_->data_dir(i));
    Apply(damage, cluster_->data_dir(kDamaged));
    const size_t log_before = cluster_->server_log(kDamaged).size();
    const std::string what = absl::StrCat(damage.file, ", ", damage.name);
    cluster_->Launch(kDamaged);
    cluster_->Launch(kLate);
    std::string verdict = AloneWithLate(what);
    cluster_->Launch(kPeer);
    campaign_->Expect(cluster_->AwaitServing(kPeer), what);
    verdict = absl::StrCat(verdict, ", ", WithAll(what, log_before));
    ++verdicts_[verdict];
    by_file_[damage.file][verdict]++;
  }

  void PrintVerdicts() const {
    for (const auto& [file, verdicts] : by_file_) {
      for (const auto& [verdict, count] : verdicts) {
        campaign_->Say(absl::StrCat(file, ": ", count, " times ", verdict));
      }
    }
    for (const auto& [verdict, count] : verdicts_) {
      campaign_->Say(absl::StrCat("in all: ", count, " times ", verdict));
    }
  }

  Cluster* cluster() { return cluster_.get(); }

 private:
  bool Fill(size_t slots) {
    // Many small slots: one append at a time per client.
    Load::Options options = campaign_->LoadOn(*cluster_);
    options.history = history_;
    options.producers = 8;
    options.outstanding = 2;
    options.max_bytes = 400;
    options.pause = absl::ZeroDuration();
    Load load(options);
    const bool filled = load.AwaitProgress(slots);
    load.Stop();
    if (!filled) campaign_->Violation("no progress");
    return filled;
  }

  bool IsPrefix(const std::vector<ReadEntry>& log) const {
    return log.size() <= truth_.size() && std::equal(log.begin(), log.end(), truth_.begin(),
                                                     [](const ReadEntry& a, const ReadEntry& b) {
                                                       return a.position == b.position &&
                                                              a.payload == b.payload;
                                                     });
  }

  std::string WholeLog() const {
    std::string whole;
    for (const ReadEntry& entry : truth_) whole += entry.payload;
    return whole;
  }

  // D and L, without P. If they take reads, the log must be whole.
  std::string AloneWithLate(const std::string& what) {
    bool is_led = false;
    Await(
        [&] {
          if (!cluster_->running(kDamaged)) return true;
          const auto status = cluster_->Status(kLate);
          is_led = status.ok() && Text(*status, "leader_id") != "0";
          return is_led;
        },
        absl::Seconds(2));
    if (!is_led) return "no vote";
    const Finished read = cluster_->Distlog({"--timeout=3s", "read", "--raw", "--delimiter="});
    if (read.status != 0) return "no read";
    if (read.out != WholeLog()) {
      campaign_->Violation(absl::StrCat(what, ": a quorum with the damaged replica reads ",
                                        read.out.size(), " bytes instead of ", WholeLog().size()));
      return "WRONG READ";
    }
    return "voted rightly";
  }

  // All three: D has ended with a sentence, or has all of the log, or stands aside.
  std::string WithAll(const std::string& what, size_t log_before) {
    const bool are_healthy = Await([&] {
      return cluster_->LastPosition(kPeer) >= truth_.size() &&
             cluster_->LastPosition(kLate) >= truth_.size();
    });
    if (!are_healthy) {
      campaign_->Violation(what + ": the healthy replicas do not come back");
      return "PEERS STUCK";
    }
    // Whoever leads, and whatever is wrong with it: the entries are there, and a client gets them.
    const Finished read = cluster_->Distlog({"--timeout=20s", "read", "--raw", "--delimiter="});
    if (read.status != 0 || read.out != WholeLog()) {
      campaign_->Violation(absl::StrCat(what, ": read exits with ", read.status, " after ",
                                        read.out.size(), " bytes of ", WholeLog().size(), ": ",
                                        read.err));
      return read.status == 0 ? "WRONG READ" : "READ FAILS";
    }
    bool is_whole = false;
    Await(
        [&] {
          if (!cluster_->running(kDamaged)) return true;
          is_whole = cluster_->LastPosition(kDamaged) >= truth_.size();
          return is_whole;
        },
        absl::Seconds(3));
    const std::string said = cluster_->server_log(kDamaged).substr(log_before);
    if (!cluster_->running(kDamaged)) return Ended(what, said);
    std::string repair;
    if (is_whole) repair = AwaitScrubbed(what);
    if (!cluster_->running(kDamaged)) return Ended(what, said);
    const auto log = ReadLocal(cluster_->endpoint(kDamaged));
    if (log.ok() && !IsPrefix(*log)) {
      campaign_->Violation(what + ": the damaged replica reads a wrong entry");
      return "WRONG ENTRY";
    }
    if (log.ok() && is_whole && log->size() == truth_.size()) return "whole" + repair;
    if (is_whole && log.ok()) {
      campaign_->Violation(absl::StrCat(what, ": the damaged replica reads ", log->size(), " of ",
                                        truth_.size(), " entries"));
      return "MISSING ENTRY";
    }
    if (is_whole) {
      campaign_->Violation(
          absl::StrCat(what, ": the damaged replica cannot be read: ", log.status().ToString()));
      return "UNREADABLE";
    }
    return "stands aside";
  }

  // Until D has verified all its sealed segments and repaired what was damaged; what it says of it.
  std::string AwaitScrubbed(const std::string& what) {
    uint64_t repaired = 0;
    const bool is_scrubbed = Await([&] {
      if (!cluster_->running(kDamaged)) return true;
      const auto status = cluster_->Status(kDamaged);
      if (!status.ok()) return false;
      for (const Json& member : Objects(*status, "members")) {
        if (Text(member, "address") != cluster_->endpoint(kDamaged)) continue;
        repaired = Number(member, "repaired_segments");
        return Text(member, "scrub_completed_age_ms") != "-1" &&
               Text(member, "damaged_segments") == "0";
      }
      return false;
    });
    if (!is_scrubbed) {
      campaign_->Violation(what + ": damage is not repaired");
      return " NOT REPAIRED";
    }
    return repaired == 0 ? "" : absl::StrCat(", ", repaired, " segments repaired");
  }

  std::string Ended(const std::string& what, const std::string& said) {
    const int status = cluster_->process(kDamaged)->Wait();
    std::vector<std::string> lines = absl::StrSplit(said, '\n', absl::SkipEmpty());
    const std::string last = lines.empty() ? "" : lines.back();
    if (status >= 128) {
      campaign_->Violation(absl::StrCat(what, ": ended by signal ", status - 128, ": ", last));
      return "DIED";
    }
    // One example per file is enough.
    if (shown_.insert(what.substr(0, what.find(','))).second) {
      campaign_->Say(absl::StrCat(what, ": ", last));
    }
    if (status == 0 || last.rfind("distlogd: ", 0) != 0) {
      campaign_->Violation(absl::StrCat(what, ": exit ", status, " without a sentence: ", last));
    }
    return "refused";
  }

  Campaign* const campaign_;
  std::unique_ptr<Cluster> cluster_;
  const std::shared_ptr<History> history_ = std::make_shared<History>();
  std::vector<ReadEntry> truth_;
  std::map<std::string, int> verdicts_;
  std::map<std::string, std::map<std::string, int>> by_file_;
  std::set<std::string> shown_;
};

}  // namespace

void Damage(Campaign* campaign) {
  DamageRun run(campaign);
  if (!run.Prepare()) return;
  const std::vector<std::string> files = FilesBelow(run.Picture(kDamaged));
  campaign->Say(absl::StrCat(files.size(), " files"));
  int done = 0;
  for (const std::string& file : files) {
    for (const Case& damage : CasesOf(run.Picture(kDamaged), file, campaign)) {
      run.Try(damage);
      ++done;
    }
    campaign->Say(absl::StrCat(file, ": done, ", done, " cases so far"));
  }
  run.PrintVerdicts();
  if (campaign->violations() > 0) run.cluster()->PrintLogs();
  campaign->Summary(absl::StrCat("damage: ", done, " cases in ", files.size(), " files"));
}

}  // namespace distlog
