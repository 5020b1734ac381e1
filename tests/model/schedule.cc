#include "tests/model/schedule.h"

#include <utility>

namespace distlog::model {

using paxos::Envelope;
using paxos::ReplicaId;

Schedule::Schedule(int replicas, const std::shared_ptr<const Configurations>& configurations,
                   paxos::Slot slots)
    : slots_(slots), ledger_(configurations) {
  for (int i = 1; i <= replicas; ++i) machines_.emplace_back(ReplicaId(i), configurations, slots);
}

void Schedule::Note(int replica, Happened happened) {
  machine(replica).Sync(&happened);
  if (!happened.violation.empty()) violations_.push_back(happened.violation);
  for (const Fact& fact : happened.facts) {
    if (fact.kind == Fact::Kind::kIsChosen) taken_[fact.slot].insert(fact.value);
    const std::string violation = ledger_.Note(fact);
    if (!violation.empty()) violations_.push_back(violation);
  }
  std::vector<const Disk*> disks;
  for (const Machine& each : machines_) disks.push_back(&each.disk());
  const std::string violation = ledger_.JudgeDisks(disks);
  if (!violation.empty()) violations_.push_back(violation);
  under_way_.insert(under_way_.end(), happened.left.begin(), happened.left.end());
}

void Schedule::Stand(int replica) {
  Happened happened;
  machine(replica).Stand(&happened);
  Note(replica, std::move(happened));
}

void Schedule::Propose(int replica) {
  Happened happened;
  machine(replica).Propose(slots_, &happened);
  Note(replica, std::move(happened));
}

void Schedule::Change(int replica) {
  Happened happened;
  machine(replica).Change(1, slots_, &happened);
  Note(replica, std::move(happened));
}

void Schedule::Restart(int replica) {
  Happened happened;
  machine(replica).Crash(0, &happened);
  Note(replica, std::move(happened));
}

void Schedule::Let(int from, int to) {
  const std::vector<Envelope> all = std::exchange(under_way_, {});
  std::vector<Envelope> arrive;
  for (const Envelope& envelope : all) {
    const bool arrives = envelope.from == ReplicaId(from) && envelope.to == ReplicaId(to);
    (arrives ? arrive : under_way_).push_back(envelope);
  }
  for (const Envelope& envelope : arrive) {
    Happened happened;
    machine(to).Deliver(envelope, &happened);
    Note(to, std::move(happened));
  }
}

void Schedule::Drop(int from, int to) {
  std::erase_if(under_way_, [&](const Envelope& envelope) {
    return envelope.from == ReplicaId(from) && envelope.to == ReplicaId(to);
  });
}

void Schedule::Supply(int from, int to) {
  Happened happened;
  machine(from).Supply(ReplicaId(to), &happened);
  const std::vector<Envelope> left = std::exchange(happened.left, {});
  Note(from, std::move(happened));
  for (const Envelope& envelope : left) {
    Happened heard;
    machine(to).Deliver(envelope, &heard);
    Note(to, std::move(heard));
  }
}

}  // namespace distlog::model
