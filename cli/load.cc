#include "cli/load.h"

#include <chrono>
#include <functional>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "client/producer.h"
#include "client/verdict.h"
#include "grpcpp/alarm.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "proto/distlog/v1/log.grpc.pb.h"
#include "wire/status.h"

namespace distlog::cli {
namespace {

using Clock = std::chrono::steady_clock;

uint64_t NanosSince(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
}

absl::Duration Since(Clock::time_point start) { return absl::Nanoseconds(NanosSince(start)); }

// Pieces of random bytes: what compresses well would flatter disk and network. Thread-safe.
class Payloads {
 public:
  explicit Payloads(uint64_t size) : size_(size), bytes_(size + kStarts, '\0') {
    std::mt19937_64 random(std::random_device{}());
    for (char& byte : bytes_) byte = static_cast<char>(random());
  }

  std::string Next() {
    // A stride that is odd passes through all starts before one comes again.
    const uint64_t start = next_.fetch_add(40503, std::memory_order_relaxed) % kStarts;
    return bytes_.substr(start, size_);
  }

 private:
  static constexpr uint64_t kStarts = 1 << 20;
  const uint64_t size_;
  std::string bytes_;
  std::atomic<uint64_t> next_{0};
};

// What one operation came to.
struct Result {
  uint64_t bytes = 0;
  Outcome outcome = Outcome::kDone;
  absl::Status status;
};

using Done = std::function<void(const Result&)>;
// Begins an operation, and calls `done` once, from any thread.
using Operation = std::function<void(Done done)>;

// Keeps `outstanding` operations under way until the time is over. Whoever waits for an answer
// sends nothing new: the rate follows from the latency, and the latency from just before an
// operation is begun to its answer hides no waiting.
class ClosedLoop {
 public:
  // `ends_at_error`: an operation that fails says that all later ones would.
  ClosedLoop(Operation operation, bool ends_at_error, const LoadOptions& options, Measure* measure)
      : operation_(std::move(operation)),
        ends_at_error_(ends_at_error),
        start_(Clock::now()),
        end_(start_ + absl::ToChronoNanoseconds(options.duration)),
        measure_(measure),
        places_(options.outstanding),
        open_(options.outstanding) {}

  absl::Duration Run() {
    for (Place& place : places_) Begin(&place);
    absl::MutexLock lock(&mutex_);
    auto all_ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return open_ == 0; };
    mutex_.Await(absl::Condition(&all_ended));
    return Since(start_);
  }

 private:
  struct Place {
    Clock::time_point start;
    std::unique_ptr<grpc::Alarm> alarm;
  };
  // Before going on after an error: a server that refuses at once is not to be flooded.
  static constexpr std::chrono::milliseconds kPause{10};

  void Begin(Place* place) {
    place->start = Clock::now();
    if (place->start >= end_ || stopped_.load(std::memory_order_relaxed)) {
      absl::MutexLock lock(&mutex_);
      --open_;
      return;
    }
    operation_([this, place](const Result& result) { Take(place, result); });
  }

  void Take(Place* place, const Result& result) {
    const uint64_t ns = NanosSince(place->start);
    if (result.outcome == Outcome::kDone) {
      measure_->Done(ns, result.bytes);
      Begin(place);
      return;
    }
    measure_->Failed(result.outcome, result.status);
    if (ends_at_error_) stopped_.store(true, std::memory_order_relaxed);
    place->alarm = std::make_unique<grpc::Alarm>();
    place->alarm->Set(std::chrono::system_clock::now() + kPause, [this, place](bool /*ok*/) {
      const std::unique_ptr<grpc::Alarm> alarm = std::move(place->alarm);
      Begin(place);
    });
  }

  const Operation operation_;
  const bool ends_at_error_;
  const Clock::time_point start_;
  const Clock::time_point end_;
  Measure* const measure_;
  std::vector<Place> places_;
  std::atomic<bool> stopped_{false};
  absl::Mutex mutex_;
  uint64_t open_ ABSL_GUARDED_BY(mutex_);
};

void SetDeadline(const LoadOptions& options, grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() +
                        absl::ToChronoMilliseconds(options.timeout));
}

struct UnaryAppend {
  grpc::ClientContext context;
  v1::AppendRequest request;
  v1::AppendResponse response;
};

