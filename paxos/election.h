// Who should lead: rounds of heartbeats among the voters. Separate from Paxos, which alone decides
// what is safe. docs/protocol.md, "Election".

#ifndef DISTLOG_PAXOS_ELECTION_H_
#define DISTLOG_PAXOS_ELECTION_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "paxos/configuration.h"
#include "paxos/message.h"
#include "paxos/types.h"

namespace distlog::paxos {

class Election {
 public:
  // Rounds without a reason for contentment after which a replica is discontent.
  static constexpr int kPatience = 2;

  Election() = default;
  // The first round ends at `now`: nobody was asked in it.
  Election(ReplicaId self, uint64_t seed, Time interval, Time now);

  // What the rest of the replica looks like at the end of a round.
  struct Own {
    const Configuration* configuration = nullptr;
    // The ballot its proposer runs at, if it does and makes progress.
    std::optional<Ballot> claim;
    bool has_proposer = false;
    bool may_stand = false;  // Its disk keeps up.
  };

  enum class Verdict : uint8_t {
    kNone,
    kTakeOver,  // Stand: one round above everything seen, then Phase 1.
    kGiveUp,  // The proposer is not content, or a higher content claim was heard: stop it for good.
  };

  // Begins a round: every member is to be asked with round().
  void BeginRound(Time now);
  // An answer to a round. One to another round than this is no answer.
  void OnReply(ReplicaId from, const HeartbeatReply& reply);
  // Whether nothing more is to be waited for in a round that was begun in order to stand.
  bool CanEndEarly(const Configuration& configuration) const;
  // Judges the round that ends. A new one must begin.
  Verdict EndRound(Time now, const Own& own);

  // The process of `peer` is gone, or back.
  void OnPeerLost(Time now, ReplicaId peer, const Configuration& configuration, bool may_stand);
  void OnPeerConnected(ReplicaId peer) { lost_.erase(peer); }

  // This replica's own proposer has begun at `ballot`, or has stopped. A renewal goes on with the
  // leadership of the one before.
  void OnProposerStarted(const Ballot& ballot, bool is_renewal);
  void OnProposerStopped();
  // This replica has promised, or accepted at, a ballot of another, higher than any before.
  void OnOthersBallot();

  uint64_t round() const { return round_; }
  // The ballot that this replica took over with, last; renewals go above it.
  const Ballot& leadership() const { return leadership_; }
  // It is without a leader because the process of the one it followed is gone.
  bool has_lost_leader() const { return has_lost_leader_; }
  const Ballot& followed() const { return followed_; }
  bool is_content() const { return content_; }
  const std::map<ReplicaId, HeartbeatReply>& heard() const { return heard_; }
  // Whether somebody leads, or tries to, at `ballot` or above: its owner was heard to claim it in
  // this round or the last, or another was heard to follow a higher leadership than this replica's
  // own.
  bool HeardClaim(const Ballot& ballot) const;
  bool HearsQuorum(const Configuration& configuration) const;

  Time round_end() const { return round_begun_ + interval_; }
  // When to begin a round out of turn, in order to stand; Time::max() for never.
  Time stand_at() const { return stand_at_; }
  void BeginStanding(Time now);

  friend bool operator==(const Election&, const Election&) = default;
  // For hashing (paxos/hash.h).
  auto Fields() const {
    return std::tie(self_, random_, interval_, round_, round_begun_, replies_, heard_, lost_,
                    followed_, leadership_, has_lost_leader_, content_, rounds_without_, stand_at_,
                    standing_);
  }

 private:
  Time Jitter();
  bool NobodyIsContent(const Configuration& configuration) const;

  ReplicaId self_{};
  uint64_t random_ = 0;
  Time interval_{};

  uint64_t round_ = 0;
  Time round_begun_{};
  std::map<ReplicaId, HeartbeatReply> replies_;  // To this round.
  std::map<ReplicaId, HeartbeatReply> heard_;    // To the last.
  std::set<ReplicaId> lost_;

  Ballot followed_;
  Ballot leadership_;
  bool has_lost_leader_ = false;
  bool content_ = false;
  int rounds_without_ = 0;       // A reason for contentment.
  Time stand_at_ = Time::max();  // Waiting for it.
  bool standing_ = false;        // This round asks whether to take over.
};

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_ELECTION_H_
