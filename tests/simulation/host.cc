#include "tests/simulation/host.h"

#include <algorithm>
#include <utility>

#include "glog/logging.h"
#include "server/request.h"
#include "tests/simulation/host_trace.h"

namespace distlog::simulation {

using paxos::AcceptedValue;
using paxos::Effects;
using paxos::Envelope;
using paxos::Outcome;
using paxos::Ticket;

Host::Host(World* world, const Watchers& watchers, std::unique_ptr<LogDisk> disk, Options options,
           Callbacks callbacks)
    : world_(world),
      checker_(watchers.checker),
      elections_(watchers.elections),
      coverage_(watchers.coverage),
      disk_(std::move(disk)),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)) {
  disk_->set_observer([this](const paxos::Record& record) { checker_->Durable(id(), record); });
}

const paxos::Replica* Host::replica() const {
  return process_ == nullptr ? nullptr : &process_->replica;
}

void Host::Trace(const std::string& what) {
  world_->trace.Add(world_->now(), paxos::ToString(id()) + "   " + what);
}

void Host::set_disk_full(bool full) {
  disk_full_ = full;
  disk_->LeaveSpace(full ? world_->random.Below(20'000) : LogDisk::kNoBound);
}

void Host::set_sync_time(Time min, Time max) {
  options_.min_sync = min;
  options_.max_sync = max;
}

// ---- The process comes and goes. ---------------------------------------------------------------

void Host::Start() {
  CHECK(!is_destroyed_);
  ++run_;
  struct AppliedAgain {
    paxos::Value value;
    distlog::Applied applied;
    uint64_t digest = 0;
  };
  std::vector<AppliedAgain> again;
  absl::StatusOr<RecoveredLog> log = disk_->RecoverLog(
      [&again](const paxos::Value& value, const distlog::Applied& applied, uint64_t digest) {
        again.push_back({value, applied, digest});
      });
  if (!log.ok()) {
    world_->Fail("replica " + paxos::ToString(id()) +
                 ": its log cannot be recovered: " + std::string(log.status().message()));
    return;
  }
  const paxos::DurableState& state = log->state;
  if (world_->trace.on()) {
    Trace("start promised=" + paxos::ToString(state.promised) +
          " chosen=" + std::to_string(state.chosen_through) +
          " accepted=" + std::to_string(state.accepted.size()));
  }
  checker_->Started(id(), state);
  for (const AppliedAgain& each : again) {
    checker_->Applied(id(), each.value, each.applied, each.digest);
  }
  checker_->Operates(id(), log->sequencer.applied_through(), log->sequencer.operations());
  elections_->Started(id());
  coverage_->Started(id(), state.chosen_through);
  if (world_->violation.has_value()) return;
  paxos::Options options = options_.protocol;
  options.seed = world_->random.Next();
  process_ = std::make_unique<Process>(paxos::Replica(options, state, Local()),
                                       std::move(log->sequencer), options_.limits);
  process_->last_ticket = run_ << 32;  // No two of all runs are alike.
  process_->start_nonce = world_->random.Next() | 1;
  SetReadable(process_->sequencer.applied_through(), process_->sequencer.last_position());
  paused_ = false;
  ScheduleAlarm();
}

void Host::Crash() {
  if (process_ == nullptr) return;
  Counters& counters = world_->counters;
  // Of what was under way nothing reached the disk, or some, or all.
  const size_t unfinished = disk_->unfinished_records();
  const uint64_t fate = world_->random.Below(4);
  const bool disk_failed = disk_->has_failed();
  const std::vector<paxos::Record> lost =
      disk_->Crash(fate < 2   ? 0
                   : fate < 3 ? unfinished
                              : world_->random.Between(0, unfinished));
  for (const paxos::Record& record : lost) {
    if (std::holds_alternative<paxos::PromiseRecord>(record)) ++counters.promises_lost;
    if (std::holds_alternative<paxos::AcceptRecord>(record)) ++counters.accepts_lost;
  }
  if (unfinished > 0 && lost.empty()) ++counters.writes_kept;
  if (!lost.empty() && lost.size() < unfinished) ++counters.writes_torn;
  if (!lost.empty() && process_->said_unsynced) ++counters.crashes_before_sync;
  ++counters.crashes;
  if (world_->trace.on()) {
    Trace("crash, losing " + std::to_string(lost.size()) + " of " + std::to_string(unfinished) +
          " records not durable");
  }
  coverage_->Crashed(process_->replica);
  process_.reset();
  paused_ = false;
  checker_->Crashed(id());
  // A mark that was being saved is there or not.
  if (disk_failed) checker_->MarkSaved(id(), disk_->mark());
}

void Host::Destroy() {
  Crash();
  if (world_->trace.on()) Trace("destroyed");
  is_destroyed_ = true;
  checker_->Destroyed(id());
}

void Host::Pause() {
  if (process_ == nullptr) return;
  if (world_->trace.on()) Trace("pause");
  ++world_->counters.pauses;
  paused_ = true;
}

void Host::Continue() {
  if (!paused_) return;
  if (world_->trace.on()) Trace("continue");
  paused_ = false;
  Wake();
  ScheduleAlarm();
}

void Host::StallDisk(Time until) {
  if (world_->trace.on()) Trace("disk stalls");
  disk_stalled_until_ = std::max(disk_stalled_until_, until);
}

void Host::SetDrift(int64_t ppm) {
  if (world_->trace.on()) Trace("clock gains " + std::to_string(ppm) + " ppm");
  options_.clock.SetDrift(world_->now(), ppm);
  if (process_ == nullptr) return;
  process_->alarm_time = Time(-1);  // It was set by the other speed.
  ScheduleAlarm();
}

void Host::Mend() {
  disk_stalled_until_ = Time(0);
  disk_full_ = false;
  disk_->Mend();
  options_.min_sync = std::chrono::microseconds(100);
  options_.max_sync = std::chrono::milliseconds(5);
  options_.boundary_crashes = 0;
  options_.crash_at = 0;
  options_.failed_writes = 0;
  if (options_.clock.drift_ppm > 100'000 || options_.clock.drift_ppm < -100'000) SetDrift(0);
  Continue();
}

bool Host::DiesHere() {
  ++world_->boundaries;
  if (world_->boundaries != options_.crash_at &&
      (options_.boundary_crashes == 0 || !world_->random.Chance(options_.boundary_crashes))) {
    return false;
  }
  ++world_->counters.crashes_at_boundaries;
  callbacks_.crash();
  return true;
}

// ---- Its loop, as in server/event_loop.h. ------------------------------------------------------

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
                            if (!paused_) Run();
                          });
}

