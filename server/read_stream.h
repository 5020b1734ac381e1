// The server's end of Log.Read and Log.Subscribe.

#ifndef DISTLOG_SERVER_READ_STREAM_H_
#define DISTLOG_SERVER_READ_STREAM_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "grpcpp/support/server_callback.h"
#include "proto/distlog/v1/log.pb.h"
#include "server/log_service.h"
#include "server/node.h"
#include "server/reader_pool.h"
#include "server/stream_count.h"

namespace distlog {

// Sends the entries of a range, a bounded piece at a time: the next one is read when the one before
// is written. Holds itself until it is done.
class ReadStream : public grpc::ServerWriteReactor<v1::ReadResponse>,
                   public std::enable_shared_from_this<ReadStream> {
 public:
  struct Options {
    std::chrono::steady_clock::time_point deadline;  // Of a linearizable read's wait for the end.
    size_t max_piece_bytes = 1 << 20;
    uint64_t max_piece_entries = 16'384;
    std::chrono::milliseconds keep_alive{1000};  // Between the responses of an idle Subscribe.
    // Reads from another member what is lost on this disk. Null: what is lost ends the call.
    ReadElsewhere read_elsewhere = nullptr;
    ReaderPool* elsewhere = nullptr;  // Where it does so.
  };

  ReadStream(Node* node, ReaderPool* readers, const Options& options, StreamCount::Place place);

  void StartRead(const v1::ReadRequest& request);
  void StartSubscribe(const v1::SubscribeRequest& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override { is_cancelled_ = true; }
  void OnDone() override { self_.reset(); }

 private:
  // One of these is under way at any time; each ends with the next, or with the call.
  void AwaitBounds(std::function<void(Node::Bounds)> next);
  void Go(Node::Bounds bounds);
  void WaitForMore();
  void ReadPiece(Node::Bounds bounds);
  void SendPiece(Node::Bounds bounds, absl::StatusOr<std::vector<LogEntry>> entries);
  void Send(Node::Bounds bounds);
  void End(const absl::Status& status);

  Node* const node_;
  ReaderPool* const readers_;
  const Options options_;
  const StreamCount::Place place_;
  std::shared_ptr<ReadStream> self_;  // Until done.

  uint64_t next_ = 0;           // The position to send next.
  uint64_t last_ = UINT64_MAX;  // The last one to send.
  bool is_endless_ = false;     // A Subscribe.
  bool is_named_ = false;       // The cluster's id was sent.
  v1::ReadResponse response_;
  std::atomic<bool> is_cancelled_{false};
};

// OUT_OF_RANGE if `from` is not retained any more.
absl::Status CheckRetained(uint64_t from, const Node::Bounds& bounds);

}  // namespace distlog

#endif  // DISTLOG_SERVER_READ_STREAM_H_
