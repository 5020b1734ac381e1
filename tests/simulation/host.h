// One simulated machine: a disk that outlives its process, and the process that does what a
// server does around a paxos::Replica.

#ifndef DISTLOG_TESTS_SIMULATION_HOST_H_
#define DISTLOG_TESTS_SIMULATION_HOST_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "log/sequencer.h"
#include "paxos/options.h"
#include "paxos/replica.h"
#include "paxos/step.h"
#include "server/admission.h"
#include "server/append_queue.h"
#include "server/membership.h"
#include "server/node.h"
#include "server/read_queue.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/clock.h"
#include "tests/simulation/coverage.h"
#include "tests/simulation/election_rules.h"
#include "tests/simulation/log_disk.h"
#include "tests/simulation/world.h"

namespace distlog::simulation {

// Answers come with what a client would get over the network, ErrorDetail and all. `done` is called
// at most once, and never if the process dies.
using AppendCallback = Node::AppendCallback;
using OpenCallback = Node::OpenProducerCallback;
using ReadCallback = Node::BoundsCallback;
struct Entries {
  uint64_t first_position = 0;
  std::vector<std::string> payloads;
  std::optional<uint64_t> end;  // Of the log, if the read was linearizable.
};
using EntriesCallback = std::function<void(const absl::StatusOr<Entries>&)>;

class Host {
 public:
  struct Options {
    paxos::Options protocol;  // self is set; seed is drawn at each start.
    std::string address;
    LocalClock clock;
    Time min_sync = std::chrono::microseconds(100);
    Time max_sync = std::chrono::milliseconds(5);
    Node::Limits limits;
    size_t supply_bytes = 4096;  // Of slots in a message, and of entries read at a time.
    // That it crashes at a given boundary: between any two things that it does.
    double boundary_crashes = 0;
    uint64_t crash_at = 0;  // At this one of World::boundaries.
    // That a group of writes fails, which ends the process.
    double failed_writes = 0;
  };
  struct Callbacks {
    std::function<void(const paxos::Envelope&)> send;
    // It is to Crash at once, with whatever else that means.
    std::function<void()> crash;
    // It knows this configuration, in force, to be settled. At most once in a run for each.
    std::function<void(const paxos::Configuration&)> settled = [](const paxos::Configuration&) {};
    // It is about to propose this one for an operation, which may name machines that are new.
    std::function<void(const paxos::Configuration&)> proposes = [](const paxos::Configuration&) {};
    // A request to the process at `address`, which may never come back.
    std::function<void(const std::string& address, const v1::AppendRequest& request,
                       AppendCallback done)>
        pass_on;
  };

  // All that watch a run.
  struct Watchers {
    Checker* checker = nullptr;
    ElectionRules* elections = nullptr;
    Coverage* coverage = nullptr;
  };

  Host(World* world, const Watchers& watchers, std::unique_ptr<LogDisk> disk, Options options,
       Callbacks callbacks);

  paxos::ReplicaId id() const { return options_.protocol.self; }
  const std::string& address() const { return options_.address; }
  // A machine gets its id when a configuration names it; two may have named different machines so.
  void set_address(const std::string& address) { options_.address = address; }
  bool is_up() const { return process_ != nullptr; }
  bool has_started() const { return run_ > 0; }
  bool is_destroyed() const { return is_destroyed_; }
  bool is_paused() const { return paused_; }
  // Null while down.
  const paxos::Replica* replica() const;
  const LogDisk& disk() const { return *disk_; }

  void Start();
  void Crash();
  // The machine is gone, with its disk, for good.
  void Destroy();
  void Pause();
  void Continue();
  // The disk finishes nothing until then.
  void StallDisk(Time until);
  void set_sync_time(Time min, Time max);
  // The disk is nearly full: appends are refused, and what is written all the same may not fit.
  void set_disk_full(bool full);
  // The monotonic clock gains so much from now on.
  void SetDrift(int64_t ppm);
  void JumpWallClock(Time ahead) { options_.clock.wall_ahead = ahead; }
  // No fault of its own is left: it goes on, with a disk that is quick and a clock that is right.
  void Mend();
  // Makes the mark durable late, and at times a checkpoint.
  void SaveMark();

