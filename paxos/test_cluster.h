// A few replicas in one process with a perfect network and instant disks, for unit tests of the
// core. (tests/simulation has the imperfect ones.)

#ifndef DISTLOG_PAXOS_TEST_CLUSTER_H_
#define DISTLOG_PAXOS_TEST_CLUSTER_H_

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "paxos/replica.h"

namespace distlog::paxos {

inline Value Batch(const std::string& text) {
  return Value{.kind = Value::Kind::kBatch,
               .payload = std::make_shared<const std::string>(text),
               .checksum = std::hash<std::string>{}(text),
               .configuration = nullptr};
}

inline Value Change(const Configuration& configuration) {
  return Value{.kind = Value::Kind::kConfiguration,
               .payload = std::make_shared<const std::string>("a configuration"),
               .checksum = configuration.version * 1000 + configuration.members.size(),
               .configuration = std::make_shared<const Configuration>(configuration)};
}

inline Configuration VotersOnly(int count) {
  Configuration configuration{
      .version = 1, .members = {}, .next_replica_id = 1, .feature_level = 1};
  for (int i = 1; i <= count; ++i) {
    configuration.members.push_back(
        {ReplicaId(i), Uuid{0, static_cast<uint64_t>(i)}, "host:" + std::to_string(i), true});
    configuration.next_replica_id = i + 1;
  }
  return configuration;
}

class TestCluster {
 public:
  explicit TestCluster(int count) : genesis_(VotersOnly(count)) {
    for (int i = 1; i <= count; ++i) Start(ReplicaId(i));
  }

  // Starts a replica with what its disk holds; one that never ran is empty, and knows the genesis.
  void Start(ReplicaId id) {
    Options options;
    options.self = id;
    options.seed = ++seeds_;
    options.window = 8;
    replicas_.erase(id);
    replicas_.emplace(id, Replica(options, Recover(id), now_));
  }
  // Its disk is gone, too.
  void Destroy(ReplicaId id) {
    Kill(id);
    disks_.erase(id);
  }
  // Its process is gone, and its peers notice.
  void Kill(ReplicaId id) {
    replicas_.erase(id);
    for (auto& [peer, replica] : replicas_) queue_.push_back({peer, PeerLost{id}});
    Settle();
  }
  void Restart(ReplicaId id) {
    Start(id);
    for (auto& [peer, replica] : replicas_) queue_.push_back({peer, PeerConnected{id}});
    Settle();
  }
  // Messages from one to the other are lost.
  void Cut(ReplicaId from, ReplicaId to) { cut_.insert({from, to}); }
  void Heal() { cut_.clear(); }

  Replica& at(ReplicaId id) { return replicas_.at(id); }
  std::vector<Value>& log(ReplicaId id) { return logs_[id]; }
  std::vector<Outcome>& outcomes(ReplicaId id) { return outcomes_[id]; }

  void Do(ReplicaId id, Event event) {
    queue_.push_back({id, std::move(event)});
    Settle();
  }
  // Lets virtual time pass.
  void Pass(Time duration) {
    const Time end = now_ + duration;
    while (true) {
      Time next = end;
      for (auto& [id, replica] : replicas_) next = std::min(next, replica.deadline());
      if (next >= end) break;
      now_ = std::max(now_, next);
      for (auto& [id, replica] : replicas_) {
        if (replica.deadline() <= now_) queue_.push_back({id, Tick{}});
      }
      Settle();
    }
    now_ = end;
  }
  // The one that leads and has recovered; kNoReplica if there is none, or more than one.
  ReplicaId Leader() {
    ReplicaId leader = kNoReplica;
    for (auto& [id, replica] : replicas_) {
      if (!replica.is_recovered()) continue;
      if (leader != kNoReplica) return kNoReplica;
      leader = id;
    }
    return leader;
  }

 private:
  void Settle() {
    while (!queue_.empty()) {
      auto [id, event] = std::move(queue_.front());
      queue_.pop_front();
      auto replica = replicas_.find(id);
      if (replica == replicas_.end()) continue;
      Effects effects;
      replica->second.Step(now_, event, &effects);
      replica->second.CheckInvariants();
      Act(id, effects);
    }
  }

  void Act(ReplicaId id, const Effects& effects) {
    for (const AcceptedValue& chosen : effects.chosen) logs_[id].push_back(chosen.value);
    outcomes_[id].insert(outcomes_[id].end(), effects.outcomes.begin(), effects.outcomes.end());
    Disk& disk = disks_[id];
    for (const Record& record : effects.write) {
      if (const auto* promise = std::get_if<PromiseRecord>(&record)) {
        disk.promised = std::max(disk.promised, promise->promised);
      } else if (const auto* accept = std::get_if<AcceptRecord>(&record)) {
        disk.promised = std::max(disk.promised, accept->accepted.ballot);
        disk.stored[accept->accepted.slot] = accept->accepted;
        disk.mark = std::max(disk.mark, accept->chosen_through);
      } else {
        disk.mark = std::max(disk.mark, std::get<MarkRecord>(record).chosen_through);
      }
    }
    if (effects.last_record > 0) queue_.push_back({id, WriteFinished{effects.last_record}});
    for (const auto* list : {&effects.send, &effects.after_write}) {
      for (const Envelope& envelope : *list) {
        if (!cut_.contains({envelope.from, envelope.to})) {
          queue_.push_back({envelope.to, Receive{envelope}});
        }
      }
    }
    for (const Supply& supply : effects.supply) {
      LearnReply reply{.chosen = {}, .chosen_through = supply.through};
      for (Slot slot = supply.first; slot <= supply.through && reply.chosen.size() < 3; ++slot) {
        reply.chosen.push_back(disk.stored.at(slot));
      }
      if (!cut_.contains({id, supply.to})) {
        queue_.push_back({supply.to, Receive{{id, supply.to, reply}}});
      }
    }
  }

  struct Disk {
    Ballot promised;
    Slot mark = 0;
    std::map<Slot, AcceptedValue> stored;
  };
  DurableState Recover(ReplicaId id) {
    const Disk& disk = disks_[id];
    DurableState state{.promised = disk.promised,
                       .chosen_through = disk.mark,
                       .configuration = genesis_,
                       .configuration_slot = 0,
                       .accepted = {}};
    for (const auto& [slot, value] : disk.stored) {
      if (slot > disk.mark) {
        state.accepted.push_back(value);
      } else if (value.value.kind == Value::Kind::kConfiguration &&
                 TakesEffect(*value.value.configuration, state.configuration)) {
        state.configuration = *value.value.configuration;
        state.configuration_slot = slot;
      }
    }
    return state;
  }

  Configuration genesis_;
  Time now_{};
  uint64_t seeds_ = 0;
  std::map<ReplicaId, Replica> replicas_;
  std::map<ReplicaId, Disk> disks_;
  std::map<ReplicaId, std::vector<Value>> logs_;
  std::map<ReplicaId, std::vector<Outcome>> outcomes_;
  std::set<std::pair<ReplicaId, ReplicaId>> cut_;
  std::deque<std::pair<ReplicaId, Event>> queue_;
};

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_TEST_CLUSTER_H_
