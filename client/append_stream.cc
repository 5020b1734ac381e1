#include "client/append_stream.h"

#include <utility>

#include "client/verdict.h"

namespace distlog {

std::unique_ptr<AppendStream> AppendStream::Start(const Target& target, absl::Mutex* mutex) {
  std::unique_ptr<AppendStream> stream(new AppendStream(target, mutex));
  stream->stub_->async()->AppendStream(&stream->context_, stream.get());
  // Writes are started from outside of reactions; the hold keeps OnDone from coming in between. It
  // is removed when a read fails, which is how every stream ends.
  stream->AddHold();
  stream->StartRead(&stream->incoming_);
  stream->StartCall();
  return stream;
}

void AppendStream::Write(std::shared_ptr<const v1::AppendRequest> message) {
  message_ = std::move(message);
  StartWrite(message_.get());
}

void AppendStream::Finish() {
  ended_ = true;
  StartWritesDone();
}

std::vector<v1::AppendStreamResponse> AppendStream::TakeAnswers() {
  return std::exchange(answers_, {});
}

void AppendStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(mutex_);
  message_ = nullptr;
  if (!ok) ended_ = true;
}

void AppendStream::OnReadDone(bool ok) {
  {
    absl::MutexLock lock(mutex_);
    if (ok) {
      answers_.push_back(std::move(incoming_));
      incoming_.Clear();
      StartRead(&incoming_);
      return;
    }
    ended_ = true;
  }
  RemoveHold();
}

void AppendStream::OnDone(const grpc::Status& status) {
  absl::MutexLock lock(mutex_);
  status_ = StatusFrom(status, address_);
  done_ = true;
}

}  // namespace distlog
