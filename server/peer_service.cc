#include "server/peer_service.h"

#include <chrono>
#include <future>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "grpcpp/server_context.h"
#include "wire/message.h"
#include "wire/status.h"
#include "wire/value.h"

namespace distlog {
namespace {

// For a caller's start to become durable here.
constexpr std::chrono::seconds kAdmitPatience{3};

grpc::Status Stopping() { return {grpc::StatusCode::UNAVAILABLE, "the server is stopping"}; }

}  // namespace

absl::StatusOr<paxos::Configuration> GenesisFromProto(const v1::Genesis& message) {
  std::vector<paxos::Member> members;
  for (const v1::MemberMessage& member : message.members()) {
    if (member.uuid().size() != 16) {
      return absl::InvalidArgumentError("a member of the genesis has no UUID of 16 bytes");
    }
    members.push_back({.id = paxos::ReplicaId{member.id()},
                       .uuid = UuidFromBytes(member.uuid()),
                       .address = member.address(),
                       .voter = member.voter()});
  }
  absl::StatusOr<paxos::Configuration> genesis = MakeGenesis(members);
  if (genesis.ok() && genesis->members != members) {
    return absl::InvalidArgumentError("the members of the genesis are not in their order");
  }
  return genesis;
}

absl::StatusOr<std::vector<v1::RecoveredFrom>> RecoveredFromProto(
    const v1::Genesis& message, const paxos::Configuration& genesis) {
  std::vector<v1::RecoveredFrom> recovered(message.recovered().begin(), message.recovered().end());
  if (absl::Status status = CheckRecovered(genesis, recovered); !status.ok()) return status;
  return recovered;
}

v1::Genesis GenesisToProto(const paxos::Configuration& genesis,
                           const std::vector<v1::RecoveredFrom>& recovered) {
  v1::Genesis message;
  message.mutable_recovered()->Assign(recovered.begin(), recovered.end());
  for (const paxos::Member& member : genesis.members) {
    v1::MemberMessage* out = message.add_members();
    out->set_id(static_cast<uint64_t>(member.id));
    out->set_uuid(ToBytes(member.uuid));
    out->set_address(member.address);
    out->set_voter(member.voter);
  }
  return message;
}

// One incoming call of Peer.Connect. Lives until gRPC is done with it, by a reference to itself;
// others may hold it longer, and Close() has no effect then.
class PeerService::Stream : public grpc::ServerBidiReactor<v1::PeerFrame, v1::PeerFrame> {
 public:
  Stream(PeerService* service, std::string address)
      : service_(service), address_(std::move(address)) {}

  void Start(std::shared_ptr<Stream> self) {
    self_ = std::move(self);
    StartRead(&incoming_);
  }

  void Close(const grpc::Status& status) {
    std::lock_guard lock(mutex_);
    if (std::exchange(finished_, true)) return;
    Finish(status);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Close(grpc::Status::OK);
    } else if (caller_.uuid == paxos::Uuid{}) {
      ReadHello();
    } else {
      ReadMessages();
    }
  }
  void OnCancel() override { Close(grpc::Status::CANCELLED); }
  void OnDone() override {
    service_->Forget(this);
    const std::shared_ptr<Stream> self = std::move(self_);  // Its end may be the end of *this.
  }

 private:
  void ReadHello();
  void Answer(const paxos::Member& caller);
  void ReadMessages();
  void Convert(v1::PeerMessage* message, std::vector<paxos::Envelope>* envelopes);

  PeerService* const service_;
  const std::string address_;
  std::shared_ptr<Stream> self_;
  v1::PeerFrame incoming_;
  v1::PeerFrame answer_;
  paxos::Member caller_;  // Proven by its Hello, as is
  paxos::ReplicaId self_id_{};
  std::mutex mutex_;
  bool finished_ = false;
};

void PeerService::Stream::ReadHello() {
  if (!incoming_.has_hello()) {
    Close({grpc::StatusCode::FAILED_PRECONDITION, "the first frame of a stream must be a Hello"});
    return;
  }
  if (!v1::TrafficClass_IsValid(incoming_.hello().traffic_class())) {
    Close({grpc::StatusCode::FAILED_PRECONDITION, "this server does not know that traffic class"});
    return;
  }
  // The answer may come from the storage thread, when this call is long over. Nothing is read
  // before.
  service_->registry_->Admit(incoming_.hello(), address_,
                             [stream = self_](const absl::StatusOr<paxos::Member>& caller) {
                               if (caller.ok()) {
                                 stream->Answer(*caller);
                               } else {
                                 stream->Close(ToGrpc(caller.status()));
                               }
                             });
}

