#include "server/peer_link.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "proto/distlog/v1/peer.grpc.pb.h"
#include "server/peer_channel.h"
#include "wire/message.h"

namespace distlog {
namespace {

// What one stream write carries at most, unless a single message is larger.
constexpr size_t kMaxWriteBytes = 4 << 20;
constexpr size_t kMaxWriteMessages = 1024;
// Of a message besides the payloads of its values, and of a value besides its payload.
constexpr size_t kOverheadBytes = 64;

size_t SizeOf(const paxos::AcceptedValue& accepted) { return accepted.value.size(); }
size_t SizeOf(const paxos::Value& value) { return value.size(); }

template <typename Values>
size_t SizeOfAll(const Values& values) {
  size_t bytes = kOverheadBytes;
  for (const auto& value : values) bytes += SizeOf(value) + kOverheadBytes;
  return bytes;
}

size_t SizeOf(const paxos::Message& message) {
  if (const auto* accept = std::get_if<paxos::Accept>(&message)) return SizeOfAll(accept->values);
  if (const auto* promise = std::get_if<paxos::Promise>(&message)) {
    return SizeOfAll(promise->accepted);
  }
  if (const auto* reply = std::get_if<paxos::LearnReply>(&message)) {
    return SizeOfAll(reply->chosen);
  }
  return kOverheadBytes;
}

}  // namespace

// One call of Peer.Connect. Lives until gRPC is done with it, by a reference to itself.
//
// gRPC's rule for reactors: operations started from outside a reaction (writes, here) need a hold,
// and none may be started after the hold is given back. It is given back, under the link's lock, at
// the first operation that fails; then gRPC calls OnDone, once, last.
class PeerLink::Stream : public grpc::ClientBidiReactor<v1::PeerFrame, v1::PeerFrame> {
 public:
  explicit Stream(std::shared_ptr<PeerLink> link)
      : link_(std::move(link)), stub_(v1::Peer::NewStub(DialPeer(link_->peer_.address))) {}

  void Start(const v1::Hello& hello) {
    self_ = link_->stream_;
    *outgoing_.mutable_hello() = hello;
    stub_->async()->Connect(&context_, this);
    AddHold();
    writing_ = true;
    StartWrite(&outgoing_);
    StartRead(&incoming_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }

  // Under the link's lock.
  bool can_write() const { return !writing_ && !released_; }
  v1::PeerFrame* outgoing() { return &outgoing_; }
  void Write() {
    writing_ = true;
    StartWrite(&outgoing_);
  }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(link_->mutex_);
    writing_ = false;
    if (!ok) {
      Release();
    } else if (link_->stream_.get() == this) {
      link_->WriteQueued();
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      std::lock_guard lock(link_->mutex_);
      Release();
      return;
    }
    // The callee says Hello, and then nothing more.
    absl::Status status = absl::FailedPreconditionError("it answers something else than a Hello");
    if (incoming_.has_hello() && !answered_) {
      answered_ = true;
      status = link_->registry_->CheckAnswer(incoming_.hello(), link_->peer_);
    }
    link_->OnHello(status);
    if (!status.ok()) Cancel();
    StartRead(&incoming_);
  }

  void OnDone(const grpc::Status& status) override {
    link_->OnStreamDone(status);
    const std::shared_ptr<Stream> self = std::move(self_);  // Its end is the end of *this.
  }

 private:
  void Release() {
    if (!std::exchange(released_, true)) RemoveHold();
  }

