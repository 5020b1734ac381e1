// One run of one plan.

#ifndef DISTLOG_TESTS_SIMULATION_RUN_H_
#define DISTLOG_TESTS_SIMULATION_RUN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/checker.h"
#include "tests/simulation/client.h"
#include "tests/simulation/coverage.h"
#include "tests/simulation/history.h"
#include "tests/simulation/host.h"
#include "tests/simulation/network.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/simulation.h"
#include "tests/simulation/world.h"

namespace distlog::simulation {

// A cluster, its clients, the trouble they have, and what must hold after it.
class Run {
 public:
  Run(const Plan& plan, Tracing tracing, Judge judge);
  Run(const Run&) = delete;

  Result Execute();
  // As of now.
  Result MakeResult();

 private:
  void AddHost(const paxos::Member& member);
  void AddClient();
  Host* host(paxos::ReplicaId id) { return hosts_[static_cast<uint64_t>(id) - 1].get(); }
  Host* AnyHost() { return hosts_[world_.random.Below(hosts_.size())].get(); }
  // The one that leads at the highest ballot; null if nobody does.
  Host* LeadingHost() const;
  void RunUntil(Time time);
  std::function<void(const std::string&)> Verdicts(Judge judge);
  void Deliver(const paxos::Envelope& envelope);
  void PassOn(Host* from, const std::string& address, const v1::AppendRequest& request,
              AppendCallback done);
  void SaveMarks(Time interval);

  // ---- Faults (run_trouble.cc). ----
  void MakeTrouble();
  void TroubleHost(Host* host);
  // With this probability in each step of trouble.
  bool Happens(double per_second);
  void Later(Time delay, std::function<void()> action);  // Unless faults have stopped.
  void Crash(Host* host);
  void Restart(Host* host);
  void Connect(paxos::ReplicaId a, paxos::ReplicaId b);
  void Reset(paxos::ReplicaId from, paxos::ReplicaId to, bool is_lost);
  void Cut(paxos::ReplicaId from, paxos::ReplicaId to, Time duration);
  void Partition();
  void CutLeader();
  void ResetAny();
  void ChangeClockSpeed(Host* host);

  // ---- After them. ----
  void Heal();
  void CutForGood();
  const Host* RecoveredLeader() const;
  std::string State() const;
  void CheckLiveness();
  void CheckEnd();

  static constexpr Time kTroubleStep = std::chrono::milliseconds(10);

  const Plan plan_;
  World world_;
  paxos::Configuration genesis_;
  Checker checker_;
  ElectionRules elections_;
  Coverage coverage_;
  Network network_;
  History history_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<std::unique_ptr<Client>> clients_;
  bool healed_ = false;
  std::set<paxos::ReplicaId>
      core_;  // After healing: those that can reach a quorum's hub, and are up.
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_RUN_H_
