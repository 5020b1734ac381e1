#include "tests/simulation/host.h"

#include <algorithm>
#include <utility>

#include "glog/logging.h"
#include "wire/value.h"

namespace distlog::simulation {

using paxos::AcceptedValue;
using paxos::Effects;
using paxos::Envelope;
using paxos::Outcome;
using paxos::Slot;
using paxos::Ticket;

namespace {

std::string ToString(const paxos::Event& event) {
  struct Printer {
    std::string operator()(const paxos::Receive& e) { return paxos::ToString(e.envelope); }
    std::string operator()(const paxos::Propose&) { return "Propose"; }
    std::string operator()(const paxos::Read&) { return "Read"; }
    std::string operator()(const paxos::CancelRead&) { return "CancelRead"; }
    std::string operator()(const paxos::WriteFinished& e) {
      return "WriteFinished last=" + std::to_string(e.last);
    }
    std::string operator()(const paxos::MarkSaved& e) {
      return "MarkSaved through=" + std::to_string(e.through);
    }
    std::string operator()(const paxos::PeerConnected& e) {
      return "PeerConnected " + paxos::ToString(e.peer);
    }
    std::string operator()(const paxos::PeerLost& e) {
      return "PeerLost " + paxos::ToString(e.peer);
    }
    std::string operator()(const paxos::TransferLeadership& e) {
      return "TransferLeadership to=" + paxos::ToString(e.to);
    }
    std::string operator()(const paxos::Tick&) { return "Tick"; }
  };
  return std::visit(Printer{}, event);
}

AppendReply NotAppended(paxos::ReplicaId leader) {
  return {.not_appended = true, .leader = leader, .result = {}};
}

std::string ToString(const paxos::Record& record) {
  if (const auto* promise = std::get_if<paxos::PromiseRecord>(&record)) {
    return "promised=" + paxos::ToString(promise->promised);
  }
  if (const auto* accept = std::get_if<paxos::AcceptRecord>(&record)) {
    return "slot=" + std::to_string(accept->accepted.slot) + "@" +
           paxos::ToString(accept->accepted.ballot) +
           " chosen=" + std::to_string(accept->chosen_through);
  }
  return "mark=" + std::to_string(std::get<paxos::MarkRecord>(record).chosen_through);
}

}  // namespace

Host::Host(World* world, Checker* checker, Options options, Callbacks callbacks)
    : world_(world),
      checker_(checker),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      disk_(options_.genesis) {
  disk_.set_observer([this](const paxos::Record& record) { checker_->Durable(id(), record); });
}

const paxos::Replica* Host::replica() const {
  return process_ == nullptr ? nullptr : &process_->replica;
}

void Host::Trace(const std::string& what) {
  world_->trace.Add(world_->now(), paxos::ToString(id()) + "   " + what);
}

void Host::set_sync_time(Time min, Time max) {
  options_.min_sync = min;
  options_.max_sync = max;
}

// ---- The process comes and goes. ---------------------------------------------------------------

Sequencer Host::RecoverSequencer() {
  Sequencer sequencer(options_.genesis);
  if (!checkpoint_.empty()) {
    absl::StatusOr<Sequencer> restored = Sequencer::Restore(checkpoint_);
    CHECK(restored.ok()) << restored.status();
    sequencer = *std::move(restored);
  }
  while (sequencer.applied_through() < disk_.mark()) {
    const AcceptedValue* accepted = disk_.Find(sequencer.applied_through() + 1);
    if (accepted == nullptr) break;  // The checker says so.
    const auto applied = sequencer.Apply(*accepted);
    CHECK(applied.ok()) << applied.status();
    checker_->Applied(id(), accepted->value, *applied, sequencer.digest());
  }
  return sequencer;
}

void Host::Start() {
  ++run_;
  const paxos::DurableState state = disk_.Recover();
  if (world_->trace.on()) {
    Trace("start promised=" + paxos::ToString(state.promised) +
          " chosen=" + std::to_string(state.chosen_through) +
          " accepted=" + std::to_string(state.accepted.size()));
  }
  checker_->Started(id(), state);
  if (world_->violation.has_value()) return;
  paxos::Options options = options_.protocol;
  options.seed = world_->random.Next();
  process_ = std::make_unique<Process>(
      paxos::Replica(options, state, options_.clock.Read(world_->now())), RecoverSequencer());
  process_->next_ticket = run_ << 32;  // No two of all runs are alike.
  process_->start_nonce = world_->random.Next() | 1;
  process_->ends_from = process_->sequencer.applied_through();
  process_->ends.push_back(process_->sequencer.last_position());
  paused_ = false;
  ScheduleTick();
}

void Host::Crash() {
  if (process_ == nullptr) return;
  const size_t unfinished = disk_.unfinished_records();
  // Either nothing of what was under way reached the disk, or some, or all.
  size_t kept = world_->random.Chance(0.5) ? 0 : world_->random.Between(0, unfinished);
  const size_t lost = disk_.Crash(kept);
  world_->counters["unsynced records lost"] += lost;
  ++world_->counters["crashes"];
  if (world_->trace.on()) Trace("crash, losing " + std::to_string(lost) + " records");
  process_.reset();
  paused_ = false;
  checker_->Crashed(id());
}

void Host::Pause() {
  if (process_ == nullptr) return;
  if (world_->trace.on()) Trace("pause");
  ++world_->counters["pauses"];
  paused_ = true;
}

void Host::Continue() {
  if (!paused_) return;
  if (world_->trace.on()) Trace("continue");
  paused_ = false;
  Wake();
  ScheduleTick();
}

void Host::StallDisk(Time until) {
  ++world_->counters["disk stalls"];
  disk_stalled_until_ = std::max(disk_stalled_until_, until);
}

void Host::Mend() {
  disk_stalled_until_ = Time(0);
  options_.min_sync = std::chrono::microseconds(100);
  options_.max_sync = std::chrono::milliseconds(5);
  options_.crash_in_effects = 0;
  Continue();
}

// ---- Events in. --------------------------------------------------------------------------------

void Host::Post(paxos::Event event) {
  if (process_ == nullptr) return;
  process_->inbox.push_back(std::move(event));
  Wake();
}

void Host::Wake() {
  if (process_ == nullptr || paused_ || process_->wake_scheduled) return;
  process_->wake_scheduled = true;
  world_->scheduler.After(world_->random.Between(Time(0), std::chrono::microseconds(50)),
                          [this, run = run_] {
                            if (run != run_ || process_ == nullptr) return;
                            process_->wake_scheduled = false;
                            if (!paused_) HandleInbox();
                          });
}

void Host::ScheduleTick() {
  const Time time = std::max(world_->now(), options_.clock.TrueTime(process_->replica.deadline()));
  if (time == process_->tick_time && time > world_->now()) return;
  process_->tick_time = time;
  world_->scheduler.At(time, [this, run = run_, tick = ++process_->tick] {
    if (run != run_ || process_ == nullptr || paused_ || tick != process_->tick) return;
    process_->tick_time = Time(-1);
    process_->inbox.push_back(paxos::Tick{});
    HandleInbox();
  });
}

void Host::HandleInbox() {
  Effects all;
  const size_t count = std::min<size_t>(process_->inbox.size(), world_->random.Between(1, 64));
  for (size_t i = 0; i < count; ++i) {
    const paxos::Event event = std::move(process_->inbox.front());
    process_->inbox.pop_front();
    if (std::holds_alternative<paxos::Tick>(event)) {
      const Time local = options_.clock.Read(world_->now());
      const bool early = local < process_->replica.deadline();
      Step(event, &all);
      process_->ticks_at_once =
          !early && process_->replica.deadline() <= local ? process_->ticks_at_once + 1 : 0;
      if (process_->ticks_at_once > 100) {
        world_->Fail("replica " + paxos::ToString(id()) + ": its deadline stays in the past");
      }
    } else {
      Step(event, &all);
    }
    if (world_->violation.has_value()) return;
  }
  ProposeWaiting(&all);
  const uint64_t run = run_;
  Perform(std::move(all));
  if (run != run_ || process_ == nullptr || world_->violation.has_value()) return;
  if (!process_->inbox.empty()) Wake();
  ScheduleTick();
}

void Host::Step(const paxos::Event& event, Effects* all) {
  if (world_->trace.on()) Trace(ToString(event));
  Effects effects;
  paxos::Replica& replica = process_->replica;
  replica.Step(options_.clock.Read(world_->now()), event, &effects);
  replica.CheckInvariants();

  for (const paxos::Record& record : effects.write) {
    if (world_->trace.on()) Trace("  write " + ToString(record));
    checker_->Written(id(), record);
  }
  process_->records += effects.write.size();
  if (!effects.write.empty() && effects.last_record != process_->records) {
    world_->Fail("replica " + paxos::ToString(id()) + ": last_record is " +
                 std::to_string(effects.last_record) + ", but it wrote " +
                 std::to_string(process_->records));
  }
  for (const Envelope& envelope : effects.send) checker_->Emitted(envelope);
  for (const Envelope& envelope : effects.after_write) checker_->Emitted(envelope);
  for (const AcceptedValue& chosen : effects.chosen) {
    if (world_->trace.on()) {
      Trace("  chosen slot=" + std::to_string(chosen.slot) + "@" + paxos::ToString(chosen.ballot) +
            " " + paxos::ToString(chosen.value.kind));
    }
    checker_->Chosen(id(), chosen);
  }
  checker_->Stands(id(), replica.promised(), replica.chosen_through(), replica.stored_through(),
                   replica.durable_mark());
  for (const Outcome& outcome : effects.outcomes) {
    if (world_->trace.on()) {
      Trace("  outcome ticket=" + std::to_string(static_cast<uint64_t>(outcome.ticket)) +
            (outcome.result == Outcome::Result::kChosen     ? " chosen"
             : outcome.result == Outcome::Result::kReadable ? " readable"
                                                            : " not chosen") +
            " slot=" + std::to_string(outcome.slot));
    }
    checker_->Resolved(id(), outcome);
  }
  Count(event, effects);

  if (!effects.write.empty()) all->last_record = effects.last_record;
  const auto move_all = [](auto& from, auto* to) {
    std::move(from.begin(), from.end(), std::back_inserter(*to));
  };
  move_all(effects.write, &all->write);
  move_all(effects.after_write, &all->after_write);
  move_all(effects.send, &all->send);
  move_all(effects.chosen, &all->chosen);
  move_all(effects.outcomes, &all->outcomes);
  move_all(effects.supply, &all->supply);
}

// ---- Effects out. ------------------------------------------------------------------------------

void Host::Perform(Effects effects) {
  const uint64_t run = run_;
  std::vector<std::function<void()>> actions;
  for (const Envelope& envelope : effects.send) {
    actions.push_back([this, &envelope] { Send(envelope); });
  }
  if (!effects.chosen.empty()) {
    actions.push_back([this, &effects] {
      for (const AcceptedValue& chosen : effects.chosen) Apply(chosen);
      AnswerReads();
    });
  }
  for (const Outcome& outcome : effects.outcomes) {
    actions.push_back([this, &outcome] { Resolve(outcome); });
  }
  for (const paxos::Supply& supply : effects.supply) {
    actions.push_back([this, &supply] { Supply(supply); });
  }
  if (!effects.write.empty() || !effects.after_write.empty()) {
    // Anywhere among the others: only after_write has an order to keep.
    const auto at = actions.begin() + world_->random.Below(actions.size() + 1);
    actions.insert(at, [this, &effects] {
      SubmitWrite({std::move(effects.write), effects.last_record, std::move(effects.after_write)});
    });
  }
  size_t crash_before = actions.size();
  if (!actions.empty() && world_->random.Chance(options_.crash_in_effects)) {
    crash_before = world_->random.Below(actions.size());
  }
  for (size_t i = 0; i < actions.size(); ++i) {
    if (i == crash_before) {
      ++world_->counters["crashes within effects"];
      callbacks_.crashed_in_effects();
      return;
    }
    actions[i]();
    if (run != run_ || process_ == nullptr || world_->violation.has_value()) return;
  }
}

void Host::SubmitWrite(Disk::Write write) {
  disk_.Submit(std::move(write));
  if (!disk_.is_syncing()) SyncDisk();
}

void Host::SyncDisk() {
  disk_.StartGroup();
  const Time took = disk_.unfinished_records() == 0
                        ? Time(0)
                        : world_->random.LongTail(options_.min_sync, options_.max_sync);
  world_->scheduler.After(took, [this, run = run_] {
    if (run == run_ && process_ != nullptr) FinishSync();
  });
}

void Host::FinishSync() {
  if (world_->now() < disk_stalled_until_ || paused_) {
    // A paused process hears of nothing; whether its disk has finished then makes no difference.
    world_->scheduler.After(std::chrono::milliseconds(5), [this, run = run_] {
      if (run == run_ && process_ != nullptr) FinishSync();
    });
    return;
  }
  const std::vector<Disk::Write> done = disk_.FinishGroup();
  uint64_t last = 0;
  for (const Disk::Write& write : done) {
    for (const Envelope& envelope : write.after_write) Send(envelope);
    if (!write.records.empty()) last = write.last_record;
  }
  if (last != 0) Post(paxos::WriteFinished{last});
  if (!disk_.is_idle()) SyncDisk();
}

void Host::Send(const Envelope& envelope) {
  checker_->Left(envelope);
  if (world_->trace.on()) Trace("  " + paxos::ToString(envelope));
  if (envelope.to == id()) {
    Post(paxos::Receive{envelope});
  } else {
    callbacks_.send(envelope);
  }
}

void Host::Supply(const paxos::Supply& supply) {
  paxos::LearnReply reply;
  reply.chosen_through = supply.through;
  size_t bytes = 0;
  for (Slot slot = supply.first; slot <= supply.through; ++slot) {
    const AcceptedValue* held = disk_.Find(slot);
    if (held == nullptr) {
      world_->Fail("replica " + paxos::ToString(id()) + ": is to supply slot " +
                   std::to_string(slot) + ", which is not durable");
      return;
    }
    bytes += held->value.size() + 16;
    if (!reply.chosen.empty() && bytes > options_.supply_bytes) break;
    reply.chosen.push_back(*held);
  }
  ++world_->counters["catch-up replies"];
  Send({id(), supply.to, std::move(reply)});
}

// The mark is written by itself, after the sync that it describes.
void Host::SaveMark() {
  if (process_ == nullptr || paused_) return;
  const Slot through = process_->replica.stored_through();
  if (through <= disk_.mark()) return;
  checker_->MarkSaved(id(), through);
  disk_.SaveMark(through);
  if (process_->sequencer.applied_through() == through && world_->random.Chance(0.3)) {
    checkpoint_ = process_->sequencer.Snapshot();
    checkpoint_slot_ = through;
    ++world_->counters["checkpoints"];
  }
  Post(paxos::MarkSaved{through});
}

// ---- Clients. ----------------------------------------------------------------------------------

void Host::Append(AppendRequest request, AppendCallback done) {
  if (process_ == nullptr) return;
  if (process_->waiting.size() >= options_.max_waiting_appends) {
    done(NotAppended(paxos::kNoReplica));
    return;
  }
  process_->waiting.push_back({std::move(request), std::move(done)});
  Wake();
}

void Host::RefuseWaiting() {
  std::deque<WaitingAppend> refused = std::exchange(process_->waiting, {});
  for (const WaitingAppend& each : refused) {
    each.done(NotAppended(process_->replica.leader_hint()));
  }
}

void Host::ProposeWaiting(Effects* all) {
  while (!process_->waiting.empty() && !world_->violation.has_value()) {
    if (!process_->replica.is_leading()) {
      RefuseWaiting();
      return;
    }
    v1::Batch batch;
    batch.mutable_origin()->set_replica(static_cast<uint64_t>(id()));
    batch.mutable_origin()->set_start_nonce(process_->start_nonce);
    batch.mutable_origin()->set_sequence(++process_->next_sequence);
    const Time local = options_.clock.Read(world_->now());
    batch.set_cluster_time_ms(local / std::chrono::milliseconds(1));
    const size_t count = std::min<size_t>(process_->waiting.size(), world_->random.Between(1, 4));
    for (size_t i = 0; i < count; ++i) {
      const AppendRequest& request = process_->waiting[i].request;
      v1::AppendRecord* append = batch.add_appends();
      for (const std::string& payload : request.payloads) append->add_payloads(payload);
      append->set_producer(request.producer);
      append->set_sequence(request.sequence);
      append->set_expect_position(request.expect_position);
    }
    paxos::Value value = MakeValue(batch);
    if (!process_->replica.CanPropose(value.size())) {
      ++world_->counters["proposals that waited for the window"];
      return;
    }
    const Ticket ticket{++process_->next_ticket};
    Proposal& proposal = process_->proposals[ticket];
    proposal.sequence = batch.origin().sequence();
    process_->by_sequence[proposal.sequence] = ticket;
    for (size_t i = 0; i < count; ++i) {
      proposal.done.push_back(std::move(process_->waiting.front().done));
      process_->waiting.pop_front();
    }
    checker_->Proposed(id(), ticket, value);
    Step(paxos::Propose{ticket, std::move(value)}, all);
  }
}

void Host::Read(ReadCallback done, Time give_up_after) {
  if (process_ == nullptr) return;
  const Ticket ticket{++process_->next_ticket};
  process_->reads[ticket].done = std::move(done);
  checker_->ReadNoted(id(), ticket);
  Post(paxos::Read{ticket});
  world_->scheduler.After(give_up_after, [this, run = run_, ticket] {
    if (run != run_ || process_ == nullptr) return;
    const auto it = process_->reads.find(ticket);
    if (it == process_->reads.end()) return;
    const ReadCallback done = std::move(it->second.done);
    const bool was_readable = it->second.readable.has_value();
    process_->reads.erase(it);
    ++world_->counters["reads given up"];
    if (!was_readable) Post(paxos::CancelRead{ticket});
    done({.refused = true, .end = 0});
  });
}

void Host::Apply(const AcceptedValue& chosen) {
  const auto applied = process_->sequencer.Apply(chosen);
  if (!applied.ok()) {
    world_->Fail("replica " + paxos::ToString(id()) + ": cannot apply slot " +
                 std::to_string(chosen.slot) + ": " + std::string(applied.status().message()));
    return;
  }
  checker_->Applied(id(), chosen.value, *applied, process_->sequencer.digest());
  process_->ends.push_back(process_->sequencer.last_position());
  if (applied->origin_start_nonce != process_->start_nonce) return;
  const auto it = process_->by_sequence.find(applied->origin_sequence);
  if (it == process_->by_sequence.end()) return;
  process_->proposals.at(it->second).applied = *applied;
  Answer(it->second);
}

void Host::Resolve(const Outcome& outcome) {
  if (outcome.result == Outcome::Result::kReadable) {
    const auto it = process_->reads.find(outcome.ticket);
    if (it == process_->reads.end()) return;  // Given up in between.
    it->second.readable = outcome.slot;
    AnswerReads();
    return;
  }
  const auto it = process_->proposals.find(outcome.ticket);
  if (it == process_->proposals.end()) return;
  if (outcome.result == Outcome::Result::kChosen) {
    it->second.chosen = true;
    Answer(outcome.ticket);
    return;
  }
  const Proposal refused = std::move(it->second);
  process_->by_sequence.erase(refused.sequence);
  process_->proposals.erase(it);
  for (const AppendCallback& done : refused.done) {
    done(NotAppended(process_->replica.leader_hint()));
  }
}

// Once it is known chosen, and applied: in whatever order the two come.
void Host::Answer(Ticket ticket) {
  const auto it = process_->proposals.find(ticket);
  if (!it->second.chosen || !it->second.applied.has_value()) return;
  const Proposal proposal = std::move(it->second);
  process_->by_sequence.erase(proposal.sequence);
  process_->proposals.erase(it);
  checker_->Answered(proposal.applied->slot);
  for (size_t i = 0; i < proposal.done.size(); ++i) {
    const AppendResult& result = proposal.applied->appends.at(i);
    if (result.duplicate) ++world_->counters["duplicates answered"];
    proposal.done[i]({.not_appended = false, .leader = {}, .result = result});
  }
}

void Host::AnswerReads() {
  const Slot applied = process_->sequencer.applied_through();
  for (auto it = process_->reads.begin(); it != process_->reads.end();) {
    if (!it->second.readable.has_value() || *it->second.readable > applied) {
      ++it;
      continue;
    }
    // Anything from the mark to the newest that is applied will do.
    const Slot at =
        std::max(process_->ends_from,
                 world_->random.Chance(0.5) ? applied : std::min(applied, *it->second.readable));
    const ReadCallback done = std::move(it->second.done);
    it = process_->reads.erase(it);
    checker_->Answered(at);
    done({.refused = false, .end = process_->ends.at(at - process_->ends_from)});
  }
}

// ---- What really happened. ---------------------------------------------------------------------

void Host::Count(const paxos::Event& event, const Effects& effects) {
  Counters& counters = world_->counters;
  ++counters["steps"];
  const auto count_message = [&](const Envelope& envelope) {
    if (std::holds_alternative<paxos::Nack>(envelope.message)) ++counters["Nacks"];
    if (std::holds_alternative<paxos::Progress>(envelope.message)) ++counters["Progress answers"];
    if (std::holds_alternative<paxos::Stale>(envelope.message)) ++counters["Stale answers"];
    if (std::holds_alternative<paxos::ReadReply>(envelope.message))
      ++counters["marks for followers"];
    if (std::holds_alternative<paxos::TakeOver>(envelope.message)) ++counters["TakeOver messages"];
    if (std::holds_alternative<paxos::LearnRequest>(envelope.message)) {
      ++counters["catch-up requests"];
    }
    if (const auto* promise = std::get_if<paxos::Promise>(&envelope.message)) {
      ++counters[promise->is_final ? "promises" : "promises in parts"];
    }
    if (const auto* accept = std::get_if<paxos::Accept>(&envelope.message)) {
      if (accept->values.size() > 1) ++counters["Accepts of several slots"];
    }
  };
  for (const Envelope& envelope : effects.send) count_message(envelope);
  for (const Envelope& envelope : effects.after_write) count_message(envelope);
  for (const AcceptedValue& chosen : effects.chosen) {
    if (chosen.value.kind == paxos::Value::Kind::kNoOp) ++counters["no-ops applied"];
    ++counters["slots applied"];
  }
  for (const Outcome& outcome : effects.outcomes) {
    ++counters[outcome.result == Outcome::Result::kChosen     ? "outcomes chosen"
               : outcome.result == Outcome::Result::kReadable ? "outcomes readable"
                                                              : "outcomes not chosen"];
  }
  if (std::holds_alternative<paxos::PeerLost>(event)) ++counters["connections lost"];
  const paxos::Replica& replica = process_->replica;
  const std::optional<paxos::Ballot> leads =
      replica.is_leading() ? replica.claimed() : std::nullopt;
  if (leads.has_value() && leads != process_->led) {
    ++counters[process_->led.has_value() ? "renewals" : "takeovers"];
  }
  if (leads.has_value() || !replica.claimed().has_value()) {
    if (process_->led.has_value() && !leads.has_value()) ++counters["step-downs"];
    process_->led = leads;
  }
}

}  // namespace distlog::simulation