void PeerService::Stream::Answer(const paxos::Member& caller) {
  const v1::TrafficClass traffic_class = incoming_.hello().traffic_class();
  std::shared_ptr<Stream> self;
  {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    self = self_;  // Not over, so it is set.
    caller_ = caller;
    self_id_ = paxos::ReplicaId{incoming_.hello().to_id()};
    *answer_.mutable_hello() = service_->registry_->MakeHello(caller, traffic_class);
    StartWrite(&answer_);
    StartRead(&incoming_);
  }
  service_->Establish(self, {caller.uuid, traffic_class});
  service_->host_.heard(caller.id);
}

void PeerService::Stream::Convert(v1::PeerMessage* message,
                                  std::vector<paxos::Envelope>* envelopes) {
  absl::StatusOr<paxos::Message> converted = FromProto(message);
  if (!converted.ok()) {
    service_->registry_->CountMalformed(caller_.uuid, std::string(converted.status().message()));
    return;
  }
  envelopes->push_back({.from = caller_.id, .to = self_id_, .message = *std::move(converted)});
}

void PeerService::Stream::ReadMessages() {
  if (!service_->registry_->IsPeer(caller_.id, caller_.uuid)) {
    Close({grpc::StatusCode::FAILED_PRECONDITION,
           absl::StrCat("replica ", paxos::ToString(caller_.id), " is no member any more")});
    return;
  }
  std::vector<paxos::Envelope> envelopes;
  if (incoming_.has_batch()) {
    envelopes.reserve(incoming_.batch().messages_size());
    for (v1::PeerMessage& message : *incoming_.mutable_batch()->mutable_messages()) {
      Convert(&message, &envelopes);
    }
  } else if (incoming_.has_message()) {
    Convert(incoming_.mutable_message(), &envelopes);
  } else {
    service_->registry_->CountMalformed(caller_.uuid, "a frame without a message");
  }
  if (!envelopes.empty()) {
    // Before the node acts on it: this is what a restart of the peer must not have forgotten.
    service_->registry_->Observe(caller_.uuid, envelopes);
    service_->listener_->OnReceive(std::move(envelopes));
  }
  std::lock_guard lock(mutex_);
  if (!finished_) StartRead(&incoming_);
}

PeerService::PeerService(Host host, PeerRegistry* registry, TransportListener* listener)
    : host_(std::move(host)), registry_(registry), listener_(listener) {}

PeerService::~PeerService() = default;

grpc::ServerBidiReactor<v1::PeerFrame, v1::PeerFrame>* PeerService::Connect(
    grpc::CallbackServerContext* context) {
  const auto stream = std::make_shared<Stream>(this, context->peer());
  stream->Start(stream);
  Pend(stream);
  return stream.get();
}

void PeerService::CloseStreams() {
  std::vector<std::shared_ptr<Stream>> streams;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    streams.assign(pending_.begin(), pending_.end());
    for (const auto& [key, stream] : established_) streams.push_back(stream);
  }
  for (const auto& stream : streams) stream->Close(Stopping());
}

void PeerService::Pend(const std::shared_ptr<Stream>& stream) {
  std::shared_ptr<Stream> oldest;
  bool is_late = false;
  {
    std::lock_guard lock(mutex_);
    is_late = closed_;
    if (pending_.size() >= kMaxPending) {
      oldest = pending_.front();
      pending_.pop_front();
    }
    pending_.push_back(stream);
  }
  if (oldest != nullptr) {
    oldest->Close({grpc::StatusCode::RESOURCE_EXHAUSTED,
                   "too many connections to this server have not said Hello"});
  }
  if (is_late) stream->Close(Stopping());
}

// The older stream of the same peer and class is what a broken connection has left, and is ended.
void PeerService::Establish(const std::shared_ptr<Stream>& stream, const Key& key) {
  std::shared_ptr<Stream> older;
  {
    std::lock_guard lock(mutex_);
    pending_.remove(stream);
    older = std::exchange(established_[key], stream);
  }
  if (older != nullptr) {
    older->Close({grpc::StatusCode::ABORTED, "a newer connection has taken its place"});
  }
}

