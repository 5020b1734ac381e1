// The Log service over real sockets, in front of three nodes in one process.

#include "server/log_service.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grpcpp/create_channel.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "proto/distlog/v1/log.grpc.pb.h"
#include "server/grpc_forwarder.h"
#include "server/local_network.h"
#include "wire/status.h"

namespace distlog {
namespace {

// Addresses that are free, sorted: a cluster is formed before its services start.
std::vector<std::string> FreeAddresses(size_t count) {
  std::vector<int> sockets;
  std::vector<std::string> addresses;
  for (size_t i = 0; i < count; ++i) {
    sockets.push_back(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(sockets[i], reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::getsockname(sockets[i], reinterpret_cast<sockaddr*>(&address), &size), 0);
    addresses.push_back("127.0.0.1:" + std::to_string(ntohs(address.sin_port)));
  }
  for (const int socket : sockets) ::close(socket);
  std::sort(addresses.begin(), addresses.end());
  return addresses;
}

class LogServiceTest : public testing::Test {
 protected:
  void StartCluster(size_t size, LogServiceOptions options = {}, paxos::Options protocol = {}) {
    addresses_ = FreeAddresses(size);
    cluster_ = std::make_unique<LocalCluster>(size, Store::Options(), Node::Limits(), addresses_,
                                              protocol);
    cluster_->Assign();
    for (size_t i = 0; i < size; ++i) {
      forwarders_.push_back(MakeGrpcForwarder(grpc::InsecureChannelCredentials()));
      services_.push_back(MakeLogService(&cluster_->node(i), forwarders_[i].get(), options));
      grpc::ServerBuilder builder;
      builder.AddListeningPort(addresses_[i], grpc::InsecureServerCredentials());
      builder.RegisterService(services_[i].get());
      servers_.push_back(builder.BuildAndStart());
      ASSERT_NE(servers_.back(), nullptr);
      stubs_.push_back(
          v1::Log::NewStub(grpc::CreateChannel(addresses_[i], grpc::InsecureChannelCredentials())));
    }
  }

  void TearDown() override {
    for (size_t i = 0; i < servers_.size(); ++i) {
      cluster_->node(i).Stop(std::chrono::milliseconds(0));
      servers_[i]->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
    }
  }

  v1::Log::Stub& stub(size_t index) { return *stubs_[index]; }
  // A replica that follows.
  size_t Follower() { return (cluster_->Leader() + 1) % cluster_->size(); }

  static std::unique_ptr<grpc::ClientContext> Context() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    return context;
  }

  absl::StatusOr<v1::AppendResponse> Append(size_t index, const std::string& payload) {
    v1::AppendRequest request;
    request.add_payloads(payload);
    v1::AppendResponse response;
    const auto context = Context();
    const grpc::Status status = stub(index).Append(context.get(), request, &response);
    if (!status.ok()) return FromGrpc(status);
    return response;
  }

  absl::StatusOr<std::vector<std::string>> Read(size_t index, const v1::ReadRequest& request) {
    const auto context = Context();
    const auto reader = stub(index).Read(context.get(), request);
    std::vector<std::string> payloads;
    v1::ReadResponse response;
    while (reader->Read(&response)) {
      for (const v1::Entry& entry : response.entries()) payloads.push_back(entry.payload());
    }
    const grpc::Status status = reader->Finish();
    if (!status.ok()) return FromGrpc(status);
    return payloads;
  }

  std::vector<std::string> addresses_;
  std::unique_ptr<LocalCluster> cluster_;
  std::vector<std::unique_ptr<Forwarder>> forwarders_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::vector<std::unique_ptr<grpc::Server>> servers_;
  std::vector<std::unique_ptr<v1::Log::Stub>> stubs_;
};

TEST_F(LogServiceTest, AnyReplicaTakesAnAppend) {
  StartCluster(3);
  for (size_t i = 0; i < 3; ++i) {
    const auto response = Append(i, "entry " + std::to_string(i));
    ASSERT_EQ(response.status(), absl::OkStatus());
    EXPECT_EQ(response->first_position(), i + 1);
    EXPECT_EQ(response->cluster_id(), cluster_->node(i).cluster_id());
  }
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(Read(i, v1::ReadRequest()).value(),
              (std::vector<std::string>{"entry 0", "entry 1", "entry 2"}));
  }
}

// A position means something in one cluster only (REASON_RECOVERED).
TEST_F(LogServiceTest, AnswersWithPositionsNameTheCluster) {
  StartCluster(1);
  ASSERT_EQ(Append(0, std::string(1 << 20, 'a')).status(), absl::OkStatus());
  ASSERT_EQ(Append(0, std::string(1 << 20, 'b')).status(), absl::OkStatus());
  const std::string id = cluster_->node(0).cluster_id();
  {
    const auto context = Context();
    const auto reader = stub(0).Read(context.get(), v1::ReadRequest());
    v1::ReadResponse first;
    v1::ReadResponse second;
    ASSERT_TRUE(reader->Read(&first));
    ASSERT_TRUE(reader->Read(&second));
    EXPECT_EQ(first.cluster_id(), id);
    EXPECT_EQ(second.cluster_id(), "");
    EXPECT_FALSE(reader->Read(&second));
  }
  {
    const auto context = Context();
    const auto stream = stub(0).AppendStream(context.get());
    v1::AppendRequest request;
    request.add_payloads("c");
    v1::AppendStreamResponse response;
    for (const std::string& expected : {id, std::string()}) {
      ASSERT_TRUE(stream->Write(request));
      ASSERT_TRUE(stream->Read(&response));
      EXPECT_EQ(response.cluster_id(), expected);
    }
  }
  EXPECT_EQ(Append(0, "d")->cluster_id(), id);
  const auto context = Context();
  v1::EndResponse end;
  ASSERT_TRUE(stub(0).End(context.get(), v1::EndRequest(), &end).ok());
  EXPECT_EQ(end.cluster_id(), id);
}

// A request waits for a leader rather than fail: the first one comes before any is elected.
TEST_F(LogServiceTest, AnAppendWaitsForALeader) {
  StartCluster(3);
  EXPECT_EQ(Append(0, "x").status(), absl::OkStatus());
}

TEST_F(LogServiceTest, ARequestThatWasPassedOnIsNotPassedOnAgain) {
  StartCluster(3);
  const auto context = Context();
  context->AddMetadata(kForwardedKey, "1");
  v1::AppendRequest request;
  request.add_payloads("x");
  v1::AppendResponse response;
  const absl::Status status = FromGrpc(stub(Follower()).Append(context.get(), request, &response));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(DetailOf(status).has_value());
  EXPECT_TRUE(DetailOf(status)->not_appended());
}

// A leader that takes what is passed on, but is cut off from its followers, can never answer. The
// one that passed it on follows another leader by then: that is all there is to wait for.
class CutOffLeaderTest : public LogServiceTest {
 protected:
  void SetUp() override {
    // Long enough for the requests to be at the old leader before anybody notices.
    paxos::Options protocol;
    protocol.heartbeat_interval = std::chrono::milliseconds(500);
    StartCluster(3, {}, protocol);
    leader_ = cluster_->Leader();
    follower_ = (leader_ + 1) % 3;
    ASSERT_EQ(Append(follower_, "before").status(), absl::OkStatus());
    cluster_->network().CutOff(LocalCluster::IdOf(leader_), true);
  }