AppendQueue::Clock::time_point Host::Deadline(Time give_up_after) const {
  return AppendQueue::Clock::time_point(Local() + give_up_after);
}

void Host::ScheduleAlarm() {
  const AppendQueue::Clock::time_point clients =
      std::min(process_->appends.next_deadline(), process_->reads.next_deadline());
  const Time local = std::min(process_->replica.deadline(), Time(clients.time_since_epoch()));
  if (local == Time::max()) {  // It has left.
    ++process_->alarm;
    process_->alarm_time = Time(-1);
    return;
  }
  const Time time = std::max(world_->now(), options_.clock.TrueTime(local));
  if (time == process_->alarm_time && time > world_->now()) return;
  process_->alarm_time = time;
  world_->scheduler.At(time, [this, run = run_, alarm = ++process_->alarm] {
    if (run != run_ || process_ == nullptr || paused_ || alarm != process_->alarm) return;
    process_->alarm_time = Time(-1);
    Run();
  });
}

void Host::Run() {
  Effects effects;
  if (!StepAll(&effects)) return;
  StartReads(&effects);
  if (!Act(std::move(effects))) return;
  // After Act: what was just applied made room.
  Effects proposed;
  CarryOnOperation(&proposed);
  Propose(&proposed);
  ProposeChanges(&proposed);
  if (!Act(std::move(proposed)) || !Expire()) return;
  const uint64_t run = run_;
  Answer();
  if (run != run_ || process_ == nullptr || world_->violation.has_value()) return;
  if (!process_->inbox.empty()) Wake();
  ScheduleAlarm();
}

bool Host::StepAll(Effects* all) {
  const size_t count = std::min<size_t>(process_->inbox.size(), world_->random.Between(1, 64));
  for (size_t i = 0; i < count; ++i) {
    const paxos::Event event = std::move(process_->inbox.front());
    process_->inbox.pop_front();
    Step(event, all);
    if (world_->violation.has_value()) return false;
  }
  const Time local = Local();
  return local < process_->replica.deadline() || StepTick(local, all);
}

