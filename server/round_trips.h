// How long the heartbeats of this replica take.

#ifndef DISTLOG_SERVER_ROUND_TRIPS_H_
#define DISTLOG_SERVER_ROUND_TRIPS_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <variant>

#include "paxos/message.h"
#include "paxos/types.h"

namespace distlog {

// From the question to the answer, per peer: sees what the replica sends and receives. Of the event
// loop alone.
class RoundTrips {
 public:
  // The replica sends this.
  void OnSend(paxos::Time now, const paxos::Message& message) {
    const auto* question = std::get_if<paxos::Heartbeat>(&message);
    if (question == nullptr || question->round == round_) return;
    round_ = question->round;
    asked_at_ = now;
  }
  // It has received this. An answer to an earlier round counts for nothing.
  void OnReceive(paxos::Time now, paxos::ReplicaId from, const paxos::Message& message) {
    const auto* answer = std::get_if<paxos::HeartbeatReply>(&message);
    if (answer != nullptr && answer->round == round_) last_[from] = now - asked_at_;
  }

  // Of the last heartbeat that was answered; none if none was.
  std::optional<paxos::Time> Of(paxos::ReplicaId peer) const {
    const auto found = last_.find(peer);
    if (found == last_.end()) return std::nullopt;
    return found->second;
  }

 private:
  uint64_t round_ = 0;
  paxos::Time asked_at_{};
  std::map<paxos::ReplicaId, paxos::Time> last_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_ROUND_TRIPS_H_
