#include "tests/simulation/store_disk.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "log/fault_env.h"
#include "wire/value.h"

namespace distlog::simulation {

using paxos::AcceptedValue;
using paxos::AcceptRecord;
using paxos::PromiseRecord;
using paxos::Record;
using paxos::Slot;

namespace {

constexpr const char* kDir = "/data";

}  // namespace

// LevelDB compacts on a thread. Here whoever called for it waits until it is done, so that nothing
// depends on which of the two is quicker.
class StoreDisk::DiskEnv : public FaultEnv {
 public:
  void Schedule(void (*function)(void*), void* argument) override {
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([function, argument] { function(argument); });
  }

  void Wait() {
    for (std::vector<std::thread> threads = Take(); !threads.empty(); threads = Take()) {
      for (std::thread& thread : threads) thread.join();
    }
  }

 private:
  std::vector<std::thread> Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(threads_, {});
  }

  std::mutex mutex_;
  std::vector<std::thread> threads_;
};

StoreDisk::StoreDisk(const paxos::Configuration& genesis, Slot window, uint64_t segment_bytes)
    : LogDisk(genesis), env_(std::make_unique<DiskEnv>()) {
  options_.env = env_.get();
  options_.window = window;
  options_.segment_bytes = segment_bytes;
  status_.Update(Store::Format(options_, kDir));
  Open();
  if (status_.ok()) status_.Update(store_->Assign(genesis, ClusterId(genesis)));
  env_->Wait();
}

StoreDisk::~StoreDisk() {
  env_->Wait();
  store_.reset();
  env_->Wait();
}

bool StoreDisk::IsFine(const absl::Status& status) {
  if (!status.ok() && HasFault()) {
    set_has_failed(true);
  } else {
    status_.Update(status);
  }
  return status.ok();
}

void StoreDisk::BreakDown(uint64_t calls) {
  breaks_down_ = true;
  env_->FailFrom(env_->calls() + 1 + calls);
}

void StoreDisk::Mend() {
  LogDisk::Mend();
  breaks_down_ = false;
  env_->FailFrom(0);
  LeaveSpace(kNoBound);
}

void StoreDisk::LeaveSpace(uint64_t bytes) {
  is_small_ = bytes != kNoBound;
  env_->SetCapacity(kNoBound);
  if (!is_small_) return;
  uint64_t free = 0;
  CHECK(env_->FreeBytes(kDir, &free).ok());
  env_->SetCapacity(kNoBound - free + bytes);
}

void StoreDisk::Open() {
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(options_, kDir);
  env_->Wait();
  status_.Update(store.status());
  if (store.ok()) store_ = *std::move(store);
}

// ---- Writing. ----------------------------------------------------------------------------------

std::vector<Disk::Write> StoreDisk::FinishGroup() {
  const std::vector<Record> records = GroupRecords();
  if (!records.empty() && status_.ok()) IsFine(store_->Write(records));
  env_->Wait();
  return LogDisk::FinishGroup();
}

void StoreDisk::SaveMark(Slot through) {
  if (!status_.ok()) return;
  const bool is_saved = IsFine(store_->SaveMark(through));
  env_->Wait();
  if (is_saved) {
    LogDisk::SaveMark(through);
  } else {
    doubtful_mark_ = through;
  }
}

std::vector<Record> StoreDisk::Crash(size_t kept) {
  const std::vector<Record> records = TakeUnfinished();
  cut_.reset();
  if (!status_.ok()) return records;
  const bool has_failed = this->has_failed();
  if (kept > 0 && !records.empty() && !has_failed) {
    // It is cut off in the middle, unless all is to be kept.
    if (kept < records.size()) env_->FailFrom(env_->calls() + 1 + kept % 3);
    store_->Write(records).IgnoreError();
    env_->Wait();
  }
  store_.reset();
  env_->Wait();
  env_->CutPower(kept > 0 ? FaultEnv::Unsynced::kKept : FaultEnv::Unsynced::kDropped);
  Mend();  // Nothing starts on a full disk before somebody has made room.
  Open();
  std::vector<Record> lost;
  for (const Record& record : records) {
    if (status_.ok() && (kept > 0 || has_failed) && IsThere(record)) {
      MakeDurable(record);
    } else {
      lost.push_back(record);
    }
  }
  if (status_.ok() && store_->recovered().chosen_through >= doubtful_mark_) {
    LogDisk::SaveMark(doubtful_mark_);
  }
  doubtful_mark_ = 0;
  return lost;
}

