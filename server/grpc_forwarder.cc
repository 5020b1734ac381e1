#include "server/grpc_forwarder.h"

#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "proto/distlog/v1/log.grpc.pb.h"
#include "server/admission.h"
#include "server/forwarded_call.h"
#include "server/request.h"
#include "wire/callback_queue.h"

namespace distlog {
namespace {

// A cluster has few members; addresses of past ones are forgotten with all others.
constexpr size_t kMaxConnections = 64;
constexpr int kMaxMessageBytes = 8 << 20;

std::chrono::system_clock::time_point ToWallClock(Forwarder::TimePoint deadline) {
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(
             deadline - std::chrono::steady_clock::now());
}

struct Connection {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Log::Stub> stub;
};

// What the calls of one forwarder share; they may outlive it.
struct Shared {
  explicit Shared(const ForwarderLimits& limits)
      : admission(limits.max_requests, limits.max_bytes) {}
  Admission admission;
  ForwardedCalls calls;
};

template <typename Response>
struct UnaryCall : ForwardedCall {
  using ForwardedCall::ForwardedCall;
  Response response;
  std::shared_ptr<Connection> connection;
};

// One AppendStream to the leader. It holds itself until the end of the call.
class UpStream : public grpc::ClientBidiReactor<v1::AppendRequest, v1::AppendStreamResponse>,
                 public ForwardedCall {
 public:
  UpStream(std::shared_ptr<Shared> shared, const std::string& address,
           std::shared_ptr<Connection> connection, Forwarder::StreamListener listener)
      : ForwardedCall(address),
        shared_(std::move(shared)),
        connection_(std::move(connection)),
        listener_(std::move(listener)) {}

  void Start(Forwarder::TimePoint deadline, std::shared_ptr<UpStream> self) {
    self_ = std::move(self);
    context.AddMetadata(kForwardedKey, "1");
    if (deadline != Forwarder::TimePoint::max()) context.set_deadline(ToWallClock(deadline));
    connection_->stub->async()->AppendStream(&context, this);
    // Writes come from other threads than gRPC's.
    AddHold();
    StartRead(&response_);
    StartCall();
  }

  bool Append(const v1::AppendRequest& request) {
    const size_t bytes = request.ByteSizeLong();
    if (!shared_->admission.Enter(bytes)) return false;
    Change([&] { waiting_.push_back({bytes, request}); });
    return true;
  }
  void CloseRequests() {
    Change([&] { closed_ = true; });
  }

  void OnReadDone(bool ok) override {
    if (ok) {
      listener_.on_response(response_);
      StartRead(&response_);
    } else {
      Change([&] { broken_ = true; });
    }
  }

  void OnWriteDone(bool ok) override {
    Change([&] {
      shared_->admission.Leave(writing_.bytes);
      is_writing_ = false;
      broken_ = broken_ || !ok;
    });
  }

  void OnDone(const grpc::Status& status) override {
    shared_->calls.Remove(*this);
    listener_.on_end(ErrorOf(status));
    self_.reset();
  }

 private:
  enum class Next { kNothing, kWrite, kWritesDone, kRelease };
  struct Request {
    size_t bytes = 0;
    v1::AppendRequest request;
  };

  template <typename Fn>
  void Change(const Fn& change) {
    Next next = Next::kNothing;
    {
      std::lock_guard lock(mutex_);
      change();
      next = Decide();
    }
    // While a write is under way, and before the hold is released, the call cannot end.
    if (next == Next::kWrite) StartWrite(&writing_.request);
    if (next == Next::kWritesDone) StartWritesDone();
    if (next == Next::kWritesDone || next == Next::kRelease) RemoveHold();
  }

  Next Decide() {
    if (broken_) {
      for (const Request& request : waiting_) shared_->admission.Leave(request.bytes);
      waiting_.clear();
    }
    if (is_writing_ || released_) return Next::kNothing;
    if (broken_) {
      released_ = true;
      return Next::kRelease;
    }
    if (!waiting_.empty()) {
      writing_ = std::move(waiting_.front());
      waiting_.pop_front();
      is_writing_ = true;
      return Next::kWrite;
    }
    released_ = closed_;
    return closed_ ? Next::kWritesDone : Next::kNothing;
  }

  const std::shared_ptr<Shared> shared_;
  const std::shared_ptr<Connection> connection_;
  const Forwarder::StreamListener listener_;
  v1::AppendStreamResponse response_;
  std::shared_ptr<UpStream> self_;

  std::mutex mutex_;
  std::deque<Request> waiting_;
  Request writing_;  // If is_writing_.
  bool is_writing_ = false;
  bool closed_ = false;    // Nothing more will come.
  bool broken_ = false;    // Nothing more can be sent.
  bool released_ = false;  // The hold is gone: no operation may start.
};

class UpStreamHandle : public Forwarder::Stream {
 public:
  explicit UpStreamHandle(std::shared_ptr<UpStream> stream) : stream_(std::move(stream)) {}
  ~UpStreamHandle() override {
    stream_->CloseRequests();
    stream_->context.TryCancel();
  }
  bool Append(const v1::AppendRequest& request) override { return stream_->Append(request); }
  void CloseRequests() override { stream_->CloseRequests(); }

