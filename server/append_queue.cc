#include "server/append_queue.h"

#include <algorithm>
#include <utility>

#include "glog/logging.h"
#include "server/request.h"
#include "wire/status.h"
#include "wire/value.h"

namespace distlog {
namespace {

// Of a Batch or Command beside its records, and of a record's tag and length.
constexpr size_t kValueOverhead = 96;
constexpr size_t kRecordOverhead = 12;

// Deadlines are looked at no more often than this: a look goes over everything.
constexpr std::chrono::milliseconds kExpiryPause(10);

absl::Status OpenAtDeadline() {
  return MakeError(
      absl::StatusCode::kDeadlineExceeded,
      "the time is over while the append is under way: it may or may not be in the log",
      v1::ErrorDetail());
}

absl::Status WaitingAtDeadline() {
  return NotAppendedError(absl::StatusCode::kDeadlineExceeded,
                          "the time was over before the append could be proposed",
                          v1::ErrorDetail::REASON_BUSY);
}

template <typename Result>
absl::Status Refusal(const Result& result, bool not_appended) {
  v1::ErrorDetail detail;
  detail.set_reason(static_cast<v1::ErrorDetail::Reason>(result.reason));
  detail.set_not_appended(not_appended);
  detail.set_expected(result.expected);
  detail.set_actual(result.actual);
  return RefusalError(detail);
}

}  // namespace

void AppendQueue::Add(std::unique_ptr<Request> request) {
  next_deadline_ = std::min(next_deadline_, request->deadline);
  waiting_bytes_ += request->bytes + kRecordOverhead;
  waiting_.push_back(std::move(request));
}

// How many of those that wait go into the next value: an opening goes alone.
size_t AppendQueue::CountNext(size_t* bytes) const {
  size_t count = 0;
  *bytes = kValueOverhead;
  for (const std::unique_ptr<Request>& request : waiting_) {
    const size_t more = request->bytes + kRecordOverhead;
    if (count > 0 && (request->on_open != nullptr || *bytes + more > options_.max_batch_bytes))
      break;
    *bytes += more;
    ++count;
    if (request->on_open != nullptr) break;
  }
  return count;
}

std::optional<size_t> AppendQueue::NextBytes() const {
  if (waiting_.empty()) return std::nullopt;
  const bool full = waiting_bytes_ >= options_.max_batch_bytes;
  if (!full && small_under_way_ >= options_.max_small_values) return std::nullopt;
  size_t bytes = 0;
  CountNext(&bytes);
  return bytes;
}

paxos::Value AppendQueue::TakeNext(const Making& making) {
  size_t bytes = 0;
  const size_t count = CountNext(&bytes);
  CHECK_GT(count, 0u);
  UnderWay under_way;
  under_way.small = bytes < options_.max_batch_bytes / 2;
  under_way.requests.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    waiting_bytes_ -= waiting_.front()->bytes + kRecordOverhead;
    under_way.requests.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  paxos::Value value;
  if (under_way.requests.front()->on_open != nullptr) {
    v1::Command command;
    *command.mutable_origin() = making.origin;
    command.set_timestamp_ms(making.timestamp_ms);
    command.set_cluster_time_ms(making.cluster_time_ms);
    command.mutable_open_producer()->Swap(&under_way.requests.front()->open);
    value = MakeValue(command);
  } else {
    v1::Batch batch;
    *batch.mutable_origin() = making.origin;
    batch.set_timestamp_ms(making.timestamp_ms);
    batch.set_cluster_time_ms(making.cluster_time_ms);
    batch.mutable_appends()->Reserve(static_cast<int>(count));
    for (std::unique_ptr<Request>& request : under_way.requests) {
      batch.add_appends()->Swap(&request->append);
    }
    value = MakeValue(batch);
  }
  if (under_way.small) ++small_under_way_;
  under_way_.emplace(making.origin.sequence(), std::move(under_way));
  return value;
}

void AppendQueue::OnApplied(const Applied& applied, Answers* answers) {
  const auto value = under_way_.find(applied.origin_sequence);
  if (value == under_way_.end()) return;
  std::vector<std::unique_ptr<Request>>& requests = value->second.requests;
  const bool opening = applied.opened.has_value();
  CHECK_EQ(requests.size(), opening ? 1 : applied.appends.size())
      << "slot " << applied.slot << " holds another value than was made as " << value->first;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i] == nullptr) continue;
    admission_->Leave(requests[i]->bytes);
    if (opening) {
      answers->push_back([done = std::move(requests[i]->on_open), result = *applied.opened] {
        done(ToResponse(result));
      });
    } else {
      answers->push_back([done = std::move(requests[i]->on_append), result = applied.appends[i]] {
        done(ToResponse(result));
      });
    }
  }
  Forget(value);
}

