#include "tests/simulation/campaign.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "glog/logging.h"
#include "tests/simulation/simulation.h"

namespace distlog::simulation {
namespace {

constexpr uint64_t kBlock = 25;  // Seeds.

// A process that runs seeds first .. last and writes to a pipe what they came to: the number of
// each before it begins, the tally of all when they are done.
struct Worker {
  pid_t pid = 0;
  int pipe = -1;
  uint64_t first = 0;
  uint64_t last = 0;
  std::string output;
};

void WriteAll(int fd, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t wrote = write(fd, text.data() + at, text.size() - at);
    PCHECK(wrote > 0);
    at += static_cast<size_t>(wrote);
  }
}

[[noreturn]] void RunBlock(const Worker& worker, const CampaignOptions& options, int fd) {
  Tally tally;
  tally.first_seed = worker.first;
  tally.next_seed = worker.last + 1;
  for (uint64_t seed = worker.first; seed <= worker.last; ++seed) {
    WriteAll(fd, "begin " + std::to_string(seed) + "\n");
    const Result result = Simulate(options.plan(seed), {});
    tally.Add(result.counters);
    if (result.violation.has_value()) tally.violations[seed] = *result.violation;
  }
  WriteAll(fd, "tally\n" + ToString(tally));
  _exit(0);
}

Worker Start(uint64_t first, uint64_t last, const CampaignOptions& options) {
  Worker worker;
  worker.first = first;
  worker.last = last;
  int ends[2];
  PCHECK(pipe(ends) == 0);
  worker.pid = fork();
  PCHECK(worker.pid >= 0);
  if (worker.pid == 0) {
    close(ends[0]);
    RunBlock(worker, options, ends[1]);
  }
  close(ends[1]);
  worker.pipe = ends[0];
  return worker;
}

// Reads what there is. False: there will be no more.
bool ReadSome(Worker* worker) {
  char bytes[4096];
  const ssize_t count = read(worker->pipe, bytes, sizeof bytes);
  if (count <= 0) return false;
  worker->output.append(bytes, static_cast<size_t>(count));
  return true;
}

// Its end. The seed in which it died, if it did, is a violation, and those after it were not run.
Tally Collect(const Worker& worker) {
  close(worker.pipe);
  int status = 0;
  rusage usage{};
  PCHECK(wait4(worker.pid, &status, 0, &usage) == worker.pid);
  Tally tally;
  const size_t at = worker.output.find("tally\n");
  if (at != std::string::npos) {
    const std::string wrong = FromString(worker.output.substr(at + 6), &tally);
    CHECK(wrong.empty()) << wrong;
  } else {
    const size_t begin = worker.output.rfind("begin ");
    const uint64_t seed =
        begin == std::string::npos ? worker.first : std::stoull(worker.output.substr(begin + 6));
    tally.first_seed = worker.first;
    tally.next_seed = seed + 1;
    tally.violations[seed] = "the process died: a CHECK failed, or worse (see above)";
  }
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  tally.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  return tally;
}

void Merge(const Tally& block, Tally* tally) {
  CHECK_EQ(block.first_seed, tally->next_seed);
  tally->next_seed = block.next_seed;
  tally->cpu_seconds += block.cpu_seconds;
  for (const auto& [value, seeds] : block.entries) tally->entries[value] += seeds;
  for (const auto& [value, seeds] : block.leaders) tally->leaders[value] += seeds;
  tally->violations.insert(block.violations.begin(), block.violations.end());
  tally->counters += block.counters;
}

}  // namespace

void RunCampaign(const CampaignOptions& options, Tally* tally) {
  const auto start = std::chrono::steady_clock::now();
  const uint64_t end =
      options.seeds == 0 ? UINT64_MAX : tally->first_seed + options.seeds;  // Not included.
  std::vector<Worker> workers;
  std::map<uint64_t, Tally> done;  // By first seed: what waits for an earlier block.
  uint64_t next = tally->next_seed;
  bool stop = false;
  while (true) {
    const std::chrono::duration<double, std::ratio<60>> passed =
        std::chrono::steady_clock::now() - start;
    if (options.minutes > 0 && passed.count() > options.minutes) stop = true;
    while (!stop && workers.size() < options.jobs && next < end) {
      const uint64_t last = std::min(end - 1, next + kBlock - 1);
      workers.push_back(Start(next, last, options));
      next = last + 1;
    }
    if (workers.empty()) return;
    std::vector<pollfd> waits;
    for (const Worker& worker : workers) waits.push_back({worker.pipe, POLLIN, 0});
    PCHECK(poll(waits.data(), waits.size(), -1) > 0);
    for (size_t i = waits.size(); i-- > 0;) {
      if (waits[i].revents == 0 || ReadSome(&workers[i])) continue;
      Tally block = Collect(workers[i]);
      // What a process that died left undone is done next.
      if (block.next_seed <= workers[i].last && (options.keep_going || options.jobs > 1)) {
        workers.push_back(Start(block.next_seed, workers[i].last, options));
      }
      workers.erase(workers.begin() + static_cast<std::ptrdiff_t>(i));
      if (!block.violations.empty() && !options.keep_going) stop = true;
      done.emplace(block.first_seed, std::move(block));
    }
    for (auto it = done.find(tally->next_seed); it != done.end();
         it = done.find(tally->next_seed)) {
      Merge(it->second, tally);
      done.erase(it);
      options.progress(*tally);
    }
  }
}

}  // namespace distlog::simulation
