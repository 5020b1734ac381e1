#include "tests/simulation/disk.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace distlog::simulation {

using paxos::AcceptRecord;
using paxos::DurableState;
using paxos::MarkRecord;
using paxos::PromiseRecord;
using paxos::Record;
using paxos::Slot;

void Disk::StartGroup() {
  group_.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(waiting_.end()));
  waiting_.clear();
}

std::vector<Disk::Write> Disk::FinishGroup() {
  std::vector<Write> done = std::exchange(group_, {});
  for (const Write& write : done) {
    for (const Record& record : write.records) MakeDurable(record);
  }
  return done;
}

size_t Disk::unfinished_records() const {
  size_t count = 0;
  for (const Write& write : group_) count += write.records.size();
  for (const Write& write : waiting_) count += write.records.size();
  return count;
}

std::vector<Record> Disk::TakeUnfinished() {
  std::vector<Write> writes = std::exchange(group_, {});
  std::move(waiting_.begin(), waiting_.end(), std::back_inserter(writes));
  waiting_.clear();
  std::vector<Record> records;
  for (Write& write : writes) {
    std::move(write.records.begin(), write.records.end(), std::back_inserter(records));
  }
  return records;
}

std::vector<Record> Disk::GroupRecords() const {
  std::vector<Record> records;
  for (const Write& write : group_) {
    records.insert(records.end(), write.records.begin(), write.records.end());
  }
  return records;
}

std::vector<Record> Disk::Crash(size_t kept) {
  std::vector<Record> records = TakeUnfinished();
  kept = std::min(kept, records.size());
  for (size_t i = 0; i < kept; ++i) MakeDurable(records[i]);
  records.erase(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(kept));
  return records;
}

void Disk::MakeDurable(const Record& record) {
  if (const auto* promise = std::get_if<PromiseRecord>(&record)) {
    promised_ = std::max(promised_, promise->promised);
  } else if (const auto* accept = std::get_if<AcceptRecord>(&record)) {
    promised_ = std::max(promised_, accept->accepted.ballot);
    mark_ = std::max(mark_, accept->chosen_through);
    accepted_[accept->accepted.slot] = accept->accepted;
  } else {
    mark_ = std::max(mark_, std::get<MarkRecord>(record).chosen_through);
  }
  if (observer_) observer_(record);
}

void Disk::SaveMark(Slot through) { mark_ = std::max(mark_, through); }

const paxos::AcceptedValue* Disk::Find(Slot slot) const {
  const auto it = accepted_.find(slot);
  return it == accepted_.end() ? nullptr : &it->second;
}

DurableState Disk::Recover() const {
  DurableState state;
  state.promised = promised_;
  state.chosen_through = mark_;
  state.configuration = genesis_;
  for (const auto& [slot, accepted] : accepted_) {
    if (slot > mark_) {
      state.accepted.push_back(accepted);
    } else if (accepted.value.configuration != nullptr &&
               paxos::TakesEffect(*accepted.value.configuration, state.configuration)) {
      state.configuration = *accepted.value.configuration;
      state.configuration_slot = slot;
    }
  }
  return state;
}

}  // namespace distlog::simulation
