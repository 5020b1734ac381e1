// A replica's rounds of heartbeats, what they say again, and linearizable reads.

#include <algorithm>
#include <utility>

#include "paxos/break.h"
#include "paxos/quorum.h"
#include "paxos/replica.h"

namespace distlog::paxos {

// ---- Rounds ------------------------------------------------------------------------------------

bool Replica::MayStand() const { return !writes_.IsStalled(now_, options_.disk_stall_timeout); }

void Replica::BeginRound(Effects* effects) {
  SendToOthers(Heartbeat{.round = election_.round(),
                         .pair = OwnPair(),
                         .configuration_version = configuration().version,
                         .chosen_through = writes_.durable_mark(),
                         .settled_version = settlement_.version()},
               false, effects);
}

void Replica::EndRound(Effects* effects) {
  Election::Own own{.configuration = &configuration(),
                    .claim = std::nullopt,
                    .has_proposer = proposer_.has_value(),
                    .may_stand = MayStand()};
  if (proposer_) {
    const bool progresses =
        proposer_->IsProgressing(now_, options_.progress_timeout, 3 * options_.heartbeat_interval);
    if (progresses && MayStand()) own.claim = proposer_->ballot();
  }
  heard_leading_ = Ballot{};
  switch (election_.EndRound(now_, own)) {
    case Election::Verdict::kNone:
      break;
    case Election::Verdict::kTakeOver:
      takeover_cause_ =
          election_.has_lost_leader() ? TakeoverCause::kConnectionLost : TakeoverCause::kSilence;
      StartProposer(false, {});
      break;
    case Election::Verdict::kGiveUp:
      StopProposer();
      break;
  }
  if (transfer_ && transfer_->told && ++transfer_->rounds > Election::kPatience) transfer_.reset();
  if (proposer_ && proposer_->phase() == Proposer::Phase::kPreparing) {
    Slot reachable = chosen_through();
    for (const auto& [peer, reply] : election_.heard()) {
      reachable = std::max(reachable, learner_.known_of(peer));
    }
    proposer_->DropPromisesAbove(reachable);
  }
  Resend(effects);
  election_.BeginRound(now_);
  BeginRound(effects);
}

Slot Replica::ReceivedThrough(const Ballot& ballot) const {
  Slot received = chosen_through();
  for (const AcceptedValue* held = acceptor_.Find(received + 1);
       held != nullptr && held->ballot == ballot; held = acceptor_.Find(received + 1)) {
    ++received;
  }
  return received;
}

void Replica::Handle(ReplicaId from, const Heartbeat& m, Effects* effects) {
  ApplyPair(from, m.pair, false, effects);
  // Rule B9: one that has left pushes what it knows by saying so.
  NotePeerChosen(from, m.chosen_through);
  NoteMark(from, m.chosen_through, m.settled_version);
  Send(from,
       HeartbeatReply{.round = m.round,
                      .claimed = claimed().value_or(Ballot{}),
                      .followed = election_.followed(),
                      .promised = writes_.durable_promised(),
                      .content = election_.is_content(),
                      .chosen_through = IsBroken(Break::kMarkReportedBeforeDurable)
                                            ? chosen_through()
                                            : writes_.durable_mark(),
                      .configuration_version = configuration().version,
                      .received_through = ReceivedThrough(m.pair.ballot),
                      .settled_version = settlement_.version()},
       effects);
}

void Replica::Handle(ReplicaId from, const HeartbeatReply& m, Effects* effects) {
  NoteBallot(m.claimed);
  NoteBallot(m.followed);
  NoteBallot(m.promised);
  NotePeerChosen(from, m.chosen_through);
  NoteMark(from, m.chosen_through, m.settled_version);
  election_.OnReply(from, m);
  if (is_leading() && m.round == election_.round() && IsCounted(from)) {
    Slot& received = received_through_[from];
    if (m.received_through > received) proposer_->NoteAnswer(now_);
    received = std::max(received, m.received_through);
    // A promise that somebody left behind would refuse this leader's Accepts: it goes above.
    if (m.promised > proposer_->ballot() && MayRenew(m.promised) &&
        !IsBroken(Break::kNoRenewalOnReport)) {
      renewal_ = proposer_->Carried();
      StopProposer();
    }
  }
  if (election_.CanEndEarly(configuration())) EndRound(effects);
}

// ---- Saying it again ---------------------------------------------------------------------------

void Replica::Resend(Effects* effects) {
  if (proposer_) {
    for (const Member& member : configuration().members) {
      const std::vector<Slot> resent =
          ResendTo(member.id, now_ - options_.heartbeat_interval, effects);
      for (Slot slot : resent) proposer_->NoteResent(member.id, slot, now_);
    }
  }
  if (reads_.is_asking() && asked_leader_ != kNoReplica) {
    Send(asked_leader_, ReadRequest{reads_.ask_id()}, effects);
  }
}

std::vector<Slot> Replica::ResendTo(ReplicaId peer, Time before, Effects* effects) {
  const Member* member = configuration().Find(peer);
  if (!proposer_ || member == nullptr || !IsAsked(*member)) return {};
  if (proposer_->phase() == Proposer::Phase::kPreparing) {
    // What the first one waited for: its own promise, and the mark of what it prepares in (B5).
    const bool said = writes_.durable_promised() >= proposer_->ballot() &&
                      writes_.durable_mark() >= configuration_slot();
    if (said && !proposer_->HasPromised(peer)) {
      Send(peer, Prepare{proposer_->ballot(), proposer_->from(), configuration().version}, effects);
    }
    return {};
  }
  if (!is_leading() || peer == options_.self) return {};
  auto received = received_through_.find(peer);
  const std::vector<Slot> slots =
      proposer_->SlotsToResend(peer, received == received_through_.end() ? 0 : received->second,
                               before, now_ - 3 * options_.heartbeat_interval);
  SendAccepts(peer, slots, effects);
  if (reads_.is_confirming() && !reads_.HasConfirmed(peer)) {
    Send(peer, Confirm{proposer_->ballot(), reads_.round(), chosen_through()}, effects);
  }
  return slots;
}

// ---- Reads -------------------------------------------------------------------------------------

void Replica::Handle(ReplicaId from, const ReadRequest& m, Effects*) {
  if (is_leading()) reads_.AddRemote(from, m.id, options_.max_waiting_reads);
}

void Replica::Handle(ReplicaId from, const ReadReply& m, Effects* effects) {
  ApplyPair(from, m.pair, true, effects);
  if (from != asked_leader_) return;
  for (Ticket ticket : reads_.OnAnswer(m.id)) {
    effects->outcomes.push_back({ticket, Outcome::Result::kReadable, m.mark});
  }
}

void Replica::Handle(ReplicaId from, const Confirmed& m, Effects*) {
  if (!is_leading() || m.ballot != proposer_->ballot()) return;
  if (!IsCounted(from)) return;
  proposer_->NoteAnswer(now_);
  reads_.OnConfirmed(from, m.round);
}

void Replica::AdvanceReads(Effects* effects) {
  if (!is_leading()) {
    AskLeaderForMark(effects);
    return;
  }
  // Before it has recovered it may not know an entry that an earlier leader acknowledged; and
  // across a change of configuration nothing is noted or confirmed (B6).
  if (!is_recovered() && !IsBroken(Break::kReadBeforeRecoveryChosen)) return;
  if (proposer_->HasBarrier() && !IsBroken(Break::kReadAcrossConfiguration)) return;
  reads_.Note(chosen_through());
  for (;;) {
    if (reads_.WantsRound()) {
      const uint64_t round = reads_.BeginRound();
      proposer_->SetConfirming(true, now_);
      // Its own vote counts while its own promise is its ballot.
      if (acceptor_.promised() == proposer_->ballot()) reads_.OnConfirmed(options_.self, round);
      SendToOthers(Confirm{proposer_->ballot(), round, chosen_through()}, true, effects);
    }
    const std::vector<ReadIndex::Grant> granted = reads_.TakeGranted(configuration());
    if (granted.empty()) return;
    proposer_->NoteReadProgress(now_);
    proposer_->SetConfirming(false, now_);
    for (const ReadIndex::Grant& grant : granted) Give(grant, effects);
  }
}

void Replica::Give(const ReadIndex::Grant& grant, Effects* effects) const {
  if (grant.asker == kNoReplica) {
    effects->outcomes.push_back(
        {static_cast<Ticket>(grant.id), Outcome::Result::kReadable, grant.mark});
  } else {
    Send(grant.asker, ReadReply{grant.id, grant.mark, OwnPair()}, effects);
  }
}

void Replica::AskLeaderForMark(Effects* effects) {
  const ReplicaId leader = election_.followed().owner;
  if (leader != asked_leader_) {
    asked_leader_ = leader;
    reads_.AskAgain();
  }
  if (leader == kNoReplica || leader == options_.self || !reads_.WantsToAsk()) return;
  Send(leader, ReadRequest{reads_.Ask()}, effects);
}

}  // namespace distlog::paxos
