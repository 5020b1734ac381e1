// A disk from which a server recovers its log.

#ifndef DISTLOG_TESTS_SIMULATION_LOG_DISK_H_
#define DISTLOG_TESTS_SIMULATION_LOG_DISK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "log/sequencer.h"
#include "log/store.h"
#include "tests/simulation/disk.h"

namespace distlog::simulation {

// What log/store.h promises, in the simplest way that keeps the promise. An error of any function
// is a broken promise.
class LogDisk : public Disk {
 public:
  // Is told what was applied again at recovery.
  using Observer =
      std::function<void(const paxos::Value&, const Applied& applied, uint64_t digest)>;

  explicit LogDisk(const paxos::Configuration& genesis) : Disk(genesis) {}

  std::vector<Write> FinishGroup() override;
  std::vector<paxos::Record> Crash(size_t kept) override;
  void SaveMark(paxos::Slot through) override;

  // ---- Faults, until the next Crash or Mend. ----

  // All fails from the call of the file system after so many more (at once, where there is none).
  virtual void BreakDown(uint64_t calls);
  // No more than so many bytes can be added; kNoBound: as many as there may be. (No bound where
  // there is no file system.)
  static constexpr uint64_t kNoBound = ~uint64_t{0};
  virtual void LeaveSpace(uint64_t bytes);
  virtual void Mend();
  // One of these was met: nobody knows what of the last call is on the disk, and the process ends.
  bool has_failed() const { return has_failed_; }

  // When a process starts.
  virtual absl::StatusOr<RecoveredLog> RecoverLog(const Observer& observer);

  // To be called with what a step asks to write, before it is submitted and before anything of that
  // step is applied ...
  virtual void BeforeWrite(const std::vector<paxos::Record>& records, const Sequencer& sequencer);
  // ... after each slot that is applied ...
  virtual void AfterApply(const Applied& applied, const Sequencer& sequencer);
  // ... and when everything through `stored` is chosen and durable here. Returns the mark that this
  // made durable, if it did.
  virtual absl::StatusOr<std::optional<paxos::Slot>> AfterStore(paxos::Slot stored);
  // Keeps the applied state, as of applied_through(), which the mark covers.
  virtual void SaveCheckpoint(const Sequencer& sequencer);

  // Durable ones, in order: up to `max_bytes` of payload, but at least one.
  virtual absl::StatusOr<std::vector<paxos::AcceptedValue>> ReadSlots(paxos::Slot first,
                                                                      paxos::Slot through,
                                                                      size_t max_bytes) const;

  // Entries from position `from` to `to`, which are applied and durable: up to `max_bytes` of
  // payload, but at least one.
  virtual absl::StatusOr<std::vector<LogEntry>> ReadEntries(uint64_t from, uint64_t to,
                                                            size_t max_bytes) const;

 protected:
  void MakeDurable(const paxos::Record& record) override;
  void set_has_failed(bool has_failed) const { has_failed_ = has_failed; }

 private:
  // What an applied slot appended.
  struct Appended {
    paxos::Slot slot = 0;
    std::vector<uint32_t> skipped;
  };
  void NoteApplied(const Applied& applied);

  std::map<uint64_t, Appended> appended_;  // By its first position.
  mutable bool has_failed_ = false;        // Reading may open files, which may fail.
  std::string checkpoint_;
  // Written lazily, should this disk break its promise so (Break::kPromiseOnlyInSideFile).
  std::optional<paxos::PromiseRecord> lazy_promise_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_LOG_DISK_H_
