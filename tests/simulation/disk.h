// A disk that makes writes durable in order, a group at a time, and at a crash forgets what it has
// not. It knows nothing of time: its owner says when a group is finished.

#ifndef DISTLOG_TESTS_SIMULATION_DISK_H_
#define DISTLOG_TESTS_SIMULATION_DISK_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "paxos/message.h"
#include "paxos/record.h"

namespace distlog::simulation {

class Disk {
 public:
  // What one Effects asks of it.
  struct Write {
    std::vector<paxos::Record> records;
    uint64_t last_record = 0;                  // Set if there are records.
    std::vector<paxos::Envelope> after_write;  // To be sent when all is durable.
  };

  explicit Disk(paxos::Configuration genesis) : genesis_(std::move(genesis)) {}
  virtual ~Disk() = default;

  // Is told of each record that has become durable, in order.
  void set_observer(std::function<void(const paxos::Record&)> observer) {
    observer_ = std::move(observer);
  }

  // ---- Writing. ----

  void Submit(Write write) { waiting_.push_back(std::move(write)); }
  bool is_idle() const { return waiting_.empty() && group_.empty(); }
  bool is_syncing() const { return !group_.empty(); }
  // Begins to write all that waits.
  void StartGroup();
  // It is durable. Returns what it was.
  virtual std::vector<Write> FinishGroup();
  // The power goes. The first `kept` records that were not durable are, and the rest is forgotten.
  // Returns the forgotten ones. (A disk that cannot keep just any number keeps about as many.)
  virtual std::vector<paxos::Record> Crash(size_t kept);
  size_t unfinished_records() const;

  // The mark written late: all through here is chosen and durable here.
  virtual void SaveMark(paxos::Slot through);

  // ---- What is durable. ----

  paxos::DurableState Recover() const;
  paxos::Slot mark() const { return mark_; }
  const paxos::Ballot& promised() const { return promised_; }
  // Null if the slot holds nothing.
  const paxos::AcceptedValue* Find(paxos::Slot slot) const;
  const std::map<paxos::Slot, paxos::AcceptedValue>& accepted() const { return accepted_; }

 protected:
  virtual void MakeDurable(const paxos::Record& record);
  // Everything handed over that is not durable, in order; it is forgotten.
  std::vector<paxos::Record> TakeUnfinished();
  // What the group under way is to make durable.
  std::vector<paxos::Record> GroupRecords() const;
  const paxos::Configuration& genesis() const { return genesis_; }

 private:
  paxos::Configuration genesis_;
  std::function<void(const paxos::Record&)> observer_;
  std::deque<Write> waiting_;
  std::vector<Write> group_;

  // The newest record of a slot counts; the mark is the highest that any record told; the promise
  // is the highest promised or accepted.
  std::map<paxos::Slot, paxos::AcceptedValue> accepted_;
  paxos::Slot mark_ = 0;
  paxos::Ballot promised_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_DISK_H_