 private:
  const std::shared_ptr<UpStream> stream_;
};

class GrpcForwarder : public Forwarder {
 public:
  GrpcForwarder(std::shared_ptr<grpc::ChannelCredentials> credentials,
                const ForwarderLimits& limits)
      : credentials_(std::move(credentials)), shared_(std::make_shared<Shared>(limits)) {}

  void Append(const std::string& address, const v1::AppendRequest& request, TimePoint deadline,
              AppendCallback done) override {
    Call<v1::AppendResponse>(address, request, deadline, std::move(done),
                             [](auto* stub, auto&&... call) { stub->Append(call...); });
  }

  void OpenProducer(const std::string& address, const v1::OpenProducerRequest& request,
                    TimePoint deadline, OpenProducerCallback done) override {
    Call<v1::OpenProducerResponse>(address, request, deadline, std::move(done),
                                   [](auto* stub, auto&&... call) { stub->OpenProducer(call...); });
  }

  std::shared_ptr<Stream> OpenStream(const std::string& address, TimePoint deadline,
                                     StreamListener listener) override {
    std::shared_ptr<Connection> connection = ConnectionTo(address);
    if (!IsReady(*connection)) return nullptr;
    const auto stream =
        std::make_shared<UpStream>(shared_, address, std::move(connection), std::move(listener));
    if (!shared_->calls.Add(stream)) return nullptr;
    stream->Start(deadline, stream);
    return std::make_shared<UpStreamHandle>(stream);
  }

  void NoteLeader(const std::string& address, TimePoint now) override {
    shared_->calls.NoteLeader(address, now);
  }

  void Stop(std::chrono::milliseconds patience) override { shared_->calls.Stop(patience); }

 private:
  // `start` begins the call that it is given on a stub.
  template <typename Response, typename Request, typename Callback, typename Start>
  void Call(const std::string& address, const Request& request, TimePoint deadline, Callback done,
            const Start& start) {
    auto call = std::make_shared<UnaryCall<Response>>(address);
    call->connection = ConnectionTo(address);
    call->context.AddMetadata(kForwardedKey, "1");
    call->context.set_deadline(ToWallClock(deadline));
    const size_t bytes = request.ByteSizeLong();
    if (absl::Status status = Admit(call, bytes); !status.ok()) {
      done(status);
      return;
    }
    start(call->connection->stub->async(), &call->context, &request, &call->response,
          [call, bytes, done = std::move(done), shared = shared_](const grpc::Status& status) {
            shared->admission.Leave(bytes);
            shared->calls.Remove(*call);
            if (status.ok()) {
              done(call->response);
            } else {
              done(call->ErrorOf(status));
            }
          });
  }

  // A request that is handed to a channel without a connection could only fail as one that may have
  // been sent.
  static bool IsReady(const Connection& connection) {
    return connection.channel->GetState(/*try_to_connect=*/true) == GRPC_CHANNEL_READY;
  }

  // Whether a request of `bytes` may be sent now. An error of it is certain.
  template <typename Response>
  absl::Status Admit(const std::shared_ptr<UnaryCall<Response>>& call, size_t bytes) {
    if (!IsReady(*call->connection)) {
      return NotAppendedError(absl::StatusCode::kUnavailable,
                              absl::StrCat("the leader at ", call->address, " cannot be reached"),
                              v1::ErrorDetail::REASON_NO_LEADER, call->address);
    }
    if (!shared_->admission.Enter(bytes)) {
      return NotAppendedError(
          absl::StatusCode::kResourceExhausted,
          "too many requests are being passed on to the leader; try again later",
          v1::ErrorDetail::REASON_BUSY, call->address);
    }
    if (!shared_->calls.Add(call)) {
      shared_->admission.Leave(bytes);
      return NotAppendedError(absl::StatusCode::kUnavailable,
                              "the server is stopping; ask another one",
                              v1::ErrorDetail::REASON_STOPPING, call->address);
    }
    return absl::OkStatus();
  }

  std::shared_ptr<Connection> ConnectionTo(const std::string& address) {
    std::lock_guard lock(mutex_);
    const auto found = connections_.find(address);
    if (found != connections_.end()) return found->second;
    if (connections_.size() >= kMaxConnections) connections_.clear();
    KeepCallbackQueue();
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
    // A stream has no deadline: a leader that is silent while nobody takes its place must not hold
    // it for ever.
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
    auto connection = std::make_shared<Connection>();
    connection->channel = grpc::CreateCustomChannel(address, credentials_, arguments);
    connection->stub = v1::Log::NewStub(connection->channel);
    connections_.emplace(address, connection);
    return connection;
  }

  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const std::shared_ptr<Shared> shared_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Connection>> connections_;
};

}  // namespace

std::unique_ptr<Forwarder> MakeGrpcForwarder(std::shared_ptr<grpc::ChannelCredentials> credentials,
                                             const ForwarderLimits& limits) {
  return std::make_unique<GrpcForwarder>(std::move(credentials), limits);
}

}  // namespace distlog
