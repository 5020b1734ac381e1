#include "log/store_driver.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wire/value.h"

namespace distlog {

paxos::Configuration TestGenesis() {
  return *MakeGenesis({{.uuid = {1, 2}, .address = "localhost:1"}});
}

paxos::Value TestBatch(const std::vector<std::string>& payloads) {
  v1::Batch batch;
  batch.mutable_origin()->set_replica(1);
  batch.set_timestamp_ms(1000);
  for (const std::string& payload : payloads) batch.add_appends()->add_payloads(payload);
  return MakeValue(batch);
}

StoreDriver::StoreDriver(const Store::Options& options, std::string dir)
    : options_(options), dir_(std::move(dir)) {}

absl::Status StoreDriver::Start() {
  const absl::StatusOr<bool> is_empty = Store::IsEmpty(options_, dir_);
  if (!is_empty.ok()) return is_empty.status();
  if (*is_empty) {
    const absl::Status formatted = Store::Format(options_, dir_);
    if (!formatted.ok()) return formatted;
  }
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(options_, dir_);
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  const absl::Status assigned = store_->Assign(TestGenesis(), ClusterId(TestGenesis()));
  if (!assigned.ok()) return assigned;
  absl::StatusOr<RecoveredLog> log = RecoverLog(store_.get());
  if (!log.ok()) return log.status();
  sequencer_ = std::move(log->sequencer);
  state_ = std::move(log->state);
  checkpoint_at_ = store_->waiting_checkpoint();
  // A single member: what it has accepted is chosen.
  for (const paxos::AcceptedValue& value : state_.accepted) {
    const absl::Status applied = Apply(value);
    if (!applied.ok()) return applied;
  }
  return absl::OkStatus();
}

absl::Status StoreDriver::Stop() {
  const absl::Status status = store_->SaveMark(sequencer_->applied_through());
  Drop();
  return status;
}

void StoreDriver::Drop() {
  store_.reset();
  sequencer_.reset();
}

paxos::Value StoreDriver::ValueOf(paxos::Slot slot) {
  if (slot % 7 == 0) return {};
  const std::string payload = absl::StrCat("entry of slot ", slot);
  if (slot % 5 != 0) return TestBatch({payload, payload + " too"});
  // A producer's append of its sequence slot / 5, and the same again: a repeat.
  v1::Batch batch;
  for (int copy = 0; copy < 2; ++copy) {
    v1::AppendRecord* append = batch.add_appends();
    append->add_payloads(payload);
    append->set_producer(absl::StrCat("producer ", slot));
    append->set_sequence(1);
  }
  batch.add_appends()->add_payloads(payload + " after the repeat");
  return MakeValue(batch);
}

absl::Status StoreDriver::Apply(const paxos::AcceptedValue& value) {
  const absl::StatusOr<Applied> applied = sequencer_->Apply(value);
  if (!applied.ok()) return applied.status();
  store_->NoteApplied(*applied);
  if (checkpoint_at_ != value.slot + 1) return absl::OkStatus();
  checkpoint_at_.reset();
  return store_->SaveCheckpoint(value.slot + 1, sequencer_->Snapshot());
}

absl::Status StoreDriver::Append(size_t slots) {
  const paxos::Slot chosen_through = sequencer_->applied_through();
  std::vector<paxos::Record> records;
  for (size_t i = 1; i <= slots; ++i) {
    const paxos::Slot slot = chosen_through + i;
    records.push_back(
        paxos::AcceptRecord{.accepted = {.slot = slot, .ballot = ballot, .value = ValueOf(slot)},
                            .chosen_through = chosen_through});
  }
  const std::optional<paxos::Slot> cut = store_->CutBefore(records);
  if (cut.has_value()) {
    checkpoint_at_ = cut;
    if (*cut == chosen_through + 1) {
      checkpoint_at_.reset();
    }
  }
  absl::Status status = store_->Write(records);
  if (!status.ok()) return status;
  written_through_ = std::max(written_through_, chosen_through + slots);
  if (cut.has_value() && !checkpoint_at_.has_value()) {
    status = store_->SaveCheckpoint(*cut, sequencer_->Snapshot());
  }
  for (const paxos::Record& record : records) {
    if (status.ok()) status = Apply(std::get<paxos::AcceptRecord>(record).accepted);
  }
  return status;
}

absl::Status StoreDriver::Promise(const paxos::Ballot& promise) {
  const std::vector<paxos::Record> records = {paxos::PromiseRecord{promise}};
  const absl::Status status = store_->Write(records);
  if (status.ok()) promised_ = std::max(promised_, promise);
  return status;
}

absl::Status StoreDriver::CheckAll(paxos::Slot at_least) const {
  const auto wrong = [](const std::string& what) { return absl::InternalError(what); };
  const paxos::Slot through = sequencer_->applied_through();
  if (through < at_least) {
    return wrong(absl::StrCat("only ", through, " of ", at_least, " slots are left, silently"));
  }
  Sequencer replay(TestGenesis());
  std::vector<std::string> expected;
  for (paxos::Slot slot = 1; slot <= through;) {
    const auto values = store_->ReadSlots(slot, through, 10'000);
    if (!values.ok()) return values.status();
    for (const paxos::AcceptedValue& value : *values) {
      if (value.slot != slot || !(value.value == ValueOf(slot))) {
        return wrong(absl::StrCat("slot ", slot, " has another value"));
      }
      const absl::StatusOr<Applied> applied = replay.Apply(value);
      if (!applied.ok()) return applied.status();
      const std::string payload = absl::StrCat("entry of slot ", slot);
      if (applied->entries == 2) {
        expected.push_back(payload);
        expected.push_back(payload + (slot % 5 == 0 ? " after the repeat" : " too"));
      }
      ++slot;
    }
  }
  if (replay.digest() != sequencer_->digest()) return wrong("another applied state");
  for (uint64_t position = 1; position <= expected.size();) {
    const auto entries = store_->ReadEntries(position, expected.size(), 1000);
    if (!entries.ok()) return entries.status();
    for (const LogEntry& entry : *entries) {
      if (entry.position != position || entry.payload != expected[position - 1]) {
        return wrong(absl::StrCat("position ", position, " has another entry"));
      }
      ++position;
    }
  }
  return absl::OkStatus();
}

}  // namespace distlog
