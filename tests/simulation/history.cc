#include "tests/simulation/history.h"

#include <algorithm>
#include <charconv>
#include <map>

namespace distlog::simulation {

using paxos::Time;

History::Id History::InvokeAppend(Time now, uint32_t count, const std::string& producer,
                                  uint64_t sequence) {
  Operation operation;
  operation.is_append = true;
  operation.invoked = now;
  operation.count = count;
  operation.producer = producer;
  operation.sequence = sequence;
  operations_.push_back(operation);
  return operations_.size() - 1;
}

std::string History::Payload(Id append, uint32_t index, size_t filler) {
  return std::to_string(append) + "." + std::to_string(index) + "." + std::string(filler, 'x');
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
  operation.end = end;
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
  operation.end = end;
}

std::optional<std::string> History::Check(const std::vector<std::string>& log) const {
  std::vector<uint64_t> positions;
  if (auto wrong = Locate(log, &positions)) return wrong;
  return CheckOrder(log.size(), positions);
}

std::optional<std::string> History::Locate(const std::vector<std::string>& log,
                                           std::vector<uint64_t>* positions) const {
  positions->assign(operations_.size(), 0);
  for (uint64_t position = 1; position <= log.size(); ++position) {
    const std::string& entry = log[position - 1];
    Id id = 0;
    uint32_t index = 0;
    const char* end = entry.data() + entry.size();
    const auto [dot, id_error] = std::from_chars(entry.data(), end, id);
    const bool parsed = id_error == std::errc() && dot != end && *dot == '.' &&
                        std::from_chars(dot + 1, end, index).ec == std::errc();
    if (!parsed || id >= operations_.size() || !operations_[id].is_append ||
        index >= operations_[id].count) {
      return "position " + std::to_string(position) + " holds what no client appended";
    }
    const std::string append = "append " + std::to_string(id);
    if (operations_[id].state == Operation::State::kRefused) {
      return append + " was refused, but is in the log at " + std::to_string(position);
    }
    uint64_t& first = (*positions)[id];
    if (index == 0 && first != 0) {
      return append + " is in the log twice, at " + std::to_string(first) + " and " +
             std::to_string(position);
    }
    if (index == 0) first = position;
    if (first == 0 || first + index != position) {
      return append + " is in the log in pieces: entry " + std::to_string(index) + " at " +
             std::to_string(position);
    }
  }
  std::map<std::string, std::map<uint64_t, Id>> by_sequence;
  for (Id id = 0; id < operations_.size(); ++id) {
    const Operation& operation = operations_[id];
    const uint64_t position = (*positions)[id];
    if (position != 0 && position + operation.count - 1 > log.size()) {
      return "append " + std::to_string(id) + " is in the log in part";
    }
    if (operation.state == Operation::State::kAppended && position != operation.first_position) {
      return "append " + std::to_string(id) + " was acknowledged at position " +
             std::to_string(operation.first_position) +
             (position == 0 ? ", but is not in the log"
                            : ", but is at " + std::to_string(position));
    }
    if (position != 0 && !operation.producer.empty()) {
      by_sequence[operation.producer][operation.sequence] = id;
    }
  }
  for (const auto& [producer, sequences] : by_sequence) {
    uint64_t last = 0;
    for (const auto& [sequence, id] : sequences) {
      if ((*positions)[id] < last) {
        return "producer " + producer + ": sequence " + std::to_string(sequence) +
               " comes before a lower one";
      }
      last = (*positions)[id];
    }
  }
  return std::nullopt;
}

// The state of a log that only grows is its length, and positions fix the order of the appends: the
// earliest time at which each can have happened is found in one pass, and that is exact.
std::optional<std::string> History::CheckOrder(size_t log_size,
                                               const std::vector<uint64_t>& positions) const {
  std::vector<Id> append_at(log_size + 1, 0);  // By position.
  std::vector<std::vector<Id>> saw(log_size + 1);
  for (Id id = 0; id < operations_.size(); ++id) {
    const Operation& operation = operations_[id];
    if (operation.is_append && positions[id] != 0) {
      for (uint32_t i = 0; i < operation.count; ++i) append_at[positions[id] + i] = id;
    }
    if (!operation.end.has_value()) continue;
    if (*operation.end > log_size) {
      return "operation " + std::to_string(id) + " saw the log end at " +
             std::to_string(*operation.end) + ", but it ends at " + std::to_string(log_size);
    }
    saw[*operation.end].push_back(id);
  }
  Time earliest = Time::min();
  Id because = 0;
  const auto witness = [&](Id id, const std::string& what) {
    return "not linearizable: operation " + std::to_string(id) + " " + what + " returned at " +
           std::to_string(operations_[id].returned.count()) + " ns, but operation " +
           std::to_string(because) + ", which came before it, was invoked at " +
           std::to_string(earliest.count()) + " ns";
  };
  for (uint64_t length = 0; length <= log_size; ++length) {
    // Every look at this length lies between the append that made it and the next one.
    Time next = earliest;
    Id next_because = because;
    for (const Id id : saw[length]) {
      const Operation& look = operations_[id];
      if (earliest > look.returned) {
        return witness(id, "saw the log end at " + std::to_string(length) + " and");
      }
      if (look.invoked > next) {
        next = look.invoked;
        next_because = id;
      }
    }
    if (length == log_size) break;
    const Id id = append_at[length + 1];
    const Operation& append = operations_[id];
    if (append.invoked > next) {
      next = append.invoked;
      next_because = id;
    }
    earliest = next;
    because = next_because;
    if (earliest > append.returned) {
      return witness(id, "appended position " + std::to_string(length + 1) + " and");
    }
  }
  return std::nullopt;
}

}  // namespace distlog::simulation
