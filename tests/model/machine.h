// One machine as a value: a paxos::Replica, the disk that outlives it, and what is on its way from
// the one to the other.

#ifndef DISTLOG_TESTS_MODEL_MACHINE_H_
#define DISTLOG_TESTS_MODEL_MACHINE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "paxos/message.h"
#include "paxos/record.h"
#include "paxos/replica.h"
#include "paxos/step.h"
#include "paxos/types.h"
#include "tests/model/fact.h"

namespace distlog::model {

// What one event brought about.
struct Happened {
  std::vector<paxos::Envelope> left;  // Messages that left the machine.
  std::vector<Fact> facts;
  std::string violation;  // Of a rule that can be judged here; empty if none.
};

// What the disk holds, synced. Folded from the records here, whatever the core thinks it wrote.
struct Disk {
  paxos::Ballot promised;
  paxos::Ballot side_promised;  // Outside the log: lost at a crash (promise_only_in_side_file).
  paxos::Slot mark = 0;
  std::map<paxos::Slot, paxos::AcceptedValue> accepted;
  friend bool operator==(const Disk&, const Disk&) = default;
  auto Fields() const { return std::tie(promised, side_promised, mark, accepted); }
};

// Does what a server does around a replica, one event at a time; the clock stands still. What the
// replica says to itself arrives at once, as in a server. Events add to *happened. What can be
// judged by one machine's disk and messages alone is judged here: P3 and P4, and P8's "only the
// owner".
class Machine {
 public:
  Machine(paxos::ReplicaId self, std::shared_ptr<const paxos::Configuration> genesis,
          paxos::Slot window);

  // ---- Events. ----

  void Deliver(const paxos::Envelope& envelope, Happened* happened);
  // Its replica takes over, unless it leads or tries to.
  void Stand(Happened* happened);
  // A client's value, of its own for every replica, run, ballot and slot. Nothing happens unless it
  // leads and has room, or if it would go above slot `last`.
  void Propose(paxos::Slot last, Happened* happened);
  // All that was written becomes durable, in order, and what waited for it leaves.
  void Sync(Happened* happened);
  // Answers that `to` asks for all that is chosen.
  void Supply(paxos::ReplicaId to, Happened* happened);
  // The mark is made durable by itself.
  void SaveMark(Happened* happened);
  // The process dies and another begins. Of what was not durable, the first `kept` records are.
  void Crash(size_t kept, Happened* happened);

  // ---- What there is. ----

  const paxos::Replica& replica() const { return replica_; }
  const Disk& disk() const { return disk_; }
  size_t unsynced_records() const;
  bool CanSupply() const { return replica_.stored_through() > 0; }
  bool CanSaveMark() const { return replica_.stored_through() > disk_.mark; }
  bool is_synced() const { return pending_.empty(); }

  friend bool operator==(const Machine&, const Machine&) = default;
  auto Fields() const { return std::tie(replica_, disk_, unsynced_, run_, given_, said_); }

 private:
  // What one Effects asked of the disk.
  struct Write {
    std::vector<paxos::Record> records;
    uint64_t last_record = 0;
    std::vector<paxos::Envelope> after_write;
    friend bool operator==(const Write&, const Write&) = default;
  };

  void Step(const paxos::Event& event, Happened* happened);
  void Carry(paxos::Effects effects, Happened* happened);
  void Store(const paxos::Record& record, Happened* happened);
  void Leave(const paxos::Envelope& envelope, Happened* happened);
  // Ends an event: hears what it said to itself, and forgets what only decides whom to ask.
  void Settle(Happened* happened);
  void Answer(const paxos::Supply& supply, Happened* happened);
  paxos::Ballot DurablePromise() const { return std::max(disk_.promised, disk_.side_promised); }
  void JudgePromise(const paxos::Promise& promise, Happened* happened) const;
  void Violate(const std::string& what, Happened* happened) const;
  paxos::Replica Recover() const;

  paxos::ReplicaId self_{};
  std::shared_ptr<const paxos::Configuration> genesis_;
  paxos::Slot window_ = 0;
  Disk disk_;
  paxos::Replica replica_;
  std::deque<paxos::Envelope> to_itself_;  // Empty between events.
  std::deque<Write> pending_;
  uint64_t unsynced_ = 0;  // Records in pending_.
  int run_ = 0;
  paxos::Slot given_ = 0;  // To apply, in this run.
  paxos::Ballot said_;     // The highest that a Promise or Accepted of any run said.
};

ValueId IdOf(const paxos::Value& value);

}  // namespace distlog::model

#endif  // DISTLOG_TESTS_MODEL_MACHINE_H_