void PeerService::Forget(const Stream* stream) {
  std::shared_ptr<Stream> kept;  // Ends after the lock.
  std::lock_guard lock(mutex_);
  for (const auto& pending : pending_) {
    if (pending.get() == stream) kept = pending;
  }
  if (kept != nullptr) pending_.remove(kept);
  for (const auto& [key, established] : established_) {
    if (established.get() == stream) kept = established;
  }
  std::erase_if(established_, [&](const auto& entry) { return entry.second.get() == stream; });
}

grpc::Status PeerService::Probe(grpc::ServerContext*, const v1::ProbeRequest*,
                                v1::ProbeResponse* response) {
  host_.probe(response);
  response->set_wire_version_min(kWireVersionMin);
  response->set_wire_version_max(kWireVersionMax);
  return grpc::Status::OK;
}

grpc::Status PeerService::Assign(grpc::ServerContext*, const v1::AssignRequest* request,
                                 v1::AssignResponse* response) {
  const absl::StatusOr<paxos::Configuration> genesis = GenesisFromProto(request->genesis());
  if (!genesis.ok()) return ToGrpc(genesis.status());
  std::optional<paxos::Configuration> configuration;
  if (request->has_configuration()) {
    absl::StatusOr<paxos::Configuration> given = FromProto(request->configuration());
    if (!given.ok()) return ToGrpc(given.status());
    configuration = *std::move(given);
  }
  const auto recovered = RecoveredFromProto(request->genesis(), *genesis);
  if (!recovered.ok()) return ToGrpc(recovered.status());
  const absl::StatusOr<bool> assigned = host_.assign(*genesis, *recovered, configuration);
  if (!assigned.ok()) return ToGrpc(assigned.status());
  response->set_assigned(*assigned);
  return grpc::Status::OK;
}

// As Connect decides on a Hello, for a call with a thread of its own.
absl::StatusOr<paxos::Member> PeerService::Admit(const grpc::ServerContext& context,
                                                 const v1::Hello& hello) {
  // The answer may come later, or never if the server stops.
  const auto admitted = std::make_shared<std::promise<absl::StatusOr<paxos::Member>>>();
  registry_->Admit(hello, context.peer(), [admitted](const absl::StatusOr<paxos::Member>& caller) {
    admitted->set_value(caller);
  });
  std::future<absl::StatusOr<paxos::Member>> answer = admitted->get_future();
  if (answer.wait_for(kAdmitPatience) == std::future_status::ready) return answer.get();
  return absl::UnavailableError("the disk here is too slow, or the server is stopping");
}

grpc::Status PeerService::Reach(grpc::ServerContext* context, const v1::ReachRequest* request,
                                v1::ReachResponse* response) {
  const StreamCount::Place place = reaches_.Take();
  if (place == nullptr) {
    return {grpc::StatusCode::RESOURCE_EXHAUSTED, "this server is probing others: try again"};
  }
  const absl::StatusOr<paxos::Member> caller = Admit(*context, request->hello());
  if (!caller.ok()) return ToGrpc(caller.status());
  absl::StatusOr<v1::ProbeResponse> answer = host_.reach(request->address());
  if (answer.ok()) {
    *response->mutable_answer() = *std::move(answer);
  } else {
    response->set_error(std::string(answer.status().message()));
  }
  return grpc::Status::OK;
}

grpc::Status PeerService::Fetch(grpc::ServerContext* context, const v1::FetchRequest* request,
                                v1::FetchResponse* response) {
  const StreamCount::Place place = fetches_.Take();
  if (place == nullptr) {
    return {grpc::StatusCode::RESOURCE_EXHAUSTED, "other members are fetching here: try again"};
  }
  const absl::StatusOr<paxos::Member> caller = Admit(*context, request->hello());
  if (!caller.ok()) return ToGrpc(caller.status());
  absl::StatusOr<std::vector<paxos::AcceptedValue>> chosen =
      host_.read_chosen(request->first(), request->through());
  if (!chosen.ok()) return ToGrpc(chosen.status());
  *response->mutable_hello() = registry_->MakeHello(*caller, v1::TRAFFIC_CLASS_BULK);
  v1::PeerMessage message;
  const paxos::Slot last = chosen->back().slot;
  ToProto(paxos::LearnReply{*std::move(chosen), last}, &message);
  response->mutable_reply()->Swap(message.mutable_learn_reply());
  return grpc::Status::OK;
}

}  // namespace distlog
