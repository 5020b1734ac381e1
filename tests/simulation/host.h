// One simulated machine: a disk that outlives its process, and the process that does what a
// server does around a paxos::Replica.

#ifndef DISTLOG_TESTS_SIMULATION_HOST_H_
#define DISTLOG_TESTS_SIMULATION_HOST_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "log/sequencer.h"
#include "paxos/options.h"
#include "paxos/replica.h"
#include "paxos/step.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/clock.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/world.h"

namespace distlog::simulation {

// What a client asks to append, and is told.
struct AppendRequest {
  std::vector<std::string> payloads;
  std::string producer;  // Empty: none.
  uint64_t sequence = 0;
  uint64_t expect_position = 0;  // 0: any.
};
struct AppendReply {
  bool not_appended = false;  // Certainly; `leader` may know better. Else `result` holds.
  paxos::ReplicaId leader{};
  AppendResult result;
};
struct ReadReply {
  bool refused = false;
  uint64_t end = 0;  // The last position.
};
using AppendCallback = std::function<void(const AppendReply&)>;
using ReadCallback = std::function<void(const ReadReply&)>;

class Host {
 public:
  struct Options {
    paxos::Options protocol;  // self is set; seed is drawn at each start.
    paxos::Configuration genesis;
    LocalClock clock;
    Time min_sync = std::chrono::microseconds(100);
    Time max_sync = std::chrono::milliseconds(5);
    size_t max_waiting_appends = 64;
    size_t supply_bytes = 4096;
    // That it crashes in the middle of what a step asked for.
    double crash_in_effects = 0;
  };
  struct Callbacks {
    std::function<void(const paxos::Envelope&)> send;
    std::function<void()> crashed_in_effects;
  };

  Host(World* world, Checker* checker, Options options, Callbacks callbacks);

  paxos::ReplicaId id() const { return options_.protocol.self; }
  bool is_up() const { return process_ != nullptr; }
  bool is_paused() const { return paused_; }
  // Null while down.
  const paxos::Replica* replica() const;
  const Disk& disk() const { return disk_; }
  void set_sync_time(Time min, Time max);

  void Start();
  void Crash();
  void Pause();
  void Continue();
  // The disk finishes nothing until then.
  void StallDisk(Time until);
  // No fault of its own is left: it goes on, with a disk that is quick.
  void Mend();
  // Makes the mark durable late, and at times a checkpoint.
  void SaveMark();

  // Whatever arrives. Lost if it is down; waits if it is paused.
  void Post(paxos::Event event);
  // A client's request; `done` is called at most once, and never if this process dies.
  void Append(AppendRequest request, AppendCallback done);
  void Read(ReadCallback done, Time give_up_after);

 private:
  struct WaitingAppend {
    AppendRequest request;
    AppendCallback done;
  };
  struct WaitingRead {
    ReadCallback done;
    std::optional<paxos::Slot> readable;
  };
  struct Proposal {
    std::vector<AppendCallback> done;
    uint64_t sequence = 0;
    std::optional<distlog::Applied> applied;
    bool chosen = false;
  };
  struct Process {
    Process(paxos::Replica r, Sequencer s) : replica(std::move(r)), sequencer(std::move(s)) {}

    paxos::Replica replica;
    Sequencer sequencer;
    uint64_t start_nonce = 0;
    uint64_t next_ticket = 0;
    uint64_t next_sequence = 0;
    uint64_t records = 0;
    std::deque<paxos::Event> inbox;
    bool wake_scheduled = false;
    uint64_t tick = 0;  // The newest one scheduled.
    Time tick_time{-1};
    uint64_t ticks_at_once = 0;
    std::deque<WaitingAppend> waiting;
    std::map<paxos::Ticket, Proposal> proposals;
    std::map<uint64_t, paxos::Ticket> by_sequence;
    std::map<paxos::Ticket, WaitingRead> reads;
    std::vector<uint64_t> ends;  // The last position as of each slot applied in this run ...
    paxos::Slot ends_from = 0;   // ... from this one on.
    // For the counters:
    std::optional<paxos::Ballot> led;
  };

  void Trace(const std::string& what);
  void Wake();
  void HandleInbox();
  void Step(const paxos::Event& event, paxos::Effects* all);
  void ProposeWaiting(paxos::Effects* all);
  void RefuseWaiting();
  void Perform(paxos::Effects effects);
  void SubmitWrite(Disk::Write write);
  void SyncDisk();
  void FinishSync();
  void Send(const paxos::Envelope& envelope);
  void Apply(const paxos::AcceptedValue& chosen);
  void Resolve(const paxos::Outcome& outcome);
  void Answer(paxos::Ticket ticket);
  void AnswerReads();
  void Supply(const paxos::Supply& supply);
  void ScheduleTick();
  Sequencer RecoverSequencer();
  void Count(const paxos::Event& event, const paxos::Effects& effects);

  World* world_;
  Checker* checker_;
  Options options_;
  Callbacks callbacks_;
  Disk disk_;
  Time disk_stalled_until_{0};
  std::string checkpoint_;  // On disk: the applied state as of checkpoint_slot_.
  paxos::Slot checkpoint_slot_ = 0;
  uint64_t run_ = 0;
  bool paused_ = false;
  std::unique_ptr<Process> process_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_HOST_H_
