// Whether linearizable reads are as docs/protocol.md, "Reads", has them: told from the messages
// that leave, and from what clients were answered.

#ifndef DISTLOG_TESTS_SIMULATION_CHECKER_READS_H_
#define DISTLOG_TESTS_SIMULATION_CHECKER_READS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "paxos/message.h"
#include "paxos/step.h"
#include "tests/simulation/checker_decisions.h"

namespace distlog::simulation {

class Reads {
 public:
  explicit Reads(const Decisions* decisions) : decisions_(decisions) {}

  // A client was told about something that this slot, or one below, holds.
  void NoteAnswered(paxos::Slot slot);
  // A read begins, or a follower asks for a mark: what it may rest on comes after this.
  struct Beginning {
    uint64_t moment = 0;
    paxos::Slot answered = 0;  // The highest there was.
  };
  Beginning Begin() { return {++moments_, answered_}; }

  // These leave. What is wrong with that, if anything.
  void NoteRequest(paxos::ReplicaId asker, const paxos::ReadRequest& request);
  void NoteConfirm(const paxos::Confirm& confirm);
  void NoteConfirmed(paxos::ReplicaId from, const paxos::Confirmed& confirmed);
  std::optional<std::string> CheckReply(paxos::ReplicaId from, paxos::ReplicaId asker,
                                        const paxos::ReadReply& reply);

  // `replica` says that the read may be answered with the log through `slot`. It knows the log to
  // be chosen through `chosen_through`, and leads at this ballot, if it does.
  std::optional<std::string> CheckReadable(paxos::ReplicaId replica, const Beginning& beginning,
                                           paxos::Slot slot, paxos::Slot chosen_through,
                                           const std::optional<paxos::Ballot>& leads) const;

 private:
  struct Round {
    uint64_t number = 0;
    uint64_t began = 0;
    paxos::Slot configured_at = 0;  // Its owner knew this configuration to be in force.
    Decisions::Mask confirmed = 0;
  };
  struct Confirmation {
    uint64_t began = 0;
    paxos::Slot configured_at = 0;
  };
  // When the newest round began that a quorum has confirmed to this owner, in the configuration in
  // force after `chosen_through`.
  uint64_t ConfirmedSince(paxos::ReplicaId owner, paxos::Slot chosen_through) const;
  // B6: whether a configuration that was proposed at this ballot is not known chosen.
  std::optional<std::string> CheckAcross(const paxos::Ballot& ballot,
                                         paxos::Slot chosen_through) const;

  const Decisions* decisions_;
  uint64_t moments_ = 0;
  paxos::Slot answered_ = 0;
  std::map<paxos::Ballot, Round> rounds_;  // The newest of each ballot.
  std::unordered_map<paxos::ReplicaId, Confirmation> confirmed_;
  std::unordered_map<paxos::ReplicaId, std::unordered_map<uint64_t, Beginning>> requests_;
  // When the newest request of a follower was made that was answered.
  std::unordered_map<paxos::ReplicaId, uint64_t> answered_since_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CHECKER_READS_H_
