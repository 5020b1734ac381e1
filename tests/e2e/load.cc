#include "tests/e2e/load.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/producer.h"
#include "glog/logging.h"
#include "tests/e2e/process.h"

namespace distlog {

std::string NewPayload(std::mt19937* random, size_t max_bytes) {
  static std::atomic<uint64_t> count = 0;
  std::string payload = absl::StrCat("entry ", ++count, " ");
  // Most are short, a few are long: sizes fall off as in real logs.
  const double share = std::uniform_real_distribution<double>(0, 1)(*random);
  const size_t bytes = static_cast<size_t>(share * share * share * max_bytes);
  while (payload.size() < bytes) payload.push_back(static_cast<char>((*random)()));
  return payload;
}

std::unique_ptr<Client> ConnectTo(const std::string& endpoints, absl::Duration timeout) {
  ClientOptions options;
  options.endpoints = std::vector<std::string>(absl::StrSplit(endpoints, ','));
  options.timeout = timeout;
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect(options);
  CHECK(client.ok()) << client.status();
  return std::move(*client);
}

absl::StatusOr<std::vector<ReadEntry>> ReadLocal(const std::string& endpoint) {
  const std::unique_ptr<Client> client = ConnectTo(endpoint, absl::Seconds(60));
  ReadRange range;
  range.local = true;
  std::vector<ReadEntry> log;
  const absl::Status status = client->Read(range, [&](std::vector<v1::Entry>* entries) {
    for (v1::Entry& entry : *entries) {
      log.push_back({entry.position(), std::move(*entry.mutable_payload())});
    }
    return true;
  });
  if (!status.ok()) return status;
  return log;
}

Load::Load(const Options& options)
    : options_(options),
      history_(options.history != nullptr ? options.history : std::make_shared<History>()) {
  for (int i = 0; i < options_.producers; ++i) threads_.emplace_back([this, i] { Produce(i); });
  for (int i = 0; i < options_.unary_clients; ++i) {
    threads_.emplace_back([this, i] { AppendOneByOne(i); });
  }
  for (int i = 0; i < options_.readers; ++i) threads_.emplace_back([this] { ReadEnds(); });
}

Load::~Load() { Stop(); }

void Load::Stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

bool Load::AwaitProgress(size_t more) const {
  const size_t wanted = history_->acknowledged() + more;
  return Await([&] { return history_->acknowledged() >= wanted; });
}

void Load::Produce(int number) {
  std::mt19937 random(options_.seed * 1000 + number);
  for (int generation = 0; !stopping_; ++generation) RunProducer(number, generation, &random);
}

void Load::RunProducer(int number, int generation, std::mt19937* random) {
  static std::atomic<uint64_t> chains = 0;
  const uint64_t chain = ++chains;
  const std::unique_ptr<Client> client = ConnectTo(options_.endpoints, options_.timeout);
  ProducerOptions options;
  options.name = absl::StrCat("load-", number, "-", generation, "-", chain, "-", getpid());
  options.max_outstanding_entries = options_.outstanding;
  Producer producer(client.get(), std::move(options));
  while (!stopping_) {
    const std::string payload = NewPayload(random, options_.max_bytes);
    history_->Sent(payload, chain);
    const absl::Status taken =
        producer.Append(payload, [history = history_, payload](const AppendResult& result) {
          if (result.outcome == Outcome::kDone) {
            history->Acknowledged(payload, result.first_position);
          } else if (result.outcome == Outcome::kNotDone) {
            history->NotDone(payload);
          }
        });
    if (!taken.ok()) {
      history_->NotDone(payload);
      break;
    }
    if (options_.pause > absl::ZeroDuration()) absl::SleepFor(options_.pause);
  }
  producer.Close().IgnoreError();
}

void Load::AppendOneByOne(int number) {
  std::mt19937 random(options_.seed * 1000 + 500 + number);
  const std::unique_ptr<Client> client = ConnectTo(options_.endpoints, options_.timeout);
  while (!stopping_) {
    const std::string payload = NewPayload(&random, options_.max_bytes);
    history_->Sent(payload, 0);
    const AppendResult result = client->Append({payload});
    if (result.outcome == Outcome::kDone) {
      history_->Acknowledged(payload, result.first_position);
    } else if (result.outcome == Outcome::kNotDone) {
      history_->NotDone(payload);
    }
    if (options_.pause > absl::ZeroDuration()) absl::SleepFor(options_.pause);
  }
}

void Load::ReadEnds() {
  const std::unique_ptr<Client> client = ConnectTo(options_.endpoints, options_.timeout);
  while (!stopping_) {
    const uint64_t before = history_->highest();
    const absl::StatusOr<v1::EndResponse> end = client->End();
    if (end.ok()) history_->SawEnd(before, end->last_position());
    absl::SleepFor(std::max(options_.pause, absl::Milliseconds(1)));
  }
}

}  // namespace distlog