bool StoreDisk::IsThere(const Record& record) const {
  if (const auto* promise = std::get_if<PromiseRecord>(&record)) {
    return store_->recovered().promised >= promise->promised;
  }
  if (const auto* accept = std::get_if<AcceptRecord>(&record)) {
    const AcceptedValue& accepted = accept->accepted;
    if (store_->accepted_through() < accepted.slot) return false;
    const absl::StatusOr<std::vector<AcceptedValue>> held =
        store_->ReadSlots(accepted.slot, accepted.slot, 1);
    return held.ok() && held->front() == accepted;
  }
  return store_->recovered().chosen_through >= std::get<paxos::MarkRecord>(record).chosen_through;
}

// ---- Recovery. ---------------------------------------------------------------------------------

absl::StatusOr<RecoveredLog> StoreDisk::RecoverLog(const Observer& observer) {
  if (!status_.ok()) return status_;
  absl::StatusOr<RecoveredLog> expected = LogDisk::RecoverLog(observer);
  if (!expected.ok()) return expected;
  absl::StatusOr<RecoveredLog> found = distlog::RecoverLog(store_.get());
  env_->Wait();
  if (!found.ok()) return found;
  const absl::Status same = Compare(*expected, *found);
  if (!same.ok()) return same;
  if (const std::optional<Slot> waiting = store_->waiting_checkpoint()) {
    cut_ = Cut{*waiting, std::nullopt};
    Capture(found->sequencer);
  }
  return found;
}

absl::Status StoreDisk::Compare(const RecoveredLog& expected, const RecoveredLog& found) const {
  const paxos::DurableState& a = expected.state;
  const paxos::DurableState& b = found.state;
  if (a.promised != b.promised || a.chosen_through != b.chosen_through) {
    return absl::DataLossError(
        absl::StrCat("promised=", paxos::ToString(a.promised), " mark=", a.chosen_through,
                     " was durable, but the store recovers promised=", paxos::ToString(b.promised),
                     " mark=", b.chosen_through));
  }
  if (a != b) return absl::DataLossError("the store recovers other slots than were durable");
  if (expected.sequencer.digest() != found.sequencer.digest()) {
    return absl::DataLossError("the store recovers another applied state than there was");
  }
  return absl::OkStatus();
}

// ---- Segments, as in server/event_loop.h. ------------------------------------------------------

void StoreDisk::Capture(const Sequencer& sequencer) {
  if (!cut_.has_value() || cut_->state.has_value()) return;
  CHECK_LT(sequencer.applied_through(), cut_->first) << "a segment was cut too late";
  if (sequencer.applied_through() + 1 == cut_->first) cut_->state = sequencer.Snapshot();
}

void StoreDisk::BeforeWrite(const std::vector<Record>& records, const Sequencer& sequencer) {
  if (!status_.ok()) return;
  const std::optional<Slot> first = store_->CutBefore(records);
  if (!first.has_value()) return;
  CHECK(!cut_.has_value()) << "two cuts under way, at " << cut_->first << " and " << *first;
  cut_ = Cut{*first, std::nullopt};
  Capture(sequencer);
}

void StoreDisk::AfterApply(const Applied& applied, const Sequencer& sequencer) {
  if (!status_.ok()) return;
  store_->NoteApplied(applied);
  Capture(sequencer);
}

absl::StatusOr<std::optional<Slot>> StoreDisk::AfterStore(Slot stored) {
  if (!status_.ok()) return status_;
  if (!cut_.has_value() || !cut_->state.has_value() || stored + 1 < cut_->first) {
    return std::optional<Slot>();
  }
  const Slot mark = cut_->first - 1;
  const bool is_saved = IsFine(store_->SaveCheckpoint(cut_->first, *cut_->state));
  env_->Wait();
  if (!is_saved) doubtful_mark_ = mark;
  if (!status_.ok()) return status_;
  if (!is_saved) return std::optional<Slot>();
  cut_.reset();
  LogDisk::SaveMark(mark);
  return std::optional<Slot>(mark);
}

void StoreDisk::SaveCheckpoint(const Sequencer&) {}

absl::StatusOr<std::vector<AcceptedValue>> StoreDisk::ReadSlots(Slot first, Slot through,
                                                                size_t max_bytes) const {
  if (!status_.ok()) return status_;
  absl::StatusOr<std::vector<AcceptedValue>> values = store_->ReadSlots(first, through, max_bytes);
  env_->Wait();
  if (!values.ok() && HasFault()) set_has_failed(true);
  return values;
}

absl::StatusOr<std::vector<LogEntry>> StoreDisk::ReadEntries(uint64_t from, uint64_t to,
                                                             size_t max_bytes) const {
  if (!status_.ok()) return status_;
  absl::StatusOr<std::vector<LogEntry>> entries = store_->ReadEntries(from, to, max_bytes);
  env_->Wait();
  if (!entries.ok() && HasFault()) set_has_failed(true);
  return entries;
}

}  // namespace distlog::simulation
