#include "paxos/election.h"

#include <algorithm>

#include "paxos/quorum.h"

namespace distlog::paxos {
namespace {

// One step of SplitMix64 (Steele, Lea, Flood, 2014): enough to spread candidates over an interval.
uint64_t NextRandom(uint64_t* state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

Election::Election(ReplicaId self, uint64_t seed, Time interval, Time now)
    : self_(self), random_(seed), interval_(interval), round_begun_(now - interval) {
  // Answers that an earlier run asked for must not count as answers to this one.
  round_ = NextRandom(&random_) >> 1;
}

Time Election::Jitter() {
  return Time(NextRandom(&random_) % static_cast<uint64_t>(interval_.count()));
}

void Election::BeginRound(Time now) {
  ++round_;
  round_begun_ = now;
  replies_.clear();
}

void Election::BeginStanding(Time now) {
  stand_at_ = Time::max();
  standing_ = true;
  BeginRound(now);
}

void Election::OnReply(ReplicaId from, const HeartbeatReply& reply) {
  if (reply.round == round_ && !lost_.contains(from)) replies_[from] = reply;
}

bool Election::CanEndEarly(const Configuration& configuration) const {
  if (!standing_) return false;
  return std::all_of(configuration.members.begin(), configuration.members.end(),
                     [this](const Member& member) {
                       return !member.voter || member.id == self_ || lost_.contains(member.id) ||
                              replies_.contains(member.id);
                     });
}

bool Election::HearsQuorum(const Configuration& configuration) const {
  std::set<ReplicaId> present{self_};
  for (const auto& [peer, reply] : heard_) present.insert(peer);
  return IsQuorum(configuration, present);
}

bool Election::NobodyIsContent(const Configuration& configuration) const {
  return std::none_of(heard_.begin(), heard_.end(), [&](const auto& heard) {
    return heard.second.content && configuration.IsVoter(heard.first);
  });
}

bool Election::HeardClaim(const Ballot& ballot) const {
  for (const auto* replies : {&replies_, &heard_}) {
    auto reply = replies->find(ballot.owner);
    if (reply != replies->end() && reply->second.claimed >= ballot) return true;
    // It cannot be heard from here, but from there. Two leaders that renewed above each other by
    // turns would never end.
    for (const auto& [peer, said] : *replies) {
      if (said.content && said.followed.owner != self_ && said.followed > leadership_) return true;
    }
  }
  return false;
}

Election::Verdict Election::EndRound(Time now, const Own& own) {
  const bool was_standing = standing_;
  standing_ = false;
  heard_ = replies_;

  Ballot best = own.claim.value_or(Ballot{});
  for (const auto& [peer, reply] : heard_) {
    const bool is_claim = reply.claimed.owner == peer && reply.claimed != Ballot{} && reply.content;
    // Strangers and learners neither count nor block.
    if (is_claim && own.configuration->IsVoter(peer)) best = std::max(best, reply.claimed);
  }

  bool has_reason = false;
  if (own.claim.has_value() && best == *own.claim) {
    std::set<ReplicaId> loyal{self_};
    for (const auto& [peer, reply] : heard_) {
      // Renewals do not win back a voter that follows a higher leadership.
      if (reply.followed.owner == self_ || reply.followed <= leadership_) loyal.insert(peer);
    }
    has_reason = IsQuorum(*own.configuration, loyal);
  } else {
    // The owner itself was heard to claim it.
    has_reason = best != Ballot{} && best.owner != self_;
  }

  if (best != Ballot{}) followed_ = best;
  if (has_reason) {
    rounds_without_ = 0;
    content_ = true;
    has_lost_leader_ = false;
    stand_at_ = Time::max();
  } else if (++rounds_without_ >= kPatience) {
    content_ = false;
    if (best == Ballot{}) followed_ = Ballot{};
  }

  if (own.has_proposer) {
    const bool yields = best > own.claim.value_or(Ballot{}) && best.owner != self_;
    return !content_ || yields ? Verdict::kGiveUp : Verdict::kNone;
  }
  const bool stands = !content_ && rounds_without_ >= kPatience && own.may_stand &&
                      own.configuration->IsVoter(self_) && HearsQuorum(*own.configuration) &&
                      NobodyIsContent(*own.configuration);
  if (!stands) {
    stand_at_ = Time::max();
    return Verdict::kNone;
  }
  if (was_standing) return Verdict::kTakeOver;
  if (stand_at_ == Time::max()) stand_at_ = now + Jitter();
  return Verdict::kNone;
}

void Election::OnPeerLost(Time now, ReplicaId peer, const Configuration& configuration,
                          bool may_stand) {
  lost_.insert(peer);
  replies_.erase(peer);
  heard_.erase(peer);
  if (followed_ == Ballot{} || followed_.owner != peer) return;
  // As good as both missed rounds: a crashed leader is replaced without waiting.
  followed_ = Ballot{};
  has_lost_leader_ = true;
  content_ = false;
  rounds_without_ = kPatience;
  if (may_stand && configuration.IsVoter(self_)) stand_at_ = now + Jitter();
}

void Election::OnProposerStarted(const Ballot& ballot, bool is_renewal) {
  if (!is_renewal) leadership_ = ballot;
  followed_ = ballot;
  has_lost_leader_ = false;
  content_ = true;
  rounds_without_ = 0;
  stand_at_ = Time::max();
  standing_ = false;
}

void Election::OnOthersBallot() {
  if (content_) return;
  // Somebody stands: it gets its rounds to be heard before this replica stands against it.
  stand_at_ = Time::max();
  standing_ = false;
  rounds_without_ = 0;
}

void Election::OnProposerStopped() {
  // Others go first; and whoever made it stop needs a round to be heard.
  if (followed_.owner == self_) {
    followed_ = Ballot{};
    content_ = false;
  }
  rounds_without_ = 0;
}

}  // namespace distlog::paxos
