#include "client/fake_server.h"

#include "absl/strings/str_cat.h"
#include "client/fake_services.h"
#include "glog/logging.h"
#include "grpcpp/server_builder.h"
#include "wire/status.h"

namespace distlog {
namespace {

absl::Status Refusal(v1::ErrorDetail::Reason reason, uint64_t expected, uint64_t actual) {
  v1::ErrorDetail detail;
  detail.set_not_appended(true);
  detail.set_reason(reason);
  detail.set_expected(expected);
  detail.set_actual(actual);
  return RefusalError(detail);
}

}  // namespace

struct FakeCluster::Server {
  Server(FakeCluster* cluster, uint64_t id) : log(cluster, id), membership(cluster, id) {}

  void Start() {
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&log);
    builder.RegisterService(&membership);
    server = builder.BuildAndStart();
    CHECK(server != nullptr) << "port " << port << " is taken";
  }

  FakeLogService log;
  FakeClusterService membership;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
};

FakeCluster::FakeCluster(int size, bool assigned, char id)
    : cluster_id_(32, id), membership_(size), assigned_(assigned) {
  for (int id = 1; id <= size; ++id) {
    servers_.push_back(std::make_unique<Server>(this, id));
    servers_.back()->Start();
  }
}

FakeCluster::~FakeCluster() {
  for (size_t id = 1; id <= servers_.size(); ++id) Stop(id);
}

std::string FakeCluster::endpoint(int id) const {
  return absl::StrCat("127.0.0.1:", servers_[id - 1]->port);
}

std::vector<std::string> FakeCluster::endpoints() const {
  std::vector<std::string> all;
  for (size_t id = 1; id <= servers_.size(); ++id) all.push_back(endpoint(id));
  return all;
}

void FakeCluster::SetLeader(uint64_t id) {
  absl::MutexLock lock(&mutex_);
  leader_ = id;
  ++round_;
}

uint64_t FakeCluster::leader() const {
  absl::MutexLock lock(&mutex_);
  return leader_;
}

void FakeCluster::Move() {
  absl::MutexLock lock(&mutex_);
  leader_ = leader_ % servers_.size() + 1;
  ++round_;
}

void FakeCluster::Stop(int id) {
  if (servers_[id - 1]->server != nullptr) {
    servers_[id - 1]->server->Shutdown(std::chrono::system_clock::now());
  }
  servers_[id - 1]->server = nullptr;
}

void FakeCluster::Start(int id) { servers_[id - 1]->Start(); }

void FakeCluster::Script(std::vector<Fault> faults) {
  absl::MutexLock lock(&mutex_);
  faults_.assign(faults.begin(), faults.end());
}

Fault FakeCluster::NextFault() {
  absl::MutexLock lock(&mutex_);
  ++taken_;
  if (faults_.empty()) return Fault::kNone;
  const Fault fault = faults_.front();
  faults_.pop_front();
  return fault;
}

std::vector<std::string> FakeCluster::entries() const {
  absl::MutexLock lock(&mutex_);
  return entries_;
}

void FakeCluster::Put(std::vector<std::string> entries) {
  absl::MutexLock lock(&mutex_);
  for (std::string& entry : entries) entries_.push_back(std::move(entry));
}

void FakeCluster::PutWhenIdle(std::vector<std::string> entries) {
  absl::MutexLock lock(&mutex_);
  when_idle_ = std::move(entries);
}

void FakeCluster::Idled() {
  absl::MutexLock lock(&mutex_);
  for (std::string& entry : std::exchange(when_idle_, {})) entries_.push_back(std::move(entry));
}

uint64_t FakeCluster::appends_taken() const {
  absl::MutexLock lock(&mutex_);
  return taken_;
}

void FakeCluster::Fence(const std::string& producer) {
  absl::MutexLock lock(&mutex_);
  for (auto& [name, row] : producers_) {
    if (name == producer || producer.empty()) ++row.epoch;
  }
}

void FakeCluster::set_max_entry_bytes(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  max_entry_bytes_ = bytes;
}