  // Whatever arrives. Lost if it is down; waits if it is paused.
  void Post(paxos::Event event);
  // An operator asks it to propose this configuration.
  void Reconfigure(const paxos::Configuration& next);
  // ... or to begin or cancel an operation, which it carries on if it leads.
  void Operate(Membership::Request request, Time give_up_after);
  // Whether it was asked for something that it has not looked at yet, as while it is paused.
  bool has_changes_waiting() const {
    return process_ != nullptr &&
           (!process_->changes.empty() || process_->membership.has_waiting());
  }
  // A client's request. `passed_on`: another replica sent it, so that it is tried here, once.
  void Append(v1::AppendRequest request, Time give_up_after, bool passed_on, AppendCallback done);
  void OpenProducer(const v1::OpenProducerRequest& request, Time give_up_after, OpenCallback done);
  void Read(Time give_up_after, ReadCallback done);
  // All entries of the range that are there, or that this replica has if the read is local.
  void ReadEntries(const v1::ReadRequest& request, Time give_up_after, EntriesCallback done);

 private:
  struct Process {
    Process(paxos::Replica r, Sequencer s, const Node::Limits& limits)
        : replica(std::move(r)),
          sequencer(std::move(s)),
          admission(limits.max_inflight_requests, limits.max_inflight_bytes),
          appends({.max_batch_bytes = limits.max_batch_bytes}, &admission) {}

    paxos::Replica replica;
    Sequencer sequencer;
    Admission admission;
    AppendQueue appends;
    ReadQueue reads;
    Membership membership;
    Node::Bounds readable;  // What a local read sees.
    Answers answers;
    uint64_t start_nonce = 0;
    uint64_t last_ticket = 0;  // Tickets, and the sequences of origins.
    uint64_t records = 0;
    std::deque<paxos::Event> inbox;
    std::vector<ReadQueue::Barrier> barriers;   // Not yet asked for.
    std::vector<paxos::Configuration> changes;  // Asked for.
    std::set<paxos::Ticket> changes_under_way;
    uint64_t settled_told = 1;  // Of what version; the genesis is settled from the start.
    bool wake_scheduled = false;
    uint64_t alarm = 0;  // The newest one scheduled.
    Time alarm_time{-1};
    uint64_t ticks_at_once = 0;
    // Slots applied and not yet stored here, each with the last position as of it.
    std::deque<std::pair<paxos::Slot, uint64_t>> unstored;
    bool said_unsynced = false;  // Something of a step whose records are not durable yet.
  };

  void Trace(const std::string& what);
  Time Local() const { return options_.clock.Read(world_->now()); }
  AppendQueue::Clock::time_point Deadline(Time give_up_after) const;
  // Whether it dies here, between two things it does.
  bool DiesHere();

  // ---- Its loop. ----
  void Wake();
  void ScheduleAlarm();
  void Run();
  bool StepAll(paxos::Effects* all);
  bool StepTick(Time local, paxos::Effects* all);
  void Step(const paxos::Event& event, paxos::Effects* all);
  void StartReads(paxos::Effects* all);
  AppendQueue::Making NextMaking() const;
  void Propose(paxos::Effects* all);
  void CarryOnOperation(paxos::Effects* all);
  void ProposeChanges(paxos::Effects* all);
  void CountRefusal(paxos::Replica::Reconfiguration verdict);
  void TellWatchers(const paxos::Event& event, const paxos::Effects& effects);
  bool Expire();
  void Answer();

  // ---- Effects out. Each returns whether the process goes on. ----
  bool Act(paxos::Effects effects);
  bool ActOn(size_t index, const paxos::Effects& effects);
  bool SubmitWrite(Disk::Write write);
  void SyncDisk();
  void FinishSync();
  void Send(const paxos::Envelope& envelope);
  void Apply(const paxos::AcceptedValue& chosen);
  bool AdvanceStored();
  // Whether it dies of what the disk did.
  bool DiesOfDisk();
  void BreakDisk();
  void Supply(const paxos::Supply& supply);

  // ---- Clients. ----
  absl::Status NotLeading() const;
  // A server that was removed refuses everything.
  absl::Status CheckIsMember() const;
  absl::Status CheckTakesAppends() const;
  template <typename Callback>
  bool Admit(std::unique_ptr<AppendQueue::Request> request, const Callback& done);
  void AppendHere(const v1::AppendRequest& request, Time give_up_after, AppendCallback done);
  void SetReadable(paxos::Slot slot, uint64_t last_position);
  void ReadRange(const v1::ReadRequest& request, const Node::Bounds& bounds,
                 const EntriesCallback& done);
  // Reads on, a piece at a time, from what is found through position `last`.
  void ReadOn(Entries found, uint64_t last, const EntriesCallback& done);

  World* world_;
  Checker* checker_;
  ElectionRules* elections_;
  Coverage* coverage_;
  std::unique_ptr<LogDisk> disk_;
  Options options_;
  Callbacks callbacks_;
  Time disk_stalled_until_{0};
  bool disk_full_ = false;
  uint64_t run_ = 0;
  bool paused_ = false;
  bool is_destroyed_ = false;
  std::unique_ptr<Process> process_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_HOST_H_
