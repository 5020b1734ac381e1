#include "server/log_service.h"

#include <utility>

#include "grpcpp/support/server_callback.h"
#include "proto/distlog/v1/log.grpc.pb.h"
#include "server/append_stream.h"
#include "server/leader_call.h"
#include "server/leader_watch.h"
#include "server/read_stream.h"
#include "server/reader_pool.h"
#include "server/request.h"
#include "server/stream_count.h"
#include "wire/status.h"

namespace distlog {
namespace {

using Clock = std::chrono::steady_clock;

bool IsForwarded(const grpc::CallbackServerContext& context) {
  return context.client_metadata().count(kForwardedKey) > 0;
}

// What the client gave, or `none` if it gave none.
Clock::time_point DeadlineOf(const grpc::CallbackServerContext& context, Clock::time_point none) {
  const auto left = context.deadline() - std::chrono::system_clock::now();
  // A call without a deadline has one at the end of time.
  if (left > std::chrono::hours(24 * 365)) return none;
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(left);
}

absl::Status TooManyStreams() {
  return NotAppendedError(absl::StatusCode::kResourceExhausted,
                          "too many streams are open on this server; close one, or ask another one",
                          v1::ErrorDetail::REASON_BUSY);
}

// Ends a call that it does not take.
template <typename Reactor>
class Refusal : public Reactor {
 public:
  explicit Refusal(const absl::Status& status) { this->Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

// Answers with a position name the cluster. What the leader answered to a request that was passed
// on does so already.
template <typename Response>
std::function<void(const absl::StatusOr<Response>&)> FinishWith(const Node* node,
                                                                grpc::ServerUnaryReactor* reactor,
                                                                Response* response) {
  return [node, reactor, response](const absl::StatusOr<Response>& answer) {
    if (answer.ok()) {
      *response = *answer;
      if (response->cluster_id().empty()) response->set_cluster_id(node->cluster_id());
    }
    reactor->Finish(ToGrpc(answer.status()));
  };
}

class LogService : public v1::Log::CallbackService {
 public:
  LogService(Node* node, Forwarder* forwarder, const LogServiceOptions& options)
      : node_(node),
        forwarder_(forwarder),
        options_(options),
        streams_(options.max_streams),
        readers_(options.reader_threads),
        elsewhere_(options.reader_threads),
        watch_(node, forwarder) {}

  grpc::ServerUnaryReactor* Append(grpc::CallbackServerContext* context,
                                   const v1::AppendRequest* request,
                                   v1::AppendResponse* response) override;
  grpc::ServerBidiReactor<v1::AppendRequest, v1::AppendStreamResponse>* AppendStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::ReadResponse>* Read(grpc::CallbackServerContext* context,
                                                   const v1::ReadRequest* request) override;
  grpc::ServerWriteReactor<v1::ReadResponse>* Subscribe(
      grpc::CallbackServerContext* context, const v1::SubscribeRequest* request) override;
  grpc::ServerUnaryReactor* End(grpc::CallbackServerContext* context, const v1::EndRequest* request,
                                v1::EndResponse* response) override;
  grpc::ServerUnaryReactor* OpenProducer(grpc::CallbackServerContext* context,
                                         const v1::OpenProducerRequest* request,
                                         v1::OpenProducerResponse* response) override;

 private:
  using ReadReactor = grpc::ServerWriteReactor<v1::ReadResponse>;

  Clock::time_point UnaryDeadline(const grpc::CallbackServerContext& context) const {
    return DeadlineOf(context, Clock::now() + options_.default_deadline);
  }
  template <typename Request>
  absl::Status Check(const Request& request) const {
    return node_->CheckNames(request.cluster_id(), request.log());
  }
  template <typename Request>
  ReadReactor* OpenReadStream(grpc::CallbackServerContext* context, const Request& request,
                              void (ReadStream::*start)(const Request&));

  Node* const node_;
  Forwarder* const forwarder_;
  const LogServiceOptions options_;
  StreamCount streams_;
  ReaderPool readers_;
  ReaderPool elsewhere_;  // Those that wait for other members, and must not hold up the others.
  LeaderWatch watch_;
};

grpc::ServerUnaryReactor* LogService::Append(grpc::CallbackServerContext* context,
                                             const v1::AppendRequest* request,
                                             v1::AppendResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  // The request lives until the call is finished, and is copied once, by the attempt that needs it.
  std::shared_ptr<v1::AppendRequest> timed;
  if (!request->producer().empty() && request->epoch() == 0 && request->cluster_time_ms() == 0) {
    // Every copy of it carries the time that the first one saw.
    timed = std::make_shared<v1::AppendRequest>(*request);
    timed->set_cluster_time_ms(node_->cluster_time_ms());
    request = timed.get();
  }
  const Clock::time_point deadline = UnaryDeadline(*context);
  using Call = LeaderCall<v1::AppendResponse>;
  const auto call = std::make_shared<Call>(
      Call::Ways{
          .here = [this, request, timed, deadline](
                      Call::Done done) { node_->Append(*request, deadline, std::move(done)); },
          .there =
              [this, request, deadline](const std::string& address, Call::Done done) {
                forwarder_->Append(address, *request, deadline, std::move(done));
              },
          .leader = [this] { return node_->leader(); },
          .is_cancelled = [context] { return context->IsCancelled(); },
      },
      Call::Options{.deadline = deadline,
                    .is_forwarded = IsForwarded(*context),
                    .is_repeatable = !request->producer().empty() && request->sequence() != 0},
      FinishWith(node_, reactor, response));
  call->Start();
  return reactor;
}

grpc::ServerUnaryReactor* LogService::OpenProducer(grpc::CallbackServerContext* context,
                                                   const v1::OpenProducerRequest* request,
                                                   v1::OpenProducerResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const Clock::time_point deadline = UnaryDeadline(*context);
  using Call = LeaderCall<v1::OpenProducerResponse>;
  const auto call = std::make_shared<Call>(
      Call::Ways{
          .here =
              [this, request, deadline](Call::Done done) {
                node_->OpenProducer(*request, deadline, std::move(done));
              },
          .there =
              [this, request, deadline](const std::string& address, Call::Done done) {
                forwarder_->OpenProducer(address, *request, deadline, std::move(done));
              },
          .leader = [this] { return node_->leader(); },
          .is_cancelled = [context] { return context->IsCancelled(); },
      },
      Call::Options{.deadline = deadline,
                    .is_forwarded = IsForwarded(*context),
                    .is_repeatable = true},  // Its nonce brings the same answer again.
      FinishWith(node_, reactor, response));
  call->Start();
  return reactor;
}

grpc::ServerBidiReactor<v1::AppendRequest, v1::AppendStreamResponse>* LogService::AppendStream(
    grpc::CallbackServerContext* context) {
  StreamCount::Place place = streams_.Take();
  if (place == nullptr) {
    return new Refusal<grpc::ServerBidiReactor<v1::AppendRequest, v1::AppendStreamResponse>>(
        TooManyStreams());
  }
  const auto stream = std::make_shared<distlog::AppendStream>(
      node_, forwarder_,
      distlog::AppendStream::Options{
          .deadline = DeadlineOf(*context, Clock::time_point::max()),
          .is_forwarded = IsForwarded(*context),
          .max_unanswered_bytes = options_.max_unanswered_bytes,
          .max_unanswered = options_.max_unanswered,
      },
      std::move(place));
  stream->Start();
  return stream.get();
}

template <typename Request>
LogService::ReadReactor* LogService::OpenReadStream(grpc::CallbackServerContext* context,
                                                    const Request& request,
                                                    void (ReadStream::*start)(const Request&)) {
  const absl::Status status = Check(request);
  if (!status.ok()) return new Refusal<ReadReactor>(status);
  StreamCount::Place place = streams_.Take();
  if (place == nullptr) return new Refusal<ReadReactor>(TooManyStreams());
  const auto stream = std::make_shared<ReadStream>(
      node_, &readers_,
      ReadStream::Options{
          .deadline = UnaryDeadline(*context),
          .read_elsewhere = IsForwarded(*context) ? nullptr : options_.read_elsewhere,
          .elsewhere = &elsewhere_},
      std::move(place));
  ((*stream).*start)(request);
  return stream.get();
}

grpc::ServerWriteReactor<v1::ReadResponse>* LogService::Read(grpc::CallbackServerContext* context,
                                                             const v1::ReadRequest* request) {
  return OpenReadStream(context, *request, &ReadStream::StartRead);
}

grpc::ServerWriteReactor<v1::ReadResponse>* LogService::Subscribe(
    grpc::CallbackServerContext* context, const v1::SubscribeRequest* request) {
  return OpenReadStream(context, *request, &ReadStream::StartSubscribe);
}

grpc::ServerUnaryReactor* LogService::End(grpc::CallbackServerContext* context,
                                          const v1::EndRequest* request,
                                          v1::EndResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::Status status = Check(*request);
  const auto finish = [this, reactor, response](const absl::StatusOr<Node::Bounds>& bounds) {
    if (bounds.ok()) {
      response->set_cluster_id(node_->cluster_id());
      response->set_first_position(bounds->first);
      response->set_last_position(bounds->last);
    }
    reactor->Finish(ToGrpc(bounds.status()));
  };
  if (!status.ok()) {
    finish(status);
  } else if (request->consistency() == v1::CONSISTENCY_LOCAL) {
    finish(node_->LocalBounds());
  } else {
    node_->ReadBarrier(UnaryDeadline(*context), finish);
  }
  return reactor;
}

}  // namespace

std::unique_ptr<grpc::Service> MakeLogService(Node* node, Forwarder* forwarder,
                                              const LogServiceOptions& options) {
  return std::make_unique<LogService>(node, forwarder, options);
}

}  // namespace distlog
