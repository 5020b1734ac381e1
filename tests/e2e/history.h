// What clients were told of their appends, against what the log has afterwards.

#ifndef DISTLOG_TESTS_E2E_HISTORY_H_
#define DISTLOG_TESTS_E2E_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"

namespace distlog {

struct ReadEntry {
  uint64_t position = 0;
  std::string payload;
};

// Every payload is recorded before it is sent, and is unlike every other. Thread-safe.
class History {
 public:
  // `chain`: entries of one chain must be in the log in the order of their sending and without one
  // missing in between, as those of one producer are. 0: in no chain.
  void Sent(const std::string& payload, uint64_t chain);
  void Acknowledged(const std::string& payload, uint64_t position);
  // It is not in the log, and will never be.
  void NotDone(const std::string& payload);

  // The highest position acknowledged so far.
  uint64_t highest() const;
  // A linearizable read that began when highest() was `before` saw the log end at `end`.
  void SawEnd(uint64_t before, uint64_t end);

  // The first broken promise, if there is one: an acknowledged entry that is not at its position, a
  // payload that is there twice or that nobody sent, one that is certainly not there and is, a gap
  // in the positions or in a chain, a read that missed what was acknowledged before it.
  absl::Status Check(const std::vector<ReadEntry>& log) const;

  size_t sent() const;
  size_t acknowledged() const;
  size_t not_done() const;
  size_t reads() const;

 private:
  struct Fate {
    uint64_t chain = 0;
    uint64_t number_in_chain = 0;  // From 1.
    uint64_t position = 0;         // 0: not acknowledged.
    bool not_done = false;
  };

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Fate> fates_;
  std::unordered_map<uint64_t, uint64_t> chains_;  // How many were sent.
  size_t acknowledged_ = 0;
  size_t not_done_ = 0;
  uint64_t highest_ = 0;
  size_t reads_ = 0;
  std::string stale_read_;  // The first, in words.
};

}  // namespace distlog

#endif  // DISTLOG_TESTS_E2E_HISTORY_H_
