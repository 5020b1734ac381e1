// The model check: every state that a small cluster can come into, by every order of events.
//
// The replicas are the class that ships. The network is the set of messages under way. Each of them
// may arrive at any later time, or never: that is loss, delay and reordering, unbounded. It arrives
// once, or with Bounds::duplication any number of times. (One that changes nothing when it arrives
// is still under way: it may change something later.) Events are: a message arrives; a replica
// takes over; a leader proposes; a replica learns what another has stored as chosen; a disk syncs;
// a mark is saved; a process dies, with what was not synced lost or partly kept, and another
// begins. The clock stands still, no heartbeat is sent.
//
// What makes it feasible:
//
// - What one machine does upon one event depends on that machine alone. Machines, messages, sets of
//   messages and ledgers are numbered; each (machine, event) is run once, and looked up after that.
//   A state of the cluster is a few numbers, compared exactly: no fingerprints that could collide.
// - Once no crash is left within the bounds, a disk syncs at once: nothing can be lost any more,
// and
//   that a message leaves later is the same as that it arrives later. While crashes are left, a
//   disk syncs all that waits: to sync a part of it is to have synced before the rest was written.
// - Once no crash is left, and without duplication, a message is forgotten when its receiver has
//   come where it can do nothing any more (Machine::IsDead says which, and why).
// - What a replica says to itself arrives at once, as in a server.
// - Heartbeats are two events. Everybody answers the leader, and it proposes a configuration: that
//   all are heard only lets it do so. And a replica hears the marks of a quorum of the
//   configuration that it knows: what it says then (B5) is the same for all who hear it, so that
//   the first is enough. Marks only rise.
// - Destroying who has left is no event: nobody hears of it, as if nothing that it says or is told
//   ever arrived. That what is chosen can be found without it is judged in every state (P5, B5).
// - Catch-up is one event, that needs no request: it may happen whenever it could have been asked
//   for. What is chosen stays so, and a late answer says what an earlier one said. Messages that
//   only tell whom to ask (Progress, Stale, LearnRequest) are dropped, and what a replica knows of
//   its peers' progress is forgotten after each event (PeerLost): it decides nothing else.
//
// What it leaves out: resending (a message that left may arrive late instead), reads, elections,
// the parts of a long promise, a leaver's word to its successor, and a catch-up answer that arrives
// after its sender crashed.

#ifndef DISTLOG_TESTS_MODEL_SEARCH_H_
#define DISTLOG_TESTS_MODEL_SEARCH_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "paxos/message.h"
#include "paxos/types.h"
#include "tests/model/flat_map.h"
#include "tests/model/ledger.h"
#include "tests/model/machine.h"

namespace distlog::model {

struct Bounds {
  int replicas = 3;             // Up to 5.
  int proposers = 3;            // Of them, that may take over: 1, 2, ...
  paxos::Slot slots = 2;        // That clients' values go to.
  int takeovers = 2;            // Of all together.
  uint64_t rounds = 2;          // The highest of any ballot; renewals, too, need one each.
  int crashes = 1;              // Of all together.
  bool duplication = false;     // Messages may arrive any number of times, not once.
  int saved_marks = 0;          // Of all together.
  uint32_t change_to = 0;       // See Members: voters that may be proposed to follow; 0 for none.
  int changes = 1;              // Proposals of that, of all together.
  int new_proposers = 0;        // Of those voters, that may take over: the lowest ids.
  bool learners_first = false;  // The newcomers among them were added as learners: in slot 1.
  // The search begins where replica 1 leads at ballot 1.1, all of the genesis have promised it, all
  // know what is chosen, and nothing is under way. (So it does if learners_first.) No bound is used
  // up by what led there, but for the ballot and the slot.
  bool is_elected = false;
  uint64_t states = 5'000'000;  // The search gives up there.
};

// A set of replicas.
constexpr uint32_t Members(std::initializer_list<int> ids) {
  uint32_t set = 0;
  for (const int id : ids) set |= 1u << id;
  return set;
}

struct Result {
  uint64_t states = 0;
  uint64_t transitions = 0;  // That led to another state, new or known.
  uint64_t depth = 0;        // Events on the longest of the shortest ways to a state.
  bool complete = false;     // Every state within the bounds was seen.
  uint64_t machines = 0;     // Distinct states of one machine.
  uint64_t steps = 0;        // Distinct events upon them.
  uint64_t messages = 0;     // Distinct ones.
  // How much of interest lies within the bounds, in states or events explored:
  uint64_t takeovers_before_chosen = 0;  // With a value proposed and not chosen.
  uint64_t takeovers_amid_change = 0;    // With a configuration proposed and not chosen.
  uint64_t changes_chosen = 0;           // States in which the configuration is chosen, ...
  uint64_t changes_settled = 0;          // ... may be said to be settled, by one replica, ...
  uint64_t chosen_after_change = 0;      // ... and has decided a slot.
  uint64_t proposed_again = 0;  // States of the ledger in which a value has more than one ballot.
  uint64_t crashes_with_loss = 0;
  uint64_t beyond_rounds = 0;  // Events left out as their ballot is above the bound.
  uint64_t all_chosen = 0;     // States in which a value is chosen in every slot.
  // The rule that is broken, in words, and the shortest way there, an event to a line.
  std::string violation;
  std::vector<std::string> path;
};

class Search {
 public:
  explicit Search(const Bounds& bounds);

