// Clients that append and read all the time, and a history of what they were told.

#ifndef DISTLOG_TESTS_E2E_LOAD_H_
#define DISTLOG_TESTS_E2E_LOAD_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "tests/e2e/history.h"

namespace distlog {

// Runs from its construction until Stop. Each of the producers opens a new one of another name when
// the cluster was away for too long; the unary client appends one at a time, without a name.
class Load {
 public:
  struct Options {
    std::string endpoints;  // As --endpoints takes them.
    int producers = 3;
    int unary_clients = 1;
    int readers = 0;          // Ask for the end of the log, linearizably, again and again.
    size_t outstanding = 64;  // Of a producer.
    size_t max_bytes = 2000;  // Of a payload; most are much smaller.
    // Between two appends of a client, to keep the log short.
    absl::Duration pause = absl::ZeroDuration();
    // Small, so that a cluster that is away leaves unknown outcomes and fresh producers.
    absl::Duration timeout = absl::Seconds(5);
    uint32_t seed = 1;
    // Shared with loads before and after this one, if set.
    std::shared_ptr<History> history;
  };

  explicit Load(const Options& options);
  ~Load();

  // Ends the clients; what they have outstanding is answered, or unknown after the timeout.
  void Stop();

  History& history() const { return *history_; }
  // Until `more` further appends have been acknowledged. False: that did not happen.
  bool AwaitProgress(size_t more) const;

 private:
  void Produce(int number);
  void AppendOneByOne(int number);
  void ReadEnds();
  // Until something fails, or Stop.
  void RunProducer(int number, int generation, std::mt19937* random);

  const Options options_;
  const std::shared_ptr<History> history_;
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> threads_;
};

// Makes the payloads of one sequence, each unlike all others that have been made in this process.
std::string NewPayload(std::mt19937* random, size_t max_bytes);

std::unique_ptr<Client> ConnectTo(const std::string& endpoints, absl::Duration timeout);

// All entries that the one server has, straight from it.
absl::StatusOr<std::vector<ReadEntry>> ReadLocal(const std::string& endpoint);

}  // namespace distlog

#endif  // DISTLOG_TESTS_E2E_LOAD_H_
