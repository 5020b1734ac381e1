// The disk that servers really have.

#ifndef DISTLOG_TESTS_SIMULATION_STORE_DISK_H_
#define DISTLOG_TESTS_SIMULATION_STORE_DISK_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "log/store.h"
#include "tests/simulation/log_disk.h"

namespace distlog::simulation {

// A Store (log/store.h) over a file system in memory, held to what LogDisk promises: whatever it
// recovers is compared. A crash drops what was not synced, keeps it, or tears the write under way.
class StoreDisk : public LogDisk {
 public:
  // `window` as of the replica; `segment_bytes` as of Store::Options.
  StoreDisk(const paxos::Configuration& genesis, paxos::Slot window, uint64_t segment_bytes);
  ~StoreDisk() override;

  std::vector<Write> FinishGroup() override;
  std::vector<paxos::Record> Crash(size_t kept) override;
  void BreakDown(uint64_t calls) override;
  void LeaveSpace(uint64_t bytes) override;
  void Mend() override;
  void SaveMark(paxos::Slot through) override;
  absl::StatusOr<RecoveredLog> RecoverLog(const Observer& observer) override;
  void BeforeWrite(const std::vector<paxos::Record>& records, const Sequencer& sequencer) override;
  void AfterApply(const Applied& applied, const Sequencer& sequencer) override;
  absl::StatusOr<std::optional<paxos::Slot>> AfterStore(paxos::Slot stored) override;
  void SaveCheckpoint(const Sequencer& sequencer) override;  // It has its own times for that.
  absl::StatusOr<std::vector<paxos::AcceptedValue>> ReadSlots(paxos::Slot first,
                                                              paxos::Slot through,
                                                              size_t max_bytes) const override;
  absl::StatusOr<std::vector<LogEntry>> ReadEntries(uint64_t from, uint64_t to,
                                                    size_t max_bytes) const override;

 private:
  class DiskEnv;
  // A segment that begins at `first`, and the state as of the slot before, once that is applied.
  struct Cut {
    paxos::Slot first = 0;
    std::optional<std::string> state;
  };

  void Open();
  void Capture(const Sequencer& sequencer);
  // Whether the store holds what this record says.
  bool IsThere(const paxos::Record& record) const;
  absl::Status Compare(const RecoveredLog& expected, const RecoveredLog& found) const;
  // What an error means: a fault that was asked for, or a broken promise, of which the first
  // counts.
  bool IsFine(const absl::Status& status);
  bool HasFault() const { return breaks_down_ || is_small_; }

  const std::unique_ptr<DiskEnv> env_;
  Store::Options options_;
  std::unique_ptr<Store> store_;
  std::optional<Cut> cut_;
  bool breaks_down_ = false;
  bool is_small_ = false;
  // What was to be durable when a fault came between: it is, or is not.
  paxos::Slot doubtful_mark_ = 0;
  absl::Status status_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_STORE_DISK_H_
