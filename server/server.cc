#include "server/server.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "log/store.h"
#include "server/cluster_service.h"
#include "server/formation.h"
#include "server/grpc_forwarder.h"
#include "server/grpc_transport.h"
#include "server/log_service.h"
#include "server/logging.h"
#include "server/peer_channel.h"
#include "server/peer_reader.h"
#include "server/peer_registry.h"
#include "server/peer_service.h"
#include "server/scrubber.h"
#include "server/store_state.h"
#include "wire/value.h"

namespace distlog {
namespace {

constexpr size_t kMemoryQuotaBytes = 512 << 20;
constexpr int kMaxThreads = 256;
constexpr int kMaxStreamsPerConnection = 1024;
constexpr int kMaxMetadataBytes = 16 << 10;
constexpr std::chrono::milliseconds kShutdownPatience{500};
// A replica that follows a leader so long after its start is one of a cluster that serves.
constexpr std::chrono::seconds kServesAfter{10};
constexpr std::chrono::milliseconds kReachPatience{1500};
// Of the payloads in one answer to Peer.Fetch.
constexpr size_t kFetchBytes = 4 << 20;

std::string RegressedPath(const std::string& data_dir) {
  return absl::StrCat(data_dir, "/", kRegressedFile);
}

// Marks the directory. Each start raises the start counter, so that after enough of them peers
// could not tell the old copy any more.
[[noreturn]] void DieRegressed(const std::string& data_dir, const std::string& sentence) {
  const int fd = open(RegressedPath(data_dir).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const int dir = open(data_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_marked =
      write(fd, sentence.data(), sentence.size()) == static_cast<ssize_t>(sentence.size()) &&
      fsync(fd) == 0 && fsync(dir) == 0;
  if (!is_marked) LOG(ERROR) << "cannot write " << RegressedPath(data_dir) << ": do not restart";
  Die(absl::DataLossError(sentence));
}

absl::Status CheckNotRegressed(const std::string& data_dir) {
  std::ifstream file(RegressedPath(data_dir));
  if (!file.is_open()) return absl::OkStatus();
  const std::string sentence{std::istreambuf_iterator<char>(file), {}};
  return absl::DataLossError(
      absl::StrCat("data directory ", data_dir, " must not be used again: ", sentence));
}

absl::StatusOr<std::unique_ptr<Store>> OpenStore(const ServerOptions& options) {
  if (absl::Status status = CheckDataDirectory(options.data_dir); !status.ok()) return status;
  if (absl::Status status = CheckNotRegressed(options.data_dir); !status.ok()) return status;
  const Store::Options store_options{.segment_bytes = options.segment_bytes,
                                     .unsafe_no_sync = options.unsafe_no_sync};
  const absl::StatusOr<bool> is_empty = Store::IsEmpty(store_options, options.data_dir);
  if (!is_empty.ok()) return is_empty.status();
  if (*is_empty) {
    absl::Status status = Store::Format(store_options, options.data_dir);
    if (!status.ok()) return status;
  }
  return Store::Open(store_options, options.data_dir);
}

Node::Options NodeOptions(const ServerOptions& options, const std::string& address) {
  Node::Options node;
  node.limits.max_entry_bytes = options.max_entry_bytes;
  node.protocol.heartbeat_interval = std::chrono::milliseconds(options.heartbeat_interval_ms);
  node.address = address;
  node.data_dir = std::filesystem::absolute(options.data_dir).lexically_normal().string();
  return node;
}

// What is right for servers on a trusted network: limits on everything that a caller may hold.
void LimitServer(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMaxPeerMessageBytes);
  builder->SetMaxSendMessageSize(kMaxPeerMessageBytes);
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  // Peers ask for signs of life every 10 s; a client may do so every 5 s.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  grpc::ResourceQuota quota("distlogd");
  quota.Resize(kMemoryQuotaBytes).SetMaxThreads(kMaxThreads);
  builder->SetResourceQuota(quota);
}

}  // namespace

// In the order of construction: what comes later uses what came before.
struct Server::Parts {
  ServerOptions options;
  std::string address;
  Store* store = nullptr;  // The node's.
  std::unique_ptr<StoreState> state;
  std::unique_ptr<PeerRegistry> registry;
  std::unique_ptr<GrpcTransport> transport;
  std::unique_ptr<Node> node;
  std::mutex assign_mutex;
  std::unique_ptr<PeerReader> peer_reader;
  std::unique_ptr<Scrubber> scrubber;
  std::unique_ptr<PeerService> peer_service;
  std::unique_ptr<ClusterService> cluster_service;
  std::unique_ptr<Forwarder> forwarder;
  std::unique_ptr<grpc::Service> log_service;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<Spread> spread;
  bool stopped = false;
  const std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();

