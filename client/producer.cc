#include "client/producer.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/append_stream.h"
#include "client/members.h"
#include "client/verdict.h"
#include "wire/status.h"

namespace distlog {
namespace {

// While fewer requests than these wait for their answer, the next one is sent however small it is;
// from there on only full ones are. So a slow producer has the least latency, and a fast one few
// and large requests.
constexpr size_t kEagerRequests = 4;

// How long a server has to end a stream on which everything was answered.
constexpr absl::Duration kFarewell = absl::Milliseconds(200);

}  // namespace

std::string RandomProducerName() {
  std::random_device random;
  return absl::StrFormat("producer-%08x%08x%08x", random(), random(), random());
}

Producer::Producer(Client* client, ProducerOptions options)
    : client_(client), options_(std::move(options)), own_epoch_(!options_.epoch.has_value()) {
  if (options_.name.empty()) options_.name = RandomProducerName();
  options_.max_request_entries = std::clamp<size_t>(options_.max_request_entries, 1, 65536);
  worker_ = std::thread([this] { Run(); });
}

Producer::~Producer() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = stopping_ = true;
  }
  stop_.Notify();
  worker_.join();
}

absl::Status Producer::Append(std::string payload, Callback callback) {
  const std::optional<Limits> limits = client_->members().limits();
  if (limits && payload.size() > limits->max_entry_bytes) {
    v1::ErrorDetail detail;
    detail.set_not_appended(true);
    detail.set_reason(v1::ErrorDetail::REASON_TOO_LARGE);
    return MakeError(absl::StatusCode::kInvalidArgument,
                     absl::StrCat("the entry has ", payload.size(), " bytes; this cluster takes ",
                                  limits->max_entry_bytes, " at most"),
                     detail);
  }
  absl::MutexLock lock(&mutex_);
  auto room = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !failure_.ok() || closing_ ||
           (outstanding_bytes_ < options_.max_outstanding_bytes &&
            outstanding_entries_ < options_.max_outstanding_entries);
  };
  if (options_.when_full == ProducerOptions::WhenFull::kBlock) {
    mutex_.Await(absl::Condition(&room));
  } else if (!room()) {
    return absl::ResourceExhaustedError(
        absl::StrCat(outstanding_entries_, " entries wait for their answer: try again later"));
  }
  if (!failure_.ok()) return failure_;
  if (closing_) return absl::CancelledError("the producer is closed");
  if (Idle()) progress_ = absl::Now();
  outstanding_bytes_ += payload.size();
  ++outstanding_entries_;
  pending_bytes_ += payload.size();
  pending_.push_back({std::move(payload), std::move(callback)});
  return absl::OkStatus();
}

absl::Status Producer::Flush() {
  absl::MutexLock lock(&mutex_);
  // Answers come in order: when as many as are outstanding now have come, these have.
  const uint64_t through = answered_entries_ + outstanding_entries_;
  auto reached = [this, through]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return answered_entries_ >= through && !telling_;
  };
  mutex_.Await(absl::Condition(&reached));
  return failure_;
}

absl::Status Producer::Close() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
  }
  return Flush();
}

// ---- The worker thread
// ---------------------------------------------------------------------------

void Producer::Run() {
  absl::Duration patience = client_->options().attempt_timeout;
  Backoff backoff(client_->members().NextSeed());
  while (AwaitWork()) {
    const uint64_t told = told_;
    const absl::Status error = options_.epoch.has_value() ? Serve(&patience) : Open();
    if (error.ok()) continue;
    if (told_ != told) backoff.Reset();
    if (!TakeIn(error)) {
      Fail(error);
      continue;
    }
    absl::Time deadline;
    {
      absl::MutexLock lock(&mutex_);
      if (Idle()) continue;
      deadline = GiveUpAt();
    }
    if (!Pause(backoff.Next(), deadline, &stop_)) {
      Fail(NobodyServed(client_->options().timeout, error));
    }
  }
  Fail(absl::CancelledError("the producer was given up"));
}

// False: the end.
bool Producer::AwaitWork() {
  absl::MutexLock lock(&mutex_);
  auto work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !Idle() || closing_; };
  mutex_.Await(absl::Condition(&work));
  return !Idle() && !stopping_;
}

