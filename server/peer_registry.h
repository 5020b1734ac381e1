// Who may talk to this replica, and what is remembered of those who did.

#ifndef DISTLOG_SERVER_PEER_REGISTRY_H_
#define DISTLOG_SERVER_PEER_REGISTRY_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/store.h"
#include "paxos/configuration.h"
#include "paxos/message.h"
#include "proto/distlog/v1/cluster.pb.h"
#include "proto/distlog/v1/peer.pb.h"

namespace distlog {

// The versions of peer.proto that this program speaks.
inline constexpr uint32_t kWireVersionMin = 1;
inline constexpr uint32_t kWireVersionMax = 1;

// What connections need of this server's own durable state. Any thread.
class OwnState {
 public:
  virtual ~OwnState() = default;
  virtual Identity identity() const = 0;
  // The highest ballot promised and slot accepted, durably: at least what this process found when
  // it started.
  virtual paxos::Ballot promised() const = 0;
  virtual paxos::Slot accepted_through() const = 0;
  // The highest start that the peer has told, durably.
  virtual Store::PeerStart RememberedPeer(const paxos::Uuid& peer) const = 0;
  // Makes `start` durable and calls `done`, on any thread. Never calls it if the server stops
  // before.
  virtual void RememberPeer(const paxos::Uuid& peer, const Store::PeerStart& start,
                            std::function<void(const absl::Status&)> done) = 0;
};

// Checks every Hello against the identity, the members and the remembered starts, and keeps the
// reasons of refusals for `status`. Any thread.
//
// Peers, who may connect, are the members of the configuration in force; until that is settled,
// those that left with it (rule B9); and, of a replica that is behind, those of a newer
// configuration that it was told of: without them it could not learn that one from its members.
class PeerRegistry {
 public:
  // `own` outlives the registry. `address` is as advertised.
  PeerRegistry(OwnState* own, std::string address) : own_(own), address_(std::move(address)) {}

  // The configuration in force and, until that is settled, those that left with it.
  void SetMembers(const paxos::Configuration& in_force,
                  const std::vector<paxos::Member>& leavers = {});
  // A configuration of this cluster that somebody knows to be in force. Counts while it is newer
  // than what is in force here. It decides nothing: it is for connections only.
  void SetHint(const paxos::Configuration& hint);
  // In force.
  paxos::Configuration members() const;
  // All peers but this replica, by id.
  std::vector<paxos::Member> peers() const;
  // This replica's id; kNoReplica while unassigned.
  paxos::ReplicaId self() const;
  // Whether the seat `id` is a peer's and held by `uuid` now.
  bool IsPeer(paxos::ReplicaId id, const paxos::Uuid& uuid) const;

  v1::Hello MakeHello(const paxos::Member& to, v1::TrafficClass traffic_class) const;

  // Decides on a caller's Hello and calls `done` once, in this thread or another, with who the
  // caller is: not before its start is remembered durably. FailedPrecondition: it does not match.
  // PermissionDenied: it was removed, for good. DataLoss: it has regressed. Each is one sentence
  // for the caller's operator. Refusals are counted, and logged when the reason of that caller
  // changes. `address` is where the connection comes from.
  using AdmitCallback = std::function<void(const absl::StatusOr<paxos::Member>&)>;
  void Admit(const v1::Hello& hello, const std::string& address, AdmitCallback done);

  // Decides on the Hello with which `callee` answered.
  absl::Status CheckAnswer(const v1::Hello& answer, const paxos::Member& callee) const;

  // Notes what a peer has told of its promises and accepted slots, to be compared when it restarts.
  void Observe(const paxos::Uuid& peer, const std::vector<paxos::Envelope>& envelopes);

  // ---- For status and the log. ----

  // `reason` is why nothing can be sent to that member; an empty one says that all is well.
  void NoteTrouble(const paxos::Member& member, const std::string& reason);
  void CountMalformed(const paxos::Uuid& peer, const std::string& reason);
  void CountDropped(uint64_t messages) { dropped_messages_ += messages; }
  // Fills in trouble, the counters, and what is wrong with this server's own seat.
  void FillStatus(v1::ServerStatus* status) const;

 private:
  struct Start {
    Store::PeerStart start;
    bool durable = false;
    std::vector<std::function<void(const absl::Status&)>> waiting;  // For it to become durable.
  };
  struct Told {
    paxos::Ballot promised;
    paxos::Slot accepted_through = 0;
  };
  struct Trouble {
    paxos::ReplicaId id{};
    std::string address;
    std::string reason;
    uint64_t count = 0;
    uint64_t order = 0;  // Of the last change: the oldest is forgotten first.
  };

  absl::Status CheckIdentity(const v1::Hello& hello, const Identity& identity) const;
  absl::Status CheckStart(const v1::Hello& hello, const paxos::Member& caller);
  void Remember(const paxos::Uuid& peer, std::function<void(const absl::Status&)> done);
  void Remembered(const paxos::Uuid& peer, const Store::PeerStart& start,
                  const absl::Status& status);
  absl::Status RefuseStranger(const v1::Hello& hello) const;
  const paxos::Member* FindPeer(paxos::ReplicaId id) const;
  void NoteRefusal(const v1::Hello& hello, const std::string& address, const std::string& reason);
  void NoteIn(std::map<std::string, Trouble>* troubles, const std::string& key, Trouble trouble,
              const std::string& what);

  OwnState* const own_;
  const std::string address_;
  mutable std::mutex mutex_;
  paxos::Configuration members_;
  std::vector<paxos::Member> leavers_;
  paxos::Configuration hint_;
  std::string seat_lost_;  // Why a peer looks for another directory here than this empty one.
  std::map<paxos::Uuid, Start> starts_;
  std::map<paxos::Uuid, Told> told_;
  std::map<std::string, Trouble> outgoing_;  // By UUID.
  std::map<std::string, Trouble> refused_;   // By claimed UUID; bounded.
  uint64_t troubles_noted_ = 0;
  std::atomic<uint64_t> refused_connections_ = 0;
  std::atomic<uint64_t> malformed_messages_ = 0;
  std::atomic<uint64_t> dropped_messages_ = 0;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_PEER_REGISTRY_H_