  absl::Status Open();
  void StartScrub();
  absl::Status Listen();
  absl::Status FormAlone();
  void Probe(v1::ProbeResponse* response) const;
  absl::StatusOr<bool> Assign(const paxos::Configuration& genesis,
                              const std::vector<v1::RecoveredFrom>& recovered,
                              const std::optional<paxos::Configuration>& configuration);
  Spread::Offer Offer() const;
  void CheckAddress() const;
  void OnSuperseded(const std::string& sentence) const;
};

absl::Status Server::Parts::Open() {
  absl::StatusOr<std::unique_ptr<Store>> opened = OpenStore(options);
  if (!opened.ok()) return opened.status();
  store = opened->get();
  state = std::make_unique<StoreState>(store);
  registry = std::make_unique<PeerRegistry>(state.get(), address);
  transport = std::make_unique<GrpcTransport>(
      GrpcTransport::Options(), registry.get(),
      [this](const std::string& sentence) { DieRegressed(options.data_dir, sentence); });
  node = std::make_unique<Node>(NodeOptions(options, address), *std::move(opened), transport.get());
  transport->SetListener(node.get());
  transport->SetSuperseded([this](const std::string& sentence) { OnSuperseded(sentence); });
  state->SetPost([node = node.get()](std::function<void(Store*)> task) {
    node->PostToStorage(std::move(task));
  });
  const Identity identity = node->identity();
  if (identity.joined.has_value()) transport->SetHint(*identity.joined);
  return node->Start();
}

void Server::Parts::StartScrub() {
  peer_reader = std::make_unique<PeerReader>(registry.get());
  scrubber = std::make_unique<Scrubber>(
      Scrubber::Options{.bytes_per_second = options.scrub_bytes_per_second,
                        .reserve_bytes = 2 * node->limits().disk_reserve_bytes},
      Scrubber::World{
          .store = store,
          .fetch = [this](paxos::Slot first,
                          paxos::Slot through) { return peer_reader->FetchChosen(first, through); },
          .turn_to_next = [this] { peer_reader->TurnToNext(); },
          .run_on_storage =
              [this](std::function<absl::Status(Store*)> task) {
                return node->RunOnStorage(std::move(task));
              }});
}

absl::Status Server::Parts::Listen() {
  peer_service = std::make_unique<PeerService>(
      PeerService::Host{
          .probe = [this](v1::ProbeResponse* response) { Probe(response); },
          .assign =
              [this](const paxos::Configuration& genesis,
                     const std::vector<v1::RecoveredFrom>& recovered,
                     const std::optional<paxos::Configuration>& configuration) {
                return Assign(genesis, recovered, configuration);
              },
          .reach =
              [](const std::string& other) {
                return ProbeServer(other, std::chrono::steady_clock::now() + kReachPatience);
              },
          .read_chosen =
              [this](paxos::Slot first, paxos::Slot through) {
                return node->ReadChosen(first, through, kFetchBytes);
              },
          .heard = [this](paxos::ReplicaId peer) { transport->DialSoon(peer); },
      },
      registry.get(), node.get());
  cluster_service =
      std::make_unique<ClusterService>(address, node.get(), registry.get(), scrubber.get());
  forwarder = MakeGrpcForwarder(grpc::InsecureChannelCredentials());
  log_service = MakeLogService(node.get(), forwarder.get(),
                               {.read_elsewhere = [this](uint64_t from, uint64_t to) {
                                 return peer_reader->ReadEntries(from, to);
                               }});

  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  LimitServer(&builder);
  int port = 0;
  builder.AddListeningPort(ToString(options.listen), grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(peer_service.get());
  builder.RegisterService(cluster_service.get());
  builder.RegisterService(log_service.get());
  server = builder.BuildAndStart();
  if (server == nullptr || port != options.listen.port) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", ToString(options.listen),
                                               ": another process does already"));
  }
  return absl::OkStatus();
}

