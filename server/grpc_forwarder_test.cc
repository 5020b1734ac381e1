// What becomes of requests that were passed on to a leader which never answers: each ends, once,
// and whoever waits is told in this server's words what is known.

#include "server/grpc_forwarder.h"

#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "proto/distlog/v1/log.grpc.pb.h"
#include "server/forwarded_call.h"
#include "wire/status.h"

namespace distlog {
namespace {

using Answer = absl::StatusOr<v1::AppendResponse>;
using Clock = std::chrono::steady_clock;

// Takes everything and answers nothing, as a stopped process does.
class SilentLog : public v1::Log::CallbackService {
 public:
  ~SilentLog() override {
    std::lock_guard lock(mutex_);
    EXPECT_TRUE(waiting_.empty());
  }
  grpc::ServerUnaryReactor* Append(grpc::CallbackServerContext*, const v1::AppendRequest*,
                                   v1::AppendResponse*) override {
    return Keep(new Unary(this));
  }
  grpc::ServerUnaryReactor* OpenProducer(grpc::CallbackServerContext*,
                                         const v1::OpenProducerRequest*,
                                         v1::OpenProducerResponse*) override {
    return Keep(new Unary(this));
  }
  grpc::ServerBidiReactor<v1::AppendRequest, v1::AppendStreamResponse>* AppendStream(
      grpc::CallbackServerContext*) override {
    return Keep(new Stream(this));
  }
  void AwaitCalls(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_.size() == count; });
  }

 private:
  // Each ends when its caller has gone.
  struct Unary : grpc::ServerUnaryReactor {
    explicit Unary(SilentLog* log) : log(log) {}
    void OnCancel() override { Finish(grpc::Status::CANCELLED); }
    void OnDone() override { log->Forget(this); }
    SilentLog* const log;
  };
  struct Stream : grpc::ServerBidiReactor<v1::AppendRequest, v1::AppendStreamResponse> {
    explicit Stream(SilentLog* log) : log(log) {}
    void OnCancel() override { Finish(grpc::Status::CANCELLED); }
    void OnDone() override { log->Forget(this); }
    SilentLog* const log;
  };

  template <typename Reactor>
  Reactor* Keep(Reactor* reactor) {
    std::lock_guard lock(mutex_);
    waiting_.insert(reactor);
    changed_.notify_all();
    return reactor;
  }
  template <typename Reactor>
  void Forget(Reactor* reactor) {
    {
      std::lock_guard lock(mutex_);
      waiting_.erase(reactor);
      changed_.notify_all();
    }
    delete reactor;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<void*> waiting_;
};

class GrpcForwarderTest : public testing::Test {
 protected:
  void SetUp() override {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&silent_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    address_ = "127.0.0.1:" + std::to_string(port);
    MakeForwarder({});
  }
  void TearDown() override {
    forwarder_->Stop(std::chrono::milliseconds(0));
    server_->Shutdown();
  }

  void MakeForwarder(const ForwarderLimits& limits) {
    forwarder_ = MakeGrpcForwarder(grpc::InsecureChannelCredentials(), limits);
    while (forwarder_->OpenStream(address_, Clock::time_point::max(), Nobody()) == nullptr) {
      std::this_thread::yield();
    }
    silent_.AwaitCalls(0);
  }

  static Forwarder::StreamListener Nobody() {
    return {[](const v1::AppendStreamResponse&) {}, [](const absl::Status&) {}};
  }

  static v1::AppendRequest Request(const std::string& payload = "x") {
    v1::AppendRequest request;
    request.add_payloads(payload);
    return request;
  }

  std::future<absl::Status> Append(Clock::time_point deadline) {
    auto answer = std::make_shared<std::promise<absl::Status>>();
    requests_.push_back(std::make_unique<v1::AppendRequest>(Request()));
    forwarder_->Append(address_, *requests_.back(), deadline,
                       [answer](const Answer& said) { answer->set_value(said.status()); });
    return answer->get_future();
  }
  std::future<absl::Status> Append() { return Append(Clock::now() + std::chrono::hours(1)); }

