// A replica as proposer: taking over, proposing, renewing, giving way.

#include <algorithm>
#include <utility>

#include "glog/logging.h"
#include "paxos/break.h"
#include "paxos/invariant.h"
#include "paxos/quorum.h"
#include "paxos/replica.h"

namespace distlog::paxos {

bool Replica::is_leading() const {
  return proposer_ && proposer_->phase() == Proposer::Phase::kLeading;
}

bool Replica::is_recovered() const {
  return is_leading() && chosen_through() >= proposer_->recovery_slot();
}

std::optional<Ballot> Replica::claimed() const {
  if (!proposer_) return std::nullopt;
  return proposer_->ballot();
}

bool Replica::CanPropose(size_t bytes) const {
  return is_leading() && !transfer_ && DiskKeepsUp() &&
         proposer_->HasRoom(bytes, chosen_through(), options_.window, options_.window_bytes);
}

Replica::Reconfiguration Replica::CanReconfigure(const Configuration& next) const {
  if (!is_recovered() || transfer_) return Reconfiguration::kNotLeading;
  if (proposer_->HasBarrier() || !is_settled()) return Reconfiguration::kBusy;
  if (!TakesEffect(next, configuration())) return Reconfiguration::kNoEffect;
  std::set<ReplicaId> near{options_.self};
  for (const auto& [peer, reply] : election_.heard()) {
    if (learner_.known_of(peer) + options_.window >= chosen_through()) near.insert(peer);
  }
  return IsQuorum(next, near) ? Reconfiguration::kAllowed : Reconfiguration::kNoQuorum;
}

bool Replica::TakesAccepts(const Member& member) const {
  if (member.id == options_.self) return false;
  return IsAsked(member) || learner_.known_of(member.id) + options_.window >= chosen_through();
}

bool Replica::IsCounted(ReplicaId peer) const {
  return configuration().IsVoter(peer) || IsBroken(Break::kCountStranger);
}

Pair Replica::OwnPair() const {
  return is_leading() ? Pair{proposer_->ballot(), chosen_through()} : Pair{};
}

// ---- Beginning and ending ----------------------------------------------------------------------

void Replica::Stand() {
  if (proposer_ || !MayStand() || !configuration().IsVoter(options_.self)) return;
  takeover_cause_ = TakeoverCause::kToldTo;
  StartProposer(false, {});
}

void Replica::StartProposer(bool is_renewal, std::map<Slot, AcceptedValue> carried) {
  CHECK(!proposer_);
  const uint64_t seen =
      IsBroken(Break::kBallotNotAboveAllSeen) ? acceptor_.promised().round : highest_round_;
  const Ballot ballot{seen + 1, options_.self};
  DISTLOG_INVARIANT(P8, ballot > acceptor_.promised()) << "a ballot is used once";
  NoteBallot(ballot);
  carried.erase(carried.begin(), carried.upper_bound(chosen_through()));
  if (IsBroken(Break::kValueInTwoSlots)) {
    std::map<Slot, AcceptedValue> moved;
    for (const auto& [slot, value] : carried) {
      const Slot later = slot + carried.size();
      moved[later] = AcceptedValue{later, value.ballot, value.value};
    }
    carried = std::move(moved);
  }
  proposer_.emplace(ballot, is_renewal, std::move(carried), now_);
  received_through_.clear();
  if (is_renewal) renewal_round_ = election_.round();
  election_.OnProposerStarted(ballot, is_renewal);
}

void Replica::StopProposer() {
  proposer_.reset();
  transfer_.reset();
  announce_at_ = Time::max();
  reads_.Reset();
  election_.OnProposerStopped();
}

bool Replica::MayRenew(const Ballot& above) const {
  return is_leading() && election_.is_content() && !transfer_ && !election_.HeardClaim(above) &&
         renewal_round_ != election_.round();
}

void Replica::YieldTo(const Ballot& ballot) {
  if (!proposer_ || ballot <= proposer_->ballot() || IsBroken(Break::kNoYield)) return;
  // A promise that a dead or impatient candidate left behind deposes nobody: see Advance.
  if (MayRenew(ballot)) renewal_ = proposer_->Carried();
  StopProposer();
}

void Replica::Handle(ReplicaId from, const Nack& m, Effects*) {
  NoteBallot(m.promised);
  if (!IsCounted(from)) return;
  if (!proposer_ || m.refused != proposer_->ballot()) return;
  proposer_->NoteAnswer(now_);
  if (m.promised <= proposer_->ballot()) return;
  if (is_leading() && election_.is_content() && !election_.HeardClaim(m.promised)) {
    if (MayRenew(m.promised)) renewal_ = proposer_->Carried();
    if (renewal_.has_value()) StopProposer();
    return;  // Renewed in this round already: the next one will do.
  }
  StopProposer();
}

void Replica::AdvanceProposer(Effects* effects) {
  if (renewal_.has_value()) {
    std::map<Slot, AcceptedValue> carried = std::move(*renewal_);
    renewal_.reset();
    if (!proposer_ && MayStand() && configuration().IsVoter(options_.self)) {
      StartProposer(true, std::move(carried));
    }
  }
  if (!proposer_) return;

  if (proposer_->phase() == Proposer::Phase::kCatchingUp) {
    Slot heard = 0;
    if (!proposer_->is_renewal()) {
      for (const auto& [peer, reply] : election_.heard()) {
        heard = std::max(heard, learner_.known_of(peer));
      }
    }
    if (chosen_through() < heard) return;
    BeginPrepare(effects);
  } else if (learner_.configuration_slot() >= proposer_->from() &&
             !IsBroken(Break::kOldQuorumAboveConfiguration) &&
             !(IsBroken(Break::kLearnedConfigurationIgnored) && !is_leading())) {
    // Rules B3 and B7: however it was learned, the new configuration is asked first.
    if (!proposer_->in_flight().empty()) {
      StopProposer();
    } else {
      BeginPrepare(effects);
    }
  }
  if (!proposer_) return;

  if (proposer_->phase() == Proposer::Phase::kPreparing &&
      proposer_->HasPromiseQuorum(configuration()) &&
      (chosen_through() >= proposer_->promised_chosen_through() ||
       IsBroken(Break::kLeadBeforeCaughtUp))) {
    proposer_->Lead(chosen_through(), now_);
    announce_at_ = now_ + options_.announce_delay;
  }
  if (!is_leading()) return;

  std::vector<Slot> proposed;
  while (auto obligation = proposer_->NextObligation(chosen_through(), options_.window)) {
    ProposeIn(obligation->first, obligation->second, effects);
    proposed.push_back(obligation->first);
  }
  for (const Member& member : configuration().members) {
    if (TakesAccepts(member)) SendAccepts(member.id, proposed, effects);
  }
  AdvanceTransfer(effects);
}

// ---- Phase 1 -----------------------------------------------------------------------------------

void Replica::BeginPrepare(Effects* effects) {
  if (!configuration().IsVoter(options_.self)) {
    // Rules B3 and B9: it has led its own removal to the end, and the best of those that stay goes
    // on.
    const ReplicaId successor = is_leading() ? Successor() : kNoReplica;
    if (successor != kNoReplica) Send(successor, TakeOver{proposer_->ballot()}, effects);
    StopProposer();
    return;
  }
  const Ballot ballot = proposer_->ballot();
  if (acceptor_.promised() < ballot) {
    acceptor_.Promise(ballot);
    writes_.Add(now_, PromiseRecord{ballot}, effects);
  }
  proposer_->Prepare(chosen_through() + 1, now_);
  // Its own promise is durable before anyone hears of the ballot, so that no later run of this
  // replica can use it again.
  for (const Member& member : configuration().members) {
    if (!IsAsked(member)) continue;
    const struct Prepare prepare { ballot, proposer_->from(), configuration().version };
    if (IsBroken(Break::kPrepareBeforeDurable)) {
      Send(member.id, prepare, effects);
    } else {
      SendAfterWrite(member.id, prepare, effects);
    }
  }
}

void Replica::Handle(ReplicaId from, const Promise& m, Effects*) {
  NoteBallot(m.ballot);
  NotePeerChosen(from, m.chosen_through);
  if (!proposer_ || m.ballot != proposer_->ballot() || m.first == 0 || !IsCounted(from)) return;
  // No acceptor holds more than two windows above its mark (P6), and every slot up to the highest
  // one reported is to be proposed again.
  if (!m.accepted.empty() && m.accepted.back().slot > m.chosen_through + 2 * options_.window) {
    return;
  }
  proposer_->OnPromise(from, m, now_);
}

void Replica::Handle(ReplicaId from, const Stale& m, Effects*) {
  // It knows a configuration that this replica must learn first: then Phase 1 begins again.
  NotePeerChosen(from, m.chosen_through);
  learner_.NoteHole();
}

// ---- Phase 2 -----------------------------------------------------------------------------------

void Replica::ProposeIn(Slot slot, const Value& value, Effects* effects) {
  DISTLOG_INVARIANT(B8, slot > chosen_through()) << "never at or below chosen_through";
  proposer_->Propose(slot, value, now_);
  announce_at_ = Time::max();
  const AcceptedValue accepted{slot, proposer_->ballot(), value};
  acceptor_.Accept(accepted);
  AddAcceptRecord(accepted, effects);
  // Its own vote counts when its own disk holds it, like anyone's.
  const Accepted vote{proposer_->ballot(), slot, slot};
  if (IsBroken(Break::kOwnVoteBeforeDurable)) {
    Send(options_.self, vote, effects);
  } else {
    SendAfterWrite(options_.self, vote, effects);
  }
}

void Replica::SendAccepts(ReplicaId to, const std::vector<Slot>& slots, Effects* effects) {
  Accept accept;
  size_t bytes = 0;
  const auto flush = [&] {
    if (!accept.values.empty()) Send(to, std::move(accept), effects);
    accept = Accept{.ballot = proposer_->ballot(),
                    .first = 0,
                    .values = {},
                    .chosen_through = chosen_through(),
                    .configuration_version = configuration().version};
    bytes = 0;
  };
  flush();
  for (Slot slot : slots) {
    auto proposal = proposer_->in_flight().find(slot);
    if (proposal == proposer_->in_flight().end()) continue;
    const Value& value = proposal->second.value;
    const bool continues = !accept.values.empty() && slot == accept.first + accept.values.size();
    if (!continues || bytes + value.size() > options_.message_bytes) flush();
    if (accept.values.empty()) accept.first = slot;
    accept.values.push_back(value);
    bytes += value.size();
  }
  flush();
}

void Replica::Handle(ReplicaId from, const Accepted& m, Effects* effects) {
  if (!is_leading()) return;
  if (m.ballot != proposer_->ballot() && !IsBroken(Break::kCountStaleAccepted)) return;
  if (!IsCounted(from)) return;
  if (from != options_.self) proposer_->NoteAnswer(now_);
  proposer_->OnAccepted(from, m.first, m.last);
  ChooseAccepted(effects);
}

void Replica::ChooseAccepted(Effects* effects) {
  bool has_chosen = false;
  Slot holes_below = 0;
  if (IsBroken(Break::kChosenWithHoles)) {
    for (const auto& [slot, proposal] : proposer_->in_flight()) {
      if (proposer_->IsAccepted(slot, configuration())) holes_below = slot;
    }
  }
  while (chosen_through() < holes_below ||
         proposer_->IsAccepted(chosen_through() + 1, configuration())) {
    const Slot slot = chosen_through() + 1;
    const AcceptedValue chosen{slot, proposer_->ballot(), proposer_->in_flight().at(slot).value};
    if (chosen.value.kind == Value::Kind::kConfiguration) {
      const Configuration before = configuration();
      Choose(chosen, effects);
      AnnounceChange(before, effects);
      has_chosen = true;
      break;  // It may have taken effect; and nothing above its slot is in flight (B1).
    }
    Choose(chosen, effects);
    has_chosen = true;
  }
  if (!has_chosen) return;
  proposer_->NoteProgress(now_);
  if (proposer_->in_flight().empty()) announce_at_ = now_ + options_.announce_delay;
}

void Replica::AnnounceChange(const Configuration& before, Effects* effects) {
  const Announce announce{OwnPair()};
  SendToOthers(announce, false, effects);
  for (const Member& member : before.members) {
    if (configuration().Find(member.id) == nullptr && member.id != options_.self) {
      Send(member.id, announce, effects);
    }
  }
}

void Replica::Handle(ReplicaId from, const Progress& m, Effects*) {
  NotePeerChosen(from, m.chosen_through);
  if (proposer_ && IsCounted(from)) proposer_->NoteAnswer(now_);
}

// ---- Handing over ------------------------------------------------------------------------------

ReplicaId Replica::Successor() const {
  ReplicaId best = kNoReplica;
  for (const auto& [peer, reply] : election_.heard()) {
    if (!configuration().IsVoter(peer)) continue;
    if (best == kNoReplica || learner_.known_of(peer) > learner_.known_of(best)) best = peer;
  }
  return best;
}

void Replica::AdvanceTransfer(Effects* effects) {
  if (!transfer_ || transfer_->told || !proposer_->in_flight().empty() ||
      proposer_->HasObligations()) {
    return;
  }
  const ReplicaId successor = transfer_->to == kNoReplica ? Successor() : transfer_->to;
  if (successor == kNoReplica) {
    transfer_.reset();  // Nobody there to take it.
    return;
  }
  transfer_->told = true;
  // It learns the end of the log first, from the same stream.
  Send(successor, Announce{OwnPair()}, effects);
  Send(successor, TakeOver{proposer_->ballot()}, effects);
}

void Replica::Handle(ReplicaId from, const TakeOver& m, Effects*) {
  NoteBallot(m.ballot);
  const bool is_its_leader = m.ballot.owner == from && election_.followed() == m.ballot;
  if (is_its_leader) Stand();
}

}  // namespace distlog::paxos