void Server::Parts::Probe(v1::ProbeResponse* response) const {
  const Identity identity = node->identity();
  response->set_uuid(ToBytes(identity.uuid));
  response->set_address(address);
  v1::ServerStatus status;
  node->FillStatus(&status);
  response->set_trouble(status.last_error());
  cluster_service->FillSelf(&status);
  response->set_wall_clock_ms(status.wall_clock_ms());
  response->set_disk_free_bytes(status.disk_free_bytes());
  response->set_version(status.version());
  if (!identity.genesis.has_value()) return;
  response->set_cluster_id(identity.cluster_id);
  *response->mutable_genesis() = GenesisToProto(*identity.genesis, identity.recovered);
  response->set_has_left(status.has_left());
  response->set_last_position(status.last_position());
  response->set_configuration_version(status.configuration().version());
}

absl::StatusOr<bool> Server::Parts::Assign(
    const paxos::Configuration& genesis, const std::vector<v1::RecoveredFrom>& recovered,
    const std::optional<paxos::Configuration>& configuration) {
  std::lock_guard lock(assign_mutex);
  const Identity identity = node->identity();
  const std::string cluster_id = ClusterId(genesis, recovered);
  if (identity.cluster_id == cluster_id) {
    if (configuration.has_value()) transport->SetHint(*configuration);
    return false;
  }
  if (!identity.cluster_id.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("the server at ", address,
                                                      " belongs to another cluster (",
                                                      HexString(identity.cluster_id), ")"));
  }
  const paxos::Configuration& naming = configuration.has_value() ? *configuration : genesis;
  const paxos::Member* seat = naming.Find(naming.SeatOf(identity.uuid));
  if (seat == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the server at ", address, " has UUID ", paxos::ToString(identity.uuid), ", which the ",
        configuration.has_value() ? "configuration" : "genesis", " does not name"));
  }
  if (seat->address != address) {
    return absl::FailedPreconditionError(
        absl::StrCat("the server at ", address, " is given the address ", seat->address, " by the ",
                     configuration.has_value() ? "configuration" : "genesis",
                     ": name it as it advertises itself"));
  }
  const absl::Status status = node->Assign(genesis, cluster_id, configuration, recovered);
  if (!status.ok()) return status;
  if (configuration.has_value()) transport->SetHint(*configuration);
  LOG(INFO) << "assigned to cluster " << HexString(cluster_id) << " as replica " << seat->id;
  return true;
}

Spread::Offer Server::Parts::Offer() const {
  const Identity identity = node->identity();
  const paxos::Configuration configuration = registry->members();
  Spread::Offer offer;
  // Empty until the log is recovered.
  if (!identity.genesis.has_value() || configuration.version == 0) return offer;
  offer.cluster_id = identity.cluster_id;
  *offer.request.mutable_genesis() = GenesisToProto(*identity.genesis, identity.recovered);
  if (configuration.version > identity.genesis->version) {
    *offer.request.mutable_configuration() = ToProto(configuration);
  }
  for (const paxos::Member& peer : transport->Disconnected()) {
    if (configuration.SeatOf(peer.uuid) == peer.id) offer.missing.push_back(peer);
  }
  return offer;
}

