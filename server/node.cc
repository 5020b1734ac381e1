#include "server/node.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "server/append_queue.h"
#include "server/event_loop.h"
#include "server/inbox.h"
#include "server/published.h"
#include "server/request.h"
#include "server/storage_thread.h"
#include "server/supplier.h"
#include "wire/status.h"
#include "wire/value.h"

namespace distlog {
namespace {

// Of peers' messages that wait for the loop: a window of each peer's, about.
constexpr size_t kMaxPeerBytes = 64 << 20;

absl::Status Stopping() {
  return NotAppendedError(absl::StatusCode::kUnavailable, "the server is stopping; ask another one",
                          v1::ErrorDetail::REASON_STOPPING);
}

absl::Status Busy(const std::string& what) {
  return NotAppendedError(absl::StatusCode::kResourceExhausted,
                          absl::StrCat("too many ", what, " are under way here; try again later"),
                          v1::ErrorDetail::REASON_BUSY);
}

// When the last entry was made, as a time of this process; none if there is no entry.
std::optional<Published::TimePoint> TimeOfLastEntry(const Store& store,
                                                    const Sequencer& sequencer) {
  const uint64_t last = sequencer.last_position();
  if (last < sequencer.first_position()) return std::nullopt;
  const absl::StatusOr<std::vector<LogEntry>> entries = store.ReadEntries(last, last, 1);
  // Damage is told to whoever reads it.
  if (!entries.ok() || entries->empty()) return std::nullopt;
  const auto age = std::chrono::system_clock::now().time_since_epoch() -
                   std::chrono::milliseconds(entries->back().timestamp_ms);
  // The clock of the leader that made it may have been ahead of this one.
  return std::chrono::steady_clock::now() -
         std::max(std::chrono::duration_cast<std::chrono::steady_clock::duration>(age),
                  std::chrono::steady_clock::duration::zero());
}

bool CanLead(const Published::State& state, paxos::ReplicaId id) {
  const auto peer = state.peers.find(id);
  return peer != state.peers.end() &&
         peer->second.chosen_through + paxos::kWindow >= state.chosen_through;
}

// Whether the leadership can go to `to`, or to anyone if that is kNoReplica.
absl::Status CheckTransfer(const Published::State& state, paxos::ReplicaId to) {
  if (!state.is_leading) {
    return NotAppendedError(absl::StatusCode::kUnavailable, "this replica does not lead",
                            v1::ErrorDetail::REASON_NO_LEADER, state.leader_address);
  }
  const auto refuse = [](const std::string& sentence) {
    return MakeError(absl::StatusCode::kFailedPrecondition, sentence, v1::ErrorDetail());
  };
  const paxos::Configuration& configuration = *state.configuration;
  if (to == paxos::kNoReplica) {
    for (const paxos::Member& member : configuration.members) {
      if (member.voter && CanLead(state, member.id)) return absl::OkStatus();
    }
    return refuse("no other voter is reachable from the leader and caught up");
  }
  const std::string name = absl::StrCat("member ", static_cast<uint64_t>(to));
  if (to == state.self) return refuse(name + " leads already");
  if (!configuration.IsVoter(to)) {
    return refuse(absl::StrCat(name, " cannot lead: it is no voter of configuration version ",
                               configuration.version));
  }
  if (!state.heard.contains(to)) {
    return refuse(name + " cannot lead: it is not reachable from the leader");
  }
  if (!CanLead(state, to)) return refuse(name + " cannot lead yet: it is behind; try again later");
  return absl::OkStatus();
}

// Tells its status when the last one lets go of it.
struct Reply {
  ~Reply() { promise.set_value(status); }
  absl::Status status = Stopping();
  std::promise<absl::Status> promise;
};

}  // namespace

struct Node::Rep {
  Rep(Options options, std::unique_ptr<Store> store, Transport* transport)
      : options(std::move(options)), store(std::move(store)), transport(transport) {}

