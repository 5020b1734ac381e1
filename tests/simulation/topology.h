// A small cluster whose links are set by hand, for histories that are worth a name.

#ifndef DISTLOG_TESTS_SIMULATION_TOPOLOGY_H_
#define DISTLOG_TESTS_SIMULATION_TOPOLOGY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/checker.h"
#include "tests/simulation/coverage.h"
#include "tests/simulation/election_rules.h"
#include "tests/simulation/host.h"
#include "tests/simulation/log_disk.h"
#include "tests/simulation/network.h"
#include "tests/simulation/world.h"

namespace distlog::simulation {

// Replicas 1 .. n, all up and connected, and a client that appends at whoever leads. Everything
// goes well unless told otherwise.
class Topology {
 public:
  static constexpr Time kRound = std::chrono::milliseconds(100);

  Topology(size_t replicas, uint64_t seed);

  size_t size() const { return hosts_.size(); }
  Host* host(size_t number) { return hosts_.at(number - 1).get(); }
  World* world() { return &world_; }
  Network* network() { return &network_; }

  // ---- What happens. ----

  void Run(Time duration);
  // One direction.
  void Cut(size_t from, size_t to);
  void Mend(size_t from, size_t to);
  void CutBoth(size_t a, size_t b);
  void MendBoth(size_t a, size_t b);
  // From everybody.
  void Isolate(size_t number);
  // Only these links are left, in both directions.
  void KeepOnly(const std::vector<std::pair<size_t, size_t>>& links);
  void MendAll();
  // The machine dies, with its disk as it is, and nobody hears of it.
  void Kill(size_t number);
  void Restart(size_t number);
  // The machine is gone, with its disk.
  void Destroy(size_t number);
  // A new machine, the next number, with an empty disk; it knows the genesis.
  size_t AddMachine();
  // The leader is asked for a configuration of these, and gets some rounds to see to it; `settled`
  // happens in the instant when somebody first calls it settled. Returns whether that was so.
  bool Change(const std::set<size_t>& voters, const std::set<size_t>& learners,
              const std::function<void()>& settled = nullptr);
  // Messages for which this is true are lost. Null: none.
  void Lose(std::function<bool(const paxos::Envelope&)> is_lost) { is_lost_ = std::move(is_lost); }
  // `to` hears a Prepare of this round, as of a candidate `from` that was never seen again. It may
  // be a stranger.
  void LeavePromise(size_t from, size_t to, uint64_t round);
  // `to` hears such a Prepare as the machine `from` would say it: for the slots that it misses, in
  // the configuration that it knows.
  void Campaign(size_t from, size_t to, uint64_t round);

  // ---- What is so. ----

  // The replica that leads, is recovered and has the highest ballot. 0: none.
  size_t Leader() const;
  // One that does not lead: the `index`-th by number, from 0.
  size_t Follower(size_t index) const;
  // Of all that are up: promised or claimed.
  paxos::Ballot HighestBallot() const;
  uint64_t appended() const { return appended_; }
  // By the disks.
  paxos::Slot chosen_through() const { return checker_.chosen_through(); }
  // A broken rule of protocol.md, if there is one.
  const std::optional<std::string>& violation() const { return world_.violation; }

  // ---- Judging. ----

  struct Verdict {
    int rounds = 0;             // Until the last ballot rose.
    int rises = 0;              // Rounds in which the highest ballot rose.
    size_t leader = 0;          // In the end.
    uint64_t appended = 0;      // In the last 40 rounds.
    uint64_t lost_appends = 0;  // Begun in the last 40 rounds but the last 10, and not answered.
    std::string state;
  };
  // Runs 200 rounds, `each_round` at the beginning of each.
  Verdict Settle(const std::function<void(int round)>& each_round = nullptr);

 private:
  void AddHost(const paxos::Member& member);
  void Deliver(const paxos::Envelope& envelope);
  void AppendOne();
  void OnSettled(const paxos::Configuration& configuration);
  std::string State() const;

  World world_;
  paxos::Configuration genesis_;
  Checker checker_;
  ElectionRules elections_;
  Coverage coverage_;
  Network network_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::function<bool(const paxos::Envelope&)> is_lost_;
  uint64_t awaited_version_ = 0;  // That Change waits for; 0: none.
  std::function<void()> settled_;
  uint64_t appends_ = 0;
  uint64_t appended_ = 0;
  std::set<uint64_t> under_way_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_TOPOLOGY_H_
