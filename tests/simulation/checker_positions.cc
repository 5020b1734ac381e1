#include "tests/simulation/checker_positions.h"

#include <algorithm>

#include "tests/simulation/checker_text.h"

namespace distlog::simulation {

using paxos::Value;

std::optional<std::string> Positions::Apply(const Value& value, const Applied& applied) {
  const uint64_t last = log_.size();
  std::optional<std::string> wrong;
  if (value.kind == Value::Kind::kBatch) {
    v1::Batch batch;
    wrong = batch.ParseFromString(*value.payload) ? CheckBatch(batch, applied)
                                                  : "it is applied, but its bytes are no batch";
  } else if (value.kind == Value::Kind::kCommand) {
    v1::Command command;
    if (!command.ParseFromString(*value.payload)) {
      wrong = "it is applied, but its bytes are no command";
    } else if (command.has_open_producer()) {
      wrong = CheckOpening(command, applied);
    }  // Of the others: OperationTable.
  }
  slots_.push_back({0, last + 1, log_.size() - last, applied.appends, applied.opened,
                    applied.operation, applied.begins_term});
  if (wrong.has_value()) return wrong;
  if (applied.entries != log_.size() - last) {
    return Text("it says ", applied.entries, " entries and appends ", log_.size() - last);
  }
  if (applied.entries > 0 && applied.first_position != last + 1) {
    return Text("it appends at position ", applied.first_position, ", but the log ends at ", last);
  }
  return std::nullopt;
}

std::optional<std::string> Positions::Compare(const Applied& applied, uint64_t digest) const {
  const AppliedSlot& known = slots_[applied.slot - 1];
  if (known.digest == digest && known.entries == applied.entries &&
      (applied.entries == 0 || known.first_position == applied.first_position) &&
      known.appends == applied.appends && known.opened == applied.opened &&
      known.operation == applied.operation && known.begins_term == applied.begins_term) {
    return std::nullopt;
  }
  return "applying it has another result than elsewhere";
}

std::optional<std::string> Positions::CheckBatch(const v1::Batch& batch, const Applied& applied) {
  if (batch.appends_size() != static_cast<int>(applied.appends.size())) {
    return "it does not answer each of its appends";
  }
  std::vector<uint32_t> skipped;
  std::optional<std::string> wrong;
  for (int i = 0; i < batch.appends_size(); ++i) {
    const v1::AppendRecord& append = batch.appends(i);
    const Decided expected = Decide(append);
    const bool appends = expected.reason == RefusalReason::kNone && !expected.duplicate;
    if (!appends) skipped.push_back(static_cast<uint32_t>(i));
    if (wrong.has_value()) continue;
    const AppliedAppend& result = applied.appends[i];
    const std::string which = Text("append ", i, " of producer \"", append.producer(),
                                   "\", sequence ", append.sequence(), ", ");
    if (result.reason != expected.reason) {
      wrong = Text(which, "is refused for reason ", static_cast<uint32_t>(result.reason), ", not ",
                   static_cast<uint32_t>(expected.reason));
    } else if (result.duplicate != expected.duplicate) {
      wrong = Text(which, result.duplicate ? "is called a repeat, but is none"
                                           : "is a repeat, but is not called one");
    } else if (result.reason == RefusalReason::kNone &&
               (result.first_position != expected.first_position ||
                result.count != expected.count)) {
      wrong = Text(which, "appends at position ", result.first_position, ", not ",
                   expected.first_position);
    } else if (result.reason == RefusalReason::kPosition && result.actual != expected.actual) {
      wrong = Text(which, "is refused as the next position is ", result.actual, ", but it is ",
                   expected.actual);
    }
  }
  if (!wrong.has_value() && skipped != applied.skipped) {
    wrong = "what appended nothing is not what it skips";
  }
  return wrong;
}

Positions::Decided Positions::Decide(const v1::AppendRecord& append) {
  const auto refused = [](RefusalReason reason) {
    Decided refusal;
    refusal.reason = reason;
    return refusal;
  };
  const uint64_t count = append.payloads_size();
  if (append.producer().empty()) {
    return count == 0 ? refused(RefusalReason::kSequenceBoundaries) : Place(append);
  }
  auto it = producers_.find(append.producer());
  if (it == producers_.end()) {
    const bool is_first = append.epoch() == 0 && append.sequence() == 1;
    if (!is_first) return refused(RefusalReason::kUnknownProducer);
    if (count == 0) return refused(RefusalReason::kSequenceBoundaries);
    it = producers_.emplace(append.producer(), Producer()).first;
  }
  Producer& producer = it->second;
  if (append.epoch() != producer.epoch) return refused(RefusalReason::kEpoch);
  if (append.sequence() < producer.next_sequence) return Repeat(producer, append);
  if (count == 0) return refused(RefusalReason::kSequenceBoundaries);
  if (append.sequence() > producer.next_sequence) return refused(RefusalReason::kSequenceGap);
  Decided decided = Place(append);
  decided.first_sequence = append.sequence();
  decided.count = count;
  producer.next_sequence += count;
  producer.decided.push_back(decided);
  return decided;
}

Positions::Decided Positions::Place(const v1::AppendRecord& append) {
  Decided decided;
  decided.first_position = log_.size() + 1;
  if (append.expect_position() != 0 && append.expect_position() != decided.first_position) {
    decided.reason = RefusalReason::kPosition;
    decided.actual = decided.first_position;
    decided.first_position = 0;
    return decided;
  }
  decided.count = append.payloads_size();
  log_.insert(log_.end(), append.payloads().begin(), append.payloads().end());
  return decided;
}

Positions::Decided Positions::Repeat(const Producer& producer, const v1::AppendRecord& append) {
  Decided refusal;
  refusal.reason = RefusalReason::kSequenceBoundaries;
  const uint64_t count = append.payloads_size();
  if (count == 0 || append.sequence() < producer.opened_at) return refusal;
  const std::vector<Decided>& all = producer.decided;
  const size_t oldest = all.size() - std::min(all.size(), Sequencer::kResultsKept);
  if (append.sequence() + count <= all[oldest].first_sequence) {
    refusal.reason = RefusalReason::kResultNotKept;
    return refusal;
  }
  const auto it = std::lower_bound(
      all.begin() + static_cast<ptrdiff_t>(oldest), all.end(), append.sequence(),
      [](const Decided& each, uint64_t sequence) { return each.first_sequence < sequence; });
  if (it == all.end() || it->first_sequence != append.sequence() || it->count != count) {
    return refusal;
  }
  Decided original = *it;
  original.duplicate = true;
  return original;
}

std::optional<std::string> Positions::CheckOpening(const v1::Command& command,
                                                   const Applied& applied) {
  if (!applied.opened.has_value()) return "it opens a producer, but does not answer that";
  const v1::OpenProducerCommand& opening = command.open_producer();
  const auto it = producers_.find(opening.name());
  const uint64_t epoch = it == producers_.end() ? 0 : it->second.epoch;
  const bool is_repeat = epoch != 0 && it->second.nonce == opening.nonce();
  if (!is_repeat && opening.has_after_epoch() && opening.after_epoch() != epoch) {
    if (applied.opened->reason == RefusalReason::kAfterEpoch) return std::nullopt;
    return Text("producer \"", opening.name(), "\" is opened after epoch ", opening.after_epoch(),
                ", but ", epoch, " is current");
  }
  Producer& producer = producers_[opening.name()];
  if (!is_repeat) {
    ++producer.epoch;
    producer.nonce = opening.nonce();
    producer.opened_at = producer.next_sequence;
  }
  if (applied.opened->reason == RefusalReason::kNone && applied.opened->epoch == producer.epoch &&
      applied.opened->next_sequence == producer.opened_at) {
    return std::nullopt;
  }
  return Text("producer \"", opening.name(), "\" is opened with epoch ", applied.opened->epoch,
              ", next sequence ", applied.opened->next_sequence, ", not ", producer.epoch, " and ",
              producer.opened_at);
}

}  // namespace distlog::simulation