absl::Status FakeCluster::RefuseOthers(const std::string& cluster_id) const {
  if (cluster_id.empty() || cluster_id == cluster_id_) return absl::OkStatus();
  v1::ErrorDetail detail;
  detail.set_not_appended(true);
  detail.set_reason(v1::ErrorDetail::REASON_WRONG_CLUSTER);
  return MakeError(absl::StatusCode::kFailedPrecondition, "this is another cluster", detail);
}

absl::Status FakeCluster::RefuseUnlessLeader(uint64_t id, const std::string& cluster_id) const {
  if (absl::Status status = RefuseOthers(cluster_id); !status.ok()) return status;
  absl::MutexLock lock(&mutex_);
  if (id == leader_) return absl::OkStatus();
  v1::ErrorDetail detail;
  detail.set_not_appended(true);
  detail.set_reason(v1::ErrorDetail::REASON_NO_LEADER);
  if (leader_ != 0) detail.set_leader_address(endpoint(leader_));
  return MakeError(absl::StatusCode::kUnavailable, "this replica does not lead", detail);
}

absl::Status FakeCluster::Open(const v1::OpenProducerRequest& request,
                               v1::OpenProducerResponse* response) {
  absl::MutexLock lock(&mutex_);
  ProducerRow& row = producers_[request.name()];
  if (row.nonce != request.nonce()) ++row.epoch;
  row.nonce = request.nonce();
  response->set_epoch(row.epoch);
  response->set_next_sequence(row.next_sequence);
  return absl::OkStatus();
}

absl::Status FakeCluster::Apply(const v1::AppendRequest& request, v1::AppendResponse* response) {
  absl::MutexLock lock(&mutex_);
  for (const std::string& payload : request.payloads()) {
    if (payload.size() > max_entry_bytes_) {
      return Refusal(v1::ErrorDetail::REASON_TOO_LARGE, max_entry_bytes_, payload.size());
    }
  }
  ProducerRow* row = nullptr;
  const uint32_t count = request.payloads_size();
  if (!request.producer().empty()) {
    row = &producers_[request.producer()];
    if (request.epoch() != row->epoch) {
      return Refusal(v1::ErrorDetail::REASON_EPOCH, request.epoch(), row->epoch);
    }
    if (request.sequence() > row->next_sequence) {
      return Refusal(v1::ErrorDetail::REASON_SEQUENCE_GAP, row->next_sequence, request.sequence());
    }
    if (request.sequence() < row->next_sequence) {
      const auto found = row->results.find(request.sequence());
      if (found == row->results.end() || found->second.count() != count) {
        return Refusal(v1::ErrorDetail::REASON_SEQUENCE_BOUNDARIES, row->next_sequence,
                       request.sequence());
      }
      *response = found->second;
      response->set_duplicate(true);
      if (response->first_position() != 0) return absl::OkStatus();
      return Refusal(v1::ErrorDetail::REASON_POSITION, request.expect_position(), 0);
    }
  }
  const uint64_t position = entries_.size() + 1;
  response->set_count(count);
  const bool refused = request.expect_position() != 0 && request.expect_position() != position;
  if (!refused) response->set_first_position(position);
  if (row != nullptr) {
    row->results[request.sequence()] = *response;
    row->next_sequence += count;
  }
  if (refused) {
    return Refusal(v1::ErrorDetail::REASON_POSITION, request.expect_position(), position);
  }
  for (const std::string& payload : request.payloads()) entries_.push_back(payload);
  return absl::OkStatus();
}

absl::Status FakeCluster::Form(const v1::InitRequest& request, v1::InitResponse* response) {
  absl::MutexLock lock(&mutex_);
  if (static_cast<size_t>(request.addresses_size()) != servers_.size() || !entries_.empty()) {
    return absl::FailedPreconditionError("these servers belong to another cluster");
  }
  response->set_cluster_id(cluster_id_);
  response->set_formed(!assigned_);
  response->set_leader_id(leader_);
  assigned_ = true;
  return absl::OkStatus();
}

