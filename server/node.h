// The outside world of one paxos::Replica: its event loop, clock, disk and applied state.

#ifndef DISTLOG_SERVER_NODE_H_
#define DISTLOG_SERVER_NODE_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/sequencer.h"
#include "log/store.h"
#include "paxos/configuration.h"
#include "paxos/message.h"
#include "paxos/options.h"
#include "proto/distlog/v1/cluster.pb.h"
#include "proto/distlog/v1/log.pb.h"
#include "proto/distlog/v1/record.pb.h"
#include "server/transport.h"

namespace distlog {

// Runs one Replica: one event-loop thread holds all protocol state and the sequencer, one storage
// thread does group commit. Heartbeats never wait for the disk.
//
// All public functions may be called from any thread. Callbacks are called once each, from the
// event loop or from the caller's thread; they must not block. Errors carry an ErrorDetail
// (wire/status.h).
class Node : public TransportListener {
 public:
  struct Limits {
    size_t max_entry_bytes = 1 << 20;
    size_t max_request_bytes = (4 << 20) - (64 << 10);
    size_t max_payloads = 65'536;          // Of a request.
    size_t max_inflight_bytes = 64 << 20;  // Appends taken and not answered.
    size_t max_inflight_requests = 100'000;
    size_t max_batch_bytes = 1 << 20;    // Of a value; one larger request goes alone.
    size_t max_waiting_reads = 100'000;  // ReadBarrier, and as many of WaitBeyond.
    // Appends are refused while the disk has less than twice this left.
    uint64_t disk_reserve_bytes = 64 << 20;
  };
  struct Options {
    Limits limits;
    paxos::Options protocol;  // self and seed are filled in.
    std::string address;      // As advertised.
    std::string data_dir;
  };

  // `store` is open; `transport` outlives the node.
  Node(Options options, std::unique_ptr<Store> store, Transport* transport);
  ~Node() override;

  // Recovers the log if the store is assigned, and starts the threads.
  absl::Status Start();

  // Assigns an empty server to its cluster: makes the genesis durable, with the configuration that
  // names it if a running cluster adds it (Store::Assign), and begins to take part. The same again:
  // OK. Blocks for the disk.
  absl::Status Assign(const paxos::Configuration& genesis, const std::string& cluster_id,
                      const std::optional<paxos::Configuration>& joined = std::nullopt);

  // Hands leadership over, takes no new requests, waits for those under way (at most `patience`),
  // makes the mark durable and stops the threads.
  void Stop(std::chrono::milliseconds patience);

  // ---- Clients. ----

  // Appends through this replica if it leads. Otherwise fails with not_appended set and the
  // leader's address, if known. A request of a deposed leader whose outcome is open fails without
  // not_appended when `deadline` passes.
  using AppendCallback = std::function<void(const absl::StatusOr<v1::AppendResponse>&)>;
  void Append(v1::AppendRequest request, std::chrono::steady_clock::time_point deadline,
              AppendCallback done);

  using OpenProducerCallback = std::function<void(const absl::StatusOr<v1::OpenProducerResponse>&)>;
  void OpenProducer(v1::OpenProducerRequest request, std::chrono::steady_clock::time_point deadline,
                    OpenProducerCallback done);

  // The retained positions, of which every one through `last` can be read here.
  struct Bounds {
    uint64_t first = 1;
    uint64_t last = 0;
  };
  // Linearizable: not before everything acknowledged before the call can be read here.
  using BoundsCallback = std::function<void(const absl::StatusOr<Bounds>&)>;
  void ReadBarrier(std::chrono::steady_clock::time_point deadline, BoundsCallback done);
  // What can be read here now.
  Bounds LocalBounds() const;
  // Calls `done` when a position above `last` can be read here, or at `deadline` with what there
  // is.
  void WaitBeyond(uint64_t last, std::chrono::steady_clock::time_point deadline,
                  std::function<void(Bounds)> done);
  // Entries within LocalBounds(). Blocks for the disk.
  absl::StatusOr<std::vector<LogEntry>> ReadEntries(uint64_t from, uint64_t to,
                                                    size_t max_bytes) const;

  // Values of slots from `first` on, to `through` at most, that are chosen and stored here: up to
  // max_bytes of payload, but at least one. OutOfRange: `first` is not. Blocks for the disk.
  absl::StatusOr<std::vector<paxos::AcceptedValue>> ReadChosen(paxos::Slot first,
                                                               paxos::Slot through,
                                                               size_t max_bytes) const;

  // ---- Members and leadership. ----

  // Puts an operation into the log through this replica if it leads, and answers its id as soon as
  // it is applied; the leader then carries it on. A copy (by nonce) of one that is known is
  // answered with that one's id. Otherwise fails as Append does; or, nothing having begun, with
  // ABORTED (the configuration is not at base_version), FAILED_PRECONDITION (an operation is
  // running, or the goal cannot be), INVALID_ARGUMENT (too large).
  using BeginCallback = std::function<void(const absl::StatusOr<uint64_t>&)>;
  void BeginOperation(v1::BeginOperationCommand command,
                      std::chrono::steady_clock::time_point deadline, BeginCallback done);
  // The same, to cancel one. NOT_FOUND: there is none of this id. FAILED_PRECONDITION: too late, or
  // it has finished. OK if it is cancelled already.
  using CancelCallback = std::function<void(const absl::Status&)>;
  void CancelOperation(uint64_t id, std::chrono::steady_clock::time_point deadline,
                       CancelCallback done);
  // The members in force and the operations, as this replica knows them; empty while unassigned.
  v1::OperationsResponse Operations() const;
  // Who led when, as far as this replica has applied the log.
  v1::HistoryResponse History() const;
  // Begins to hand the leadership to `to`, or to whoever knows most if that is kNoReplica; who
  // leads then is to be looked for. UNAVAILABLE with the leader's address: this replica does not
  // lead. FAILED_PRECONDITION, and nothing happens: that one cannot lead.
  absl::Status TransferLeadership(paxos::ReplicaId to);

  // ---- Status. ----

  void FillStatus(v1::ServerStatus* status) const;

  // Who takes appends, as far as is known here.
  struct Leader {
    bool is_here = false;
    std::string address;  // Empty if not known.
  };
  Leader leader() const;
  // The highest cluster time applied here.
  uint64_t cluster_time_ms() const;
  // FAILED_PRECONDITION if a request names another cluster than this replica's; UNAVAILABLE if this
  // server belongs to none, or was removed; INVALID_ARGUMENT if it names a log.
  absl::Status CheckNames(const std::string& cluster_id, const std::string& log) const;
  // Stop was called: everything but what is under way is refused.
  bool is_stopping() const;
  Identity identity() const;
  // Empty until this replica takes part.
  std::string cluster_id() const;
  const Limits& limits() const;
  Store* store() const;

  // Runs `task` on the storage thread, between two groups of writes (Store::RememberPeer wants that
  // thread). From Start() until Stop(), whether assigned or not; afterwards `task` is destroyed
  // unrun.
  void PostToStorage(std::function<void(Store*)> task);
  // The same, and waits for it: what the task returned, or that the node has stopped.
  absl::Status RunOnStorage(std::function<absl::Status(Store*)> task);

  // ---- TransportListener. ----

  void OnReceive(std::vector<paxos::Envelope> envelopes) override;
  void OnPeerConnected(paxos::ReplicaId peer) override;
  void OnPeerLost(paxos::ReplicaId peer) override;
  void OnRemoved(const std::string& sentence) override;

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_NODE_H_
