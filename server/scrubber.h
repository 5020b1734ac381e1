// Finds damage in sealed segments before anybody needs them, and repairs it.

#ifndef DISTLOG_SERVER_SCRUBBER_H_
#define DISTLOG_SERVER_SCRUBBER_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "log/store.h"
#include "proto/distlog/v1/cluster.pb.h"

namespace distlog {

// Verifies the sealed segments one after another, for ever, on a thread of the lowest priority:
// each one soon after the start or its sealing, then again after round_interval, at no more than
// bytes_per_second. What is damaged, found by it or by a reader, is rebuilt from other members and
// replaced; what cannot be is tried again. Says each in one line of the log.
class Scrubber {
 public:
  struct Options {
    // Read by the scrub, and written by repair. 0: nothing is verified, and repair is not slowed.
    uint64_t bytes_per_second = 16 << 20;
    // Left on the disk by repair.
    uint64_t reserve_bytes = 128 << 20;
    std::chrono::milliseconds round_interval{24 * 3600 * 1000};
    // How often to look for what readers found and for newly sealed segments.
    std::chrono::milliseconds look_interval{1000};
    // Between attempts at a repair: the first pause, and the bound on its doubling.
    std::chrono::milliseconds retry_interval{1000};
    std::chrono::milliseconds max_retry_interval{60'000};
  };

  struct World {
    Store* store = nullptr;    // Outlives the scrubber.
    Store::FetchChosen fetch;  // Of other members.
    // What was fetched could not be used: another member is to be asked.
    std::function<void()> turn_to_next;
    // Runs the task on the storage thread, and returns what it returned.
    std::function<absl::Status(std::function<absl::Status(Store*)>)> run_on_storage;
  };

  Scrubber(Options options, World world);
  // As Stop().
  ~Scrubber();

  // Gives up what is under way and ends the thread. `fetch` may have to be cancelled for it; the
  // storage thread must still run.
  void Stop();

  // Any thread.
  void FillStatus(v1::ServerStatus* status) const;

 private:
  using Clock = std::chrono::steady_clock;

  // A repair that did not succeed yet.
  struct Attempt {
    std::string error;
    Clock::time_point next;
    std::chrono::milliseconds pause{0};
  };

  void Loop();
  std::optional<paxos::Slot> NextDue() const;
  void Check(paxos::Slot first);
  void NoteCompleted();
  bool RepairOne();
  absl::Status Repair(paxos::Slot first);
  void NoteRepaired(const std::vector<Store::SealedSegment>& before);
  void NoteFailure(const Store::SealedSegment& segment, const absl::Status& status);
  // Whether to go on.
  bool Pace(size_t bytes);
  bool WaitUntil(Clock::time_point time);

  const Options options_;
  const World world_;

  // Of the thread.
  std::map<paxos::Slot, Clock::time_point> checked_;  // By first slot.
  std::map<paxos::Slot, std::string> told_;           // Damage that the log has.
  Clock::time_point round_began_;
  Clock::time_point paid_until_;  // What was read is paid for by then.

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::optional<Clock::time_point> completed_;
  uint64_t repaired_ = 0;
  std::map<paxos::Slot, Attempt> attempts_;
  std::thread thread_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_SCRUBBER_H_
