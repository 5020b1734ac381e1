// What clients saw, and whether one log that only grows explains it.

#ifndef DISTLOG_TESTS_SIMULATION_HISTORY_H_
#define DISTLOG_TESTS_SIMULATION_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "paxos/types.h"

namespace distlog::simulation {

// The operations of all clients, in true time. An append's payloads are made by Payload, so that
// every entry of a log tells whose it is.
class History {
 public:
  using Id = uint64_t;

  // An append of `count` entries. A producer's have a sequence, else both are empty.
  Id InvokeAppend(paxos::Time now, uint32_t count, const std::string& producer, uint64_t sequence);
  static std::string Payload(Id append, uint32_t index, size_t filler);
  // Acknowledged at this position.
  void ReturnAppended(Id append, paxos::Time now, uint64_t first_position);
  // Certainly not in the log, ever. One that was refused because the log ended at `end` tells that.
  void ReturnRefused(Id append, paxos::Time now, std::optional<uint64_t> end);
  // One that never returns may or may not be in the log.

  // A linearizable look at where the log ends (0: it is empty).
  Id InvokeRead(paxos::Time now);
  void ReturnRead(Id read, paxos::Time now, uint64_t end);

  size_t size() const { return operations_.size(); }

  // What is wrong, if anything, given all entries of the log in the end, position 1 first.
  std::optional<std::string> Check(const std::vector<std::string>& log) const;

 private:
  struct Operation {
    enum class State { kUnknown, kAppended, kRefused, kRead };
    State state = State::kUnknown;
    bool is_append = false;
    paxos::Time invoked{0};
    paxos::Time returned = paxos::Time::max();
    uint32_t count = 0;
    std::string producer;
    uint64_t sequence = 0;
    uint64_t first_position = 0;
    std::optional<uint64_t> end;  // What it saw.
  };
  // Where each append is in the log (0: nowhere), or what is wrong with that.
  std::optional<std::string> Locate(const std::vector<std::string>& log,
                                    std::vector<uint64_t>* positions) const;
  std::optional<std::string> CheckOrder(size_t log_size,
                                        const std::vector<uint64_t>& positions) const;

  std::vector<Operation> operations_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_HISTORY_H_
