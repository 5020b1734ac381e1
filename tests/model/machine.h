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

#include "paxos/configuration.h"
#include "paxos/message.h"
#include "paxos/record.h"
#include "paxos/replica.h"
#include "paxos/step.h"
#include "paxos/types.h"
#include "tests/model/fact.h"

namespace distlog::model {

// The genesis, and what may be proposed to follow it, by version.
using Configurations = std::vector<paxos::Configuration>;

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
// judged by one machine's disk and messages alone is judged here: P3 and P4, P8's "only the owner",
// and that nobody acts above a configuration whose mark is not durable (B5).
class Machine {
 public:
  // Its disk is empty; all that it knows is the genesis.
  Machine(paxos::ReplicaId self, std::shared_ptr<const Configurations> configurations,
          paxos::Slot window);

  // ---- Events. ----

  void Deliver(const paxos::Envelope& envelope, Happened* happened);
  // Its replica takes over, unless it leads or tries to.
  void Stand(Happened* happened);
  // A client's value, of its own for every replica, run, ballot and slot. Nothing happens unless it
  // leads and has room, or if it would go above slot `last`.
  void Propose(paxos::Slot last, Happened* happened);
  // The configuration of this index is proposed, if that is allowed once everybody else has
  // answered a round of heartbeats and told nothing new: that all are heard and near only lets it
  // be proposed sooner.
  void Change(size_t configuration, paxos::Slot last, Happened* happened);
  // It hears the heartbeats of these, whose durable marks reach the slot of the configuration that
  // it knows to be in force.
  void HearMarks(const std::vector<paxos::ReplicaId>& holders, Happened* happened);
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
  // Whether this message will never do anything that is judged, whenever it arrives while this
  // process lives. These do not:
  // - A Promise or Accepted of a ballot that the proposer here has left, or that an earlier run
  //   used: no later proposer takes that ballot, and the promise of its owner is not below it. Of
  //   how far its sender is nothing is kept (see Settle).
  // - An Announce of what is known to be chosen, of a round not above the promise: it teaches no
  //   value and no round, and neither ever falls while the process lives.
  // An Accept may do something for ever, though all its slots are known to be chosen: when more has
  // been promised in the meantime it is answered by a Nack, which makes its proposer renew. So may
  // a Prepare and a Nack.
  bool IsDead(const paxos::Message& message) const;
  bool is_synced() const { return pending_.empty(); }

  friend bool operator==(const Machine&, const Machine&) = default;
  auto Fields() const {
    return std::tie(replica_, disk_, unsynced_, run_, given_, said_, settled_);
  }

 private:
  // What one Effects asked of the disk.
  struct Write {
    std::vector<paxos::Record> records;
    uint64_t last_record = 0;
    std::vector<paxos::Envelope> after_write;
    friend bool operator==(const Write&, const Write&) = default;
  };

  // Where it would propose. Only if it can.
  paxos::Slot NextSlot() const;
  // Everybody else in any configuration.
  std::vector<paxos::ReplicaId> Others() const;
  // The number of the round of heartbeats that begins.
  uint64_t EndRound(Happened* happened);
  void SaySettled(Happened* happened);
  void Step(const paxos::Event& event, Happened* happened);
  void Carry(paxos::Effects effects, Happened* happened);
  void Store(const paxos::Record& record, Happened* happened);
  void Leave(const paxos::Envelope& envelope, Happened* happened);
  // Ends an event: hears what it said to itself, and forgets what only decides whom to ask.
  void Settle(Happened* happened);
  void Answer(const paxos::Supply& supply, Happened* happened);
  paxos::Ballot DurablePromise() const { return std::max(disk_.promised, disk_.side_promised); }
  // Of what its disk holds, through `slot`: where the configuration in force above was chosen.
  paxos::Slot ConfigurationSlot(paxos::Slot slot) const;
  // It acts above `slot`, all through there being known to it.
  void JudgeMark(paxos::Slot slot, Happened* happened) const;
  void JudgePromise(const paxos::Promise& promise, Happened* happened) const;
  void Violate(const std::string& what, Happened* happened) const;
  paxos::Replica Recover() const;

  paxos::ReplicaId self_{};
  std::shared_ptr<const Configurations> configurations_;
  paxos::Slot window_ = 0;
  Disk disk_;
  paxos::Time now_{};  // Stands still but for the rounds of Change.
  paxos::Replica replica_;
  std::deque<paxos::Envelope> to_itself_;  // Empty between events.
  std::deque<Write> pending_;
  uint64_t unsynced_ = 0;  // Records in pending_.
  int run_ = 0;
  paxos::Slot given_ = 0;    // To apply, in this run.
  paxos::Slot settled_ = 0;  // The slot of the last configuration said to be settled, in any run.
  paxos::Ballot said_;       // The highest that a Promise or Accepted of any run said.
};

ValueId IdOf(const paxos::Value& value);

}  // namespace distlog::model

#endif  // DISTLOG_TESTS_MODEL_MACHINE_H_