  // Sees every state, nearest first, until one breaks a rule. `progress` is called now and then.
  Result Run(const std::function<void(const Result&)>& progress = nullptr);

 private:
  static constexpr int kMaxReplicas = 6;

  // Numbers of machines, of a network, of a ledger; and what is left of the bounds.
  struct State {
    uint32_t machines[kMaxReplicas] = {};
    uint32_t network = 0;
    uint32_t ledger = 0;
    uint8_t takeovers = 0;
    uint8_t crashes = 0;
    uint8_t saved_marks = 0;
    uint8_t changes = 0;
    friend bool operator==(const State&, const State&) = default;
  };
  // How a state was first come to.
  struct Way {
    uint32_t from = 0;
    uint32_t step = 0;
  };
  // What one machine does upon one event.
  struct LocalStep {
    uint32_t event = 0;
    uint32_t machine = 0;        // After it.
    std::vector<uint32_t> left;  // Messages.
    std::vector<Fact> facts;
    std::string violation;
    bool is_beyond = false;  // Its ballot is.
    bool loses = false;      // Records.
  };
  enum class EventKind : uint32_t {
    kDeliver,
    kStand,
    kPropose,
    kSync,
    kSupply,
    kSaveMark,
    kCrash,
    kChange,
    kHearMarks,
  };
  // An event's number: its kind, whether the disk syncs at once, and a detail of so many bits.
  static constexpr uint32_t kDetailBits = 27;

  static uint32_t Event(EventKind kind, uint32_t detail, bool syncs);
  uint32_t Intern(Machine machine);
  uint32_t Intern(const paxos::Envelope& envelope);
  uint32_t Intern(Ledger ledger);
  uint32_t StepOf(uint32_t machine, uint32_t event);
  LocalStep Run(const Machine& before, uint32_t event);
  uint32_t NetworkAfter(uint32_t network, uint32_t step);
  uint32_t LedgerAfter(uint32_t ledger, uint32_t step, std::string* violation);

  // What Bounds::is_elected says.
  void Elect(std::vector<Machine>* machines, Ledger* ledger) const;
  bool MayStand(int replica) const;
  // The members of the configuration that `replica` knows, itself too, whose mark of it is durable;
  // empty if they are no quorum of it, or nothing is to be said.
  uint32_t MarkHolders(const State& state, int replica) const;
  void Expand(uint32_t index);
  void Take(uint32_t index, int replica, uint32_t event);
  void TakeCatchUp(uint32_t index, int from, int to);
  // Judges the state after `step`, in which a replica hears that the change is settled.
  void JudgeSettled(uint32_t index, uint32_t step);
  // Whether it is new.
  bool Reach(const State& state, const Way& way);
  void Judge(const State& state, uint32_t index, uint32_t step);
  void Violated(const std::string& what, uint32_t from, uint32_t step);
  std::string Describe(const LocalStep& step) const;

  Bounds bounds_;
  std::shared_ptr<const Configurations> configurations_;
  int replicas_ = 0;  // Members of any of them.
  Result result_;

  std::vector<Machine> machines_;
  std::unordered_multimap<uint64_t, uint32_t> machine_numbers_;
  std::vector<paxos::Envelope> messages_;
  std::unordered_multimap<std::string, uint32_t> message_numbers_;
  std::vector<Ledger> ledgers_;
  std::unordered_multimap<uint64_t, uint32_t> ledger_numbers_;
  std::vector<std::vector<uint32_t>> networks_;  // Messages, in order of their numbers.
  std::unordered_multimap<uint64_t, uint32_t> network_numbers_;
  std::vector<LocalStep> steps_;
  FlatMap step_numbers_;    // By machine and event.
  FlatMap networks_after_;  // By network and step.
  FlatMap ledgers_after_;   // By ledger and step.

  std::vector<State> states_;
  std::vector<Way> ways_;
  std::vector<uint32_t>
      state_numbers_;  // A hash table of indices into states_, UINT32_MAX if free.
};

}  // namespace distlog::model

#endif  // DISTLOG_TESTS_MODEL_SEARCH_H_
