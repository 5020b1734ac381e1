// The appends that this replica has taken and not answered.

#ifndef DISTLOG_SERVER_APPEND_QUEUE_H_
#define DISTLOG_SERVER_APPEND_QUEUE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "log/sequencer.h"
#include "paxos/types.h"
#include "proto/distlog/v1/record.pb.h"
#include "server/admission.h"
#include "server/node.h"

namespace distlog {

// What answers are made of: run by the event loop after everything that others wait for.
using Answers = std::vector<std::function<void()>>;

// Forms values out of the requests that wait, by natural batching: what came in while the last
// proposals were under way goes into the next. Of the event loop alone. Answers are added to an
// Answers; each one takes its request out of the Admission.
class AppendQueue {
 public:
  using Clock = std::chrono::steady_clock;

  // One of the two changes; exactly one callback is set.
  struct Request {
    v1::AppendRecord append;
    v1::OpenProducerCommand open;
    Node::AppendCallback on_append;
    Node::OpenProducerCallback on_open;
    size_t bytes = 0;  // Encoded.
    Clock::time_point deadline;
  };
  struct Options {
    size_t max_batch_bytes = 1 << 20;
    // Values under way at once that are smaller than max_batch_bytes: more of them would be smaller
    // still, and each costs a sync.
    size_t max_small_values = 2;
  };
  // What every value tells of its making.
  struct Making {
    v1::Origin origin;
    int64_t timestamp_ms = 0;
    uint64_t cluster_time_ms = 0;
  };

  AppendQueue(const Options& options, Admission* admission)
      : options_(options), admission_(admission) {}

  void Add(std::unique_ptr<Request> request);

  // How large the next value is at most; none if nothing is to be proposed now.
  std::optional<size_t> NextBytes() const;
  // Makes it. It is under way from now on, as making.origin.sequence(), until one of the following
  // three says what became of it.
  paxos::Value TakeNext(const Making& making);

  // A value of this run, made by TakeNext, was applied.
  void OnApplied(const Applied& applied, Answers* answers);
  // The value `sequence` certainly is not in the log.
  void OnNotChosen(uint64_t sequence, const absl::Status& error, Answers* answers);
  // Requests whose time is over. Values under way may yet be chosen, so those say nothing about it.
  void Expire(Clock::time_point now, Answers* answers);
  // When Expire has something to do.
  Clock::time_point next_deadline() const { return next_deadline_; }

  // Refuses what waits and is not under way.
  void FailWaiting(const absl::Status& error, Answers* answers);
  // At the end of the run: answers everything; what is under way with an open outcome.
  void FailAll(const absl::Status& waiting, const absl::Status& open, Answers* answers);

  bool has_waiting() const { return !waiting_.empty(); }

 private:
  struct UnderWay {
    std::vector<std::unique_ptr<Request>> requests;  // Null: answered already.
    bool small = false;
  };

  void Fail(std::unique_ptr<Request> request, const absl::Status& error, Answers* answers);
  void Forget(std::map<uint64_t, UnderWay>::iterator value);
  size_t CountNext(size_t* bytes) const;

  const Options options_;
  Admission* const admission_;
  std::deque<std::unique_ptr<Request>> waiting_;
  size_t waiting_bytes_ = 0;
  std::map<uint64_t, UnderWay> under_way_;  // By the sequence of its origin.
  size_t small_under_way_ = 0;
  Clock::time_point next_deadline_ = Clock::time_point::max();
};

// What a client is told of an append or an opening that was applied.
absl::StatusOr<v1::AppendResponse> ToResponse(const AppliedAppend& result);
absl::StatusOr<v1::OpenProducerResponse> ToResponse(const OpenProducerResult& result);

}  // namespace distlog

#endif  // DISTLOG_SERVER_APPEND_QUEUE_H_