  absl::Status Join();
  absl::Status CheckTakesAppends();
  // Whether there is something that a stop waits for.
  bool IsUnderWay() const;
  // Whether a request that names these may be served here.
  absl::Status CheckNames(const std::string& cluster, const std::string& log) const {
    if (published.is_removed()) {
      // With this reason its caller asks another server.
      return NotAppendedError(
          absl::StatusCode::kUnavailable,
          published.Read([](const Published::State& state) { return state.removed; }),
          v1::ErrorDetail::REASON_STOPPING);
    }
    return CheckCluster(cluster, log, joined ? cluster_id : "", lineage);
  }
  void OnDurable(std::vector<paxos::Envelope> after_write, uint64_t last_record);
  void Post(Membership::Request request);

  const Options options;
  const std::unique_ptr<Store> store;
  Transport* const transport;
  Inbox inbox{kMaxPeerBytes};
  Admission admission{options.limits.max_inflight_requests, options.limits.max_inflight_bytes};
  Admission reading{options.limits.max_waiting_reads, SIZE_MAX};
  // Apart: a subscriber that is sent away would ask again at once.
  Admission subscribing{options.limits.max_waiting_reads, SIZE_MAX};
  Published published;
  std::atomic<bool> stopping{false};
  std::atomic<bool> disk_full{false};
  std::atomic<uint64_t> self{0};
  std::string cluster_id;  // Set once, before `joined`, as what follows.
  std::vector<v1::RecoveredFrom> lineage;
  std::atomic<bool> joined{false};
  std::mutex assign_mutex;  // One Assign at a time.
  std::unique_ptr<Supplier> supplier;
  std::unique_ptr<StorageThread> storage;
  std::unique_ptr<EventLoop> loop;
  std::thread loop_thread;
};

Node::Node(Options options, std::unique_ptr<Store> store, Transport* transport)
    : rep_(std::make_unique<Rep>(std::move(options), std::move(store), transport)) {}

Node::~Node() { Stop(std::chrono::milliseconds(0)); }

// ---- Life
// ----------------------------------------------------------------------------------------

absl::Status Node::Start() {
  CHECK(rep_->loop == nullptr) << "started twice";
  for (const std::string& note : rep_->store->recovered().notes) LOG(WARNING) << note;
  rep_->supplier = std::make_unique<Supplier>(
      rep_->store.get(), rep_->transport, [rep = rep_.get()](const absl::Status& status) {
        rep->published.NoteError(absl::StrCat("cannot supply a peer: ", status.message()));
      });
  rep_->storage = std::make_unique<StorageThread>(
      StorageThread::Options(), rep_->store.get(),
      [rep = rep_.get()](std::vector<paxos::Envelope> after_write, uint64_t last_record) {
        rep->OnDurable(std::move(after_write), last_record);
      },
      [rep = rep_.get()](paxos::Slot through) {
        rep->inbox.Post(
            [&](Inbox::Burst* burst) { burst->events.emplace_back(paxos::MarkSaved{through}); });
      });
  rep_->loop = std::make_unique<EventLoop>(rep_->options, EventLoop::World{
                                                              .store = rep_->store.get(),
                                                              .transport = rep_->transport,
                                                              .storage = rep_->storage.get(),
                                                              .supplier = rep_->supplier.get(),
                                                              .inbox = &rep_->inbox,
                                                              .admission = &rep_->admission,
                                                              .published = &rep_->published,
                                                          });
  if (!rep_->store->identity().cluster_id.empty()) {
    const absl::Status joined = rep_->Join();
    if (!joined.ok()) {
      rep_->loop.reset();
      return joined;
    }
  }
  rep_->loop_thread = std::thread([rep = rep_.get()] { rep->loop->Run(); });
  return absl::OkStatus();
}

// Posts the recovered log to the loop, which takes part from then on.
absl::Status Node::Rep::Join() {
  const paxos::ReplicaId id = store->identity().replica;
  if (id == paxos::kNoReplica) {
    return absl::FailedPreconditionError(absl::StrCat("data directory ", options.data_dir,
                                                      ": its cluster has no member with its UUID"));
  }
  absl::StatusOr<RecoveredLog> recovered = RecoverLog(store.get());
  if (!recovered.ok()) return recovered.status();
  self = static_cast<uint64_t>(id);
  cluster_id = store->identity().cluster_id;
  lineage = store->identity().recovered;
  const auto log = std::make_shared<RecoveredLog>(*std::move(recovered));
  published.Update([time = TimeOfLastEntry(*store, log->sequencer)](Published::State* state) {
    state->last_applied = time;
  });
  inbox.Post([&](Inbox::Burst* burst) {
    burst->calls.push_back([this, id, log] { loop->Join(id, std::move(*log)); });
  });
  // After the post: whatever comes in from now on finds a replica.
  joined = true;
  return absl::OkStatus();
}

absl::Status Node::Assign(const paxos::Configuration& genesis, const std::string& cluster_id,
                          const std::optional<paxos::Configuration>& joined,
                          const std::vector<v1::RecoveredFrom>& recovered) {
  std::lock_guard lock(rep_->assign_mutex);
  if (rep_->store->identity().cluster_id == cluster_id) return absl::OkStatus();
  return RunOnStorage([rep = rep_.get(), &genesis, &cluster_id, &joined, &recovered](Store* store) {
    const absl::Status status = store->Assign(genesis, cluster_id, joined, recovered);
    return status.ok() ? rep->Join() : status;
  });
}

void Node::Stop(std::chrono::milliseconds patience) {
  rep_->stopping = true;
  if (!rep_->loop_thread.joinable()) return;
  // A successor that does not yet follow this leader takes no notice: it is asked again.
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (int round = 0; std::chrono::steady_clock::now() < deadline && rep_->IsUnderWay(); ++round) {
    if (round % 50 == 0) {
      rep_->inbox.Post([&](Inbox::Burst* burst) {
        burst->calls.push_back(
            [rep = rep_.get()] { rep->loop->TransferLeadership(paxos::kNoReplica); });
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  rep_->inbox.Post([&](Inbox::Burst* burst) {
    burst->calls.push_back([rep = rep_.get()] { rep->loop->Stop(); });
  });
  rep_->loop_thread.join();
  rep_->supplier->Stop();
  rep_->storage->Stop();
}

bool Node::Rep::IsUnderWay() const {
  if (admission.requests() > 0) return true;
  return published.Read([](const Published::State& state) {
    // With nobody to hand over to, there is nothing to wait for.
    return state.is_leading && state.heard.size() > 1;
  });
}

void Node::PostToStorage(std::function<void(Store*)> task) {
  rep_->storage->Run([task = std::move(task), store = rep_->store.get()] { task(store); });
}

absl::Status Node::RunOnStorage(std::function<absl::Status(Store*)> task) {
  // The reply goes with the task, so that a node that stops meanwhile gives one too.
  auto reply = std::make_shared<Reply>();
  std::future<absl::Status> result = reply->promise.get_future();
  PostToStorage([task = std::move(task), reply = std::move(reply)](Store* store) {
    reply->status = task(store);
  });
  return result.get();
}

// On the storage thread.
void Node::Rep::OnDurable(std::vector<paxos::Envelope> after_write, uint64_t last_record) {
  std::vector<paxos::Envelope> own = TakeMessagesTo(paxos::ReplicaId{self.load()}, &after_write);
  if (!after_write.empty()) transport->Send(std::move(after_write));
  if (last_record == 0 && own.empty()) return;
  inbox.Post([&](Inbox::Burst* burst) {
    if (last_record != 0) burst->events.emplace_back(paxos::WriteFinished{last_record});
    for (paxos::Envelope& envelope : own) {
      burst->events.emplace_back(paxos::Receive{std::move(envelope)});
    }
  });
}

// ---- Clients
// -------------------------------------------------------------------------------------

absl::Status Node::Rep::CheckTakesAppends() {
  if (stopping) return Stopping();
  const bool full = storage->disk_free_bytes() < 2 * options.limits.disk_reserve_bytes;
  if (full != disk_full.exchange(full)) {
    if (full) {
      published.NoteError(
          absl::StrCat("the disk of ", options.data_dir,
                       " is nearly full: appends are refused until there is space"));
    } else {
      LOG(INFO) << "the disk of " << options.data_dir << " has space again";
    }
  }
  if (full) {
    return NotAppendedError(absl::StatusCode::kResourceExhausted,
                            "the leader's disk is nearly full: appends are refused until there is "
                            "space",
                            v1::ErrorDetail::REASON_DISK_FULL);
  }
  return absl::OkStatus();
}

void Node::Append(v1::AppendRequest request, std::chrono::steady_clock::time_point deadline,
                  AppendCallback done) {
  absl::Status status = rep_->CheckTakesAppends();
  if (status.ok()) status = rep_->CheckNames(request.cluster_id(), request.log());
  if (status.ok()) status = CheckAppend(request, rep_->options.limits);
  if (!status.ok()) {
    done(status);
    return;
  }
  auto append = std::make_unique<AppendQueue::Request>();
  v1::AppendRecord& record = append->append;
  record.mutable_payloads()->Swap(request.mutable_payloads());
  record.set_producer(std::move(*request.mutable_producer()));
  record.set_epoch(request.epoch());
  record.set_sequence(request.sequence());
  record.set_expect_position(request.expect_position());
  record.set_cluster_time_ms(request.cluster_time_ms());
  if (record.cluster_time_ms() == 0 && !record.producer().empty() && record.epoch() == 0) {
    record.set_cluster_time_ms(cluster_time_ms());
  }
  append->bytes = record.ByteSizeLong();
  append->deadline = deadline;
  append->on_append = std::move(done);
  if (!rep_->admission.Enter(append->bytes)) {
    append->on_append(Busy("appends"));
    return;
  }
  const size_t bytes = append->bytes;
  if (!rep_->inbox.Post(
          [&](Inbox::Burst* burst) { burst->appends.push_back(std::move(append)); })) {
    rep_->admission.Leave(bytes);
    append->on_append(Stopping());
  }
}

void Node::OpenProducer(v1::OpenProducerRequest request,
                        std::chrono::steady_clock::time_point deadline, OpenProducerCallback done) {
  absl::Status status = rep_->CheckTakesAppends();
  if (status.ok()) status = rep_->CheckNames(request.cluster_id(), request.log());
  if (status.ok()) status = CheckOpenProducer(request);
  if (!status.ok()) {
    done(status);
    return;
  }
  auto opening = std::make_unique<AppendQueue::Request>();
  opening->open.set_name(request.name());
  if (request.has_after_epoch()) opening->open.set_after_epoch(request.after_epoch());
  opening->open.set_nonce(request.nonce());
  opening->bytes = opening->open.ByteSizeLong();
  opening->deadline = deadline;
  opening->on_open = std::move(done);
  if (!rep_->admission.Enter(opening->bytes)) {
    opening->on_open(Busy("appends"));
    return;
  }
  const size_t bytes = opening->bytes;
  if (!rep_->inbox.Post(
          [&](Inbox::Burst* burst) { burst->appends.push_back(std::move(opening)); })) {
    rep_->admission.Leave(bytes);
    opening->on_open(Stopping());
  }
}

void Node::ReadBarrier(std::chrono::steady_clock::time_point deadline, BoundsCallback done) {
  absl::Status status = rep_->CheckNames("", "");
  if (status.ok() && rep_->stopping) status = Stopping();
  if (!status.ok()) {
    done(status);
    return;
  }
  if (!rep_->reading.Enter(0)) {
    done(Busy("reads"));
    return;
  }
  ReadQueue::Barrier barrier{
      deadline, [rep = rep_.get(), done = std::move(done)](const absl::StatusOr<Bounds>& bounds) {
        rep->reading.Leave(0);
        done(bounds);
      }};
  if (!rep_->inbox.Post(
          [&](Inbox::Burst* burst) { burst->barriers.push_back(std::move(barrier)); })) {
    barrier.done(Stopping());
  }
}

Node::Bounds Node::LocalBounds() const {
  return rep_->published.Read([](const Published::State& state) { return state.bounds; });
}

void Node::WaitBeyond(uint64_t last, std::chrono::steady_clock::time_point deadline,
                      std::function<void(Bounds)> done) {
  const Bounds bounds = LocalBounds();
  if (bounds.last > last || rep_->stopping || !rep_->subscribing.Enter(0)) {
    done(bounds);
    return;
  }
  ReadQueue::Waiter waiter{last, deadline, [rep = rep_.get(), done = std::move(done)](Bounds now) {
                             rep->subscribing.Leave(0);
                             done(now);
                           }};
  if (!rep_->inbox.Post(
          [&](Inbox::Burst* burst) { burst->waiters.push_back(std::move(waiter)); })) {
    waiter.done(bounds);
  }
}

absl::StatusOr<std::vector<LogEntry>> Node::ReadEntries(uint64_t from, uint64_t to,
                                                        size_t max_bytes) const {
  return rep_->store->ReadEntries(from, to, max_bytes);
}

absl::StatusOr<std::vector<paxos::AcceptedValue>> Node::ReadChosen(paxos::Slot first,
                                                                   paxos::Slot through,
                                                                   size_t max_bytes) const {
  const paxos::Slot stored =
      rep_->published.Read([](const Published::State& state) { return state.stored_through; });
  if (first < 1 || first > std::min(stored, through)) {
    return absl::OutOfRangeError(
        absl::StrCat("slot ", first, " is not known chosen here; the last one is ", stored));
  }
  return rep_->store->ReadSlots(first, std::min(stored, through), max_bytes);
}

// ---- Members and leadership
// ----------------------------------------------------------------------

void Node::Rep::Post(Membership::Request request) {
  absl::Status status = stopping ? Stopping() : CheckNames("", "");
  if (!status.ok()) {
    request.done(status);
    return;
  }
  if (!inbox.Post([&](Inbox::Burst* burst) { burst->changes.push_back(std::move(request)); })) {
    request.done(Stopping());
  }
}

void Node::BeginOperation(v1::BeginOperationCommand command,
                          std::chrono::steady_clock::time_point deadline, BeginCallback done) {
  if (command.ByteSizeLong() > Membership::kMaxCommandBytes / 2) {
    done(NotAppendedError(
        absl::StatusCode::kInvalidArgument,
        absl::StrCat("the operation has ", command.ByteSizeLong(), " bytes; at most ",
                     Membership::kMaxCommandBytes / 2, " are allowed"),
        v1::ErrorDetail::REASON_TOO_LARGE));
    return;
  }
  rep_->Post({.begin = std::make_unique<v1::BeginOperationCommand>(std::move(command)),
              .cancel = 0,
              .deadline = deadline,
              .done = std::move(done)});
}

void Node::CancelOperation(uint64_t id, std::chrono::steady_clock::time_point deadline,
                           CancelCallback done) {
  rep_->Post({.begin = nullptr,
              .cancel = id,
              .deadline = deadline,
              .done = [done = std::move(done)](const absl::StatusOr<uint64_t>& answer) {
                done(answer.status());
              }});
}

v1::OperationsResponse Node::Operations() const {
  const auto operations =
      rep_->published.Read([](const Published::State& state) { return state.operations; });
  return operations == nullptr ? v1::OperationsResponse() : *operations;
}

v1::HistoryResponse Node::History() const {
  const auto history =
      rep_->published.Read([](const Published::State& state) { return state.history; });
  return history == nullptr ? v1::HistoryResponse() : *history;
}

absl::Status Node::TransferLeadership(paxos::ReplicaId to) {
  absl::Status status = rep_->stopping ? Stopping() : rep_->CheckNames("", "");
  if (!status.ok()) return status;
  status = rep_->published.Read(
      [to](const Published::State& state) { return CheckTransfer(state, to); });
  if (!status.ok()) return status;
  const bool posted = rep_->inbox.Post([&](Inbox::Burst* burst) {
    burst->calls.push_back([rep = rep_.get(), to] { rep->loop->TransferLeadership(to); });
  });
  return posted ? absl::OkStatus() : Stopping();
}

// ---- Status
// --------------------------------------------------------------------------------------

void Node::FillStatus(v1::ServerStatus* status) const {
  const Identity identity = rep_->store->identity();
  status->set_assigned(!identity.cluster_id.empty());
  status->set_cluster_id(identity.cluster_id);
  for (auto parent = identity.recovered.rbegin(); parent != identity.recovered.rend(); ++parent) {
    v1::Lineage::Parent* told = status->mutable_lineage()->add_parents();
    told->set_cluster_id(parent->parent_cluster_id());
    told->set_last_slot(parent->shared_slot());
    told->set_last_position(parent->shared_position());
  }
  status->set_replica_id(rep_->self);
  status->set_uuid(ToBytes(identity.uuid));
  status->set_start_counter(identity.start_counter);
  status->set_address(rep_->options.address);
  status->set_data_dir(rep_->options.data_dir);
  status->set_max_entry_bytes(rep_->options.limits.max_entry_bytes);
  status->set_max_request_bytes(rep_->options.limits.max_request_bytes);
  status->set_disk_used_bytes(rep_->store->disk_used_bytes());
  status->set_disk_free_bytes(rep_->storage->disk_free_bytes());
  status->set_segments(rep_->store->segments());
  distlog::FillStatus(rep_->published.Read([](const Published::State& state) { return state; }),
                      status);
}

Node::Leader Node::leader() const {
  if (rep_->published.is_removed()) return Leader();
  return rep_->published.Read([](const Published::State& state) {
    return Leader{state.is_leading, state.leader_address};
  });
}

uint64_t Node::cluster_time_ms() const {
  return rep_->published.Read([](const Published::State& state) { return state.cluster_time_ms; });
}

absl::Status Node::CheckNames(const std::string& cluster, const std::string& log) const {
  return rep_->CheckNames(cluster, log);
}

std::string Node::cluster_id() const { return rep_->joined ? rep_->cluster_id : ""; }
bool Node::is_stopping() const { return rep_->stopping; }
Identity Node::identity() const { return rep_->store->identity(); }
const Node::Limits& Node::limits() const { return rep_->options.limits; }
Store* Node::store() const { return rep_->store.get(); }

// ---- TransportListener
// ---------------------------------------------------------------------------

void Node::OnReceive(std::vector<paxos::Envelope> envelopes) {
  if (!rep_->inbox.PostFromPeer(std::move(envelopes))) {
    LOG_EVERY_N(WARNING, 1000) << "messages of peers are dropped: the event loop is too slow";
  }
}

void Node::OnPeerConnected(paxos::ReplicaId peer) {
  rep_->inbox.Post(
      [&](Inbox::Burst* burst) { burst->events.emplace_back(paxos::PeerConnected{peer}); });
}

void Node::OnPeerLost(paxos::ReplicaId peer) {
  rep_->inbox.Post([&](Inbox::Burst* burst) { burst->events.emplace_back(paxos::PeerLost{peer}); });
}

void Node::OnRemoved(const std::string& sentence) { rep_->published.NoteRemoved(sentence); }

}  // namespace distlog
