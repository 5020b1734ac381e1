// Group commit: one thread that writes what the event loop wants durable.

#ifndef DISTLOG_SERVER_STORAGE_THREAD_H_
#define DISTLOG_SERVER_STORAGE_THREAD_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "log/store.h"
#include "paxos/step.h"

namespace distlog {

// Does all writing to a Store, in the order in which it was asked: the groups that wait while one
// is being synced are joined into one Store::Write. A write that fails ends the process (Die).
//
// Its queue needs no bound of its own: the replica takes nothing more while
// paxos::Options::unwritten_bytes wait here.
class StorageThread {
 public:
  struct Options {
    size_t max_write_bytes = 8 << 20;  // Of one Store::Write; one larger group goes alone.
    std::chrono::milliseconds mark_interval{100};
  };

  // What of a Step must wait for the disk.
  struct Group {
    std::vector<paxos::Record> records;
    std::vector<paxos::Envelope> after_write;
    uint64_t last_record = 0;
  };

  // On the storage thread, once for each Store::Write, in order: the groups joined in it are
  // durable.
  using Durable =
      std::function<void(std::vector<paxos::Envelope> after_write, uint64_t last_record)>;

  // The same, after each Store::SaveMark(through).
  using MarkSaved = std::function<void(paxos::Slot through)>;

  StorageThread(Options options, Store* store, Durable durable, MarkSaved mark_saved);
  // Stops as Stop() does.
  ~StorageThread();

  // Any thread.
  void Submit(Group group);
  // Store::SaveCheckpoint(first, state), when what was submitted before is durable.
  void SaveCheckpoint(paxos::Slot first, std::string state);
  // Runs `task` on the storage thread, when what was submitted before is durable. After Stop it is
  // destroyed unrun.
  void Run(std::function<void()> task);

  // Slots through here are chosen and stored: saved every mark_interval if it changed, and by Stop.
  void SetMark(paxos::Slot through) { mark_.store(through, std::memory_order_relaxed); }

  // Finishes everything submitted, saves the mark, and ends the thread. What is submitted later is
  // not done.
  void Stop();

  // What is left on the disk, looked at about once a second; the highest number if that is not
  // known.
  uint64_t disk_free_bytes() const { return disk_free_bytes_.load(std::memory_order_relaxed); }

 private:
  struct Checkpoint {
    paxos::Slot first = 0;
    std::string state;
  };
  using Task = std::variant<Group, Checkpoint, std::function<void()>>;

  void Loop();
  void Do(std::deque<Task> tasks);
  void WriteJoined(Group joined);
  void SaveMark();
  void LookAtDisk();

  const Options options_;
  Store* const store_;
  const Durable durable_;
  const MarkSaved mark_saved_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool stop_ = false;

  std::atomic<paxos::Slot> mark_{0};
  paxos::Slot saved_mark_ = 0;  // Of the thread.
  std::chrono::steady_clock::time_point next_mark_;
  std::chrono::steady_clock::time_point next_look_;
  std::atomic<uint64_t> disk_free_bytes_{UINT64_MAX};
  std::thread thread_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_STORAGE_THREAD_H_
