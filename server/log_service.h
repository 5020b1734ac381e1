// The gRPC service distlog.v1.Log over a Node.

#ifndef DISTLOG_SERVER_LOG_SERVICE_H_
#define DISTLOG_SERVER_LOG_SERVICE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "grpcpp/impl/codegen/service_type.h"
#include "server/forwarder.h"
#include "server/node.h"

namespace distlog {

// Reads entries from position `from` to `to` at most, at least one, from another member. Blocks.
using ReadElsewhere =
    std::function<absl::StatusOr<std::vector<LogEntry>>(uint64_t from, uint64_t to)>;

struct LogServiceOptions {
  // Of a request whose client gives no deadline. (A stream has none.)
  std::chrono::milliseconds default_deadline{60'000};
  // Read, Subscribe and AppendStream together; more are refused with RESOURCE_EXHAUSTED.
  int max_streams = 1000;
  int reader_threads = 2;
  // For what this disk has lost; a read that was passed on is not passed on again. Null: such reads
  // end with DATA_LOSS.
  ReadElsewhere read_elsewhere = nullptr;
  // Of one AppendStream: it takes no more requests while these are unanswered.
  size_t max_unanswered_bytes = 8 << 20;
  size_t max_unanswered = 4096;
};

// To be registered with a grpc::ServerBuilder, whose messages may be up to 8 MiB. `node` and
// `forwarder` outlive the service. Stop the node, then shut the server down, then destroy the
// service.
std::unique_ptr<grpc::Service> MakeLogService(Node* node, Forwarder* forwarder,
                                              const LogServiceOptions& options = {});

}  // namespace distlog

#endif  // DISTLOG_SERVER_LOG_SERVICE_H_
