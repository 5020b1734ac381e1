// One Read or Subscribe call, to be consumed by one thread.

#ifndef DISTLOG_CLIENT_READ_STREAM_H_
#define DISTLOG_CLIENT_READ_STREAM_H_

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/members.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "proto/distlog/v1/log.grpc.pb.h"

namespace distlog {

// Reads one response ahead.
class ReadStream final : public grpc::ClientReadReactor<v1::ReadResponse> {
 public:
  enum class Event { kResponse, kEnd, kSilence };

  static std::unique_ptr<ReadStream> Read(const Target& target, const v1::ReadRequest& request);
  static std::unique_ptr<ReadStream> Subscribe(const Target& target,
                                               const v1::SubscribeRequest& request);

  // Waits for the next response; `kSilence` if none has come by `deadline`.
  Event Next(absl::Time deadline, v1::ReadResponse* response);

  // After kEnd.
  absl::Status status();

  // Cancels the call if it has not ended, and waits until gRPC is done with it.
  ~ReadStream() override;

 private:
  explicit ReadStream(const Target& target) : stub_(v1::Log::NewStub(target.channel)) {}
  void Begin();
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  grpc::ClientContext context_;
  const std::unique_ptr<v1::Log::Stub> stub_;
  v1::ReadRequest read_request_;
  v1::SubscribeRequest subscribe_request_;
  v1::ReadResponse incoming_;  // Owned by gRPC while a read is under way.

  absl::Mutex mutex_;
  bool full_ ABSL_GUARDED_BY(mutex_) = false;  // Otherwise a read is under way, until the end.
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distlog

#endif  // DISTLOG_CLIENT_READ_STREAM_H_
