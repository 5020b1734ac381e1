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
#include "server/request.h"
#include "wire/status.h"

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

template <typename Response>
struct UnaryCall {
  grpc::ClientContext context;
  Response response;
  std::shared_ptr<Connection> connection;
};

// One AppendStream to the leader. It holds itself until the end of the call.
class UpStream : public grpc::ClientBidiReactor<v1::AppendRequest, v1::AppendStreamResponse> {
 public:
  UpStream(std::shared_ptr<Connection> connection, Forwarder::StreamListener listener)
      : connection_(std::move(connection)), listener_(std::move(listener)) {}

  void Start(Forwarder::TimePoint deadline, std::shared_ptr<UpStream> self) {
    self_ = std::move(self);
    context_.AddMetadata(kForwardedKey, "1");
    if (deadline != Forwarder::TimePoint::max()) context_.set_deadline(ToWallClock(deadline));
    connection_->stub->async()->AppendStream(&context_, this);
    // Writes come from other threads than gRPC's.
    AddHold();
    StartRead(&response_);
    StartCall();
  }

  void Append(const v1::AppendRequest& request) {
    Change([&] { waiting_.push_back(request); });
  }
  void CloseRequests() {
    Change([&] { closed_ = true; });
  }
  void Cancel() { context_.TryCancel(); }

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
      writing_ = false;
      broken_ = broken_ || !ok;
    });
  }

  void OnDone(const grpc::Status& status) override {
    listener_.on_end(FromGrpc(status));
    self_.reset();
  }

 private:
  enum class Next { kNothing, kWrite, kWritesDone, kRelease };

  template <typename Fn>
  void Change(const Fn& change) {
    Next next = Next::kNothing;
    {
      std::lock_guard lock(mutex_);
      change();
      next = Decide();
    }
    // While a write is under way, and before the hold is released, the call cannot end.
    if (next == Next::kWrite) StartWrite(&request_);
    if (next == Next::kWritesDone) StartWritesDone();
    if (next == Next::kWritesDone || next == Next::kRelease) RemoveHold();
  }

  Next Decide() {
    if (writing_ || released_) return Next::kNothing;
    if (broken_) {
      waiting_.clear();
      released_ = true;
      return Next::kRelease;
    }
    if (!waiting_.empty()) {
      request_.Swap(&waiting_.front());
      waiting_.pop_front();
      writing_ = true;
      return Next::kWrite;
    }
    released_ = closed_;
    return closed_ ? Next::kWritesDone : Next::kNothing;
  }

  const std::shared_ptr<Connection> connection_;
  const Forwarder::StreamListener listener_;
  grpc::ClientContext context_;
  v1::AppendStreamResponse response_;
  std::shared_ptr<UpStream> self_;

  std::mutex mutex_;
  std::deque<v1::AppendRequest> waiting_;
  v1::AppendRequest request_;  // Being written, if writing_.
  bool writing_ = false;
  bool closed_ = false;    // Nothing more will come.
  bool broken_ = false;    // Nothing more can be sent.
  bool released_ = false;  // The hold is gone: no operation may start.
};

class UpStreamHandle : public Forwarder::Stream {
 public:
  explicit UpStreamHandle(std::shared_ptr<UpStream> stream) : stream_(std::move(stream)) {}
  ~UpStreamHandle() override {
    stream_->CloseRequests();
    stream_->Cancel();
  }
  void Append(const v1::AppendRequest& request) override { stream_->Append(request); }
  void CloseRequests() override { stream_->CloseRequests(); }

 private:
  const std::shared_ptr<UpStream> stream_;
};

class GrpcForwarder : public Forwarder {
 public:
  GrpcForwarder(std::shared_ptr<grpc::ChannelCredentials> credentials, size_t max_bytes)
      : credentials_(std::move(credentials)),
        admission_(std::make_shared<Admission>(SIZE_MAX, max_bytes)) {}

