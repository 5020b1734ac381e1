// Counts, from outside, what a run really went through.

#ifndef DISTLOG_TESTS_SIMULATION_COVERAGE_H_
#define DISTLOG_TESTS_SIMULATION_COVERAGE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "paxos/replica.h"
#include "paxos/step.h"
#include "tests/simulation/world.h"

namespace distlog::simulation {

// Of all replicas of a run. Adds to World::counters.
class Coverage {
 public:
  Coverage(World* world, const paxos::Configuration& genesis) : world_(world) {
    for (const paxos::Member& each : genesis.members) member(each.id).has_joined = true;
  }

  void Started(paxos::ReplicaId replica, paxos::Slot recovered_mark);
  // `replica` is as it was.
  void Crashed(const paxos::Replica& replica);
  // A step with `event` led to `effects`, and left `replica` so.
  void Stepped(const paxos::Replica& replica, const paxos::Event& event,
               const paxos::Effects& effects);

 private:
  struct Member {
    uint64_t run = 0;
    bool is_up = false;
    paxos::Slot chosen_through = 0;    // Before the crash.
    std::optional<paxos::Ballot> led;  // In this run, as of the last step.
    bool has_joined = false;           // It knows that it is a member, and was none at first.
    // Of the Phase 1 that runs: what its promises held.
    std::optional<paxos::Ballot> preparing;
    std::vector<std::pair<paxos::Slot, paxos::Ballot>> reported;
    bool found_two_ballots = false;
    // Reads at the leader that came while a round of confirmation was out.
    uint64_t confirm_round = 0;
    std::set<paxos::Ticket> reads_for_later;
  };
  struct Proposed {
    paxos::Ballot ballot;
    uint64_t run = 0;  // Of its owner.
  };

  Member& member(paxos::ReplicaId id) { return members_.at(static_cast<size_t>(id)); }
  void CountMessage(const paxos::Event& event, const paxos::Message& message);
  void NotePromise(Member* self, const paxos::Ballot& claimed, const paxos::Promise& promise);
  void NoteProposal(paxos::ReplicaId replica, const paxos::AcceptedValue& proposed);
  void NoteReads(Member* self, const paxos::Replica& replica, const paxos::Event& event,
                 const paxos::Effects& effects);
  void NoteLeadership(Member* self, const paxos::Replica& replica);
  void NoteMembership(Member* self, const paxos::Replica& replica, const paxos::Effects& effects);

  World* world_;
  std::array<Member, kMaxMachines> members_;
  std::vector<Proposed> proposed_;  // By slot, the newest one.
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_COVERAGE_H_
