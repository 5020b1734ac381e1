#include "paxos/write_tracker.h"

#include <algorithm>
#include <utility>

#include "glog/logging.h"

namespace distlog::paxos {

void WriteTracker::Add(Time now, Record record, Effects* effects) {
  Pending pending{.number = ++last_record_,
                  .since = now,
                  .promised = {},
                  .mark = 0,
                  .slot = 0,
                  .bytes = sizeof(Record)};
  if (const auto* promise = std::get_if<PromiseRecord>(&record)) {
    pending.promised = promise->promised;
  } else if (const auto* accept = std::get_if<AcceptRecord>(&record)) {
    pending.promised = accept->accepted.ballot;
    pending.mark = accept->chosen_through;
    pending.slot = accept->accepted.slot;
    pending.bytes += accept->accepted.value.size();
    unstored_[pending.slot] = pending.number;
  } else {
    pending.mark = std::get<MarkRecord>(record).chosen_through;
  }
  unwritten_bytes_ += pending.bytes;
  pending_.push_back(pending);
  effects->write.push_back(std::move(record));
  effects->last_record = last_record_;
}

void WriteTracker::Finish(uint64_t last) {
  CHECK_LE(last, last_record_) << "a write finished that was never asked for";
  while (!pending_.empty() && pending_.front().number <= last) {
    const Pending& done = pending_.front();
    durable_promised_ = std::max(durable_promised_, done.promised);
    durable_mark_ = std::max(durable_mark_, done.mark);
    auto slot = unstored_.find(done.slot);
    if (slot != unstored_.end() && slot->second == done.number) unstored_.erase(slot);
    unwritten_bytes_ -= done.bytes;
    pending_.pop_front();
  }
}

void WriteTracker::MarkSaved(Slot through) { durable_mark_ = std::max(durable_mark_, through); }

Slot WriteTracker::StoredThrough(Slot chosen_through) const {
  if (unstored_.empty()) return chosen_through;
  return std::min(chosen_through, unstored_.begin()->first - 1);
}

bool WriteTracker::IsStalled(Time now, Time timeout) const {
  return !pending_.empty() && now - pending_.front().since > timeout;
}

}  // namespace distlog::paxos
