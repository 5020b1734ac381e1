// Rebuilding the applied state from an opened store.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "log/store.h"

namespace distlog {
namespace {

constexpr size_t kChunkBytes = 8 << 20;

absl::StatusOr<Sequencer> Restored(const Store& store) {
  const Identity identity = store.identity();
  if (!identity.genesis.has_value()) {
    return absl::FailedPreconditionError("the store belongs to no cluster yet");
  }
  const std::string& checkpoint = store.recovered().checkpoint;
  if (checkpoint.empty()) return Sequencer(*identity.genesis);
  return Sequencer::Restore(checkpoint);
}

// The checkpoint that the run before owed to its newest segment, and one that was damaged.
absl::Status SaveIfWaiting(const Sequencer& sequencer, Store* store) {
  const std::optional<paxos::Slot> waiting = store->waiting_checkpoint();
  if (!waiting.has_value() || sequencer.applied_through() + 1 != *waiting) return absl::OkStatus();
  return store->SaveCheckpoint(*waiting, sequencer.Snapshot());
}

absl::Status ApplyThrough(paxos::Slot mark, Sequencer* sequencer, Store* store) {
  while (sequencer->applied_through() < mark) {
    const absl::StatusOr<std::vector<paxos::AcceptedValue>> values =
        store->ReadSlots(sequencer->applied_through() + 1, mark, kChunkBytes);
    if (!values.ok()) return values.status();
    for (const paxos::AcceptedValue& value : *values) {
      const absl::StatusOr<Applied> applied = sequencer->Apply(value);
      if (!applied.ok()) return applied.status();
      store->NoteApplied(*applied);
      const absl::Status status = SaveIfWaiting(*sequencer, store);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RecoveredLog> RecoverLog(Store* store) {
  absl::StatusOr<Sequencer> sequencer = Restored(*store);
  if (!sequencer.ok()) return sequencer.status();
  const paxos::Slot mark = store->recovered().chosen_through;
  const absl::Status status = ApplyThrough(mark, &*sequencer, store);
  if (!status.ok()) return status;
  absl::StatusOr<std::vector<paxos::AcceptedValue>> accepted = store->ReadAccepted(mark + 1);
  if (!accepted.ok()) return accepted.status();
  paxos::DurableState state = {
      .promised = std::max(store->recovered().promised, sequencer->highest_ballot()),
      .chosen_through = mark,
      .configuration = sequencer->configuration(),
      .configuration_slot = sequencer->configuration_slot(),
      .accepted = *std::move(accepted)};
  return RecoveredLog{.sequencer = *std::move(sequencer), .state = std::move(state)};
}

}  // namespace distlog