void AppendQueue::OnNotChosen(uint64_t sequence, const absl::Status& error, Answers* answers) {
  const auto value = under_way_.find(sequence);
  if (value == under_way_.end()) return;
  for (std::unique_ptr<Request>& request : value->second.requests) {
    if (request != nullptr) Fail(std::move(request), error, answers);
  }
  Forget(value);
}

void AppendQueue::Expire(Clock::time_point now, Answers* answers) {
  if (now < next_deadline_) return;
  Clock::time_point next = Clock::time_point::max();
  std::deque<std::unique_ptr<Request>> waiting;
  for (std::unique_ptr<Request>& request : waiting_) {
    if (request->deadline <= now) {
      waiting_bytes_ -= request->bytes + kRecordOverhead;
      Fail(std::move(request), WaitingAtDeadline(), answers);
    } else {
      next = std::min(next, request->deadline);
      waiting.push_back(std::move(request));
    }
  }
  waiting_.swap(waiting);
  for (auto& [sequence, under_way] : under_way_) {
    for (std::unique_ptr<Request>& request : under_way.requests) {
      if (request == nullptr) continue;
      if (request->deadline <= now) {
        Fail(std::exchange(request, nullptr), OpenAtDeadline(), answers);
      } else {
        next = std::min(next, request->deadline);
      }
    }
  }
  next_deadline_ = std::max(next, now + kExpiryPause);
}

void AppendQueue::FailWaiting(const absl::Status& error, Answers* answers) {
  for (std::unique_ptr<Request>& request : waiting_) Fail(std::move(request), error, answers);
  waiting_.clear();
  waiting_bytes_ = 0;
}

void AppendQueue::FailAll(const absl::Status& waiting, const absl::Status& open, Answers* answers) {
  FailWaiting(waiting, answers);
  while (!under_way_.empty()) OnNotChosen(under_way_.begin()->first, open, answers);
}

void AppendQueue::Fail(std::unique_ptr<Request> request, const absl::Status& error,
                       Answers* answers) {
  admission_->Leave(request->bytes);
  if (request->on_open != nullptr) {
    answers->push_back([done = std::move(request->on_open), error] { done(error); });
  } else {
    answers->push_back([done = std::move(request->on_append), error] { done(error); });
  }
}

void AppendQueue::Forget(std::map<uint64_t, UnderWay>::iterator value) {
  if (value->second.small) --small_under_way_;
  under_way_.erase(value);
}

absl::StatusOr<v1::AppendResponse> ToResponse(const AppliedAppend& result) {
  if (result.reason != RefusalReason::kNone) return Refusal(result, result.not_appended);
  v1::AppendResponse response;
  response.set_first_position(result.first_position);
  response.set_count(result.count);
  response.set_duplicate(result.duplicate);
  return response;
}

absl::StatusOr<v1::OpenProducerResponse> ToResponse(const OpenProducerResult& result) {
  if (result.reason != RefusalReason::kNone) return Refusal(result, /*not_appended=*/true);
  v1::OpenProducerResponse response;
  response.set_epoch(result.epoch);
  response.set_next_sequence(result.next_sequence);
  return response;
}

}  // namespace distlog