  std::future<absl::Status> OpenProducer() {
    auto answer = std::make_shared<std::promise<absl::Status>>();
    forwarder_->OpenProducer(address_, opening_, Clock::now() + std::chrono::hours(1),
                             [answer](const absl::StatusOr<v1::OpenProducerResponse>& said) {
                               answer->set_value(said.status());
                             });
    return answer->get_future();
  }

  static bool IsReady(const std::future<absl::Status>& answer) {
    return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

  // Typed, open, and about the server that was asked.
  void ExpectOpen(const absl::Status& status, absl::StatusCode code, const std::string& why) {
    EXPECT_EQ(status.code(), code) << status;
    ASSERT_TRUE(DetailOf(status).has_value()) << status;
    EXPECT_FALSE(DetailOf(status)->not_appended());
    EXPECT_NE(status.message().find(address_), absl::string_view::npos) << status;
    EXPECT_NE(status.message().find(why), absl::string_view::npos) << status;
  }

  SilentLog silent_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  std::unique_ptr<Forwarder> forwarder_;
  std::vector<std::unique_ptr<v1::AppendRequest>> requests_;
  v1::OpenProducerRequest opening_;
};

TEST_F(GrpcForwarderTest, WhatALeaderThatWasReplacedDoesNotAnswerEndsAfterTheGrace) {
  auto append = Append();
  auto opening = OpenProducer();
  std::promise<absl::Status> ended;
  const auto stream =
      forwarder_->OpenStream(address_, Clock::time_point::max(),
                             {[](const v1::AppendStreamResponse&) {},
                              [&](const absl::Status& status) { ended.set_value(status); }});
  ASSERT_NE(stream, nullptr);
  EXPECT_TRUE(stream->Append(Request()));
  silent_.AwaitCalls(3);
  const Clock::time_point now = Clock::now();
  forwarder_->NoteLeader("127.0.0.1:1", now);
  forwarder_->NoteLeader("", now + ForwardedCalls::kGrace - std::chrono::milliseconds(1));
  EXPECT_FALSE(IsReady(append)) << append.get();
  forwarder_->NoteLeader("127.0.0.1:1", now + ForwardedCalls::kGrace);
  ExpectOpen(append.get(), absl::StatusCode::kUnavailable, "another replica leads now");
  ExpectOpen(opening.get(), absl::StatusCode::kUnavailable, "another replica leads now");
  ExpectOpen(ended.get_future().get(), absl::StatusCode::kUnavailable, "another replica leads now");
}

TEST_F(GrpcForwarderTest, ALeaderThatIsBackWithinTheGraceKeepsWhatItWasAsked) {
  auto answer = Append();
  silent_.AwaitCalls(1);
  const Clock::time_point now = Clock::now();
  forwarder_->NoteLeader("127.0.0.1:1", now);
  forwarder_->NoteLeader(address_, now + ForwardedCalls::kGrace / 2);
  forwarder_->NoteLeader("127.0.0.1:1", now + ForwardedCalls::kGrace);
  EXPECT_FALSE(IsReady(answer)) << answer.get();
  forwarder_->NoteLeader("127.0.0.1:1", now + 2 * ForwardedCalls::kGrace);
  ExpectOpen(answer.get(), absl::StatusCode::kUnavailable, "another replica leads now");
}

// Otherwise the gRPC server of the one that stops would wait for as long as the callers do.
TEST_F(GrpcForwarderTest, StoppingEndsWhatIsNotAnsweredAndRefusesTheRest) {
  auto open = Append();
  silent_.AwaitCalls(1);
  forwarder_->Stop(std::chrono::milliseconds(0));
  ExpectOpen(open.get(), absl::StatusCode::kUnavailable, "this server stopped");
  const absl::Status refused = Append().get();
  ASSERT_TRUE(DetailOf(refused).has_value()) << refused;
  EXPECT_EQ(DetailOf(refused)->reason(), v1::ErrorDetail::REASON_STOPPING);
  EXPECT_TRUE(DetailOf(refused)->not_appended());
  EXPECT_EQ(forwarder_->OpenStream(address_, Clock::time_point::max(), Nobody()), nullptr);
}

TEST_F(GrpcForwarderTest, ACallEndsAtItsDeadline) {
  auto answer = Append(Clock::now() + std::chrono::milliseconds(50));
  ExpectOpen(answer.get(), absl::StatusCode::kDeadlineExceeded, "before the deadline");
}

TEST_F(GrpcForwarderTest, ABrokenConnectionIsNotToldInTheWordsOfTheTransport) {
  auto answer = Append();
  silent_.AwaitCalls(1);
  server_->Shutdown(std::chrono::system_clock::now());
  ExpectOpen(answer.get(), absl::StatusCode::kUnavailable, "broke before it answered");
}

TEST_F(GrpcForwarderTest, NothingIsSentToAServerThatCannotBeReached) {
  address_ = "127.0.0.1:1";
  const absl::Status refused = Append().get();
  ASSERT_TRUE(DetailOf(refused).has_value()) << refused;
  EXPECT_EQ(DetailOf(refused)->reason(), v1::ErrorDetail::REASON_NO_LEADER);
  EXPECT_TRUE(DetailOf(refused)->not_appended());
  EXPECT_EQ(forwarder_->OpenStream(address_, Clock::time_point::max(), Nobody()), nullptr);
}

// By calls that wait for their answers, and by requests that wait to be written, on all streams.
TEST_F(GrpcForwarderTest, WhatIsUnderWayIsBounded) {
  MakeForwarder({.max_bytes = 64 << 20, .max_requests = 1});
  auto first = Append();
  silent_.AwaitCalls(1);
  const absl::Status refused = Append().get();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(DetailOf(refused)->not_appended());
  const auto stream = forwarder_->OpenStream(address_, Clock::time_point::max(), Nobody());
  ASSERT_NE(stream, nullptr);
  EXPECT_FALSE(stream->Append(Request()));
}

// gRPC's own errors, which carry no detail, are never handed on; the leader's are, as they are.
TEST(ForwardedErrorTest, SaysWhatIsKnownInThisServersWords) {
  struct Row {
    grpc::StatusCode code;
    GaveUp gave_up;
    absl::StatusCode want;
    std::string words;
  };
  const Row rows[] = {
      {grpc::CANCELLED, GaveUp::kAnotherLeads, absl::StatusCode::kUnavailable,
       "the leader at a:1 did not answer, and another replica leads now"},
      {grpc::CANCELLED, GaveUp::kStopping, absl::StatusCode::kUnavailable,
       "this server stopped before the leader at a:1 answered"},
      {grpc::DEADLINE_EXCEEDED, GaveUp::kNot, absl::StatusCode::kDeadlineExceeded,
       "the leader at a:1 did not answer before the deadline"},
      {grpc::UNAVAILABLE, GaveUp::kNot, absl::StatusCode::kUnavailable,
       "the connection to the leader at a:1 broke before it answered"},
      {grpc::UNKNOWN, GaveUp::kNot, absl::StatusCode::kUnavailable,
       "the connection to the leader at a:1 broke before it answered"},
      {grpc::RESOURCE_EXHAUSTED, GaveUp::kNot, absl::StatusCode::kResourceExhausted,
       "the leader at a:1 had no room for the request"},
      {grpc::UNIMPLEMENTED, GaveUp::kNot, absl::StatusCode::kUnimplemented,
       "the leader at a:1 does not know this kind of request"},
  };
  for (const Row& row : rows) {
    const absl::Status told =
        ForwardedError(grpc::Status(row.code, "keepalive watchdog timeout"), "a:1", row.gave_up);
    EXPECT_EQ(told.code(), row.want) << told;
    EXPECT_EQ(told.message(), row.words + ": the request may or may not have taken effect");
    ASSERT_TRUE(DetailOf(told).has_value());
    EXPECT_FALSE(DetailOf(told)->not_appended());
  }
  v1::ErrorDetail detail;
  detail.set_not_appended(true);
  const absl::Status said = MakeError(absl::StatusCode::kAborted, "no", detail);
  EXPECT_EQ(ForwardedError(ToGrpc(said), "a:1", GaveUp::kAnotherLeads), said);
  EXPECT_EQ(ForwardedError(grpc::Status::OK, "a:1", GaveUp::kNot), absl::OkStatus());
}

}  // namespace
}  // namespace distlog
