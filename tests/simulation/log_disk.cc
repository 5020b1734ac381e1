#include "tests/simulation/log_disk.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "paxos/break.h"
#include "proto/distlog/v1/record.pb.h"

namespace distlog::simulation {

using paxos::AcceptedValue;
using paxos::Slot;

std::vector<Disk::Write> LogDisk::FinishGroup() {
  if (has_failed_) return {};
  return Disk::FinishGroup();
}

void LogDisk::BreakDown(uint64_t) { has_failed_ = true; }

void LogDisk::LeaveSpace(uint64_t) {}

void LogDisk::Mend() { has_failed_ = false; }

std::vector<paxos::Record> LogDisk::Crash(size_t kept) {
  std::vector<paxos::Record> lost = Disk::Crash(kept);
  has_failed_ = false;
  lazy_promise_.reset();
  return lost;
}

void LogDisk::SaveMark(Slot through) {
  if (lazy_promise_.has_value()) Disk::MakeDurable(*lazy_promise_);
  lazy_promise_.reset();
  Disk::SaveMark(through);
}

void LogDisk::MakeDurable(const paxos::Record& record) {
  const auto* promise = std::get_if<paxos::PromiseRecord>(&record);
  if (promise != nullptr && paxos::IsBroken(paxos::Break::kPromiseOnlyInSideFile)) {
    lazy_promise_ = *promise;
  } else {
    Disk::MakeDurable(record);
  }
}

absl::StatusOr<RecoveredLog> LogDisk::RecoverLog(const Observer& observer) {
  Sequencer sequencer(genesis());
  if (!checkpoint_.empty()) {
    absl::StatusOr<Sequencer> restored = Sequencer::Restore(checkpoint_);
    if (!restored.ok()) return restored.status();
    sequencer = *std::move(restored);
  }
  while (sequencer.applied_through() < mark()) {
    const Slot slot = sequencer.applied_through() + 1;
    const AcceptedValue* accepted = Find(slot);
    if (accepted == nullptr) {
      return absl::DataLossError(
          absl::StrCat("slot ", slot, " is missing below the mark ", mark()));
    }
    const absl::StatusOr<Applied> applied = sequencer.Apply(*accepted);
    if (!applied.ok()) return applied.status();
    NoteApplied(*applied);
    observer(accepted->value, *applied, sequencer.digest());
  }
  return RecoveredLog{.sequencer = std::move(sequencer), .state = Recover()};
}

void LogDisk::BeforeWrite(const std::vector<paxos::Record>&, const Sequencer&) {}

void LogDisk::AfterApply(const Applied& applied, const Sequencer&) { NoteApplied(applied); }

void LogDisk::NoteApplied(const Applied& applied) {
  if (applied.entries > 0) appended_[applied.first_position] = {applied.slot, applied.skipped};
}

absl::StatusOr<std::optional<Slot>> LogDisk::AfterStore(Slot) { return std::optional<Slot>(); }

void LogDisk::SaveCheckpoint(const Sequencer& sequencer) { checkpoint_ = sequencer.Snapshot(); }

absl::StatusOr<std::vector<AcceptedValue>> LogDisk::ReadSlots(Slot first, Slot through,
                                                              size_t max_bytes) const {
  std::vector<AcceptedValue> values;
  size_t bytes = 0;
  for (Slot slot = first; slot <= through; ++slot) {
    const AcceptedValue* held = Find(slot);
    if (held == nullptr) return absl::DataLossError(absl::StrCat("slot ", slot, " is not durable"));
    bytes += held->value.size();
    if (!values.empty() && bytes > max_bytes) break;
    values.push_back(*held);
  }
  return values;
}

absl::StatusOr<std::vector<LogEntry>> LogDisk::ReadEntries(uint64_t from, uint64_t to,
                                                           size_t max_bytes) const {
  std::vector<LogEntry> entries;
  size_t bytes = 0;
  auto it = appended_.upper_bound(from);
  if (it != appended_.begin()) --it;
  for (; it != appended_.end() && it->first <= to; ++it) {
    const auto& [slot, skipped] = it->second;
    const AcceptedValue* held = Find(slot);
    v1::Batch batch;
    if (held == nullptr || !batch.ParseFromString(*held->value.payload)) {
      return absl::DataLossError(absl::StrCat("slot ", slot, " holds no batch"));
    }
    uint64_t position = it->first;
    for (int i = 0; i < batch.appends_size(); ++i) {
      if (std::binary_search(skipped.begin(), skipped.end(), static_cast<uint32_t>(i))) continue;
      for (const std::string& payload : batch.appends(i).payloads()) {
        const uint64_t at = position++;
        if (at < from || at > to) continue;
        bytes += payload.size();
        if (!entries.empty() && bytes > max_bytes) return entries;
        entries.push_back(
            {.position = at, .timestamp_ms = batch.timestamp_ms(), .payload = payload});
      }
    }
  }
  return entries;
}

}  // namespace distlog::simulation