// --dev: a cluster of this server alone.
absl::Status Server::Parts::FormAlone() {
  const Identity identity = node->identity();
  if (identity.genesis.has_value()) {
    if (identity.genesis->members.size() == 1) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("data directory ", options.data_dir, ": it belongs to a cluster of ",
                     identity.genesis->members.size(), " replicas; --dev is for one alone"));
  }
  const absl::StatusOr<paxos::Configuration> genesis =
      MakeGenesis({{.uuid = identity.uuid, .address = address}});
  if (!genesis.ok()) return genesis.status();
  return Assign(*genesis, {}, std::nullopt).status();
}

// A replica that comes up again after its cluster was recovered without it must not make a quorum
// of those who were lost. One that has served for a while is left alone: then it is the recovery
// that was a mistake, and `status` tells of it.
void Server::Parts::OnSuperseded(const std::string& sentence) const {
  v1::ServerStatus status;
  node->FillStatus(&status);
  const auto age = std::chrono::steady_clock::now() - started;
  if (status.term_changes() > 0 && age >= kServesAfter) return;
  DieRegressed(options.data_dir, sentence);
}

// An address that the configuration does not name is where nobody will look for this replica.
void Server::Parts::CheckAddress() const {
  const paxos::Configuration members = registry->members();
  const paxos::Member* self = members.Find(registry->self());
  if (self == nullptr || self->address == address) return;
  LOG(WARNING) << "this server advertises " << address << ", but its cluster knows it as "
               << self->address << ": the other members cannot reach it";
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() { Stop(); }

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  const absl::StatusOr<int> port = FindPort(options.listen);
  if (!port.ok()) return port.status();
  auto parts = std::make_unique<Parts>();
  parts->options = options;
  parts->options.listen.port = *port;
  parts->address = options.advertise.empty() ? ToString(parts->options.listen) : options.advertise;
  std::unique_ptr<Server> server(new Server(std::move(parts)));
  Parts* const p = server->parts_.get();
  if (absl::Status status = p->Open(); !status.ok()) return status;
  p->StartScrub();
  if (absl::Status status = p->Listen(); !status.ok()) return status;
  if (options.dev) {
    if (absl::Status status = p->FormAlone(); !status.ok()) return status;
  }
  p->spread = std::make_unique<Spread>([p] { return p->Offer(); });
  p->CheckAddress();
  return server;
}

void Server::Stop() {
  if (std::exchange(parts_->stopped, true)) return;
  const bool served = parts_->spread != nullptr;
  if (served) LOG(INFO) << "stopping";
  const auto patience = std::chrono::milliseconds(parts_->options.stop_timeout_ms);
  if (parts_->server != nullptr) {
    parts_->server->GetHealthCheckService()->SetServingStatus(false);
  }
  parts_->spread.reset();
  // Before the storage thread, which it may wait for.
  if (parts_->peer_reader != nullptr) parts_->peer_reader->Stop();
  if (parts_->scrubber != nullptr) parts_->scrubber->Stop();
  // While the streams are still up: the successor must hear of it, and requests under way be
  // answered.
  if (parts_->node != nullptr) parts_->node->Stop(patience);
  if (parts_->peer_service != nullptr) parts_->peer_service->CloseStreams();
  if (parts_->transport != nullptr) parts_->transport->Stop();
  // What is not answered would hold the shutdown up for as long as its callers have patience.
  if (parts_->forwarder != nullptr) parts_->forwarder->Stop(kShutdownPatience);
  if (parts_->server != nullptr) {
    parts_->server->Shutdown(std::chrono::system_clock::now() + kShutdownPatience);
    parts_->server->Wait();
  }
  if (served) LOG(INFO) << "stopped";
}

const std::string& Server::address() const { return parts_->address; }

std::string Server::Describe() const {
  const Identity identity = parts_->node->identity();
  const std::string seat = identity.replica == paxos::kNoReplica
                               ? "unassigned"
                               : "replica " + paxos::ToString(identity.replica);
  return absl::StrCat("serving at ", parts_->address, ", ", seat, ", data directory ",
                      parts_->options.data_dir);
}

}  // namespace distlog