  const std::shared_ptr<PeerLink> link_;
  std::shared_ptr<Stream> self_;
  std::unique_ptr<v1::Peer::Stub> stub_;
  grpc::ClientContext context_;
  v1::PeerFrame outgoing_;
  v1::PeerFrame incoming_;
  bool answered_ = false;
  bool writing_ = false;  // Under the link's lock, as is
  bool released_ = false;
};

PeerLink::PeerLink(paxos::Member peer, v1::TrafficClass traffic_class, Limits limits,
                   PeerRegistry* registry, Events events)
    : peer_(std::move(peer)),
      traffic_class_(traffic_class),
      limits_(limits),
      registry_(registry),
      events_(std::move(events)),
      backoff_(limits.min_backoff),
      jitter_(std::random_device{}()) {}

PeerLink::~PeerLink() = default;

bool PeerLink::established() const {
  std::lock_guard lock(mutex_);
  return state_ == State::kEstablished;
}

PeerLink::Clock::time_point PeerLink::Tick(Clock::time_point now) {
  const v1::Hello hello = registry_->MakeHello(peer_, traffic_class_);
  std::lock_guard lock(mutex_);
  if (state_ == State::kIdle && due_ <= now) Dial(now, hello);
  if (state_ == State::kConnecting && due_ <= now) {
    refusal_ = absl::DeadlineExceededError("it does not answer the Hello");
    stream_->Cancel();
    due_ = Clock::time_point::max();
  }
  const bool waits = state_ == State::kIdle || state_ == State::kConnecting;
  return waits ? due_ : Clock::time_point::max();
}

void PeerLink::Dial(Clock::time_point now, const v1::Hello& hello) {
  state_ = State::kConnecting;
  due_ = now + limits_.hello_timeout;
  refusal_ = absl::OkStatus();
  stream_ = std::make_shared<Stream>(shared_from_this());
  stream_->Start(hello);
}

void PeerLink::DialSoon() {
  std::lock_guard lock(mutex_);
  if (state_ == State::kIdle) due_ = Clock::time_point::min();
}

void PeerLink::Close() {
  bool is_stopped = false;
  {
    std::lock_guard lock(mutex_);
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    queue_.clear();
    queued_bytes_ = 0;
    if (stream_ != nullptr) stream_->Cancel();
    is_stopped = stream_ == nullptr && !is_telling_;
  }
  if (is_stopped) events_.stopped();
}

void PeerLink::Send(std::vector<paxos::Message> messages) {
  std::lock_guard lock(mutex_);
  if (state_ != State::kConnecting && state_ != State::kEstablished) {
    registry_->CountDropped(messages.size());
    return;
  }
  for (paxos::Message& message : messages) Queue(std::move(message));
  WriteQueued();
}

void PeerLink::Queue(paxos::Message message) {
  const size_t bytes = SizeOf(message);
  const auto is_full = [&] {
    return !queue_.empty() &&
           (queued_bytes_ + bytes > limits_.bytes || queue_.size() + 1 > limits_.messages);
  };
  while (limits_.drop_oldest && is_full()) {
    queued_bytes_ -= queue_.front().bytes;
    queue_.pop_front();
    registry_->CountDropped(1);
  }
  if (is_full()) {
    registry_->CountDropped(1);
    return;
  }
  queue_.push_back({std::move(message), bytes});
  queued_bytes_ += bytes;
}

void PeerLink::WriteQueued() {
  if (state_ != State::kEstablished || queue_.empty() || !stream_->can_write()) return;
  v1::PeerFrame* frame = stream_->outgoing();
  frame->Clear();
  v1::PeerBatch* batch = frame->mutable_batch();
  size_t bytes = 0;
  do {
    ToProto(queue_.front().message, batch->add_messages());
    bytes += queue_.front().bytes;
    queued_bytes_ -= queue_.front().bytes;
    queue_.pop_front();
  } while (!queue_.empty() && bytes + queue_.front().bytes <= kMaxWriteBytes &&
           batch->messages_size() < static_cast<int>(kMaxWriteMessages));
  stream_->Write();
}

void PeerLink::OnHello(const absl::Status& status) {
  {
    std::lock_guard lock(mutex_);
    if (state_ == State::kClosed) return;
    if (!status.ok()) {
      refusal_ = status;
      return;
    }
    state_ = State::kEstablished;
    backoff_ = limits_.min_backoff;
  }
  events_.up();
  std::lock_guard lock(mutex_);
  WriteQueued();
}

void PeerLink::OnStreamDone(const grpc::Status& status) {
  grpc::Status reason = status;
  bool was_established = false;
  bool is_closed = false;
  {
    std::lock_guard lock(mutex_);
    stream_.reset();
    is_closed = state_ == State::kClosed;
    if (!is_closed) {
      was_established = state_ == State::kEstablished;
      state_ = State::kIdle;
      is_telling_ = true;
      registry_->CountDropped(queue_.size());
      queue_.clear();
      queued_bytes_ = 0;
      if (!refusal_.ok()) {
        reason = grpc::Status(static_cast<grpc::StatusCode>(refusal_.code()),
                              std::string(refusal_.message()));
      }
      if (reason.ok()) {
        reason = grpc::Status(grpc::StatusCode::UNAVAILABLE, "it has ended the connection");
      }
      std::uniform_int_distribution<int64_t> wait(backoff_.count() / 2, backoff_.count());
      due_ = Clock::now() + std::chrono::milliseconds(wait(jitter_));
      backoff_ = std::min(backoff_ * 2, limits_.max_backoff);
      if (reason.error_code() == grpc::StatusCode::PERMISSION_DENIED) {
        due_ = Clock::now() + limits_.removed_backoff;
      }
    }
  }
  if (!is_closed) {
    events_.down(reason, was_established);
    std::lock_guard lock(mutex_);
    is_telling_ = false;
    is_closed = state_ == State::kClosed;
  }
  if (is_closed) events_.stopped();
}

}  // namespace distlog