// One Read call; deletes itself.
class SingleRead final : public grpc::ClientReadReactor<v1::ReadResponse> {
 public:
  SingleRead(v1::Log::Stub* stub, const LoadOptions& options, uint64_t position, Done done)
      : done_(std::move(done)) {
    request_.set_from(position);
    request_.set_count(1);
    if (options.local) request_.set_consistency(v1::CONSISTENCY_LOCAL);
    SetDeadline(options, &context_);
    stub->async()->Read(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    for (const v1::Entry& entry : response_.entries()) {
      ++entries_;
      bytes_ += entry.payload().size();
    }
    StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    Result result{bytes_, Outcome::kDone, FromGrpc(status)};
    if (result.status.ok() && entries_ != 1) {
      result.status = absl::DataLossError("a server answered the read of one entry without it");
    }
    if (!result.status.ok()) result.outcome = Outcome::kNotDone;
    const Done done = std::move(done_);
    delete this;
    done(result);
  }

  grpc::ClientContext context_;
  v1::ReadRequest request_;
  v1::ReadResponse response_;
  uint64_t entries_ = 0;
  uint64_t bytes_ = 0;
  Done done_;
};

// A producer that is open and connected, so that neither is part of what is measured. Null if that
// failed.
std::unique_ptr<Producer> OpenedProducer(Client* client, ProducerOptions options, Measure* measure,
                                         std::string payload) {
  auto producer = std::make_unique<Producer>(client, std::move(options));
  AppendResult first{Outcome::kNotDone, absl::OkStatus()};
  first.status = producer->Append(std::move(payload),
                                  [&first](const AppendResult& result) { first = result; });
  if (first.status.ok()) producer->Flush().IgnoreError();  // The callback knows it.
  if (first.outcome == Outcome::kDone) return producer;
  measure->Failed(first.outcome, first.status);
  return nullptr;
}

// When the entries that are not answered yet were given to the producer, by their number. One
// thread begins entries and another one ends them.
class Window {
 public:
  explicit Window(uint64_t capacity) : starts_(capacity) {}

  // Waits until the window has room.
  void Begin() {
    absl::MutexLock lock(&mutex_);
    auto has_room = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return begun_ - ended_ < starts_.size();
    };
    mutex_.Await(absl::Condition(&has_room));
    starts_[begun_++ % starts_.size()] = Clock::now();
  }

  void End(uint64_t count, const std::function<void(uint64_t ns)>& take) {
    absl::MutexLock lock(&mutex_);
    for (; count > 0; --count) take(NanosSince(starts_[ended_++ % starts_.size()]));
  }

