#include "tests/simulation/history.h"

#include <algorithm>
#include <charconv>

namespace distlog::simulation {

using paxos::Time;

// ---- What happens. -----------------------------------------------------------------------------

History::Id History::InvokeAppend(Time now, uint32_t count, const std::string& producer,
                                  uint64_t sequence, uint64_t expect_position) {
  Operation operation;
  operation.is_append = true;
  operation.invoked = now;
  operation.count = count;
  operation.sequence = sequence;
  operation.expect_position = expect_position;
  if (!producer.empty()) {
    const auto [it, is_new] = producer_index_.try_emplace(producer, producers_.size());
    if (is_new) producers_.push_back(producer);
    operation.producer = it->second;
  }
  operations_.push_back(operation);
  return operations_.size() - 1;
}

std::string History::Payload(Id append, uint32_t index, size_t filler) {
  return std::to_string(append) + "." + std::to_string(index) + "." + std::to_string(filler) + "." +
         std::string(filler, 'x');
}

// The append must be known by now: nothing is read before it is appended, or it is not that.
std::optional<History::Entry> History::Parse(std::string_view payload) const {
  uint64_t numbers[3] = {};
  const char* at = payload.data();
  const char* const end = at + payload.size();
  for (uint64_t& number : numbers) {
    const auto [dot, error] = std::from_chars(at, end, number);
    if (error != std::errc() || dot == end || *dot != '.') return std::nullopt;
    at = dot + 1;
  }
  const bool is_whole = static_cast<uint64_t>(end - at) == numbers[2] &&
                        std::all_of(at, end, [](char c) { return c == 'x'; });
  if (!is_whole || numbers[0] >= operations_.size() || !operations_[numbers[0]].is_append ||
      numbers[1] >= operations_[numbers[0]].count) {
    return std::nullopt;
  }
  return Entry{numbers[0], static_cast<uint32_t>(numbers[1])};
}

void History::ReturnAppended(Id append, Time now, uint64_t first_position) {
  Operation& operation = operations_[append];
  operation.state = Operation::State::kAppended;
  operation.returned = now;
  operation.first_position = first_position;
}

void History::ReturnRefused(Id append, Time now, std::optional<uint64_t> end) {
  Operation& operation = operations_[append];
  operation.state = Operation::State::kRefused;
  operation.returned = now;
  if (!end.has_value()) return;
  operation.sees = true;
  operation.low = operation.high = *end;
}

History::Id History::InvokeRead(Time now) {
  Operation operation;
  operation.invoked = now;
  operations_.push_back(operation);
  return operations_.size() - 1;
}

void History::ReturnRead(Id read, Time now, uint64_t end) {
  Operation& operation = operations_[read];
  operation.state = Operation::State::kRead;
  operation.returned = now;
  operation.sees = true;
  operation.low = operation.high = end;
}

void History::ReturnEntries(Id read, Time now, uint64_t first_position,
                            const std::vector<std::string>& entries, std::optional<uint64_t> end) {
  Operation& operation = operations_[read];
  operation.state = Operation::State::kRead;
  operation.returned = now;
  operation.sees = true;
  operation.low = entries.empty() ? 0 : first_position + entries.size() - 1;
  if (end.has_value()) operation.low = operation.high = *end;
  for (const std::string& payload : entries) {
    const std::optional<Entry> entry = Parse(payload);
    if (entry.has_value()) {
      seen_.push_back({read, first_position, *entry});
    } else if (!broken_entry_.has_value()) {
      broken_entry_ = "read " + std::to_string(read) + " saw at position " +
                      std::to_string(first_position) + " what no client had appended";
    }
    ++first_position;
  }
}

// ---- Whether it can be. ------------------------------------------------------------------------

std::optional<std::string> History::Check(const std::vector<std::string>& log) const {
  if (broken_entry_.has_value()) return broken_entry_;
  std::vector<uint64_t> positions;
  if (auto wrong = Locate(log, &positions)) return wrong;
  if (auto wrong = CheckAnswers(log.size(), positions)) return wrong;
  if (auto wrong = CheckSequences(log.size(), positions)) return wrong;
  if (auto wrong = CheckEntries(log.size(), positions)) return wrong;
  return CheckOrder(log.size(), positions);
}

std::optional<std::string> History::Locate(const std::vector<std::string>& log,
                                           std::vector<uint64_t>* positions) const {
  positions->assign(operations_.size(), 0);
  for (uint64_t position = 1; position <= log.size(); ++position) {
    const std::optional<Entry> entry = Parse(log[position - 1]);
    if (!entry.has_value()) {
      return "position " + std::to_string(position) + " holds what no client appended";
    }
    const std::string append = "append " + std::to_string(entry->append);
    uint64_t& first = (*positions)[entry->append];
    if (entry->index == 0 && first != 0) {
      return append + " is in the log twice, at " + std::to_string(first) + " and " +
             std::to_string(position);
    }
    if (entry->index == 0) first = position;
    if (first == 0 || first + entry->index != position) {
      return append + " is in the log in pieces: entry " + std::to_string(entry->index) + " at " +
             std::to_string(position);
    }
  }
  return std::nullopt;
}

std::optional<std::string> History::CheckAnswers(uint64_t end,
                                                 const std::vector<uint64_t>& first) const {
  for (Id id = 0; id < operations_.size(); ++id) {
    const Operation& operation = operations_[id];
    const uint64_t position = first[id];
    if (!operation.is_append) continue;
    const auto append = [id] { return "append " + std::to_string(id); };
    if (position != 0 && position + operation.count - 1 > end) {
      return append() + " is in the log in part";
    }
    if (position != 0 && operation.expect_position != 0 && operation.expect_position != position) {
      return append() + " was to be appended only at " + std::to_string(operation.expect_position) +
             ", but is at " + std::to_string(position);
    }
    if (operation.state == Operation::State::kRefused) {
      if (position != 0) {
        return append() + " was refused, but is in the log at " + std::to_string(position);
      }
      if (operation.sees && operation.expect_position == operation.low + 1) {
        return append() + " was refused at the very position that it expected, " +
               std::to_string(operation.expect_position);
      }
    }
    if (operation.state == Operation::State::kAppended && position != operation.first_position) {
      return append() + " was acknowledged at position " +
             std::to_string(operation.first_position) +
             (position == 0 ? ", but is not in the log"
                            : ", but is at " + std::to_string(position));
    }
  }
  return std::nullopt;
}

std::vector<History::Id> History::AppendsByPosition(uint64_t end,
                                                    const std::vector<uint64_t>& positions) const {
  std::vector<Id> appends(end + 1, 0);
  for (Id id = 0; id < operations_.size(); ++id) {
    if (positions[id] == 0) continue;
    std::fill_n(appends.begin() + static_cast<ptrdiff_t>(positions[id]), operations_[id].count, id);
  }
  return appends;
}

// A producer's sequences are in the log in order, once, and without a gap but for those that were
// used up by a refusal, or whose outcome nobody knows.
std::optional<std::string> History::CheckSequences(uint64_t end,
                                                   const std::vector<uint64_t>& positions) const {
  std::vector<std::unordered_map<uint64_t, uint32_t>> used_up(producers_.size());
  for (Id id = 0; id < operations_.size(); ++id) {
    const Operation& operation = operations_[id];
    if (operation.producer == 0 || positions[id] != 0) continue;
    if (operation.state == Operation::State::kUnknown ||
        (operation.state == Operation::State::kRefused && operation.sees)) {
      used_up[operation.producer][operation.sequence] = operation.count;
    }
  }
  std::vector<uint64_t> next(producers_.size(), 1);
  const std::vector<Id> appends = AppendsByPosition(end, positions);
  for (uint64_t position = 1; position <= end;) {
    const Operation& operation = operations_[appends[position]];
    position += operation.count;
    if (operation.producer == 0) continue;
    uint64_t& expected = next[operation.producer];
    const std::string sequence = "producer " + producers_[operation.producer] + ": sequence " +
                                 std::to_string(operation.sequence);
    if (operation.sequence < expected) {
      return sequence + " at position " + std::to_string(position - operation.count) +
             " comes after " + std::to_string(expected - 1) + ", or twice";
    }
    while (expected < operation.sequence) {
      const auto skipped = used_up[operation.producer].find(expected);
      if (skipped == used_up[operation.producer].end()) {
        return sequence + " is in the log, but " + std::to_string(expected) +
               " is not, and was not used up";
      }
      expected += skipped->second;
    }
    expected = operation.sequence + operation.count;
  }
  return std::nullopt;
}

std::optional<std::string> History::CheckEntries(uint64_t end,
                                                 const std::vector<uint64_t>& positions) const {
  for (const Seen& seen : seen_) {
    const uint64_t first = positions[seen.entry.append];
    if (seen.position > end || first == 0 || first + seen.entry.index != seen.position) {
      return "read " + std::to_string(seen.read) + " saw entry " +
             std::to_string(seen.entry.index) + " of append " + std::to_string(seen.entry.append) +
             " at position " + std::to_string(seen.position) +
             ", which holds another one in the end, or none";
    }
  }
  return std::nullopt;
}

// The state of a log that only grows is its length, and positions fix the order of the appends: the
// earliest time at which each can have happened is found in one pass, and that is exact. An
// operation that saw a length of low .. high happened after the append of `low`, and the append
// after `high` happened after it.
std::optional<std::string> History::CheckOrder(uint64_t end,
                                               const std::vector<uint64_t>& positions) const {
  const std::vector<Id> append_at = AppendsByPosition(end, positions);
  // Those that saw something, by `low`: counted, then laid out.
  std::vector<uint64_t> begin(end + 2, 0);
  for (Id id = 0; id < operations_.size(); ++id) {
    const Operation& look = operations_[id];
    if (!look.sees) continue;
    if (look.low > end) {
      return "operation " + std::to_string(id) + " saw the log end at " + std::to_string(look.low) +
             ", but it ends at " + std::to_string(end);
    }
    if (look.low == look.high && look.low > 0 && look.low < end &&
        append_at[look.low] == append_at[look.low + 1]) {
      return "operation " + std::to_string(id) + " saw the log end at " + std::to_string(look.low) +
             ", within append " + std::to_string(append_at[look.low]);
    }
    ++begin[look.low + 1];
  }
  for (uint64_t length = 0; length <= end; ++length) begin[length + 1] += begin[length];
  std::vector<Id> looks(begin[end + 1]);
  std::vector<uint64_t> next = begin;
  for (Id id = 0; id < operations_.size(); ++id) {
    if (operations_[id].sees) looks[next[operations_[id].low]++] = id;
  }

  // When the log can have grown beyond a length, at the earliest, and because of whom.
  struct Moment {
    Time time = Time::min();
    Id because = 0;
    void NotBefore(const Moment& other) {
      if (other.time > time) *this = other;
    }
  };
  std::vector<Moment> grows_after(end + 1);
  Moment earliest;
  const auto witness = [&](Id id, const std::string& what) {
    return "not linearizable: operation " + std::to_string(id) + " " + what + " returned at " +
           std::to_string(operations_[id].returned.count()) + " ns, but operation " +
           std::to_string(earliest.because) + ", which came before it, was invoked at " +
           std::to_string(earliest.time.count()) + " ns";
  };
  for (uint64_t length = 0; length <= end; ++length) {
    for (uint64_t i = begin[length]; i < begin[length + 1]; ++i) {
      const Operation& look = operations_[looks[i]];
      if (earliest.time > look.returned) {
        return witness(looks[i], "saw the log end at " + std::to_string(length) + " and");
      }
      if (look.high < end) grows_after[look.high].NotBefore({look.invoked, looks[i]});
    }
    if (length == end) break;
    const Id id = append_at[length + 1];
    earliest.NotBefore(grows_after[length]);
    earliest.NotBefore({operations_[id].invoked, id});
    if (earliest.time > operations_[id].returned) {
      return witness(id, "appended position " + std::to_string(length + 1) + " and");
    }
  }
  return std::nullopt;
}

}  // namespace distlog::simulation
