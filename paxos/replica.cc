// The door (events and effects), the acceptor and the learner. replica_lead.cc has the proposer,
// replica_round.cc elections and reads.

#include "paxos/replica.h"

#include <algorithm>
#include <utility>

#include "glog/logging.h"
#include "paxos/break.h"
#include "paxos/invariant.h"
#include "paxos/quorum.h"

namespace distlog::paxos {

Replica::Replica(const Options& options, const DurableState& recovered, Time now)
    : options_(options),
      now_(now),
      acceptor_(recovered),
      learner_(recovered),
      writes_(recovered),
      election_(options.self, options.seed, options.heartbeat_interval, now),
      reads_(options.seed << 20) {
  CHECK(options_.self != kNoReplica);
  CHECK_GE(options_.window, 1u);
  // The run before this one may have proposals under way that this process no longer remembers. Its
  // promises were durable before it used them, so a round above them is a new one.
  Ballot used = recovered.promised;
  if (IsBroken(Break::kReuseBallotAfterRestart) && used.owner == options_.self) --used.round;
  NoteBallot(used);
  settlement_.NoteMark(options_.self, recovered.chosen_through);
  JudgeSettlement();
}

void Replica::Step(Time now, const Event& event, Effects* effects) {
  CHECK_GE(now.count(), now_.count()) << "time runs backwards";
  now_ = now;
  std::visit([&](const auto& e) { On(e, effects); }, event);
  Advance(effects);
}

void Replica::Stand(Time now, Effects* effects) {
  now_ = now;
  Stand();
  Advance(effects);
}

Time Replica::deadline() const {
  if (has_left()) return Time::max();
  const Time next = std::min({election_.round_end(), election_.stand_at(), announce_at_});
  if (!DiskKeepsUp()) return next;  // Then it is a finished write that AskForMissing waits for.
  return std::min(
      next, learner_.deadline(options_.heartbeat_interval / 2, 5 * options_.heartbeat_interval));
}

bool Replica::has_left() const {
  // An id from the next one on is that of a newcomer, which has yet to learn that it is a member.
  const bool was_member = static_cast<uint64_t>(options_.self) < configuration().next_replica_id;
  const bool is_out = was_member && configuration().Find(options_.self) == nullptr;
  return is_out && (is_settled() || IsBroken(Break::kLeaverStopsEarly));
}

Slot Replica::stored_through() const { return writes_.StoredThrough(learner_.chosen_through()); }

void Replica::Advance(Effects* effects) {
  AdvanceProposer(effects);
  AdvanceReads(effects);
  AskForMissing(effects);
}

// ---- Events ------------------------------------------------------------------------------------

void Replica::On(const Receive& event, Effects* effects) {
  const Envelope& envelope = event.envelope;
  if (envelope.to != options_.self) return;
  std::visit([&](const auto& message) { Handle(envelope.from, message, effects); },
             envelope.message);
}

void Replica::On(const Propose& event, Effects* effects) {
  const bool is_refused = event.value.kind == Value::Kind::kConfiguration &&
                          CanReconfigure(*event.value.configuration) != Reconfiguration::kAllowed;
  if (is_refused || !CanPropose(event.value.size())) {
    effects->outcomes.push_back({event.ticket, Outcome::Result::kNotChosen, 0});
    return;
  }
  const Slot slot = proposer_->next_slot();
  tickets_.emplace(slot, PendingTicket{event.ticket, event.value});
  ProposeIn(slot, event.value, effects);
  for (const Member& member : configuration().members) {
    if (TakesAccepts(member)) SendAccepts(member.id, {slot}, effects);
  }
}

void Replica::On(const Read& event, Effects*) {
  reads_.Add(event.ticket, options_.max_waiting_reads);
}

void Replica::On(const CancelRead& event, Effects*) { reads_.Cancel(event.ticket); }

void Replica::On(const WriteFinished& event, Effects*) {
  const bool had_promise = proposer_ && writes_.durable_promised() >= proposer_->ballot();
  writes_.Finish(event.last);
  const bool has_promise = proposer_ && writes_.durable_promised() >= proposer_->ballot();
  if (has_promise && !had_promise) proposer_->NoteProgress(now_);
  settlement_.NoteMark(options_.self, writes_.durable_mark());
  JudgeSettlement();
}

void Replica::On(const MarkSaved& event, Effects*) {
  writes_.MarkSaved(event.through);
  settlement_.NoteMark(options_.self, writes_.durable_mark());
  JudgeSettlement();
}

void Replica::On(const PeerConnected& event, Effects* effects) {
  election_.OnPeerConnected(event.peer);
  // What was on its way when the connection broke is lost: say it again at once.
  ResendTo(event.peer, now_, effects);
}

void Replica::On(const PeerLost& event, Effects* effects) {
  election_.OnPeerLost(now_, event.peer, configuration(), MayStand() && !proposer_);
  learner_.ForgetPeer(event.peer);
  received_through_.erase(event.peer);
  if (heard_leading_.owner == event.peer) heard_leading_ = Ballot{};
  if (event.peer == asked_leader_) reads_.AskAgain();
  if (election_.CanEndEarly(configuration())) EndRound(effects);
}

void Replica::On(const TransferLeadership& event, Effects*) {
  if (!is_leading() || transfer_.has_value()) return;
  if (event.to != kNoReplica && (event.to == options_.self || !configuration().IsVoter(event.to))) {
    return;
  }
  transfer_ = Transfer{.to = event.to, .told = false, .rounds = 0};
}

void Replica::On(const Tick&, Effects* effects) {
  if (has_left()) return;
  if (now_ >= announce_at_) {
    announce_at_ = Time::max();
    if (is_leading()) SendToOthers(Announce{OwnPair()}, false, effects);
  }
  if (now_ >= election_.stand_at()) {
    election_.BeginStanding(now_);
    BeginRound(effects);
    if (election_.CanEndEarly(configuration())) EndRound(effects);
  } else if (now_ >= election_.round_end()) {
    EndRound(effects);
  }
}

// ---- The acceptor ------------------------------------------------------------------------------

void Replica::Handle(ReplicaId from, const Prepare& m, Effects* effects) {
  if (m.ballot.owner != from || m.from == 0) return;
  NoteBallot(m.ballot);
  if (m.ballot < acceptor_.promised()) {
    Send(from, Nack{m.ballot, acceptor_.promised()}, effects);
    return;
  }
  // Another configuration decides some of these slots, or the sender is a stranger in the one that
  // does. Refusing is always safe.
  const bool is_stranger =
      m.configuration_version <= configuration().version && !configuration().IsVoter(from);
  if (learner_.configuration_slot() >= m.from || is_stranger) {
    Send(from, Stale{configuration().version, chosen_through()}, effects);
    return;
  }
  if (m.ballot > acceptor_.promised()) {
    YieldTo(m.ballot);
    if (from != options_.self) election_.OnOthersBallot();
    acceptor_.Promise(m.ballot);
    writes_.Add(now_, PromiseRecord{m.ballot}, effects);
  }
  const Slot first = std::max(m.from, chosen_through() + 1);
  for (struct Promise& part :
       acceptor_.PromiseParts(first, chosen_through(), options_.message_bytes)) {
    if (IsBroken(Break::kPromiseBeforeDurable)) {
      Send(from, std::move(part), effects);
    } else {
      SendAfterWrite(from, std::move(part), effects);
    }
  }
}

void Replica::Handle(ReplicaId from, const Accept& m, Effects* effects) {
  if (m.ballot.owner != from || from == options_.self || m.first == 0 || m.values.empty()) return;
  NoteBallot(m.ballot);
  ApplyPair(from, {m.ballot, m.chosen_through}, true, effects);
  if (m.ballot < acceptor_.promised() && !IsBroken(Break::kAcceptBelowPromise)) {
    Send(from, Nack{m.ballot, acceptor_.promised()}, effects);
    return;
  }
  const bool is_bounded = !IsBroken(Break::kAcceptBeyondWindow);
  Slot first = 0;
  Slot last = 0;
  for (size_t i = 0; i < m.values.size(); ++i) {
    const Slot slot = m.first + i;
    if (slot <= chosen_through()) continue;
    if (is_bounded && slot > chosen_through() + 2 * options_.window) break;
    const AcceptedValue* held = acceptor_.Find(slot);
    const AcceptedValue accepted{slot, m.ballot, m.values[i]};
    if (held == nullptr || held->ballot != m.ballot) {
      if (!DiskKeepsUp()) break;
      YieldTo(m.ballot);
      if (m.ballot > acceptor_.promised()) election_.OnOthersBallot();
      acceptor_.Accept(accepted);
      AddAcceptRecord(accepted, effects);
    } else {
      DISTLOG_INVARIANT(P2, held->value == accepted.value)
          << "two values in slot " << slot << ", ballot " << m.ballot;
    }
    if (first == 0) first = slot;
    last = slot;
  }
  if (last > 0 && IsBroken(Break::kAcceptedBeforeDurable)) {
    Send(from, Accepted{m.ballot, first, last}, effects);
  } else if (last > 0) {
    // One answer for what a burst of Accepts brings.
    Envelope* previous = effects->after_write.empty() ? nullptr : &effects->after_write.back();
    auto* said = previous == nullptr ? nullptr : std::get_if<Accepted>(&previous->message);
    if (said != nullptr && previous->to == from && said->ballot == m.ballot &&
        said->last + 1 == first) {
      said->last = last;
    } else {
      SendAfterWrite(from, Accepted{m.ballot, first, last}, effects);
    }
  }
  // Some of it was too far ahead, of the log or of the disk, or long chosen: one of the two has to
  // catch up.
  if (last != m.first + m.values.size() - 1 || first != m.first) {
    Send(from, Progress{chosen_through()}, effects);
  }
}

void Replica::Handle(ReplicaId from, const Confirm& m, Effects* effects) {
  if (m.ballot.owner != from) return;
  NoteBallot(m.ballot);
  ApplyPair(from, {m.ballot, m.chosen_through}, true, effects);
  if (m.ballot < acceptor_.promised() && !IsBroken(Break::kConfirmBelowPromise)) {
    Send(from, Nack{m.ballot, acceptor_.promised()}, effects);
    return;
  }
  Send(from, Confirmed{m.ballot, m.round}, effects);
}

// ---- The learner -------------------------------------------------------------------------------

void Replica::Handle(ReplicaId from, const Announce& m, Effects* effects) {
  ApplyPair(from, m.pair, true, effects);
}

void Replica::Handle(ReplicaId from, const LearnRequest& m, Effects* effects) {
  if (m.first == 0 || from == options_.self) return;
  const Slot through = stored_through();
  if (m.first > through) {
    Send(from, LearnReply{.chosen = {}, .chosen_through = through}, effects);
  } else {
    effects->supply.push_back({.to = from, .first = m.first, .through = through});
  }
}

void Replica::Handle(ReplicaId from, const LearnReply& m, Effects* effects) {
  const Slot before = chosen_through();
  for (const AcceptedValue& value : m.chosen) {
    if (value.slot <= chosen_through()) continue;
    if (value.slot != chosen_through() + 1) break;
    Learn(value, effects);
  }
  learner_.NoteReply(now_, from, m.chosen.empty() ? 0 : m.chosen.front().slot, m.chosen_through);
  if (proposer_ && chosen_through() > before) proposer_->NoteProgress(now_);
}

// Rule B4: what is learned is held at the higher of the two ballots, promised, and durable no later
// than the mark.
void Replica::Learn(const AcceptedValue& value, Effects* effects) {
  NoteBallot(value.ballot);
  const AcceptedValue* held = acceptor_.Find(value.slot);
  AcceptedValue learned = value;
  if (held != nullptr && held->ballot > value.ballot) {
    DISTLOG_INVARIANT(P1, held->value == value.value)
        << "slot " << value.slot << " was chosen otherwise than " << held->ballot << " proposed";
    learned.ballot = held->ballot;
  }
  CHECK(held == nullptr || held->ballot != value.ballot || held->value == value.value)
      << "P2: two values in slot " << value.slot << ", ballot " << value.ballot;
  YieldTo(learned.ballot);
  const bool is_kept = held != nullptr && IsBroken(Break::kLearnKeepsLowBallot);
  if (held == nullptr || (held->ballot != learned.ballot && !is_kept)) {
    acceptor_.Learn(learned);
    AddAcceptRecord(learned, effects);
  }
  Choose(learned, effects);
}

void Replica::ApplyPair(ReplicaId from, const Pair& pair, bool in_order, Effects* effects) {
  if (pair.ballot == Ballot{} || pair.ballot.owner != from) return;
  NoteBallot(pair.ballot);
  heard_leading_ = std::max(heard_leading_, pair.ballot);
  while (chosen_through() < pair.chosen_through) {
    const AcceptedValue* held = acceptor_.Find(chosen_through() + 1);
    // Only what this very proposer proposed is known to be what it calls chosen.
    if (held == nullptr) break;
    if (held->ballot != pair.ballot && !IsBroken(Break::kMarkOfAnyBallot)) break;
    const AcceptedValue chosen = *held;
    Choose(chosen, effects);
  }
  NotePeerChosen(from, pair.chosen_through);
  // On the stream that carries Accepts nothing older is under way: what is missing here stays so.
  if (in_order && chosen_through() < pair.chosen_through) learner_.NoteHole();
}

void Replica::Choose(const AcceptedValue& value, Effects* effects) {
  const bool reconfigures = learner_.Choose(now_, value);
  acceptor_.Forget(value.slot);
  if (proposer_) proposer_->OnChosen(value.slot);
  const bool is_reversed = IsBroken(Break::kApplyOutOfOrder);
  effects->chosen.insert(is_reversed ? effects->chosen.begin() : effects->chosen.end(), value);
  auto [begin, end] = tickets_.equal_range(value.slot);
  for (auto it = begin; it != end; ++it) {
    const bool is_it = it->second.value == value.value;
    effects->outcomes.push_back({it->second.ticket,
                                 is_it ? Outcome::Result::kChosen : Outcome::Result::kNotChosen,
                                 is_it ? value.slot : 0});
  }
  tickets_.erase(begin, end);
  if (!reconfigures) return;
  // Rule B5: the mark of a configuration's slot is no hint.
  if (!IsBroken(Break::kConfigurationMarkIsHint)) {
    writes_.Add(now_, MarkRecord{value.slot}, effects);
  }
  if (!IsBroken(Break::kReadAcrossConfiguration)) reads_.Reset();
  JudgeSettlement();
}

void Replica::AddAcceptRecord(const AcceptedValue& accepted, Effects* effects) {
  const Slot mark = IsBroken(Break::kMarkCoversOwnSlot) ? accepted.slot : chosen_through();
  writes_.Add(now_, AcceptRecord{accepted, mark}, effects);
}

void Replica::JudgeSettlement() {
  if (!settlement_.Judge(configuration(), configuration_slot())) return;
  // Whoever left has nothing more to give.
  learner_.KeepPeers(configuration());
}

void Replica::NotePeerChosen(ReplicaId peer, Slot chosen_through) {
  if (peer == options_.self) return;
  if (proposer_ && configuration().IsVoter(peer) && chosen_through > learner_.known_of(peer)) {
    proposer_->NoteProgress(now_);
  }
  learner_.NotePeer(now_, peer, chosen_through);
}

void Replica::NoteMark(ReplicaId peer, Slot durable_mark, uint64_t settled_version) {
  settlement_.NoteMark(peer, durable_mark);
  settlement_.NoteSettled(settled_version);
  JudgeSettlement();
}

void Replica::NoteBallot(const Ballot& ballot) {
  highest_round_ = std::max(highest_round_, ballot.round);
}

void Replica::AskForMissing(Effects* effects) {
  if (!DiskKeepsUp()) return;
  const std::optional<Learner::Request> request =
      learner_.NextRequest(now_, election_.followed().owner, options_.heartbeat_interval / 2,
                           5 * options_.heartbeat_interval);
  if (request.has_value()) Send(request->to, LearnRequest{request->first}, effects);
}

// ---- Sending -----------------------------------------------------------------------------------

void Replica::Send(ReplicaId to, Message message, Effects* effects) const {
  effects->send.push_back({options_.self, to, std::move(message)});
}

void Replica::SendAfterWrite(ReplicaId to, Message message, Effects* effects) const {
  effects->after_write.push_back({options_.self, to, std::move(message)});
}

void Replica::SendToOthers(const Message& message, bool voters_only, Effects* effects) const {
  for (const Member& member : configuration().members) {
    if (member.id == options_.self || (voters_only && !member.voter)) continue;
    Send(member.id, message, effects);
  }
}

// ---- Invariants --------------------------------------------------------------------------------

void Replica::CheckInvariants() const {
  const Slot chosen = chosen_through();
  DISTLOG_INVARIANT(P6, stored_through() <= chosen);
  DISTLOG_INVARIANT(P3, writes_.durable_promised() <= acceptor_.promised());
  for (const auto& [slot, accepted] : acceptor_.accepted()) {
    DISTLOG_INVARIANT(P6, slot > chosen) << "a chosen slot is the log's business";
    DISTLOG_INVARIANT(P6, slot <= chosen + 2 * options_.window) << "accepted too far ahead";
    CHECK_EQ(slot, accepted.slot);
    DISTLOG_INVARIANT(P3, accepted.ballot <= acceptor_.promised()) << "of slot " << slot;
  }
  if (!proposer_) return;
  DISTLOG_INVARIANT(P8, proposer_->ballot().owner == options_.self)
      << "only its owner proposes in a ballot";
  if (proposer_->phase() != Proposer::Phase::kCatchingUp) {
    DISTLOG_INVARIANT(B8, proposer_->ballot() == acceptor_.promised())
        << proposer_->ballot() << " after promising " << acceptor_.promised();
  }
  for (const auto& [slot, proposal] : proposer_->in_flight()) {
    DISTLOG_INVARIANT(B8, slot > chosen) << "never at or below chosen_through";
    DISTLOG_INVARIANT(P6, slot <= chosen + options_.window) << "the window";
  }
}

}  // namespace distlog::paxos