 private:
  absl::Mutex mutex_;
  std::vector<Clock::time_point> starts_ ABSL_GUARDED_BY(mutex_);
  uint64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

void Measure::Done(uint64_t ns, uint64_t bytes, uint64_t entries) {
  latency_.Add(ns, entries);
  entries_.fetch_add(entries, std::memory_order_relaxed);
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

void Measure::DoneTogether(uint64_t ns, uint64_t bytes, uint64_t entries) {
  latency_.Add(ns);
  entries_.fetch_add(entries, std::memory_order_relaxed);
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

void Measure::Failed(Outcome outcome, const absl::Status& status, uint64_t entries) {
  errors_.fetch_add(entries, std::memory_order_relaxed);
  absl::MutexLock lock(&mutex_);
  if (failure_.status.ok()) failure_ = {status, outcome};
}

Measure::Failure Measure::failure() const {
  absl::MutexLock lock(&mutex_);
  return failure_;
}

absl::Duration AppendUnary(const std::shared_ptr<grpc::Channel>& channel,
                           const LoadOptions& options, Measure* measure) {
  const auto stub = v1::Log::NewStub(channel);
  Payloads payloads(options.size);
  const auto operation = [&](Done done) {
    auto* call = new UnaryAppend;
    SetDeadline(options, &call->context);
    call->request.add_payloads(payloads.Next());
    stub->async()->Append(
        &call->context, &call->request, &call->response,
        [call, bytes = options.size, done = std::move(done)](const grpc::Status& grpc_status) {
          const absl::Status status = FromGrpc(grpc_status);
          delete call;
          const Outcome outcome = status.ok()                 ? Outcome::kDone
                                  : ProvesNotAppended(status) ? Outcome::kNotDone
                                                              : Outcome::kUnknown;
          done({bytes, outcome, status});
        });
  };
  return ClosedLoop(operation, /*ends_at_error=*/false, options, measure).Run();
}

absl::Duration AppendByProducer(Client* client, const LoadOptions& options, Measure* measure) {
  Payloads payloads(options.size);
  ProducerOptions producer_options;
  // An entry counts as outstanding until its callback, which appends the next one, has returned.
  producer_options.max_outstanding_entries = 2 * options.outstanding;
  producer_options.max_outstanding_bytes = 2 * options.outstanding * (options.size + 1);
  producer_options.when_full = ProducerOptions::WhenFull::kRefuse;
  const std::unique_ptr<Producer> producer =
      OpenedProducer(client, producer_options, measure, payloads.Next());
  if (producer == nullptr) return absl::ZeroDuration();
  const auto operation = [&](Done done) {
    const absl::Status taken =
        producer->Append(payloads.Next(), [bytes = options.size, done](const AppendResult& result) {
          done({bytes, result.outcome, result.status});
        });
    if (!taken.ok()) done({0, Outcome::kNotDone, taken});
  };
  return ClosedLoop(operation, /*ends_at_error=*/true, options, measure).Run();
}

absl::Duration AppendStreamed(Client* client, const LoadOptions& options, Measure* measure) {
  Payloads payloads(options.size);
  Window window(options.outstanding);
  bool measuring = false;  // Set between two flushes: nothing is answered meanwhile.
  ProducerOptions producer_options;
  producer_options.max_outstanding_entries = options.outstanding;
  producer_options.max_outstanding_bytes = options.outstanding * (options.size + 1);
  producer_options.answered = [&](const Answer& answer) {
    if (!measuring) return;
    const bool done = answer.result.outcome == Outcome::kDone;
    window.End(answer.count, [&](uint64_t ns) {
      if (done) measure->Done(ns, options.size);
    });
    if (!done) measure->Failed(answer.result.outcome, answer.result.status, answer.count);
  };
  const std::unique_ptr<Producer> producer =
      OpenedProducer(client, producer_options, measure, payloads.Next());
  if (producer == nullptr) return absl::ZeroDuration();
  measuring = true;
  const Clock::time_point start = Clock::now();
  const Clock::time_point end = start + absl::ToChronoNanoseconds(options.duration);
  while (Clock::now() < end && measure->errors() == 0) {
    std::string payload = payloads.Next();
    window.Begin();
    if (const absl::Status taken = producer->Append(std::move(payload)); !taken.ok()) {
      measure->Failed(Outcome::kNotDone, taken);
    }
  }
  producer->Flush().IgnoreError();  // Its answers were told.
  return Since(start);
}

absl::Duration ReadRandom(const std::shared_ptr<grpc::Channel>& channel, const LoadOptions& options,
                          Measure* measure) {
  const auto stub = v1::Log::NewStub(channel);
  const uint64_t count = options.last_position - options.first_position + 1;
  std::atomic<uint64_t> next{0};
  const auto operation = [&](Done done) {
    // A hash of a counter: random enough, and without a lock.
    std::mt19937_64::result_type mixed =
        next.fetch_add(1, std::memory_order_relaxed) * 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 32)) * 0xd6e8feb86659fd93;
    new SingleRead(stub.get(), options, options.first_position + (mixed ^ (mixed >> 32)) % count,
                   std::move(done));
  };
  return ClosedLoop(operation, /*ends_at_error=*/false, options, measure).Run();
}

absl::Duration Scan(Client* client, const LoadOptions& options, Measure* measure) {
  const Clock::time_point begin = Clock::now();
  const Clock::time_point end = begin + absl::ToChronoNanoseconds(options.duration);
  absl::Status status;
  Clock::time_point start;
  const EntriesCallback take = [&](std::vector<v1::Entry>* entries) {
    uint64_t bytes = 0;
    for (const v1::Entry& entry : *entries) bytes += entry.payload().size();
    measure->DoneTogether(NanosSince(start), bytes, entries->size());
    start = Clock::now();
    return start < end;
  };
  while (status.ok() && (start = Clock::now()) < end) {
    ReadRange range;
    range.local = options.local;
    status = client->Read(range, take);
  }
  if (!status.ok()) measure->Failed(Outcome::kNotDone, status);
  return Since(begin);
}

}  // namespace distlog::cli
