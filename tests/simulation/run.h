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
  // A machine that does not run yet.
  void AddHost(const paxos::Member& member);
  void AddClient();
  Host* host(paxos::ReplicaId id) { return hosts_[static_cast<uint64_t>(id) - 1].get(); }
  Host* AnyHost() { return machines_[world_.random.Below(machines_.size())]; }
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

  // ---- Changes of configuration (run_changes.cc). ----
  // An operator asks somebody for a change.
  void AskForChange();
  // What might follow `current`: anything.
  paxos::Configuration NextAfter(const paxos::Configuration& current, paxos::ReplicaId leader);
  void AddMember(bool voter, paxos::Configuration* next);
  void RemoveMember(size_t index, paxos::Configuration* next);
  void StartMachine(paxos::ReplicaId id);
  // An operator asks somebody to begin an operation, which is at times asked for again, cancelled,
  // or left by its leader (run_operations.cc).
  void AskForOperation();
  Host* WhoIsAsked();
  void Begin(Host* host, const v1::BeginOperationCommand& begin);
  void CancelOperation();
  v1::BeginOperationCommand NextOperation(const paxos::Configuration& current,
                                          paxos::ReplicaId leader);
  void AddNewcomer(bool voter, const paxos::Configuration& current,
                   v1::BeginOperationCommand* begin);
  void AddHostsOf(const paxos::Configuration& configuration);
  void CountOperations();
  // Looks at what was chosen, and starts the machines that it names.
  void WatchChanges();
  void CountChange(const Decisions::Electorate& before, const Decisions::Electorate& after);
  void OnSettled(const paxos::Configuration& configuration);
  // Whether some machine could still be needed that is no voter of what is in force.
  bool IsChanging() const;
  const Decisions::Electorate& InForce() const { return checker_.decisions().electorates().back(); }

  // ---- After them. ----
  void Heal();
  void CutForGood();
  const Host* RecoveredLeader() const;
  std::string State() const;
  void CheckLiveness();
  void CheckChangesEnd(const Host& leader);
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
  std::vector<std::unique_ptr<Host>> hosts_;  // By id.
  std::vector<Host*> machines_;   // Of those, the ones that there are: started and not destroyed.
  uint64_t watched_version_ = 1;  // The configurations through this one are known to WatchChanges.
  uint64_t settled_version_ = 1;  // ... and to OnSettled.
  uint64_t newcomers_ = 0;        // That operators named.
  std::vector<std::unique_ptr<Client>> clients_;
  bool healed_ = false;
  std::set<paxos::ReplicaId>
      core_;  // After healing: those that can reach a quorum's hub, and are up.
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_RUN_H_