absl::Time Producer::GiveUpAt() const { return progress_ + client_->options().timeout; }

absl::Status Producer::Open() {
  const absl::StatusOr<v1::OpenProducerResponse> opened = client_->OpenProducer(options_.name);
  if (!opened.ok()) {
    // The client has tried for as long as the timeout allows.
    Fail(opened.status());
    return absl::OkStatus();
  }
  options_.epoch = opened->epoch();
  options_.next_sequence = opened->next_sequence();
  absl::MutexLock lock(&mutex_);
  progress_ = absl::Now();
  return absl::OkStatus();
}

// Finds a server and appends there until the stream ends. OK: nothing is outstanding.
absl::Status Producer::Serve(absl::Duration* patience) {
  absl::Time deadline;
  {
    absl::MutexLock lock(&mutex_);
    deadline = GiveUpAt();
  }
  const absl::StatusOr<Target> target = client_->members().Find(deadline, &stop_);
  if (!target.ok()) return target.status();
  const uint64_t told = told_;
  const std::unique_ptr<AppendStream> stream = AppendStream::Start(*target, &mutex_);
  const absl::Status error = RunStream(stream.get(), *patience);
  if (error.ok()) return error;
  client_->members().Failed(*target, error);
  // A server that is slow rather than dead gets more time when it is asked again.
  *patience = told_ != told ? client_->options().attempt_timeout : *patience * 2;
  return error;
}

absl::Status Producer::RunStream(AppendStream* stream, absl::Duration patience) {
  absl::MutexLock lock(&mutex_);
  absl::Time heard = absl::Now();
  for (;;) {
    auto due = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return stream->has_news() || CanWrite(*stream) || stopping_ || (closing_ && Idle());
    };
    if (Idle()) heard = absl::Now();
    const absl::Time deadline =
        Idle() ? absl::InfiniteFuture() : std::min(heard + patience, GiveUpAt());
    if (!mutex_.AwaitWithDeadline(absl::Condition(&due), deadline)) {
      return End(stream, absl::DeadlineExceededError(
                             absl::StrCat("the server has answered nothing for ",
                                          absl::FormatDuration(absl::Now() - heard))));
    }
    if (stopping_) return End(stream, absl::CancelledError("the producer was given up"));
    if (const auto answers = stream->TakeAnswers(); !answers.empty()) {
      heard = absl::Now();
      for (const v1::AppendStreamResponse& answer : answers) {
        const absl::Status status = Deliver(answer);
        if (!status.ok()) return End(stream, status);
      }
      continue;  // What came meanwhile is looked at first.
    }
    if (stream->done()) {
      return stream->status().ok() ? absl::UnavailableError("the server ended the stream")
                                   : stream->status();
    }
    if (closing_ && Idle()) {
      if (stream->writable()) stream->Finish();
      auto done = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stream->done(); };
      mutex_.AwaitWithTimeout(absl::Condition(&done), kFarewell);
      return End(stream, absl::OkStatus());
    }
    if (CanWrite(*stream)) WriteNext(stream);
  }
}

absl::Status Producer::End(AppendStream* stream, const absl::Status& reason) {
  stream->Cancel();
  auto done = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stream->done(); };
  mutex_.Await(absl::Condition(&done));
  return reason;
}

bool Producer::CanWrite(const AppendStream& stream) const {
  return stream.writable() && (written_ < requests_.size() || MayFormRequest());
}

void Producer::WriteNext(AppendStream* stream) {
  if (written_ == requests_.size()) FormRequest();
  stream->Write(requests_[written_++].message);
}

bool Producer::MayFormRequest() const {
  if (pending_.empty()) return false;
  // Whether the rest is wanted shows when the first is in.
  if (options_.expect_position != 0 && !first_answered_ && !requests_.empty()) return false;
  return requests_.size() < kEagerRequests || pending_bytes_ >= options_.max_request_bytes ||
         pending_.size() >= options_.max_request_entries;
}

