// One AppendStream call: writes one request at a time, collects the answers.

#ifndef DISTLOG_CLIENT_APPEND_STREAM_H_
#define DISTLOG_CLIENT_APPEND_STREAM_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "client/members.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "proto/distlog/v1/log.grpc.pb.h"

namespace distlog {

// State changes under the owner's mutex, so that the owner can wait for them along with its own.
// The owner waits for done() before it destroys the stream.
class AppendStream final
    : public grpc::ClientBidiReactor<v1::AppendRequest, v1::AppendStreamResponse> {
 public:
  static std::unique_ptr<AppendStream> Start(const Target& target, absl::Mutex* mutex);

  // Whether Write may be called.
  bool writable() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !message_ && !ended_; }
  void Write(std::shared_ptr<const v1::AppendRequest> message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Nothing more will be written: the server ends the call when it has answered everything. Only
  // while writable.
  void Finish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  bool has_news() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return done_ || !answers_.empty(); }
  // Those that have come since the last call.
  std::vector<v1::AppendStreamResponse> TakeAnswers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // After that no answers come any more, and status() is why.
  bool done() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return done_; }
  const absl::Status& status() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return status_; }

  // Done soon, whatever the server does.
  void Cancel() { context_.TryCancel(); }

 private:
  AppendStream(const Target& target, absl::Mutex* mutex)
      : mutex_(mutex), address_(target.address), stub_(v1::Log::NewStub(target.channel)) {}
  void OnWriteDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  absl::Mutex* const mutex_;
  const std::string address_;
  grpc::ClientContext context_;
  const std::unique_ptr<v1::Log::Stub> stub_;
  v1::AppendStreamResponse incoming_;  // Owned by gRPC while a read is under way.
  std::shared_ptr<const v1::AppendRequest> message_ ABSL_GUARDED_BY(mutex_);  // Being written.
  std::vector<v1::AppendStreamResponse> answers_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // Nothing may be written any more.
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distlog

#endif  // DISTLOG_CLIENT_APPEND_STREAM_H_