  void Append(const std::string& address, const v1::AppendRequest& request, TimePoint deadline,
              AppendCallback done) override {
    const size_t bytes = request.ByteSizeLong();
    const absl::StatusOr<std::shared_ptr<Connection>> connection = Admit(address, bytes);
    if (!connection.ok()) {
      done(connection.status());
      return;
    }
    auto call = MakeCall<v1::AppendResponse>(*connection, deadline);
    (*connection)
        ->stub->async()
        ->Append(&call->context, &request, &call->response, Done(call, bytes, std::move(done)));
  }

  void OpenProducer(const std::string& address, const v1::OpenProducerRequest& request,
                    TimePoint deadline, OpenProducerCallback done) override {
    const size_t bytes = request.ByteSizeLong();
    const absl::StatusOr<std::shared_ptr<Connection>> connection = Admit(address, bytes);
    if (!connection.ok()) {
      done(connection.status());
      return;
    }
    auto call = MakeCall<v1::OpenProducerResponse>(*connection, deadline);
    (*connection)
        ->stub->async()
        ->OpenProducer(&call->context, &request, &call->response,
                       Done(call, bytes, std::move(done)));
  }

  std::shared_ptr<Stream> OpenStream(const std::string& address, TimePoint deadline,
                                     StreamListener listener) override {
    const auto stream = std::make_shared<UpStream>(ConnectionTo(address), std::move(listener));
    stream->Start(deadline, stream);
    return std::make_shared<UpStreamHandle>(stream);
  }

 private:
  template <typename Response>
  static std::shared_ptr<UnaryCall<Response>> MakeCall(std::shared_ptr<Connection> connection,
                                                       TimePoint deadline) {
    auto call = std::make_shared<UnaryCall<Response>>();
    call->connection = std::move(connection);
    call->context.AddMetadata(kForwardedKey, "1");
    call->context.set_deadline(ToWallClock(deadline));
    return call;
  }

  template <typename Response, typename Callback>
  std::function<void(grpc::Status)> Done(std::shared_ptr<UnaryCall<Response>> call, size_t bytes,
                                         Callback done) {
    return [call, bytes, done = std::move(done), admission = admission_](grpc::Status status) {
      admission->Leave(bytes);
      if (status.ok()) {
        done(call->response);
      } else {
        done(FromGrpc(status));
      }
    };
  }

  // A connection on which a request of `bytes` may be sent now. An error of it is certain.
  absl::StatusOr<std::shared_ptr<Connection>> Admit(const std::string& address, size_t bytes) {
    std::shared_ptr<Connection> connection = ConnectionTo(address);
    // A request that is handed to a channel without a connection could only fail as one that may
    // have been sent.
    if (connection->channel->GetState(true) != GRPC_CHANNEL_READY) {
      return NotAppendedError(absl::StatusCode::kUnavailable,
                              absl::StrCat("the leader at ", address, " cannot be reached"),
                              v1::ErrorDetail::REASON_NO_LEADER, address);
    }
    if (!admission_->Enter(bytes)) {
      return NotAppendedError(
          absl::StatusCode::kResourceExhausted,
          "too many requests are being passed on to the leader; try again later",
          v1::ErrorDetail::REASON_BUSY, address);
    }
    return connection;
  }

  std::shared_ptr<Connection> ConnectionTo(const std::string& address) {
    std::lock_guard lock(mutex_);
    const auto found = connections_.find(address);
    if (found != connections_.end()) return found->second;
    if (connections_.size() >= kMaxConnections) connections_.clear();
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
    arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
    auto connection = std::make_shared<Connection>();
    connection->channel = grpc::CreateCustomChannel(address, credentials_, arguments);
    connection->stub = v1::Log::NewStub(connection->channel);
    connections_.emplace(address, connection);
    return connection;
  }

  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const std::shared_ptr<Admission> admission_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Connection>> connections_;
};

}  // namespace

std::unique_ptr<Forwarder> MakeGrpcForwarder(std::shared_ptr<grpc::ChannelCredentials> credentials,
                                             size_t max_bytes) {
  return std::make_unique<GrpcForwarder>(std::move(credentials), max_bytes);
}

}  // namespace distlog
