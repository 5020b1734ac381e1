// How far a Read or Subscribe has come, over however many streams it takes.

#ifndef DISTLOG_CLIENT_CURSOR_H_
#define DISTLOG_CLIENT_CURSOR_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "client/client.h"
#include "client/members.h"
#include "client/read_stream.h"

namespace distlog {

// For one thread.
class Cursor {
 public:
  // Opens a stream for what is still missing.
  using Open = std::function<std::unique_ptr<ReadStream>(const Target& target)>;

  // `follow`: the end of the log as of now is not the end.
  Cursor(const ReadRange& range, bool follow, const EntriesCallback& callback);

  // Consumes streams of whoever leads until one ends well. OK too when the callback said false.
  absl::Status Run(Members& members, const ClientOptions& options, const Open& open);
  // Consumes one stream of the first endpoint that can be reached.
  absl::Status RunOnce(Members& members, const ClientOptions& options, const Open& open);

  // For what is still missing, of this cluster.
  v1::ReadRequest ToReadRequest(const std::string& cluster_id) const;
  v1::SubscribeRequest ToSubscribeRequest(const std::string& cluster_id) const;

 private:
  // How long a stream may be silent. A subscription may be for some seconds, however short the
  // timeout is.
  absl::Duration Patience(const ClientOptions& options) const;
  // Until the stream ends, the callback says false, or nothing has come for `silence`.
  absl::Status Consume(ReadStream* stream, absl::Duration silence);
  absl::Status Take(v1::ReadResponse* response);

  const ReadRange range_;
  const bool follow_;
  const EntriesCallback& callback_;
  uint64_t next_;       // 0: whatever the first retained is.
  uint64_t to_;         // 0: not known yet.
  uint64_t taken_ = 0;  // Entries.
  bool stopped_ = false;
  bool progressed_ = false;    // In this stream.
  bool out_of_order_ = false;  // A server broke the contract: no other one is asked.
  absl::Time last_answer_;
};

}  // namespace distlog

#endif  // DISTLOG_CLIENT_CURSOR_H_
