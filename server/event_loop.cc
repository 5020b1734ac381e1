#include "server/event_loop.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "server/history.h"
#include "server/removal.h"
#include "server/request.h"
#include "server/thread_name.h"
#include "wire/status.h"
#include "wire/value.h"

namespace distlog {
namespace {

// The longest sleep, should nothing else be due.
constexpr std::chrono::milliseconds kIdle(100);

int64_t WallClockMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

absl::Status StoppedWhileOpen() {
  return MakeError(
      absl::StatusCode::kUnavailable,
      "the server stopped while the request was under way: it may or may not be in the "
      "log",
      v1::ErrorDetail());
}

absl::Status Stopping() {
  return NotAppendedError(absl::StatusCode::kUnavailable, "the server is stopping; ask another one",
                          v1::ErrorDetail::REASON_STOPPING);
}

}  // namespace

EventLoop::EventLoop(const Node::Options& options, const World& world)
    : options_(options),
      world_(world),
      start_nonce_(world.store->identity().start_nonce),
      appends_({.max_batch_bytes = options.limits.max_batch_bytes}, world.admission) {}

void EventLoop::Run() {
  NameThread("event-loop");
  while (!stop_) HandleBurst(world_.inbox->Take(NextDeadline()));
  Inbox::Burst rest = world_.inbox->Close();
  for (auto& request : rest.appends) appends_.Add(std::move(request));
  for (ReadQueue::Waiter& waiter : rest.waiters) reads_.AddWaiter(std::move(waiter), &answers_);
  if (!rest.barriers.empty()) {
    reads_.AddBarriers(paxos::Ticket{++last_ticket_}, std::move(rest.barriers));
  }
  for (Membership::Request& request : rest.changes) membership_.Add(std::move(request), &answers_);
  appends_.FailAll(Stopping(), StoppedWhileOpen(), &answers_);
  membership_.FailAll(Stopping(), StoppedWhileOpen(), &answers_);
  reads_.FailAll(Stopping(), &answers_);
  Answer();
}

void EventLoop::Join(paxos::ReplicaId self, RecoveredLog recovered) {
  CHECK(!replica_.has_value());
  paxos::Options protocol = options_.protocol;
  protocol.self = self;
  protocol.seed = start_nonce_;
  sequencer_.emplace(std::move(recovered.sequencer));
  replica_.emplace(protocol, recovered.state, Now());
  // The run before may have ended between a cut and its checkpoint.
  if (const std::optional<paxos::Slot> first = world_.store->waiting_checkpoint()) {
    cut_ = Cut{*first, std::nullopt};
    CaptureCut();
  }
  const Node::Bounds bounds{sequencer_->first_position(), sequencer_->last_position()};
  world_.published->Update([&](Published::State* state) { state->bounds = bounds; });
  reads_.SetReadable(sequencer_->applied_through(), bounds, &answers_);
  Publish();
}

void EventLoop::TransferLeadership(paxos::ReplicaId to) {
  if (!replica_.has_value()) return;
  paxos::Effects effects;
  replica_->Step(Now(), paxos::TransferLeadership{to}, &effects);
  Act(std::move(effects));
}

void EventLoop::Stop() { stop_ = true; }

EventLoop::Clock::time_point EventLoop::NextDeadline() const {
  const Clock::time_point now = Clock::now();
  if (!own_events_.empty()) return now;
  Clock::time_point next = std::min(appends_.next_deadline(), reads_.next_deadline());
  next = std::min(next, now + kIdle);
  // One that has left has no deadline.
  if (replica_.has_value() && replica_->deadline() < now - start_ + kIdle) {
    next = std::min(next, start_ + std::chrono::duration_cast<Clock::duration>(
                                       std::max(replica_->deadline(), paxos::Time(0))));
  }
  return next;
}

void EventLoop::HandleBurst(Inbox::Burst burst) {
  for (const std::function<void()>& call : burst.calls) call();
  for (std::unique_ptr<AppendQueue::Request>& request : burst.appends) {
    appends_.Add(std::move(request));
  }
  for (ReadQueue::Waiter& waiter : burst.waiters) reads_.AddWaiter(std::move(waiter), &answers_);
  for (Membership::Request& request : burst.changes) membership_.Add(std::move(request), &answers_);
  paxos::Effects effects;
  StepAll(burst, &effects);
  StartReads(std::move(burst.barriers), &effects);
  Act(std::move(effects));
  // After Act: what was just applied made room.
  paxos::Effects proposed;
  ProposeChange(&proposed);
  Propose(&proposed);
  Act(std::move(proposed));
  Expire();
  Publish();
  Answer();
}

void EventLoop::StepAll(const Inbox::Burst& burst, paxos::Effects* effects) {
  if (!replica_.has_value()) return;
  const paxos::Time now = Now();
  for (const paxos::Event& event : std::exchange(own_events_, {})) {
    replica_->Step(now, event, effects);
  }
  for (const paxos::Event& event : burst.events) {
    if (const auto* received = std::get_if<paxos::Receive>(&event)) {
      round_trips_.OnReceive(now, received->envelope.from, received->envelope.message);
    }
    replica_->Step(now, event, effects);
  }
  if (now >= replica_->deadline()) replica_->Step(now, paxos::Tick{}, effects);
}

void EventLoop::StartReads(std::vector<ReadQueue::Barrier> barriers, paxos::Effects* effects) {
  if (barriers.empty()) return;
  const paxos::Ticket ticket{++last_ticket_};
  reads_.AddBarriers(ticket, std::move(barriers));
  if (replica_.has_value()) replica_->Step(Now(), paxos::Read{ticket}, effects);
}

AppendQueue::Making EventLoop::NextMaking() {
  AppendQueue::Making making;
  making.origin.set_replica(static_cast<uint64_t>(replica_->self()));
  making.origin.set_start_nonce(start_nonce_);
  making.origin.set_sequence(last_ticket_ + 1);
  making.timestamp_ms = WallClockMs();
  making.cluster_time_ms = ClusterTimeMs();
  return making;
}

// Before the appends that wait: it is little, and rare.
void EventLoop::ProposeChange(paxos::Effects* effects) {
  if (!replica_.has_value() || !replica_->claimed().has_value() || !apply_status_.ok()) {
    if (membership_.has_waiting()) membership_.FailWaiting(NotLeading(), &answers_);
    if (!replica_.has_value()) return;
  }
  if (!apply_status_.ok()) return;
  const std::optional<paxos::Value> value =
      membership_.Next(*replica_, *sequencer_, NextMaking(), &answers_);
  if (!value.has_value()) return;
  replica_->Step(Now(), paxos::Propose{paxos::Ticket{++last_ticket_}, *value}, effects);
}

void EventLoop::Propose(paxos::Effects* effects) {
  if (!appends_.has_waiting()) return;
  // While a leadership is renewed nothing can be proposed, but soon can again, or never: until then
  // they wait.
  if (!replica_.has_value() || !replica_->claimed().has_value() || !apply_status_.ok()) {
    appends_.FailWaiting(NotLeading(), &answers_);
    return;
  }
  const paxos::Time now = Now();
  for (std::optional<size_t> bytes = appends_.NextBytes();
       bytes.has_value() && replica_->CanPropose(*bytes); bytes = appends_.NextBytes()) {
    const paxos::Value value = appends_.TakeNext(NextMaking());
    replica_->Step(now, paxos::Propose{paxos::Ticket{++last_ticket_}, value}, effects);
  }
}

void EventLoop::Act(paxos::Effects effects) {
  Send(std::move(effects.send));
  Write(&effects);
  if (!replica_.has_value()) return;
  Apply(effects.chosen);
  Resolve(effects.outcomes);
  for (const paxos::Supply& supply : effects.supply) {
    world_.supplier->Supply(replica_->self(), supply);
  }
  AdvanceStored();
}

void EventLoop::Send(std::vector<paxos::Envelope> envelopes) {
  if (envelopes.empty()) return;
  for (const paxos::Envelope& envelope : envelopes) round_trips_.OnSend(Now(), envelope.message);
  for (paxos::Envelope& own : TakeMessagesTo(replica_->self(), &envelopes)) {
    own_events_.emplace_back(paxos::Receive{std::move(own)});
  }
  if (!envelopes.empty()) world_.transport->Send(std::move(envelopes));
}

void EventLoop::Write(paxos::Effects* effects) {
  if (effects->write.empty() && effects->after_write.empty()) return;
  // Before anything of this step is applied: the state that a new segment begins with is that of
  // the slot before it, and what is chosen in this step may lie in it already.
  if (const std::optional<paxos::Slot> first = world_.store->CutBefore(effects->write)) {
    CHECK(!cut_.has_value()) << "two cuts under way, at " << cut_->first << " and " << *first;
    cut_ = Cut{*first, std::nullopt};
    CaptureCut();
  }
  world_.storage->Submit({.records = std::move(effects->write),
                          .after_write = std::move(effects->after_write),
                          .last_record = effects->last_record});
}

void EventLoop::Apply(const std::vector<paxos::AcceptedValue>& chosen) {
  for (const paxos::AcceptedValue& value : chosen) {
    if (!apply_status_.ok()) return;
    const absl::StatusOr<Applied> applied = sequencer_->Apply(value);
    if (!applied.ok()) {
      StopApplying(value, applied.status());
      return;
    }
    world_.store->NoteApplied(*applied);
    unstored_.emplace_back(value.slot, sequencer_->last_position());
    if (applied->origin_start_nonce == start_nonce_ &&
        applied->origin_replica == static_cast<uint64_t>(replica_->self())) {
      appends_.OnApplied(*applied, &answers_);
      membership_.OnApplied(*applied, &answers_);
    }
    CaptureCut();
  }
  if (!chosen.empty()) {
    world_.published->Update([](Published::State* state) { state->last_applied = Clock::now(); });
  }
}

// The replica goes on as an acceptor, which needs no meaning of values; it never skips one, and
// serves nothing beyond.
void EventLoop::StopApplying(const paxos::AcceptedValue& value, const absl::Status& status) {
  apply_status_ = status;
  world_.published->NoteError(absl::StrCat(
      "slot ", value.slot,
      " cannot be applied, so nothing after it is served here: ", std::string(status.message()),
      absl::IsUnimplemented(status) ? "; run a newer version of this program"
                                    : "; replace this member"));
}

void EventLoop::Resolve(const std::vector<paxos::Outcome>& outcomes) {
  for (const paxos::Outcome& outcome : outcomes) {
    switch (outcome.result) {
      case paxos::Outcome::Result::kChosen:
        // Applying it has the answer.
        membership_.OnChosen(static_cast<uint64_t>(outcome.ticket));
        break;
      case paxos::Outcome::Result::kNotChosen:
        membership_.OnNotChosen(static_cast<uint64_t>(outcome.ticket), NotLeading(), &answers_);
        appends_.OnNotChosen(static_cast<uint64_t>(outcome.ticket), NotLeading(), &answers_);
        break;
      case paxos::Outcome::Result::kReadable:
        reads_.OnReadable(outcome.ticket, outcome.slot, &answers_);
        break;
    }
  }
}

void EventLoop::CaptureCut() {
  if (!cut_.has_value() || cut_->state.has_value()) return;
  CHECK_LT(sequencer_->applied_through(), cut_->first) << "a segment was cut too late";
  if (sequencer_->applied_through() + 1 == cut_->first) cut_->state = sequencer_->Snapshot();
}

void EventLoop::AdvanceStored() {
  const paxos::Slot stored = replica_->stored_through();
  world_.storage->SetMark(stored);
  if (cut_.has_value() && cut_->state.has_value() && stored + 1 >= cut_->first) {
    world_.storage->SaveCheckpoint(cut_->first, *std::move(cut_->state));
    cut_.reset();
  }
  std::optional<std::pair<paxos::Slot, uint64_t>> readable;
  while (!unstored_.empty() && unstored_.front().first <= stored) {
    readable = unstored_.front();
    unstored_.pop_front();
  }
  if (!readable.has_value()) return;
  const Node::Bounds bounds{sequencer_->first_position(), readable->second};
  // Before the answers: whoever gets one may read at once.
  world_.published->Update([&](Published::State* state) { state->bounds = bounds; });
  reads_.SetReadable(readable->first, bounds, &answers_);
}

void EventLoop::Expire() {
  const Clock::time_point now = Clock::now();
  appends_.Expire(now, &answers_);
  membership_.Expire(now, &answers_);
  const std::vector<paxos::Ticket> cancelled = reads_.Expire(now, &answers_);
  if (!replica_.has_value()) return;
  paxos::Effects effects;
  for (const paxos::Ticket ticket : cancelled) {
    replica_->Step(Now(), paxos::CancelRead{ticket}, &effects);
  }
  Act(std::move(effects));
  // One that cannot apply must not lead: it could answer nobody.
  if (!apply_status_.ok() && replica_->is_leading() && now >= next_transfer_) {
    next_transfer_ = now + std::chrono::seconds(1);
    TransferLeadership(paxos::kNoReplica);
  }
}

void EventLoop::Publish() {
  if (!replica_.has_value()) return;
  PublishMembers();
  PublishOperations();
  const bool leading = replica_->is_leading();
  if (leading != was_leading_) {
    LOG(INFO) << "replica " << replica_->self() << (leading ? " leads" : " does not lead any more")
              << ", ballot " << replica_->followed();
    was_leading_ = leading;
  }
  world_.published->Update([&](Published::State* state) {
    state->assigned = true;
    state->self = replica_->self();
    if (state->followed != replica_->followed()) {
      state->followed = replica_->followed();
      state->followed_since = Clock::now();
      ++state->followed_changes;
    }
    if (leader_told_ != replica_->leader_hint()) {
      leader_told_ = replica_->leader_hint();
      state->leader_address = LeaderAddress();
    }
    state->promised = replica_->promised();
    state->is_leading = leading && apply_status_.ok();
    state->is_content = replica_->is_content();
    state->heard.clear();
    state->heard.insert(replica_->self());
    state->peers.clear();
    for (const auto& [peer, reply] : replica_->heard()) {
      state->heard.insert(peer);
      Published::Peer& to = state->peers[peer];
      to.chosen_through = reply.chosen_through;
      if (const auto round_trip = round_trips_.Of(peer)) {
        to.round_trip = std::chrono::duration_cast<std::chrono::microseconds>(*round_trip);
      }
    }
    state->has_left = replica_->has_left();
    state->chosen_through = replica_->chosen_through();
    state->applied_through = sequencer_->applied_through();
    state->stored_through = replica_->stored_through();
    state->durable_mark = replica_->durable_mark();
    state->bounds.first = sequencer_->first_position();
    state->digest = sequencer_->digest();
    state->cluster_time_ms = sequencer_->cluster_time_ms();
  });
  if (replica_->has_left()) {
    world_.published->NoteRemoved(WasRemoved(replica_->self(), replica_->configuration()));
  }
}

void EventLoop::PublishMembers() {
  const paxos::Configuration& configuration = replica_->configuration();
  const MembersTold told{configuration.version, replica_->is_settled()};
  if (told == members_told_) return;
  const bool is_new = told.version != members_told_.version;
  members_told_ = told;
  std::vector<paxos::Member> leavers;
  const std::optional<paxos::Configuration>& before = sequencer_->previous_configuration();
  if (!told.settled && before.has_value() && before->version + 1 == configuration.version) {
    for (const paxos::Member& member : before->members) {
      if (configuration.Find(member.id) == nullptr) leavers.push_back(member);
    }
  }
  world_.transport->SetMembers(configuration, leavers);
  world_.published->Update([&](Published::State* state) {
    state->settled = told.settled;
    if (!is_new) return;
    state->configuration = std::make_shared<paxos::Configuration>(configuration);
    state->leader_address = LeaderAddress();
  });
}

void EventLoop::PublishOperations() {
  const Operations& operations = sequencer_->operations();
  const OperationsTold told{.version = sequencer_->configuration().version,
                            .settled = replica_->is_settled(),
                            .leads = replica_->is_recovered(),
                            .changes = operations.changes(),
                            .round = operations.running() == nullptr ? 0 : replica_->round()};
  if (told != operations_told_) {
    operations_told_ = told;
    const std::string news = phases_.Next(operations, told.version, told.leads);
    if (!news.empty()) LOG(INFO) << news;
    auto response = std::make_shared<const v1::OperationsResponse>(
        membership_.Describe(*replica_, *sequencer_));
    world_.published->Update(
        [&](Published::State* state) { state->operations = std::move(response); });
  }
  const std::deque<v1::TermState>& terms = sequencer_->terms();
  const std::pair<paxos::Ballot, uint64_t> last(
      terms.empty() ? paxos::Ballot() : FromProto(terms.back().ballot()),
      sequencer_->configuration().version);
  if (last == terms_told_) return;
  terms_told_ = last;
  auto history =
      std::make_shared<const v1::HistoryResponse>(HistoryOf(terms, sequencer_->configuration()));
  world_.published->Update([&](Published::State* state) { state->history = std::move(history); });
}

// Last in each round: others wait for the messages and the writes, and these cost system calls.
void EventLoop::Answer() {
  for (const std::function<void()>& answer : std::exchange(answers_, {})) answer();
}

absl::Status EventLoop::NotLeading() const {
  if (!replica_.has_value()) return CheckCluster("", "", "");
  if (!apply_status_.ok()) {
    return NotAppendedError(absl::StatusCode::kUnavailable,
                            "this replica cannot apply the log any more (see its status); ask "
                            "another one",
                            v1::ErrorDetail::REASON_NO_LEADER);
  }
  const std::string address = LeaderAddress();
  return NotAppendedError(absl::StatusCode::kUnavailable,
                          address.empty()
                              ? "there is no leader at the moment; try again"
                              : absl::StrCat("this replica does not lead; the leader is ", address),
                          v1::ErrorDetail::REASON_NO_LEADER, address);
}

// Empty if it is this replica, or nobody.
std::string EventLoop::LeaderAddress() const {
  const paxos::ReplicaId leader = replica_->leader_hint();
  if (leader == replica_->self()) return "";
  const paxos::Member* member = replica_->configuration().Find(leader);
  return member == nullptr ? "" : member->address;
}

// Never falls, and stands still while nobody leads: at each ballot that this replica leads it goes
// on from the highest one seen, by this machine's monotonic clock.
uint64_t EventLoop::ClusterTimeMs() {
  const Clock::time_point now = Clock::now();
  const auto passed =
      std::chrono::duration_cast<std::chrono::milliseconds>(now - cluster_time_base_);
  const paxos::Ballot ballot = replica_->claimed().value_or(paxos::Ballot());
  const uint64_t seen = std::max(cluster_time_ms_, sequencer_->cluster_time_ms());
  if (ballot != cluster_time_ballot_ || cluster_time_base_ms_ + passed.count() < seen) {
    cluster_time_ballot_ = ballot;
    cluster_time_base_ = now;
    cluster_time_base_ms_ = seen;
    return cluster_time_ms_ = seen;
  }
  return cluster_time_ms_ = cluster_time_base_ms_ + passed.count();
}

}  // namespace distlog
