// What clients saw, and whether one log that only grows explains it.

#ifndef DISTLOG_TESTS_SIMULATION_HISTORY_H_
#define DISTLOG_TESTS_SIMULATION_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "paxos/types.h"

namespace distlog::simulation {

// The operations of all clients, in true time. An append's payloads are made by Payload, so that
// every entry of a log tells whose it is, and whether it is whole.
class History {
 public:
  using Id = uint64_t;

  // An append of `count` entries, at least one. A producer's have a sequence, else both are empty.
  // One that may be appended at one position only names that.
  Id InvokeAppend(paxos::Time now, uint32_t count, const std::string& producer, uint64_t sequence,
                  uint64_t expect_position = 0);
  static std::string Payload(Id append, uint32_t index, size_t filler);
  // Acknowledged at this position.
  void ReturnAppended(Id append, paxos::Time now, uint64_t first_position);
  // Certainly not in the log, ever. One that was refused because the log ended at `end` tells that,
  // and has used up its producer's sequences.
  void ReturnRefused(Id append, paxos::Time now, std::optional<uint64_t> end);
  // One that never returns may or may not be in the log.

  // A linearizable look at where the log ends (0: it is empty).
  Id InvokeRead(paxos::Time now);
  void ReturnRead(Id read, paxos::Time now, uint64_t end);
  // A read that was answered with the entries from this position on, as many as there are; a
  // linearizable one with where the log ended, too.
  void ReturnEntries(Id read, paxos::Time now, uint64_t first_position,
                     const std::vector<std::string>& entries,
                     std::optional<uint64_t> end = std::nullopt);

  size_t size() const { return operations_.size(); }

  // What is wrong, if anything, given all entries of the log in the end, position 1 first. In time
  // linear in the operations, the entries read and the log.
  std::optional<std::string> Check(const std::vector<std::string>& log) const;

 private:
  static constexpr uint64_t kNoBound = ~uint64_t{0};
  struct Operation {
    enum class State : uint8_t { kUnknown, kAppended, kRefused, kRead };
    State state = State::kUnknown;
    bool is_append = false;
    uint32_t count = 0;
    uint32_t producer = 0;  // 0: none.
    uint64_t sequence = 0;
    uint64_t expect_position = 0;
    uint64_t first_position = 0;
    paxos::Time invoked{0};
    paxos::Time returned = paxos::Time::max();
    // What it saw, if `sees`: the log's last position was at least, and at most, this.
    bool sees = false;
    uint64_t low = 0;
    uint64_t high = kNoBound;
  };
  struct Entry {
    Id append = 0;
    uint32_t index = 0;
  };
  struct Seen {
    Id read = 0;
    uint64_t position = 0;
    Entry entry;
  };

  std::optional<Entry> Parse(std::string_view payload) const;
  // Where each append is in the log (0: nowhere), or what is wrong with that.
  std::optional<std::string> Locate(const std::vector<std::string>& log,
                                    std::vector<uint64_t>* positions) const;
  std::optional<std::string> CheckAnswers(uint64_t end, const std::vector<uint64_t>& first) const;
  std::optional<std::string> CheckSequences(uint64_t end,
                                            const std::vector<uint64_t>& positions) const;
  std::optional<std::string> CheckEntries(uint64_t end,
                                          const std::vector<uint64_t>& positions) const;
  std::optional<std::string> CheckOrder(uint64_t end, const std::vector<uint64_t>& positions) const;
  // The appends of the log in order, as ids by position.
  std::vector<Id> AppendsByPosition(uint64_t end, const std::vector<uint64_t>& positions) const;

  std::vector<Operation> operations_;
  std::vector<Seen> seen_;
  std::vector<std::string> producers_{""};
  std::unordered_map<std::string, uint32_t> producer_index_;
  std::optional<std::string> broken_entry_;  // The first that no client can have appended.
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_HISTORY_H_
