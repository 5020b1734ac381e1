// How messages reach other replicas.

#ifndef DISTLOG_SERVER_TRANSPORT_H_
#define DISTLOG_SERVER_TRANSPORT_H_

#include <string>
#include <vector>

#include "paxos/configuration.h"
#include "paxos/message.h"

namespace distlog {

// Carries messages between members. May lose, repeat and reorder them: the protocol expects no
// better, and the simulation gives it no better.
class Transport {
 public:
  virtual ~Transport() = default;

  // Whom to keep connections to: the members of the configuration in force and, until that is
  // settled, those that left with it; not this replica itself. May be called again.
  virtual void SetMembers(const paxos::Configuration& in_force,
                          const std::vector<paxos::Member>& leavers) = 0;

  // Queues the messages and returns. Drops one if its peer is unknown or that peer's queue is full.
  // Never blocks, never fails. Any thread.
  virtual void Send(std::vector<paxos::Envelope> envelopes) = 0;
};

// What a transport tells its node. Any thread.
class TransportListener {
 public:
  virtual ~TransportListener() = default;
  virtual void OnReceive(std::vector<paxos::Envelope> envelopes) = 0;
  // The live stream to the peer is up (its Hello was answered).
  virtual void OnPeerConnected(paxos::ReplicaId peer) = 0;
  // The peer's process is gone: connection refused or reset.
  virtual void OnPeerLost(paxos::ReplicaId peer) = 0;
  // A member has refused this replica, for good: it was removed. In its sentence.
  virtual void OnRemoved(const std::string& sentence) = 0;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_TRANSPORT_H_