v1::ServerStatus FakeCluster::StatusLocked(uint64_t id) const {
  v1::ServerStatus status;
  status.set_address(endpoint(id));
  status.set_uuid(std::string(16, static_cast<char>(id)));
  status.set_max_entry_bytes(max_entry_bytes_);
  status.set_max_request_bytes((4 << 20) - (64 << 10));
  status.set_assigned(assigned_);
  if (!assigned_) return status;
  status.set_cluster_id(cluster_id_);
  status.set_replica_id(id);
  status.set_leader_id(leader_);
  status.mutable_ballot()->set_round(round_);
  status.mutable_ballot()->set_replica(leader_);
  status.set_is_leader(id == leader_);
  status.set_content(leader_ != 0);
  status.set_quorum_connected(true);
  status.set_leader_since_ms(12000);
  status.set_chosen_through(entries_.size());
  status.set_applied_through(entries_.size());
  status.set_first_position(1);
  status.set_last_position(entries_.size());
  status.set_last_applied_age_ms(3000);
  status.set_disk_used_bytes(5 << 20);
  status.set_disk_free_bytes(uint64_t{50} << 30);
  status.set_settled(true);
  status.set_has_left(membership_.HasLeft(id));
  status.set_wall_clock_ms(1700000000000);
  *status.mutable_configuration() = configuration();
  for (const uint64_t member : membership_.members()) {
    status.add_heard(member);
    if (member == id) continue;
    v1::PeerRoundTrip* round_trip = status.add_round_trips();
    round_trip->set_id(member);
    round_trip->set_us(100 * member);
  }
  return status;
}

v1::ConfigurationMessage FakeCluster::configuration() const {
  v1::ConfigurationMessage configuration;
  configuration.set_version(membership_.version());
  for (const uint64_t id : membership_.members()) {
    v1::MemberMessage* member = configuration.add_members();
    member->set_id(id);
    member->set_uuid(std::string(16, static_cast<char>(id)));
    member->set_address(endpoint(id));
    member->set_voter(true);
  }
  return configuration;
}

absl::Status FakeCluster::Transfer(uint64_t to, v1::TransferLeadershipResponse* response) {
  absl::MutexLock lock(&mutex_);
  if (to > servers_.size() || membership_.HasLeft(to == 0 ? 1 : to)) {
    return absl::FailedPreconditionError(absl::StrCat("there is no replica ", to));
  }
  response->set_from_id(leader_);
  leader_ = to != 0 ? to : leader_ % servers_.size() + 1;
  response->set_to_id(leader_);
  response->mutable_ballot()->set_round(++round_);
  response->mutable_ballot()->set_replica(leader_);
  return absl::OkStatus();
}

// Each term of a minute, replica 1 first.
v1::HistoryResponse FakeCluster::History(uint32_t limit) const {
  absl::MutexLock lock(&mutex_);
  v1::HistoryResponse response;
  for (uint64_t round = 1; round <= round_; ++round) {
    if (limit != 0 && round + limit <= round_) continue;
    if (round == round_ && leader_ == 0) continue;
    v1::HistoryResponse::Term* term = response.add_terms();
    const bool goes_on = round == round_;
    term->set_leader_id(goes_on ? leader_ : (round - 1) % servers_.size() + 1);
    term->mutable_ballot()->set_round(round);
    term->mutable_ballot()->set_replica(term->leader_id());
    term->set_leader_address(endpoint(term->leader_id()));
    term->set_first_position(round);
    term->set_begun_ms(1700000000000 + round * 60000);
    term->set_lasted_ms(goes_on ? -1 : 60000);
    if (!goes_on) term->set_end("handed over");
  }
  return response;
}

v1::ServerStatus FakeCluster::StatusOf(uint64_t id) const {
  absl::MutexLock lock(&mutex_);
  return StatusLocked(id);
}

v1::StatusResponse FakeCluster::FullStatus(uint64_t id) const {
  absl::MutexLock lock(&mutex_);
  v1::StatusResponse response;
  *response.mutable_self() = StatusLocked(id);
  for (const v1::MemberMessage& member : response.self().configuration().members()) {
    v1::MemberStatus* status = response.add_members();
    status->set_id(member.id());
    status->set_address(member.address());
    status->set_voter(true);
    status->set_reachable(true);
    *status->mutable_status() = StatusLocked(member.id());
  }
  return response;
}

}  // namespace distlog
