// Which of a replica's records are durable.

#ifndef DISTLOG_PAXOS_WRITE_TRACKER_H_
#define DISTLOG_PAXOS_WRITE_TRACKER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <tuple>

#include "paxos/step.h"

namespace distlog::paxos {

class WriteTracker {
 public:
  WriteTracker() = default;
  explicit WriteTracker(const DurableState& recovered)
      : durable_promised_(recovered.promised), durable_mark_(recovered.chosen_through) {}

  // Numbers the record and adds it to effects->write.
  void Add(Time now, Record record, Effects* effects);

  // All records through number `last` are durable.
  void Finish(uint64_t last);
  void MarkSaved(Slot through);

  // The highest promise, and the mark, that this replica would recover with.
  const Ballot& durable_promised() const { return durable_promised_; }
  Slot durable_mark() const { return durable_mark_; }

  // The highest slot up to `chosen_through` below which every newest record is durable.
  Slot StoredThrough(Slot chosen_through) const;

  // Whether the oldest unfinished write has waited for longer than `timeout`.
  bool IsStalled(Time now, Time timeout) const;

  // What is not durable yet, in bytes, as it weighs in memory.
  size_t unwritten_bytes() const { return unwritten_bytes_; }

  friend bool operator==(const WriteTracker&, const WriteTracker&) = default;
  // For hashing (paxos/hash.h).
  auto Fields() const {
    return std::tie(last_record_, pending_, unstored_, durable_promised_, durable_mark_);
  }

 private:
  struct Pending {
    uint64_t number = 0;
    Time since{};
    Ballot promised;
    Slot mark = 0;
    Slot slot = 0;  // 0: not about a slot.
    size_t bytes = 0;
    friend bool operator==(const Pending&, const Pending&) = default;
    auto Fields() const { return std::tie(number, since, promised, mark, slot); }
  };

  uint64_t last_record_ = 0;
  std::deque<Pending> pending_;        // By number.
  size_t unwritten_bytes_ = 0;         // Of them all.
  std::map<Slot, uint64_t> unstored_;  // Slot to the number of its newest record, not yet durable.
  Ballot durable_promised_;
  Slot durable_mark_ = 0;
};

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_WRITE_TRACKER_H_