  size_t leader_ = 0;
  size_t follower_ = 0;
};

TEST_F(CutOffLeaderTest, WhatMayNotBeRepeatedEndsAsUnknownWithTheLeadersName) {
  auto plain = std::async(std::launch::async, [&] { return Append(follower_, "plain").status(); });
  const auto context = Context();
  const auto stream = stub(follower_).AppendStream(context.get());
  v1::AppendRequest request;
  request.add_payloads("streamed");
  stream->Write(request);
  v1::AppendStreamResponse response;
  EXPECT_FALSE(stream->Read(&response));
  for (const absl::Status& status : {plain.get(), FromGrpc(stream->Finish())}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    ASSERT_TRUE(DetailOf(status).has_value()) << status;
    EXPECT_FALSE(DetailOf(status)->not_appended()) << status;
    EXPECT_EQ(std::string(status.message()),
              "the leader at " + addresses_[leader_] +
                  " did not answer, and another replica leads now: the request may or may not have "
                  "taken effect");
  }
}

// A copy of what carries a producer and a sequence is harmless, and so is one of an opening.
TEST_F(CutOffLeaderTest, WhatMayBeRepeatedIsPassedOnToTheNewLeader) {
  auto opened = std::async(std::launch::async, [&] {
    v1::OpenProducerRequest request;
    request.set_name("p");
    request.set_nonce(5);
    v1::OpenProducerResponse response;
    const auto context = Context();
    return FromGrpc(stub(follower_).OpenProducer(context.get(), request, &response));
  });
  v1::AppendRequest request;
  request.add_payloads("once");
  request.set_producer("q");
  request.set_sequence(1);
  v1::AppendResponse response;
  const auto context = Context();
  EXPECT_EQ(FromGrpc(stub(follower_).Append(context.get(), request, &response)), absl::OkStatus());
  EXPECT_EQ(opened.get(), absl::OkStatus());
}

TEST_F(LogServiceTest, OpenProducerAtAFollowerIsPassedOn) {
  StartCluster(3);
  v1::OpenProducerRequest request;
  request.set_name("p");
  request.set_nonce(5);
  v1::OpenProducerResponse response;
  const auto context = Context();
  ASSERT_TRUE(stub(Follower()).OpenProducer(context.get(), request, &response).ok());
  EXPECT_EQ(response.epoch(), 1u);
  EXPECT_EQ(response.next_sequence(), 1u);
  EXPECT_EQ(response.cluster_id(), cluster_->node(0).cluster_id());
}

// Streams of appends, at the leader and through a follower: order kept, one answer per request.
TEST_F(LogServiceTest, AStreamOfAppendsIsAnsweredInOrderHereAndThere) {
  StartCluster(3);
  uint64_t position = 0;
  for (const size_t index : {cluster_->Leader(), Follower()}) {
    const auto context = Context();
    const auto stream = stub(index).AppendStream(context.get());
    constexpr int kRequests = 500;
    for (int i = 0; i < kRequests; ++i) {
      v1::AppendRequest request;
      request.add_payloads(std::to_string(i));
      request.add_payloads("and more");
      ASSERT_TRUE(stream->Write(request));
    }
    ASSERT_TRUE(stream->WritesDone());
    int answers = 0;
    v1::AppendStreamResponse response;
    while (stream->Read(&response)) {
      for (const v1::AppendResponse& answer : response.responses()) {
        EXPECT_EQ(answer.first_position(), position + 1);
        EXPECT_EQ(answer.count(), 2u);
        position += 2;
        ++answers;
      }
    }
    const grpc::Status status = stream->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(answers, kRequests);
  }
}

TEST_F(LogServiceTest, TheFirstFailureEndsAStreamWithItsStatus) {
  StartCluster(3);
  for (const size_t index : {cluster_->Leader(), Follower()}) {
    const auto context = Context();
    const auto stream = stub(index).AppendStream(context.get());
    v1::AppendRequest request;
    request.add_payloads("good");
    stream->Write(request);
    request.set_expect_position(1000);
    stream->Write(request);
    stream->WritesDone();
    int answers = 0;
    v1::AppendStreamResponse response;
    while (stream->Read(&response)) answers += response.responses_size();
    EXPECT_EQ(answers, 1);
    const absl::Status status = FromGrpc(stream->Finish());
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(DetailOf(status)->reason(), v1::ErrorDetail::REASON_POSITION);
    EXPECT_TRUE(DetailOf(status)->not_appended());
  }
}

// A stream takes no more than it may hold, and loses nothing by it.
TEST_F(LogServiceTest, AStreamTakesNoMoreThanItMayHold) {
  StartCluster(1, {.max_unanswered = 3});
  const auto context = Context();
  const auto stream = stub(0).AppendStream(context.get());
  v1::AppendRequest request;
  request.add_payloads("x");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(stream->Write(request));
  stream->WritesDone();
  int answers = 0;
  v1::AppendStreamResponse response;
  while (stream->Read(&response)) {
    EXPECT_LE(response.responses_size(), 4);
    answers += response.responses_size();
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(answers, 100);
}

TEST_F(LogServiceTest, ReadsTakeRangesAndCounts) {
  StartCluster(1);
  for (const char* payload : {"a", "b", "c", "d", "e"}) ASSERT_TRUE(Append(0, payload).ok());
  struct Row {
    uint64_t from, to, count;
    std::vector<std::string> want;
  };
  const Row rows[] = {
      {0, 0, 0, {"a", "b", "c", "d", "e"}},
      {2, 3, 0, {"b", "c"}},
      {4, 0, 0, {"d", "e"}},
      {4, 9, 0, {"d", "e"}},
      {2, 0, 2, {"b", "c"}},
      {0, 0, 1, {"a"}},
      {2, 4, 9, {"b", "c", "d"}},
      {6, 0, 0, {}},
      {100, 0, 5, {}},
      {5, 5, UINT64_MAX, {"e"}},
  };
  for (const Row& row : rows) {
    v1::ReadRequest request;
    request.set_from(row.from);
    request.set_to(row.to);
    request.set_count(row.count);
    for (const v1::Consistency consistency :
         {v1::CONSISTENCY_LINEARIZABLE, v1::CONSISTENCY_LOCAL}) {
      request.set_consistency(consistency);
      const auto payloads = Read(0, request);
      ASSERT_EQ(payloads.status(), absl::OkStatus());
      EXPECT_EQ(*payloads, row.want) << row.from << ".." << row.to << " count " << row.count;
    }
  }
  v1::ReadRequest backwards;
  backwards.set_from(3);
  backwards.set_to(2);
  EXPECT_EQ(Read(0, backwards).status().code(), absl::StatusCode::kInvalidArgument);
  v1::ReadRequest foreign;
  foreign.set_cluster_id(std::string(32, 'x'));
  EXPECT_EQ(Read(0, foreign).status().code(), absl::StatusCode::kFailedPrecondition);
}

// More than one response, each within bounds.
TEST_F(LogServiceTest, ALargeReadComesInPieces) {
  StartCluster(1);
  std::vector<std::string> want;
  for (int i = 0; i < 5; ++i) {
    want.push_back(std::string(700'000, static_cast<char>('a' + i)));
    ASSERT_EQ(Append(0, want.back()).status(), absl::OkStatus());
  }
  EXPECT_EQ(Read(0, v1::ReadRequest()).value(), want);
}

TEST_F(LogServiceTest, ASubscriptionGoesOnWithNewEntriesAndKeepsAlive) {
  StartCluster(3);
  for (const char* payload : {"a", "b", "c"}) ASSERT_TRUE(Append(0, payload).ok());
  const auto context = Context();
  v1::SubscribeRequest request;
  request.set_last(2);
  const auto reader = stub(Follower()).Subscribe(context.get(), request);
  std::vector<std::string> seen;
  bool was_idle = false;
  v1::ReadResponse response;
  while (seen.size() < 3 && reader->Read(&response)) {
    for (const v1::Entry& entry : response.entries()) seen.push_back(entry.payload());
    if (response.entries().empty()) {
      // Nothing came for a while: it says how far the log is.
      EXPECT_EQ(response.last_position(), 3u);
      if (!std::exchange(was_idle, true)) {
        ASSERT_TRUE(Append(0, "d").ok());
      }
    }
  }
  EXPECT_TRUE(was_idle);
  EXPECT_EQ(seen, (std::vector<std::string>{"b", "c", "d"}));
  context->TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(LogServiceTest, EndTellsTheBoundsEverywhere) {
  StartCluster(3);
  ASSERT_TRUE(Append(0, "a").ok());
  for (size_t i = 0; i < 3; ++i) {
    const auto context = Context();
    v1::EndResponse response;
    ASSERT_TRUE(stub(i).End(context.get(), v1::EndRequest(), &response).ok());
    EXPECT_EQ(response.first_position(), 1u);
    EXPECT_EQ(response.last_position(), 1u);
  }
}

TEST_F(LogServiceTest, StreamsAreBounded) {
  StartCluster(1, {.max_streams = 1});
  ASSERT_TRUE(Append(0, "a").ok());
  auto context = Context();
  const auto held = stub(0).Subscribe(context.get(), v1::SubscribeRequest());
  v1::ReadResponse response;
  ASSERT_TRUE(held->Read(&response));
  const absl::Status refused = Read(0, v1::ReadRequest()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  context->TryCancel();
  held->Finish();
  LocalCluster::WaitFor([&] { return Read(0, v1::ReadRequest()).ok(); });
}

// A server that stops ends its subscriptions, so that nothing holds it up.
TEST_F(LogServiceTest, AStoppingServerEndsItsSubscriptions) {
  StartCluster(1);
  ASSERT_TRUE(Append(0, "a").ok());
  const auto context = Context();
  v1::SubscribeRequest request;
  request.set_last(1);
  const auto reader = stub(0).Subscribe(context.get(), request);
  v1::ReadResponse response;
  ASSERT_TRUE(reader->Read(&response));
  cluster_->node(0).Stop(std::chrono::seconds(1));
  while (reader->Read(&response)) {
  }
  const absl::Status status = FromGrpc(reader->Finish());
  EXPECT_EQ(DetailOf(status)->reason(), v1::ErrorDetail::REASON_STOPPING);
}

}  // namespace
}  // namespace distlog
