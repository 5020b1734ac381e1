// One order of events, written down: for a history that no search within reach comes to.

#ifndef DISTLOG_TESTS_MODEL_SCHEDULE_H_
#define DISTLOG_TESTS_MODEL_SCHEDULE_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "paxos/message.h"
#include "tests/model/ledger.h"
#include "tests/model/machine.h"

namespace distlog::model {

// Replicas 1, 2, ... with instant disks. What one says to another waits until it is let through or
// dropped. The ledger watches; what it finds is noted, and all goes on.
class Schedule {
 public:
  Schedule(int replicas, const std::shared_ptr<const Configurations>& configurations,
           paxos::Slot slots);

  void Stand(int replica);
  void Propose(int replica);
  void Change(int replica);  // To the second of the configurations.
  void Restart(int replica);
  // All that `from` has said to `to` so far arrives, in order.
  void Let(int from, int to);
  // ... is lost.
  void Drop(int from, int to);
  void DropAll() { under_way_.clear(); }
  // `to` learns all that `from` has stored as chosen.
  void Supply(int from, int to);

  const Machine& at(int replica) const { return machines_.at(replica - 1); }
  // In words, in order.
  const std::vector<std::string>& violations() const { return violations_; }
  // What replicas take for chosen in `slot`: one value, or they disagree.
  const std::set<ValueId>& taken_for_chosen(paxos::Slot slot) { return taken_[slot]; }

 private:
  Machine& machine(int replica) { return machines_.at(replica - 1); }
  void Note(int replica, Happened happened);

  paxos::Slot slots_ = 0;
  std::vector<Machine> machines_;
  Ledger ledger_;
  std::vector<paxos::Envelope> under_way_;
  std::vector<std::string> violations_;
  std::map<paxos::Slot, std::set<ValueId>> taken_;
};

}  // namespace distlog::model

#endif  // DISTLOG_TESTS_MODEL_SCHEDULE_H_
