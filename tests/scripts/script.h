// A tiny language over a few replicas, in virtual time: commands in, what happened out.

#ifndef DISTLOG_TESTS_SCRIPTS_SCRIPT_H_
#define DISTLOG_TESTS_SCRIPTS_SCRIPT_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "paxos/options.h"
#include "paxos/replica.h"
#include "paxos/step.h"
#include "tests/simulation/disk.h"

namespace distlog {

// The messages of a network without delay, in the order in which they were sent; disks that are
// done at once; and time that stands still but for `pass`. README.md has the commands.
class Script {
 public:
  // Runs the commands of one line ("a | b | c"). Returns what happened, a line each, or, of a
  // command that cannot be understood, that.
  std::string Run(const std::string& line);

 private:
  struct Words;

  struct Node {
    explicit Node(paxos::Configuration genesis) : disk(std::move(genesis)) {}
    simulation::Disk disk;
    bool stalled = false;
    bool stopped = false;  // Alive, but does nothing.
    std::unique_ptr<paxos::Replica> replica;
    uint64_t starts = 0;
    std::deque<paxos::Event> waiting;  // While stopped.
  };
  // A rule about messages of one link: of one kind, or of all.
  struct Rule {
    paxos::ReplicaId from{};
    paxos::ReplicaId to{};
    std::string kind;
    bool hold = false;  // Else it drops.
  };
  struct Line {
    std::set<paxos::ReplicaId> from;
    std::set<paxos::ReplicaId> to;  // Empty: it is about `from` alone.
    std::string text;
  };

  // ---- Commands. Each returns false if its words make no sense. ----
  bool Execute(const std::string& command);
  bool Start(const Words& words);
  std::set<paxos::ReplicaId> Everybody() const;
  // What follows `current` with these voters and learners.
  paxos::Configuration Next(const paxos::Configuration& current,
                            const std::vector<paxos::ReplicaId>& voters,
                            const std::vector<paxos::ReplicaId>& learners) const;
  bool Rules(const Words& words, bool hold);
  bool Say(const Words& words, const std::string& text);
  void Heal();
  void Crash(paxos::ReplicaId id, bool silently);
  void Restart(paxos::ReplicaId id);
  void State();
  void ShowDisk(paxos::ReplicaId id);
  void Pass(paxos::Time duration);
  void Settle();

  // ---- What they do. ----
  void Step(paxos::ReplicaId id, const paxos::Event& event);
  void Send(const paxos::Envelope& envelope);
  void Write(paxos::ReplicaId id);
  void FinishWrite(paxos::ReplicaId id);
  void Supply(paxos::ReplicaId from, const paxos::Supply& supply);
  void TellConnected(paxos::ReplicaId id);
  // Later, in the order of these calls.
  void Soon(std::function<void()> action) { queue_.push_back(std::move(action)); }
  bool IsRunning(paxos::ReplicaId id) const;

  // ---- Telling. ----
  void Tell(paxos::ReplicaId id, const std::string& text);
  void TellMessage(const paxos::Envelope& envelope, const std::string& fate);
  void Flush();  // Ends what happens at once: like lines of several replicas become one.
  std::string ShortNumbers(const std::string& text);

  paxos::Configuration genesis_;
  paxos::Options options_;
  size_t supply_slots_ = 100;
  std::map<paxos::ReplicaId, Node> nodes_;
  paxos::Time now_ = std::chrono::seconds(1);
  std::deque<std::function<void()>> queue_;
  std::vector<Rule> rules_;
  std::deque<paxos::Envelope> held_;
  std::map<paxos::Ticket, std::string> tickets_;
  uint64_t next_ticket_ = 0;
  bool quiet_ = false;
  bool shows_heartbeats_ = false;
  std::set<paxos::ReplicaId> frozen_;  // Get no Tick.
  std::vector<Line> lines_;
  std::string output_;
  std::map<std::string, size_t> numbers_;
};

}  // namespace distlog

#endif  // DISTLOG_TESTS_SCRIPTS_SCRIPT_H_
