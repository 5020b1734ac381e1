// What P13 of docs/protocol.md asks of each replica's ballots, watched from outside.

#ifndef DISTLOG_TESTS_SIMULATION_ELECTION_RULES_H_
#define DISTLOG_TESTS_SIMULATION_ELECTION_RULES_H_

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "paxos/configuration.h"
#include "paxos/step.h"
#include "tests/simulation/world.h"

namespace distlog::simulation {

// Calls `fail` when a replica claims a ballot that is not a round above every ballot it was told of
// in this run, or goes on leading at one although a voter keeps telling it of a higher promise.
class ElectionRules {
 public:
  explicit ElectionRules(std::function<void(const std::string&)> fail) : fail_(std::move(fail)) {}

  void Started(paxos::ReplicaId replica);
  // A step with `event` left its proposer running at `claimed`, if it runs, and the replica knowing
  // this configuration to be in force.
  void Stepped(paxos::ReplicaId replica, const paxos::Event& event,
               const std::optional<paxos::Ballot>& claimed, bool is_leading,
               const paxos::Configuration& configuration);

 private:
  // Renewal takes one round trip, and no more than one begins in each round.
  static constexpr uint64_t kPatience = 10;

  struct Member {
    uint64_t highest_round = 0;  // In any ballot it was told of.
    paxos::Ballot claimed;
    std::optional<paxos::Ballot> leads;
    uint64_t told_in_round = 0;
    uint64_t rounds_told = 0;  // Of a promise above the ballot it leads at.
  };

  Member& member(paxos::ReplicaId id) { return members_.at(static_cast<size_t>(id)); }
  void NoteTold(Member* self, const paxos::Message& message);
  void NoteReport(paxos::ReplicaId replica, const paxos::Envelope& envelope,
                  const paxos::Configuration& configuration);

  std::function<void(const std::string&)> fail_;
  std::array<Member, kMaxMachines> members_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_ELECTION_RULES_H_