void Producer::FormRequest() {
  const std::optional<Limits> limits = client_->members().limits();
  const size_t max_bytes = std::min<size_t>(
      options_.max_request_bytes, limits ? limits->max_request_bytes : options_.max_request_bytes);
  auto message = std::make_shared<v1::AppendRequest>();
  Request request;
  do {
    Entry& entry = pending_.front();
    request.bytes += entry.payload.size();
    message->add_payloads(std::move(entry.payload));
    request.callbacks.push_back(std::move(entry.callback));
    pending_.pop_front();
  } while (!pending_.empty() && request.callbacks.size() < options_.max_request_entries &&
           request.bytes + pending_.front().payload.size() <= max_bytes);
  pending_bytes_ -= request.bytes;
  message->set_cluster_id(client_->members().cluster_id());
  message->set_producer(options_.name);
  message->set_epoch(*options_.epoch);
  message->set_sequence(options_.next_sequence);
  if (!first_answered_ && requests_.empty()) message->set_expect_position(options_.expect_position);
  options_.next_sequence += request.callbacks.size();
  request.message = std::move(message);
  requests_.push_back(std::move(request));
}

absl::Status Producer::Deliver(const v1::AppendStreamResponse& response) {
  for (const v1::AppendResponse& one : response.responses()) {
    if (written_ == 0 || requests_.front().callbacks.size() != one.count()) {
      return absl::DataLossError(
          absl::StrCat("a server answered for ", one.count(),
                       " entries that were not asked for in that order; what is outstanding is "
                       "unknown"));
    }
    Request request = std::move(requests_.front());
    requests_.pop_front();
    --written_;
    first_answered_ = true;
    progress_ = absl::Now();
    Settle(request,
           {Outcome::kDone, absl::OkStatus(), one.first_position(), one.count(), one.duplicate()});
  }
  return absl::OkStatus();
}

// Tells of entries that are no longer in any queue, without the mutex.
void Producer::Settle(const Request& request, AppendResult result) {
  telling_ = true;
  mutex_.Unlock();
  if (options_.answered) {
    options_.answered({told_, static_cast<uint32_t>(request.callbacks.size()), result});
  }
  const uint64_t first_position = result.first_position;
  result.count = 1;
  for (size_t i = 0; i < request.callbacks.size(); ++i) {
    if (result.outcome == Outcome::kDone) result.first_position = first_position + i;
    if (request.callbacks[i]) request.callbacks[i](result);
  }
  told_ += request.callbacks.size();
  mutex_.Lock();
  telling_ = false;
  outstanding_bytes_ -= request.bytes;
  outstanding_entries_ -= request.callbacks.size();
  answered_entries_ += request.callbacks.size();
}

// Notes what the end of a stream says about what was written there. False if it is final.
bool Producer::TakeIn(const absl::Status& error) {
  absl::MutexLock lock(&mutex_);
  // The error is the answer to the first request that has none; the others got none at all.
  if (written_ > 0 && HoldsForEveryCopy(error)) requests_.front().unknown = false;
  for (size_t i = ProvesNotAppended(error) ? 1 : 0; i < written_; ++i) requests_[i].unknown = true;
  written_ = 0;
  return Idle() || MayPass(error);
}

void Producer::Fail(const absl::Status& error) {
  absl::MutexLock lock(&mutex_);
  if (failure_.ok() && !Idle()) failure_ = error;
  // Sequences are consecutive: if the first request is not in, and nobody but this producer could
  // send its sequence, then no later one will ever be applied.
  const bool all_known = own_epoch_ && !requests_.empty() && !requests_.front().unknown;
  while (!requests_.empty()) {
    const Request request = std::move(requests_.front());
    requests_.pop_front();
    Settle(request, {request.unknown && !all_known ? Outcome::kUnknown : Outcome::kNotDone, error,
                     0, 0, false});
  }
  Request rest;
  rest.bytes = pending_bytes_;
  for (Entry& entry : pending_) rest.callbacks.push_back(std::move(entry.callback));
  pending_.clear();
  pending_bytes_ = 0;
  if (!rest.callbacks.empty()) Settle(rest, {Outcome::kNotDone, error, 0, 0, false});
}

}  // namespace distlog
