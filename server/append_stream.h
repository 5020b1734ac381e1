// The server's end of Log.AppendStream.

#ifndef DISTLOG_SERVER_APPEND_STREAM_H_
#define DISTLOG_SERVER_APPEND_STREAM_H_

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "absl/status/statusor.h"
#include "grpcpp/alarm.h"
#include "grpcpp/support/server_callback.h"
#include "proto/distlog/v1/log.pb.h"
#include "server/forwarder.h"
#include "server/node.h"
#include "server/stream_count.h"

namespace distlog {

// Takes requests while those unanswered are within bounds; answers them in order, as many in one
// response as there are. Requests go to this replica if it leads when the first one comes, else, in
// order, through one stream to the leader. The first failure ends the stream with its status.
class AppendStream : public grpc::ServerBidiReactor<v1::AppendRequest, v1::AppendStreamResponse>,
                     public std::enable_shared_from_this<AppendStream> {
 public:
  struct Options {
    std::chrono::steady_clock::time_point deadline;  // max(): none.
    bool is_forwarded = false;
    size_t max_unanswered_bytes = 8 << 20;
    size_t max_unanswered = 4096;
  };

  AppendStream(Node* node, Forwarder* forwarder, const Options& options, StreamCount::Place place);

  // Begins reading. The stream holds itself until it is done.
  void Start();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  using Answer = absl::StatusOr<v1::AppendResponse>;
  struct Unanswered {
    size_t bytes = 0;
    std::optional<Answer> answer;
  };
  // What to start, once the lock is released.
  struct Operations {
    bool read = false;
    bool write = false;
    std::optional<absl::Status> finish;
  };

  void Take();
  void TakeHere();
  bool OpenUpStream(const std::string& address);
  void TakeThere();
  void TakeLater();
  void OnAnswer(uint64_t number, const Answer& answer);
  void OnUpStreamResponse(const v1::AppendStreamResponse& response);
  void OnUpStreamEnd(const absl::Status& status);
  void AnswerInOrder();
  Operations Decide();
  void Begin(const Operations& operations);

  Node* const node_;
  Forwarder* const forwarder_;
  const Options options_;
  const StreamCount::Place place_;
  std::shared_ptr<AppendStream> self_;  // Until done.

  // Of the one read and the one write that may be under way.
  v1::AppendRequest request_;
  v1::AppendStreamResponse writing_;
  std::chrono::steady_clock::time_point give_up_;  // Of the request just read.
  std::unique_ptr<grpc::Alarm> alarm_;

  std::mutex mutex_;
  std::optional<bool> here_;  // Where the requests go; none before the first.
  std::shared_ptr<Forwarder::Stream> up_stream_;
  std::deque<Unanswered> unanswered_;
  uint64_t first_unanswered_ = 0;  // The number of the first one in it.
  size_t unanswered_bytes_ = 0;
  v1::AppendStreamResponse answers_;  // To be written next.
  absl::Status failure_;
  bool is_reading_ = true;  // Or handles what was read.
  bool is_writing_ = false;
  bool is_closed_ = false;  // Nothing more is taken.
  bool is_finished_ = false;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_APPEND_STREAM_H_
