// Load against a cluster, and what is counted of it: one function for each kind of request that
// `distlog bench` makes. They block until the time is over and every answer is in, and return how
// long that took, from when the first request could be sent.

#ifndef DISTLOG_CLI_LOAD_H_
#define DISTLOG_CLI_LOAD_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cli/histogram.h"
#include "client/client.h"
#include "grpcpp/channel.h"

namespace distlog::cli {

// What has come of the operations so far. Any thread may report and ask at any time.
class Measure {
 public:
  // `entries` entries of `bytes` bytes altogether, each of which took `ns`.
  void Done(uint64_t ns, uint64_t bytes, uint64_t entries = 1);
  // A response of a scan: its entries have no latency of their own.
  void DoneTogether(uint64_t ns, uint64_t bytes, uint64_t entries);
  void Failed(Outcome outcome, const absl::Status& status, uint64_t entries = 1);

  const Histogram& latency() const { return latency_; }
  uint64_t entries() const { return entries_.load(std::memory_order_relaxed); }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  uint64_t errors() const { return errors_.load(std::memory_order_relaxed); }

  struct Failure {
    absl::Status status;  // OK: nothing failed.
    Outcome outcome = Outcome::kDone;
  };
  // The first one.
  Failure failure() const;

 private:
  Histogram latency_;
  std::atomic<uint64_t> entries_{0};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> errors_{0};
  mutable absl::Mutex mutex_;
  Failure failure_ ABSL_GUARDED_BY(mutex_);
};

struct LoadOptions {
  uint64_t outstanding = 1;     // Requests, or entries of a producer, not yet answered.
  uint64_t size = 0;            // Bytes of a payload.
  absl::Duration duration;      // For how long new ones are begun.
  absl::Duration timeout;       // Of each request.
  bool local = false;           // Of reads.
  uint64_t first_position = 0;  // Of the log; for random reads.
  uint64_t last_position = 0;
};

// Append calls of one entry each.
absl::Duration AppendUnary(const std::shared_ptr<grpc::Channel>& channel,
                           const LoadOptions& options, Measure* measure);
// Entries by a producer, each with an answer of its own.
absl::Duration AppendByProducer(Client* client, const LoadOptions& options, Measure* measure);
// Entries by a producer as fast as it takes them.
absl::Duration AppendStreamed(Client* client, const LoadOptions& options, Measure* measure);
// Read calls of one random entry each.
absl::Duration ReadRandom(const std::shared_ptr<grpc::Channel>& channel, const LoadOptions& options,
                          Measure* measure);
// The whole log in order, again and again. The latency is that of responses.
absl::Duration Scan(Client* client, const LoadOptions& options, Measure* measure);

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_LOAD_H_
