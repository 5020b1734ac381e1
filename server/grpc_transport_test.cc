// Servers in one process, over loopback. "Until" waits for what must come; it comes or the test
// ends by its time limit.

#include "server/grpc_transport.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "server/fake_own_state.h"
#include "server/peer_channel.h"
#include "server/peer_reader.h"
#include "server/peer_service.h"
#include "server/test_relay.h"
#include "wire/message.h"
#include "wire/value.h"

namespace distlog {
namespace {

using paxos::Envelope;
using paxos::ReplicaId;
using paxos::Uuid;

const paxos::Ballot kBallot{1, ReplicaId{1}};

class Recorder : public TransportListener {
 public:
  void OnReceive(std::vector<Envelope> envelopes) override {
    Note([&] {
      for (Envelope& envelope : envelopes) received.push_back(std::move(envelope));
    });
  }
  void OnPeerConnected(ReplicaId peer) override {
    Note([&] { connected.insert(peer); });
  }
  void OnPeerLost(ReplicaId peer) override {
    Note([&] {
      lost.push_back(peer);
      connected.erase(peer);
    });
  }
  void OnRemoved(const std::string& sentence) override {
    Note([&] { removed = sentence; });
  }
  template <typename Condition>
  void Until(Condition condition) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, condition);
  }
  template <typename Change>
  void Note(Change change) {
    std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }

  std::vector<Envelope> received;
  std::multiset<ReplicaId> connected;
  std::vector<ReplicaId> lost;
  std::string regressed;
  std::string removed;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

paxos::Value Bytes(size_t size) {
  v1::Batch batch;
  batch.add_appends()->add_payloads(std::string(size, 'x'));
  return MakeValue(batch);
}

// One server, less its node.
class Endpoint {
 public:
  explicit Endpoint(uint64_t number, GrpcTransport::Options options = {})
      : own({0, number}), transport(options, &registry, [this](const std::string& sentence) {
          recorder.Note([&] { recorder.regressed = sentence; });
        }) {
    own.SetStart(1, number);
    transport.SetListener(&recorder);
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(kMaxPeerMessageBytes);
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    server = builder.BuildAndStart();
  }
  ~Endpoint() {
    server->Shutdown(std::chrono::system_clock::now());
    server->Wait();
    transport.Stop();
  }

  void Join(const paxos::Configuration& configuration) {
    own.Assign(configuration);
    transport.SetMembers(configuration, {});
  }
  std::string Trouble() {
    v1::ServerStatus status;
    registry.FillStatus(&status);
    std::string all;
    for (const v1::PeerTrouble& trouble : status.trouble()) all += trouble.reason() + ";";
    return all;
  }
  void UntilTrouble(const std::string& words) {
    while (Trouble().find(words) == std::string::npos) std::this_thread::yield();
  }
  uint64_t Dropped() {
    v1::ServerStatus status;
    registry.FillStatus(&status);
    return status.dropped_messages();
  }

  // Two slots at a time, through 5.
  absl::StatusOr<std::vector<paxos::AcceptedValue>> ReadChosen(paxos::Slot first,
                                                               paxos::Slot through) {
    ++fetches;
    if (is_damaged) return absl::DataLossError("damaged");
    std::vector<paxos::AcceptedValue> values;
    for (paxos::Slot slot = first; slot <= std::min({through, first + 1, paxos::Slot{5}}); ++slot) {
      values.push_back({slot, kBallot, Bytes(slot)});
    }
    if (values.empty()) return absl::OutOfRangeError("not chosen here");
    return values;
  }