bool Host::StepTick(Time local, Effects* all) {
  Step(paxos::Tick{}, all);
  process_->ticks_at_once = process_->replica.deadline() <= local ? process_->ticks_at_once + 1 : 0;
  if (process_->ticks_at_once > 100) {
    world_->Fail("replica " + paxos::ToString(id()) + ": its deadline stays in the past");
  }
  return !world_->violation.has_value();
}

void Host::Step(const paxos::Event& event, Effects* all) {
  if (world_->trace.on()) Trace(ToString(event));
  Effects effects;
  paxos::Replica& replica = process_->replica;
  replica.Step(Local(), event, &effects);
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
  TellWatchers(event, effects);

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

void Host::TellWatchers(const paxos::Event& event, const Effects& effects) {
  const paxos::Replica& replica = process_->replica;
  for (const Envelope& envelope : effects.send) checker_->Emitted(envelope);
  for (const Envelope& envelope : effects.after_write) checker_->Emitted(envelope);
  for (const AcceptedValue& chosen : effects.chosen) {
    if (world_->trace.on()) Trace("  chosen " + ToString(chosen));
    checker_->Chosen(id(), chosen);
  }
  checker_->Stands(id(), replica.promised(), replica.chosen_through(), replica.stored_through(),
                   replica.durable_mark());
  checker_->Sees(id(), {.configuration = replica.configuration(),
                        .configuration_slot = replica.configuration_slot(),
                        .is_settled = replica.is_settled(),
                        .has_left = replica.has_left(),
                        .leads = replica.is_leading() ? replica.claimed() : std::nullopt});
  for (const Outcome& outcome : effects.outcomes) {
    if (world_->trace.on()) Trace("  outcome " + ToString(outcome));
    checker_->Resolved(id(), outcome);
  }
  elections_->Stepped(id(), event, replica.claimed(), replica.is_leading(),
                      replica.configuration());
  coverage_->Stepped(replica, event, effects);
  const uint64_t version = replica.configuration().version;
  if (replica.is_settled() && version > process_->settled_told) {
    process_->settled_told = version;
    callbacks_.settled(replica.configuration());
  }
}

// Reads that came together share one ticket.
void Host::StartReads(Effects* all) {
  if (process_->barriers.empty()) return;
  const Ticket ticket{++process_->last_ticket};
  process_->reads.AddBarriers(ticket, std::exchange(process_->barriers, {}));
  checker_->ReadNoted(id(), ticket);
  Step(paxos::Read{ticket}, all);
}

AppendQueue::Making Host::NextMaking() const {
  AppendQueue::Making making;
  making.origin.set_replica(static_cast<uint64_t>(id()));
  making.origin.set_start_nonce(process_->start_nonce);
  making.origin.set_sequence(process_->last_ticket + 1);
  making.timestamp_ms = (Local() + options_.clock.wall_ahead) / std::chrono::milliseconds(1);
  making.cluster_time_ms = std::max<uint64_t>(process_->sequencer.cluster_time_ms(),
                                              Local() / std::chrono::milliseconds(1));
  return making;
}

void Host::Propose(Effects* all) {
  AppendQueue& appends = process_->appends;
  if (!appends.has_waiting()) return;
  if (!process_->replica.is_leading()) {
    appends.FailWaiting(NotLeading(), &process_->answers);
    return;
  }
  for (std::optional<size_t> bytes = appends.NextBytes(); bytes.has_value();
       bytes = appends.NextBytes()) {
    if (!process_->replica.CanPropose(*bytes)) {
      ++world_->counters.window_full;
      return;
    }
    const paxos::Value value = appends.TakeNext(NextMaking());
    const Ticket ticket{++process_->last_ticket};
    checker_->Proposed(id(), ticket, value);
    Step(paxos::Propose{ticket, value}, all);
    if (world_->violation.has_value()) return;
  }
}

bool Host::Expire() {
  const AppendQueue::Clock::time_point now(Local());
  process_->appends.Expire(now, &process_->answers);
  process_->membership.Expire(now, &process_->answers);
  const std::vector<Ticket> cancelled = process_->reads.Expire(now, &process_->answers);
  if (cancelled.empty()) return true;
  Effects effects;
  for (const Ticket ticket : cancelled) Step(paxos::CancelRead{ticket}, &effects);
  return Act(std::move(effects));
}

// Each may be the last thing this process says.
void Host::Answer() {
  const uint64_t run = run_;
  for (const std::function<void()>& answer : std::exchange(process_->answers, {})) {
    answer();
    if (run != run_ || process_ == nullptr || world_->violation.has_value() || DiesHere()) return;
  }
}

}  // namespace distlog::simulation
