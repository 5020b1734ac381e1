// Leaders that are killed: while a real file goes in, and with a watch in the hand.

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "client/client.h"
#include "client/producer.h"
#include "tests/e2e/campaign.h"

namespace distlog {
namespace {

// What this machine knows of its packages, in text, then a program of it, which is no UTF-8 and has
// NULs; ends with a newline. The number of lines; 0 if there is none.
int MakeRealFile(const std::string& path, int lines) {
  Command command;
  command.arguments = {"/bin/bash", "-c", R"(
    { cat /bin/bash; echo
      cat /var/lib/dpkg/status
      for list in /var/lib/apt/lists/*_Packages*; do
        [[ -f $list ]] && /usr/lib/apt/apt-helper cat-file "$list"
      done
      find / -xdev -printf '%i %s %p\n' 2>/dev/null
    } | head -n "$2" >"$1"
    wc -l <"$1")", "bash", path, absl::StrCat(lines)};
  const Finished finished = RunToEnd(command);
  return finished.status == 0 ? std::stoi(finished.out) : 0;
}

std::string FileContent(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// So slowly that there is time to kill somebody, and so fast that something is always under way.
void FeedSlowly(Process* process, const std::string& bytes) {
  constexpr size_t kBytes = 16'000;
  for (size_t done = 0; done < bytes.size(); done += kBytes) {
    if (!process->WriteInput(bytes.substr(done, kBytes))) break;
    absl::SleepFor(absl::Milliseconds(20));
  }
  process->CloseInput();
}

// One append after the other, each waited for.
class WaitingClient {
 public:
  explicit WaitingClient(const std::string& endpoints)
      : client_(ConnectTo(endpoints, absl::Seconds(60))), producer_(client_.get(), {}) {}

  absl::Status Append(const std::string& payload) {
    absl::Notification answered;
    absl::Status status;
    const absl::Status taken = producer_.Append(payload, [&](const AppendResult& result) {
      status = result.status;
      answered.Notify();
    });
    if (!taken.ok()) return taken;
    answered.WaitForNotification();
    return status;
  }

 private:
  const std::unique_ptr<Client> client_;
  Producer producer_;
};

std::string Figures(std::vector<double> ms) {
  std::sort(ms.begin(), ms.end());
  return absl::StrFormat("median %.0f ms, min %.0f, max %.0f of %d", ms[ms.size() / 2], ms.front(),
                         ms.back(), ms.size());
}

}  // namespace

void Leaders(Campaign* campaign) {
  const std::string path = campaign->options().dir + "/file";
  const int lines = MakeRealFile(path, campaign->options().lines);
  if (lines < 100'000) {
    campaign->Violation(absl::StrCat("found only ", lines, " lines on this machine"));
    return;
  }
  const std::string file = FileContent(path);
  campaign->Say(absl::StrCat("a file of ", lines, " lines, ", file.size(), " bytes"));
  const auto cluster = campaign->NewCluster(3);
  if (cluster == nullptr) return;

  Command command = cluster->DistlogCommand(
      {"--timeout=60s", "append", "--lines", "--quiet", "--file=/dev/stdin"});
  command.open_input = true;
  const auto append = Process::Start(command);
  std::thread feeder([&] { FeedSlowly(append.get(), file); });
  const int kills = campaign->rounds(5);
  int done = 0;
  int leader = -1;
  for (; done < kills && campaign->violations() == 0; ++done) {
    const absl::StatusOr<int> found = cluster->AwaitLeader();
    if (!campaign->Expect(found.status(), "finding the leader")) break;
    leader = *found;
    const uint64_t goal = static_cast<uint64_t>(lines) * (done + 1) / (kills + 2);
    uint64_t last = 0;
    if (!Await([&] { return (last = cluster->LastPosition(leader)) >= goal; })) {
      campaign->Violation(absl::StrCat("the log does not reach position ", goal));
    }
    cluster->Kill(leader);
    if (!append->running()) {
      campaign->Violation(
          absl::StrCat("append ended before kill ", done + 1, ": ", append->error()));
    }
    campaign->Say(absl::StrCat("kill ", done + 1, ": server ", leader + 1, " at position ", last));
    campaign->Expect(cluster->AwaitLeader().status(), "another leader");
    campaign->Expect(cluster->Start(leader), "restart");
  }
  feeder.join();
  const int status = append->Wait(absl::Minutes(5));
  if (status != 0) {
    campaign->Violation(absl::StrCat("append exited with ", status, ": ", append->error()));
  }
  if (append->output() != absl::StrCat("1..", lines, "\n")) {
    campaign->Violation(absl::StrCat("append printed ", append->output()));
  }
  campaign->Expect(cluster->AwaitEqual().status(), "equal replicas");
  for (int i = 0; i < cluster->size(); ++i) {
    const auto copy = cluster->ReadRaw(i);
    if (!campaign->Expect(copy.status(), "reading")) continue;
    if (*copy != file) {
      campaign->Violation(absl::StrCat("server ", i + 1, " gives back ", copy->size(),
                                       " bytes that are not the file"));
    } else {
      campaign->Say(absl::StrCat("server ", i + 1, " gives the file back, byte for byte"));
    }
  }
  if (campaign->violations() > 0) cluster->PrintLogs();
  campaign->Summary(absl::StrCat("leaders: ", done, " leaders killed, ", lines, " lines, ",
                                 file.size(), " bytes"));
}

void Failover(Campaign* campaign) {
  const auto cluster = campaign->NewCluster(3);
  if (cluster == nullptr) return;
  const int kills = campaign->rounds(20);
  std::vector<double> idle;
  std::vector<double> loaded;
  WaitingClient waiting(cluster->endpoints());
  for (int kill = 0; kill < 2 * kills && campaign->violations() == 0; ++kill) {
    const bool under_load = kill >= kills;
    std::unique_ptr<Load> load;
    if (under_load) {
      load = std::make_unique<Load>(campaign->LoadOn(*cluster));
      if (!load->AwaitProgress(1000)) campaign->Violation("no progress");
    }
    campaign->Expect(waiting.Append(absl::StrCat("before ", kill)), "append before the kill");
    const absl::StatusOr<int> leader = cluster->AwaitLeader();
    if (!campaign->Expect(leader.status(), "a leader")) break;
    if (!under_load) absl::SleepFor(absl::Seconds(1));  // Idle: nothing under way at all.

    const absl::Time start = absl::Now();
    cluster->process(*leader)->Signal(SIGKILL);
    campaign->Expect(waiting.Append(absl::StrCat("after ", kill)), "append after the kill");
    const double ms = absl::ToDoubleMilliseconds(absl::Now() - start);
    (under_load ? loaded : idle).push_back(ms);
    campaign->Say(absl::StrFormat("%s leader killed: %.0f ms", under_load ? "loaded" : "idle", ms));
    cluster->Kill(*leader);
    load.reset();
    campaign->Expect(cluster->Start(*leader), "restart");
    campaign->Expect(cluster->AwaitEqual().status(), "equal replicas");
  }
  for (auto* figures : {&idle, &loaded}) {
    if (figures->empty()) continue;
    const char* name = figures == &idle ? "idle" : "loaded";
    campaign->Say(absl::StrCat(name, ": ", Figures(*figures)));
    std::nth_element(figures->begin(), figures->begin() + figures->size() / 2, figures->end());
    if ((*figures)[figures->size() / 2] >= campaign->options().bound_ms) {
      campaign->Violation(
          absl::StrCat(name, ": the median is not below ", campaign->options().bound_ms, " ms"));
    }
  }
  campaign->Summary(absl::StrCat("failover: idle ", idle.empty() ? "-" : Figures(idle), "; loaded ",
                                 loaded.empty() ? "-" : Figures(loaded)));
}

}  // namespace distlog