  std::atomic<bool> is_damaged = false;
  std::atomic<int> fetches = 0;
  FakeOwnState own;
  PeerRegistry registry{&own, "127.0.0.1:0"};
  Recorder recorder;
  GrpcTransport transport;
  PeerService service{
      {.probe = [](v1::ProbeResponse*) {},
       .assign = [](const paxos::Configuration&, const std::optional<paxos::Configuration>&)
           -> absl::StatusOr<bool> { return false; },
       .reach = [](const std::string& address) -> absl::StatusOr<v1::ProbeResponse> {
         return absl::UnavailableError("nobody is at " + address);
       },
       .read_chosen = [this](paxos::Slot first,
                             paxos::Slot through) { return ReadChosen(first, through); },
       .heard = [this](ReplicaId peer) { transport.DialSoon(peer); }},
      &registry,
      &recorder};
  int port = 0;
  std::unique_ptr<grpc::Server> server;
};

// Replicas 1, 2 ... at these ports, whatever their order.
paxos::Configuration At(const std::vector<int>& ports) {
  paxos::Configuration configuration{.version = 1, .members = {}};
  for (const int port : ports) {
    const uint64_t number = configuration.members.size() + 1;
    configuration.members.push_back({.id = ReplicaId{number},
                                     .uuid = Uuid{0, number},
                                     .address = "127.0.0.1:" + std::to_string(port)});
  }
  configuration.next_replica_id = ports.size() + 1;
  return configuration;
}

Envelope To(uint64_t to, paxos::Message message) {
  return {.from = ReplicaId{1}, .to = ReplicaId{to}, .message = std::move(message)};
}

class GrpcTransportTest : public testing::Test {
 protected:
  // Never ends: gRPC 1.51 may abort when the last user of its callbacks goes while others come.
  static void SetUpTestSuite() { new Endpoint(99); }
  // Replica 1 sends through the relay.
  void JoinBoth() {
    const paxos::Configuration configuration = At({a.port, relay.port()});
    b.Join(configuration);
    a.Join(configuration);
    a.recorder.Until([&] { return !a.recorder.connected.empty(); });
  }

