#include "client/read_stream.h"

#include <utility>

#include "wire/status.h"

namespace distlog {

std::unique_ptr<ReadStream> ReadStream::Read(const Target& target, const v1::ReadRequest& request) {
  std::unique_ptr<ReadStream> stream(new ReadStream(target));
  stream->read_request_ = request;
  stream->stub_->async()->Read(&stream->context_, &stream->read_request_, stream.get());
  stream->Begin();
  return stream;
}

std::unique_ptr<ReadStream> ReadStream::Subscribe(const Target& target,
                                                  const v1::SubscribeRequest& request) {
  std::unique_ptr<ReadStream> stream(new ReadStream(target));
  stream->subscribe_request_ = request;
  stream->stub_->async()->Subscribe(&stream->context_, &stream->subscribe_request_, stream.get());
  stream->Begin();
  return stream;
}

void ReadStream::Begin() {
  // Next starts reads from outside of reactions; the hold keeps OnDone from coming in between.
  AddHold();
  StartRead(&incoming_);
  StartCall();
}

ReadStream::Event ReadStream::Next(absl::Time deadline, v1::ReadResponse* response) {
  absl::MutexLock lock(&mutex_);
  auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return full_ || done_; };
  if (!mutex_.AwaitWithDeadline(absl::Condition(&ready), deadline)) return Event::kSilence;
  if (!full_) return Event::kEnd;
  response->Swap(&incoming_);
  full_ = false;
  StartRead(&incoming_);
  return Event::kResponse;
}

absl::Status ReadStream::status() {
  absl::MutexLock lock(&mutex_);
  return status_;
}

ReadStream::~ReadStream() {
  context_.TryCancel();
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  // The hold is removed when a read fails, so one must be under way.
  if (full_) StartRead(&incoming_);
  full_ = false;
  auto done = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return done_; };
  mutex_.Await(absl::Condition(&done));
}

void ReadStream::OnReadDone(bool ok) {
  if (!ok) {
    RemoveHold();
    return;
  }
  absl::MutexLock lock(&mutex_);
  full_ = !cancelled_;
  if (cancelled_) StartRead(&incoming_);
}

void ReadStream::OnDone(const grpc::Status& status) {
  absl::MutexLock lock(&mutex_);
  status_ = FromGrpc(status);
  done_ = true;
}

}  // namespace distlog
