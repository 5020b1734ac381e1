// The one thread that holds all protocol state.

#ifndef DISTLOG_SERVER_EVENT_LOOP_H_
#define DISTLOG_SERVER_EVENT_LOOP_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "log/sequencer.h"
#include "log/store.h"
#include "paxos/replica.h"
#include "server/append_queue.h"
#include "server/inbox.h"
#include "server/membership.h"
#include "server/phase_log.h"
#include "server/published.h"
#include "server/read_queue.h"
#include "server/round_trips.h"
#include "server/storage_thread.h"
#include "server/supplier.h"
#include "server/transport.h"

namespace distlog {

// Takes what waits in the inbox, steps the Replica, and does what it then owes: sends, hands
// records to the storage thread, applies, answers. It never waits for a disk or a network. All
// functions but Run are called on the thread of Run (by Inbox::Burst::calls), or before it.
class EventLoop {
 public:
  // Everything outlives the loop.
  struct World {
    Store* store = nullptr;
    Transport* transport = nullptr;
    StorageThread* storage = nullptr;
    Supplier* supplier = nullptr;
    Inbox* inbox = nullptr;
    Admission* admission = nullptr;
    Published* published = nullptr;
  };

  EventLoop(const Node::Options& options, const World& world);

  // Runs until Stop.
  void Run();

  // Takes part from now on: this server is the member `self`.
  void Join(paxos::ReplicaId self, RecoveredLog recovered);
  // Ignored unless this replica leads.
  void TransferLeadership(paxos::ReplicaId to);
  // Answers everybody and ends Run.
  void Stop();

 private:
  using Clock = std::chrono::steady_clock;

  // The applied state as of the end of the slot before a cut, on its way to the store.
  struct Cut {
    paxos::Slot first = 0;
    std::optional<std::string> state;
  };

  paxos::Time Now() const { return Clock::now() - start_; }
  Clock::time_point NextDeadline() const;

  void HandleBurst(Inbox::Burst burst);
  void StepAll(const Inbox::Burst& burst, paxos::Effects* effects);
  void StartReads(std::vector<ReadQueue::Barrier> barriers, paxos::Effects* effects);
  void Propose(paxos::Effects* effects);
  void ProposeChange(paxos::Effects* effects);
  AppendQueue::Making NextMaking();

  void Act(paxos::Effects effects);
  void Send(std::vector<paxos::Envelope> envelopes);
  void Write(paxos::Effects* effects);
  void Apply(const std::vector<paxos::AcceptedValue>& chosen);
  void StopApplying(const paxos::AcceptedValue& value, const absl::Status& status);
  void Resolve(const std::vector<paxos::Outcome>& outcomes);
  void CaptureCut();
  void AdvanceStored();
  void Expire();
  void Publish();
  void PublishMembers();
  void PublishOperations();
  void Answer();

  absl::Status NotLeading() const;
  std::string LeaderAddress() const;
  uint64_t ClusterTimeMs();

  const Node::Options options_;
  const World world_;
  const uint64_t start_nonce_;
  const Clock::time_point start_ = Clock::now();

  std::optional<paxos::Replica> replica_;  // None while unassigned.
  std::optional<Sequencer> sequencer_;     // With it.
  absl::Status apply_status_;              // Once not OK, nothing is applied any more.
  AppendQueue appends_;
  Membership membership_;
  ReadQueue reads_;
  Answers answers_;
  std::vector<paxos::Event> own_events_;  // Messages to itself.
  RoundTrips round_trips_;
  std::optional<Cut> cut_;
  // Slots applied but not yet known stored, and the last position as of each.
  std::deque<std::pair<paxos::Slot, uint64_t>> unstored_;

  uint64_t last_ticket_ = 0;  // Tickets, and the sequences of origins.
  // Cluster time runs from here while this replica leads at this ballot.
  paxos::Ballot cluster_time_ballot_;
  uint64_t cluster_time_base_ms_ = 0;
  Clock::time_point cluster_time_base_;
  uint64_t cluster_time_ms_ = 0;  // The last one given to a value.
  bool was_leading_ = false;
  Clock::time_point next_transfer_;  // Of a leader that cannot apply.
  // What was published, or told the transport, last.
  struct MembersTold {
    uint64_t version = 0;
    bool settled = false;
    friend bool operator==(const MembersTold&, const MembersTold&) = default;
  };
  MembersTold members_told_;
  paxos::ReplicaId leader_told_{};
  struct OperationsTold {
    uint64_t version = 0;  // Of the configuration applied.
    bool settled = false;
    bool leads = false;
    uint64_t changes = 0;
    uint64_t round = 0;  // While one is running.
    friend bool operator==(const OperationsTold&, const OperationsTold&) = default;
  };
  std::optional<OperationsTold> operations_told_;
  PhaseLog phases_;
  std::optional<std::pair<paxos::Ballot, uint64_t>> terms_told_;  // And the configuration.
  bool stop_ = false;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_EVENT_LOOP_H_