  Endpoint a{1};
  Endpoint b{2};
  Relay relay{b.port};
};

// The protocol relies on no order, but speed does; and nothing is lost while nothing breaks.
TEST_F(GrpcTransportTest, MessagesArriveInOrderInEachClass) {
  JoinBoth();
  constexpr uint64_t kCount = 2000;
  for (uint64_t i = 1; i <= kCount; ++i) {
    std::vector<Envelope> burst = {To(2, paxos::Accepted{kBallot, i, i})};
    if (i % 20 == 0) {
      burst.push_back(To(2, paxos::LearnReply{{{i, kBallot, Bytes(100'000)}}, i}));
      burst.push_back(To(2, paxos::Heartbeat{i, {}, 0}));
    }
    a.transport.Send(burst);
  }
  b.recorder.Until([&] { return b.recorder.received.size() + a.Dropped() >= kCount * 11 / 10; });
  EXPECT_EQ(a.Dropped(), 0);
  uint64_t live = 0, control = 0, bulk = 0;
  for (const Envelope& envelope : b.recorder.received) {
    if (const auto* accepted = std::get_if<paxos::Accepted>(&envelope.message)) {
      EXPECT_EQ(accepted->first, ++live);
    } else if (const auto* heartbeat = std::get_if<paxos::Heartbeat>(&envelope.message)) {
      EXPECT_EQ(heartbeat->round, control += 20);
    } else {
      EXPECT_EQ(std::get<paxos::LearnReply>(envelope.message).chosen_through, bulk += 20);
    }
  }
  EXPECT_EQ(live, kCount);
}

// Whatever a message says of its sender: it is from the one that the connection belongs to.
TEST_F(GrpcTransportTest, TheSenderIsWhoTheConnectionProves) {
  JoinBoth();
  Envelope forged = To(2, paxos::Progress{7});
  forged.from = ReplicaId{3};
  a.transport.Send({forged});
  b.recorder.Until([&] { return !b.recorder.received.empty(); });
  EXPECT_EQ(b.recorder.received[0], To(2, paxos::Progress{7}));
}

// The largest single message that the core makes, through queues that are smaller.
TEST_F(GrpcTransportTest, AMessageLargerThanItsQueueFits) {
  GrpcTransport::Options small;
  small.live.bytes = 1000;
  Endpoint sender(1, small);
  const paxos::Configuration configuration = At({sender.port, b.port});
  b.Join(configuration);
  sender.Join(configuration);
  sender.recorder.Until([&] { return !sender.recorder.connected.empty(); });
  const paxos::Accept accept{kBallot, 1, {Bytes(5 << 20)}, 0, 0};
  sender.transport.Send({To(2, accept)});
  b.recorder.Until([&] { return !b.recorder.received.empty(); });
  EXPECT_EQ(b.recorder.received[0].message, paxos::Message(accept));
}

// A peer that is stopped or slow costs a bounded amount of memory. What it gets in the end is what
// waited, in order, from the beginning on.
TEST_F(GrpcTransportTest, TheQueueOfAPeerThatDoesNotReadIsBounded) {
  JoinBoth();
  relay.Hold(true);
  constexpr uint64_t kCount = 200;
  const paxos::Value value = Bytes(1 << 20);
  for (uint64_t i = 1; i <= kCount; ++i) {
    a.transport.Send({To(2, paxos::Accept{kBallot, i, {value}, 0, 0})});
  }
  const uint64_t dropped = a.Dropped();
  EXPECT_GE(dropped, kCount - 48 - 32);  // The queue, and what gRPC and the kernel hold.
  EXPECT_LE(dropped, kCount - 48 + 1);
  relay.Hold(false);
  b.recorder.Until([&] { return b.recorder.received.size() == kCount - dropped; });
  uint64_t last = 0;
  for (const Envelope& envelope : b.recorder.received) {
    const uint64_t slot = std::get<paxos::Accept>(envelope.message).first;
    EXPECT_GT(slot, last);
    EXPECT_TRUE(slot == last + 1 || last >= 40) << slot;  // The newest are dropped, not the oldest.
    last = slot;
  }
}

// A killed leader must be replaced without waiting for missed rounds.
TEST_F(GrpcTransportTest, APeerWhoseProcessDiesIsLostAtOnceAndConnectedAgainLater) {
  JoinBoth();
  relay.Cut();
  a.recorder.Until([&] { return !a.recorder.lost.empty(); });
  EXPECT_EQ(a.recorder.lost, std::vector{ReplicaId{2}});
  relay.Mend();
  a.recorder.Until([&] { return !a.recorder.connected.empty(); });
  a.transport.Send({To(2, paxos::Progress{1})});
  b.recorder.Until([&] { return !b.recorder.received.empty(); });
  EXPECT_EQ(a.recorder.lost.size(), 1) << "told once, not per attempt";
}

TEST_F(GrpcTransportTest, APeerThatWasNeverThereIsLostOnce) {
  relay.Cut();
  const paxos::Configuration configuration = At({a.port, relay.port()});
  b.Join(configuration);
  a.Join(configuration);
  a.recorder.Until([&] { return !a.recorder.lost.empty(); });
  a.UntilTrouble("connection refused");
  relay.Mend();
  a.recorder.Until([&] { return !a.recorder.connected.empty(); });
  EXPECT_EQ(a.recorder.lost.size(), 1);
  EXPECT_EQ(a.Trouble(), "");
}

// A server that refuses is alive: it is not lost, and the reason is told.
TEST_F(GrpcTransportTest, AServerOfAnotherClusterRefusesAndSaysWhy) {
  const paxos::Configuration configuration = At({a.port, b.port});
  b.Join(configuration);
  b.own.SetClusterId(std::string(32, 'z'));
  a.Join(configuration);
  a.UntilTrouble("this server belongs to cluster 7a7a");
  EXPECT_TRUE(a.recorder.lost.empty());
  EXPECT_TRUE(a.recorder.connected.empty());
  b.own.Assign(configuration);
  a.recorder.Until([&] { return !a.recorder.connected.empty(); });
}

// A member that lost its disk is a stranger at a known address.
TEST_F(GrpcTransportTest, AnotherDirectoryAtTheAddressOfAMemberIsRefused) {
  Endpoint stranger(9);
  const paxos::Configuration configuration = At({a.port, stranger.port});
  stranger.own.Assign(configuration);
  stranger.registry.SetMembers(configuration);
  a.Join(configuration);
  a.UntilTrouble("another data directory is served");
}

// Told so by any peer, a replica must vote no more.
TEST_F(GrpcTransportTest, AReplicaThatHasRegressedIsTold) {
  a.own.SetStart(5, 5);
  JoinBoth();
  Endpoint copy(1);  // An old copy of a's directory.
  copy.own.SetStart(4, 4);
  copy.Join(At({a.port, relay.port()}));
  copy.recorder.Until([&] { return !copy.recorder.regressed.empty(); });
  EXPECT_NE(copy.recorder.regressed.find("start number 4"), std::string::npos);
  EXPECT_TRUE(copy.recorder.connected.empty());
}

TEST_F(GrpcTransportTest, MembersThatGoAreCutOffAndNewOnesAreDialed) {
  Endpoint c(3);
  const paxos::Configuration all = At({a.port, b.port, c.port});
  for (Endpoint* endpoint : {&a, &b, &c}) endpoint->own.Assign(all);
  b.transport.SetMembers(all, {});
  c.transport.SetMembers(all, {});
  paxos::Configuration first = all;
  first.members.pop_back();
  a.transport.SetMembers(first, {});
  a.recorder.Until([&] { return a.recorder.connected.contains(ReplicaId{2}); });
  EXPECT_FALSE(a.recorder.connected.contains(ReplicaId{3}));
  a.transport.SetMembers(all, {});
  a.recorder.Until([&] { return a.recorder.connected.contains(ReplicaId{3}); });
  paxos::Configuration without = all;
  without.members.erase(without.members.begin() + 1);
  // Until the change is settled, whoever leaves goes on.
  a.transport.SetMembers(without, {all.members[1]});
  a.transport.Send({To(2, paxos::Progress{1})});
  b.recorder.Until([&] { return !b.recorder.received.empty(); });
  b.recorder.Note([&] { b.recorder.received.clear(); });
  a.transport.SetMembers(without, {});
  const uint64_t dropped = a.Dropped();
  a.transport.Send({To(2, paxos::Progress{1}), To(3, paxos::Progress{2})});
  c.recorder.Until([&] { return !c.recorder.received.empty(); });
  EXPECT_EQ(a.Dropped(), dropped + 1);
  EXPECT_TRUE(b.recorder.received.empty());
}

// One that was asleep while all whom it knows were replaced: it lets in those that it was told of.
TEST_F(GrpcTransportTest, OneThatIsBehindLetsInWhomItWasToldOf) {
  const paxos::Configuration both = At({a.port, b.port});
  paxos::Configuration later = both;
  later.version = 4;
  later.next_replica_id = 4;
  later.members[0].id = ReplicaId{3};
  later.members[0].uuid = {0, 3};
  std::swap(later.members[0], later.members[1]);
  b.Join(both);
  Endpoint c(3);
  c.own.Assign(both);
  c.own.SetReplica(ReplicaId{3});
  later.members[1].address = "127.0.0.1:" + std::to_string(c.port);
  c.transport.SetMembers(later, {});
  c.UntilTrouble("replica 3 is no member of configuration 1");
  b.transport.SetHint(later);
  c.recorder.Until([&] { return c.recorder.connected.contains(ReplicaId{2}); });
  b.recorder.Until([&] { return b.recorder.connected.contains(ReplicaId{3}); });
}

// Ids never return: who was removed is told so, for good, and notes it.
TEST_F(GrpcTransportTest, OneThatWasRemovedIsTold) {
  const paxos::Configuration both = At({a.port, b.port});
  paxos::Configuration without = both;
  without.version = 2;
  without.members.erase(without.members.begin());
  for (Endpoint* endpoint : {&a, &b}) endpoint->own.Assign(both);
  b.transport.SetMembers(without, {});
  a.transport.SetMembers(both, {});
  a.UntilTrouble(
      "replica 1 is not a member as of configuration version 2 of this cluster: it was "
      "removed");
  a.recorder.Until([&] { return a.recorder.removed.find("it was removed") != std::string::npos; });
}

// For `member add`: what a member says of whether it reaches a server; strangers are told nothing.
TEST_F(GrpcTransportTest, AMemberIsAskedWhomItReaches) {
  JoinBoth();
  const auto stub = v1::Peer::NewStub(DialPeer("127.0.0.1:" + std::to_string(b.port)));
  v1::ReachRequest request;
  request.set_address("127.0.0.1:9");
  v1::ReachResponse response;
  grpc::ClientContext strangers;
  EXPECT_EQ(stub->Reach(&strangers, request, &response).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  *request.mutable_hello() =
      a.registry.MakeHello(b.registry.members().members[1], v1::TRAFFIC_CLASS_LIVE);
  grpc::ClientContext members;
  const grpc::Status status = stub->Reach(&members, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_FALSE(response.has_answer());
  EXPECT_EQ(response.error(), "nobody is at 127.0.0.1:9");
}

// Two servers go on talking whatever is thrown at their port.
TEST_F(GrpcTransportTest, GarbageOnThePortDisturbsNobody) {
  JoinBoth();
  for (int i = 0; i < 50; ++i) {
    const int fd = ConnectTo(b.port);
    const std::string garbage(1000, static_cast<char>(i * 37));
    send(fd, garbage.data(), garbage.size(), MSG_NOSIGNAL);
    close(fd);
  }
  a.transport.Send({To(2, paxos::Progress{1})});
  b.recorder.Until([&] { return !b.recorder.received.empty(); });
}

// Silent callers are ended, the oldest first, before they can crowd out the members.
TEST_F(GrpcTransportTest, CallersThatSayNoHelloMakeRoomForMembers) {
  constexpr size_t kEnded = 20;
  const auto stub = v1::Peer::NewStub(DialPeer("127.0.0.1:" + std::to_string(b.port)));
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::thread> callers;
  size_t ended = 0;
  for (size_t i = 0; i < PeerService::kMaxPending + kEnded; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    callers.emplace_back([&, context = contexts.back().get()] {
      const auto stream = stub->Connect(context);
      v1::PeerFrame frame;
      while (stream->Read(&frame)) {
      }
      if (stream->Finish().error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED) return;
      a.recorder.Note([&] { ++ended; });
    });
  }
  a.recorder.Until([&] { return ended >= kEnded; });
  JoinBoth();
  for (const auto& context : contexts) context->TryCancel();
  for (std::thread& caller : callers) caller.join();
}

// What cannot be understood is dropped and counted; what follows is delivered.
TEST_F(GrpcTransportTest, MalformedMessagesAreDroppedAndCounted) {
  b.Join(At({a.port, b.port}));
  a.own.Assign(At({a.port, b.port}));
  a.registry.SetMembers(At({a.port, b.port}));
  const auto stub = v1::Peer::NewStub(DialPeer("127.0.0.1:" + std::to_string(b.port)));
  grpc::ClientContext context;
  const auto stream = stub->Connect(&context);
  v1::PeerFrame frame;
  *frame.mutable_hello() =
      a.registry.MakeHello(At({a.port, b.port}).members[1], v1::TRAFFIC_CLASS_LIVE);
  stream->Write(frame);
  ASSERT_TRUE(stream->Read(&frame));
  EXPECT_EQ(frame.hello().from_id(), 2);
  frame.Clear();
  frame.mutable_batch()->add_messages();  // Of no kind.
  v1::ValueMessage* value = frame.mutable_batch()->add_messages()->mutable_accept()->add_values();
  value->set_kind(1);
  value->set_payload("not what the checksum says");
  ToProto(paxos::Progress{5}, frame.mutable_batch()->add_messages());
  stream->Write(frame);
  b.recorder.Until([&] { return !b.recorder.received.empty(); });
  EXPECT_EQ(b.recorder.received[0], To(2, paxos::Progress{5}));
  v1::ServerStatus status;
  b.registry.FillStatus(&status);
  EXPECT_EQ(status.malformed_messages(), 2);
  context.TryCancel();
}

// ---- What a disk has lost. ----

class PeerReaderTest : public GrpcTransportTest {
 protected:
  void JoinAll() {
    const paxos::Configuration configuration = At({a.port, b.port, c.port});
    for (Endpoint* endpoint : {&a, &b, &c}) endpoint->Join(configuration);
  }

  Endpoint c{3};
  PeerReader reader{&a.registry};
};

TEST_F(PeerReaderTest, ChosenValuesAreFetchedFromAMemberThatHasThem) {
  JoinAll();
  const auto values = reader.FetchChosen(2, 9);
  ASSERT_TRUE(values.ok()) << values.status();
  ASSERT_EQ(values->size(), 2u);
  EXPECT_EQ((*values)[0], (paxos::AcceptedValue{2, kBallot, Bytes(2)}));
  EXPECT_EQ((*values)[1], (paxos::AcceptedValue{3, kBallot, Bytes(3)}));
  EXPECT_EQ(reader.FetchChosen(5, 5)->size(), 1u);
}

TEST_F(PeerReaderTest, TheNextMemberIsAskedForWhatOneHasLostToo) {
  JoinAll();
  b.is_damaged = true;
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(reader.FetchChosen(1, 2).ok());
  EXPECT_EQ(c.fetches, 2);
  EXPECT_LE(b.fetches, 1) << "the one that served last is asked first";
  c.is_damaged = true;
  const absl::Status lost = reader.FetchChosen(1, 2).status();
  EXPECT_TRUE(absl::IsUnavailable(lost)) << lost;
  EXPECT_NE(lost.message().find("replica 3"), absl::string_view::npos) << lost;
}

TEST_F(PeerReaderTest, TheNextMemberIsAskedIfWhatOneSuppliedWasOfNoUse) {
  JoinAll();
  EXPECT_TRUE(reader.FetchChosen(1, 2).ok());
  const bool was_b = b.fetches == 1;
  reader.TurnToNext();
  EXPECT_TRUE(reader.FetchChosen(1, 2).ok());
  EXPECT_EQ(was_b ? c.fetches : b.fetches, 1);
}

TEST_F(PeerReaderTest, AStrangerGetsNothing) {
  JoinAll();
  Endpoint stranger(4);
  const auto stub = v1::Peer::NewStub(DialPeer("127.0.0.1:" + std::to_string(b.port)));
  for (const bool says_hello : {false, true}) {
    grpc::ClientContext context;
    v1::FetchRequest request;
    if (says_hello) {
      *request.mutable_hello() = stranger.registry.MakeHello(
          {.id = ReplicaId{2}, .uuid = Uuid{0, 2}, .address = ""}, v1::TRAFFIC_CLASS_BULK);
    }
    request.set_first(1);
    request.set_through(2);
    v1::FetchResponse response;
    const grpc::Status status = stub->Fetch(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << status.error_message();
  }
  EXPECT_EQ(b.fetches, 0);
}

TEST_F(PeerReaderTest, AReplicaAloneOrStoppedAsksNobody) {
  EXPECT_TRUE(absl::IsUnavailable(reader.FetchChosen(1, 2).status()));
  JoinAll();
  reader.Stop();
  EXPECT_TRUE(absl::IsCancelled(reader.FetchChosen(1, 2).status()));
  EXPECT_EQ(b.fetches + c.fetches, 0);
}

}  // namespace
}  // namespace distlog
