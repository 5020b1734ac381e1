// Appends many entries, each exactly once and in order, through any number of leader changes.

#ifndef DISTLOG_CLIENT_PRODUCER_H_
#define DISTLOG_CLIENT_PRODUCER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "proto/distlog/v1/log.pb.h"

namespace distlog {

class AppendStream;

// What became of `count` consecutive entries: those numbered first_entry, first_entry + 1, ... from
// 0 in the order in which they were given to the producer. If they are done, they are at
// result.first_position and the positions that follow it.
struct Answer {
  uint64_t first_entry = 0;
  uint32_t count = 0;
  AppendResult result;
};

struct ProducerOptions {
  // Empty: a random name, that nobody else uses.
  std::string name;
  // If set, this epoch is used as it is, beginning with `next_sequence`; otherwise the producer is
  // opened with the first append, which fences whoever used the name before.
  std::optional<uint64_t> epoch;
  uint64_t next_sequence = 1;

  // The first entry must get this position. 0: any.
  uint64_t expect_position = 0;

  // Bounds on what has been given to the producer and not been answered. An entry is taken while
  // both are not yet reached.
  size_t max_outstanding_bytes = 8 << 20;
  size_t max_outstanding_entries = 1 << 17;
  enum class WhenFull { kBlock, kRefuse };
  WhenFull when_full = WhenFull::kBlock;

  // Bounds on one request. An append that another process may repeat needs the same boundaries
  // there: with 1 entry per request it has them.
  size_t max_request_bytes = 128 << 10;
  size_t max_request_entries = 4096;

  // Told of all entries, in order, runs at a time. For those who append many.
  std::function<void(const Answer&)> answered;
};

// A name that nobody else uses.
std::string RandomProducerName();

// Thread-safe; entries of one thread are in the log in the order of its calls. Callbacks come one
// at a time, in the order of the entries, from a thread of the producer; they must not block, and
// must not call the producer but for Append with kRefuse.
//
// After an entry failed, all later ones fail with it: nothing is ever appended after a gap. Of the
// entries outstanding then, those that were sent are unknown, unless the error proves that they are
// not in; those never sent are certainly not in.
//
// The client's timeout bounds how long the producer goes on without any answer that makes progress.
class Producer {
 public:
  using Callback = std::function<void(const AppendResult&)>;

  // `client` must outlive the producer.
  Producer(Client* client, ProducerOptions options);
  // Gives up what is outstanding: it is told so. Close first to avoid that.
  ~Producer();
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  // Appends the entry in its turn, and then calls `callback`, if there is one. An error means that
  // it was not taken and that nothing will be called: RESOURCE_EXHAUSTED if full (kRefuse), what
  // failed before, INVALID_ARGUMENT if it is larger than the servers take, or CANCELLED after
  // Close.
  absl::Status Append(std::string payload, Callback callback = nullptr);

  // Waits until all that was appended so far has been answered. The error of the first that failed.
  absl::Status Flush();

  // Takes no more entries, and flushes.
  absl::Status Close();

  const std::string& name() const { return options_.name; }

 private:
  struct Entry {
    std::string payload;
    Callback callback;
  };
  // Once made, never changed: copies must repeat its boundaries.
  struct Request {
    std::shared_ptr<const v1::AppendRequest> message;  // Shared with a write under way.
    std::vector<Callback> callbacks;
    size_t bytes = 0;
    bool unknown = false;  // Written on a stream whose end proved nothing about it.
  };

  void Run();
  bool AwaitWork();
  absl::Status Open();
  absl::Status Serve(absl::Duration* patience);
  absl::Status RunStream(AppendStream* stream, absl::Duration patience);
  bool CanWrite(const AppendStream& stream) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteNext(AppendStream* stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayFormRequest() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status End(AppendStream* stream, const absl::Status& reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FormRequest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Deliver(const v1::AppendStreamResponse& response)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool TakeIn(const absl::Status& error);
  void Fail(const absl::Status& error);
  void Settle(const Request& request, AppendResult result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Time GiveUpAt() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Idle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return outstanding_entries_ == 0; }

  Client* const client_;
  ProducerOptions options_;  // The worker thread sets the epoch and the next sequence.
  const bool own_epoch_;
  absl::Notification stop_;

  absl::Mutex mutex_;
  std::deque<Entry> pending_ ABSL_GUARDED_BY(mutex_);  // In no request yet.
  size_t pending_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Request> requests_ ABSL_GUARDED_BY(mutex_);  // Not answered, in order.
  size_t written_ ABSL_GUARDED_BY(mutex_) = 0;            // Of them, on the current stream.
  size_t outstanding_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t outstanding_entries_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t answered_entries_ ABSL_GUARDED_BY(mutex_) = 0;
  bool telling_ ABSL_GUARDED_BY(mutex_) = false;  // Callbacks run.
  uint64_t told_ = 0;                             // Entries. Only the worker thread's.
  bool first_answered_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);  // Final.
  // When the last answer came, or when there was nothing outstanding any more.
  absl::Time progress_ ABSL_GUARDED_BY(mutex_);

  std::thread worker_;
};

}  // namespace distlog

#endif  // DISTLOG_CLIENT_PRODUCER_H_
