#include "log/sequencer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "google/protobuf/arena.h"
#include "log/known_fields.h"
#include "paxos/break.h"
#include "paxos/invariant.h"
#include "wire/checksum.h"
#include "wire/value.h"

namespace distlog {
namespace {

// The bytes that a digest is taken over: numbers, little-endian.
class DigestInput {
 public:
  void Add(uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8)
      bytes_.push_back(static_cast<char>(number >> shift));
  }
  void Add(const AppliedAppend& result) {
    Add(static_cast<uint64_t>(result.reason) << 2 | uint64_t{result.duplicate} << 1 |
        uint64_t{result.not_appended});
    Add(result.first_position);
    Add(result.count);
    Add(result.expected);
    Add(result.actual);
  }
  void Add(const OpenProducerResult& result) {
    Add(static_cast<uint64_t>(result.reason));
    Add(result.epoch);
    Add(result.next_sequence);
    Add(result.expected);
    Add(result.actual);
  }
  void Add(const OperationResult& result) {
    Add(static_cast<uint64_t>(result.refusal));
    Add(result.id);
    Add(result.version);
  }
  void Reserve(size_t numbers) { bytes_.reserve(numbers * sizeof(uint64_t)); }
  uint64_t Digest(uint64_t previous) const { return Checksum(bytes_, previous); }

 private:
  std::string bytes_;
};

AppliedAppend Refused(RefusalReason reason, uint64_t expected, uint64_t actual, bool not_appended) {
  AppliedAppend result;
  result.reason = reason;
  result.not_appended = not_appended;
  result.expected = expected;
  result.actual = actual;
  return result;
}

// What the newest operation has come to: commands and configurations change no other one.
void AddLast(const Operations& operations, DigestInput* input) {
  if (operations.all().empty()) return;
  const v1::OperationState& last = operations.all().back();
  input->Add(last.id());
  input->Add(last.phase());
  for (const uint64_t id : last.added()) input->Add(id);
}

// The same error, with the slot in front.
absl::Status InSlot(paxos::Slot slot, const absl::Status& status) {
  const std::string remedy =
      status.code() == absl::StatusCode::kUnimplemented
          ? "; install a newer version of distlog on this server"
          : "; replace this server, or restore the cluster if all of its servers say this";
  return absl::Status(status.code(),
                      absl::StrCat("cannot apply slot ", slot, ": ", status.message(), remedy));
}

}  // namespace

Sequencer::Sequencer(const paxos::Configuration& genesis)
    : digest_(Checksum(ClusterId(genesis))), configuration_(genesis) {}

absl::StatusOr<Applied> Sequencer::Apply(const paxos::AcceptedValue& value) {
  DISTLOG_INVARIANT(P6, value.slot == applied_through_ + 1)
      << "the chosen prefix is applied in order, each slot once: slot " << value.slot << " after "
      << applied_through_;
  static const std::string* const kNoPayload = new std::string();
  const std::string& payload = value.value.payload == nullptr ? *kNoPayload : *value.value.payload;

  Applied applied;
  applied.slot = value.slot;
  applied.first_position = last_position_ + 1;
  absl::Status status;
  switch (value.value.kind) {
    case paxos::Value::Kind::kNoOp:
      break;
    case paxos::Value::Kind::kBatch:
      status = ApplyBatch(payload, &applied);
      break;
    case paxos::Value::Kind::kConfiguration:
      CHECK(value.value.configuration != nullptr) << "a configuration was not decoded";
      ApplyConfiguration(value);
      break;
    case paxos::Value::Kind::kCommand:
      status = ApplyCommand(payload, &applied);
      break;
    default:
      status = absl::UnimplementedError(absl::StrCat(
          "a value of kind ", static_cast<int>(value.value.kind), " is not known to this program"));
  }
  if (!status.ok()) return InSlot(value.slot, status);

  applied.entries = last_position_ + 1 - applied.first_position;
  applied_through_ = value.slot;
  highest_ballot_ = std::max(highest_ballot_, value.ballot);

  DigestInput input;
  input.Reserve(10 + 5 * applied.appends.size());
  input.Add(value.slot);
  input.Add(static_cast<uint64_t>(value.value.kind));
  input.Add(value.value.checksum);
  input.Add(last_position_);
  input.Add(configuration_slot_);
  for (const AppliedAppend& result : applied.appends) input.Add(result);
  if (applied.opened.has_value()) input.Add(*applied.opened);
  if (applied.operation.has_value()) input.Add(*applied.operation);
  if (applied.begins_term) input.Add(terms_.back().first_position());
  const bool is_change = value.value.kind == paxos::Value::Kind::kConfiguration;
  if (is_change || applied.operation.has_value()) AddLast(operations_, &input);
  digest_ = input.Digest(digest_);
  return applied;
}

absl::Status Sequencer::ApplyBatch(const std::string& payload, Applied* applied) {
  const absl::StatusOr<BatchOutline> batch = OutlineOf(payload);
  if (!batch.ok()) return batch.status();
  for (const BatchOutline::Append& append : batch->appends) {
    if (append.fence != 0) {
      return absl::UnimplementedError("an append with a fence is not known to this program");
    }
  }
  applied->origin_replica = batch->origin_replica;
  applied->origin_start_nonce = batch->origin_start_nonce;
  applied->origin_sequence = batch->origin_sequence;
  cluster_time_ms_ = std::max(cluster_time_ms_, batch->cluster_time_ms);
  applied->appends.reserve(batch->appends.size());
  for (const BatchOutline::Append& append : batch->appends) {
    const AppliedAppend result = ApplyAppend(append);
    if (result.reason != RefusalReason::kNone || result.duplicate) {
      applied->skipped.push_back(static_cast<uint32_t>(applied->appends.size()));
    }
    applied->appends.push_back(result);
  }
  return absl::OkStatus();
}

AppliedAppend Sequencer::ApplyAppend(const BatchOutline::Append& append) {
  if (append.producer.empty()) {
    if (append.count == 0) return Refused(RefusalReason::kSequenceBoundaries, 0, 0, true);
    return Place(append);
  }
  auto it = producers_.find(append.producer);
  if (it == producers_.end()) {
    // A producer that was forgotten comes back with a later sequence or an epoch: that is no gap,
    // and must not begin anew.
    if (append.epoch != 0 || append.sequence != 1) {
      return Refused(RefusalReason::kUnknownProducer, 0, 0, true);
    }
    if (append.count == 0) {
      return Refused(RefusalReason::kSequenceBoundaries, 1, append.sequence, true);
    }
    it = producers_.try_emplace(std::string(append.producer)).first;
  }
  Producer& producer = it->second;
  if (append.epoch != producer.epoch) {
    return Refused(RefusalReason::kEpoch, append.epoch, producer.epoch,
                   append.sequence >= producer.next_sequence);
  }
  producer.touched_ms = cluster_time_ms_;
  if (append.sequence < producer.next_sequence) {
    const bool is_newest = append.sequence + append.count == producer.next_sequence;
    if (is_newest && paxos::IsBroken(paxos::Break::kDedupeOffByOne)) return Place(append);
    return ResultOfRepeat(producer, append);
  }
  if (append.count == 0) {
    return Refused(RefusalReason::kSequenceBoundaries, producer.next_sequence, append.sequence,
                   true);
  }
  if (append.sequence > producer.next_sequence) {
    return Refused(RefusalReason::kSequenceGap, producer.next_sequence, append.sequence, true);
  }
  const AppliedAppend result = Place(append);
  if (result.reason != RefusalReason::kNone &&
      paxos::IsBroken(paxos::Break::kRefusalNotRemembered)) {
    return result;
  }
  producer.results.push_back(Result{.first_sequence = append.sequence,
                                    .epoch = append.epoch,
                                    .first_position = result.first_position,
                                    .expected = result.expected,
                                    .actual = result.actual,
                                    .count = append.count,
                                    .reason = result.reason});
  if (producer.results.size() > kResultsKept) producer.results.pop_front();
  producer.next_sequence += append.count;
  return result;
}

// Appends, if the position is the expected one.
AppliedAppend Sequencer::Place(const BatchOutline::Append& append) {
  const uint64_t position = last_position_ + 1;
  if (append.expect_position != 0 && append.expect_position != position) {
    return Refused(RefusalReason::kPosition, append.expect_position, position, true);
  }
  last_position_ += append.count;
  AppliedAppend result;
  result.first_position = position;
  result.count = append.count;
  return result;
}

// Of an append that begins with a sequence decided before. Nothing of it is ever applied.
AppliedAppend Sequencer::ResultOfRepeat(const Producer& producer,
                                        const BatchOutline::Append& append) const {
  const AppliedAppend boundaries =
      Refused(RefusalReason::kSequenceBoundaries, producer.next_sequence, append.sequence, false);
  if (append.count == 0 || append.sequence < producer.opened_next_sequence) return boundaries;
  // opened_next_sequence <= sequence < next_sequence: this epoch has decided something, so that at
  // least the newest result is there.
  CHECK(!producer.results.empty());
  const uint64_t oldest_kept = producer.results.front().first_sequence;
  if (append.sequence + append.count <= oldest_kept) {
    return Refused(RefusalReason::kResultNotKept, oldest_kept, append.sequence, false);
  }
  const auto result = std::lower_bound(
      producer.results.begin(), producer.results.end(), append.sequence,
      [](const Result& r, uint64_t sequence) { return r.first_sequence < sequence; });
  if (result == producer.results.end() || result->first_sequence != append.sequence ||
      result->count != append.count) {
    return boundaries;
  }
  AppliedAppend original;
  original.reason = result->reason;
  original.duplicate = true;
  original.not_appended = result->reason != RefusalReason::kNone;
  original.first_position = paxos::IsBroken(paxos::Break::kDuplicateGetsNewPosition)
                                ? last_position_ + 1
                                : result->first_position;
  original.count = original.not_appended ? 0 : result->count;
  original.expected = result->expected;
  original.actual = result->actual;
  return original;
}

absl::Status Sequencer::ApplyCommand(const std::string& payload, Applied* applied) {
  google::protobuf::Arena arena;
  v1::Command* command = google::protobuf::Arena::CreateMessage<v1::Command>(&arena);
  if (!command->ParseFromString(payload)) {
    return absl::DataLossError("its bytes are not those of a command");
  }
  if (!IsAllKnown(*command)) {
    return absl::UnimplementedError("its command is not known to this program");
  }
  if (command->command_case() == v1::Command::COMMAND_NOT_SET) {
    return absl::DataLossError("its command is missing");
  }
  applied->origin_replica = command->origin().replica();
  applied->origin_start_nonce = command->origin().start_nonce();
  applied->origin_sequence = command->origin().sequence();
  cluster_time_ms_ = std::max(cluster_time_ms_, command->cluster_time_ms());
  Decide(*command, applied);
  return absl::OkStatus();
}

void Sequencer::Decide(const v1::Command& command, Applied* applied) {
  const int64_t time_ms = command.timestamp_ms();
  switch (command.command_case()) {
    case v1::Command::kOpenProducer:
      applied->opened = OpenProducer(command.open_producer());
      break;
    case v1::Command::kLeadership:
      applied->begins_term = BeginTerm(command.leadership(), applied->slot, time_ms);
      break;
    case v1::Command::kBeginOperation:
      applied->operation =
          operations_.Begin(command.begin_operation(), applied->slot, time_ms, configuration_);
      break;
    case v1::Command::kCancelOperation:
      applied->operation =
          operations_.Cancel(command.cancel_operation().id(), time_ms, configuration_);
      break;
    case v1::Command::kAdvanceOperation:
      applied->operation =
          operations_.Advance(command.advance_operation(), time_ms, configuration_);
      break;
    case v1::Command::kRecovery:
      recoveries_.push_back(command.recovery());
      break;
    case v1::Command::COMMAND_NOT_SET:
      break;
  }
}

// Ballots of terms rise. One that does not was begun before, and is told again.
bool Sequencer::BeginTerm(const v1::LeadershipCommand& command, paxos::Slot slot, int64_t time_ms) {
  const paxos::Ballot last = terms_.empty() ? paxos::Ballot() : FromProto(terms_.back().ballot());
  if (FromProto(command.ballot()) <= last) return false;
  v1::TermState& term = terms_.emplace_back();
  *term.mutable_ballot() = command.ballot();
  term.set_first_slot(slot);
  term.set_first_position(last_position_ + 1);
  term.set_begun_ms(time_ms);
  term.set_previous_end(command.previous_end());
  if (terms_.size() > kTermsKept) terms_.pop_front();
  return true;
}

OpenProducerResult Sequencer::OpenProducer(const v1::OpenProducerCommand& command) {
  const auto it = producers_.find(command.name());
  const uint64_t epoch = it == producers_.end() ? 0 : it->second.epoch;
  OpenProducerResult result;
  // Epoch 0 was not opened: no nonce, 0 least of all, repeats its opening.
  const bool is_repeat = epoch != 0 && it->second.nonce == command.nonce();
  if (!is_repeat && command.has_after_epoch() && command.after_epoch() != epoch) {
    result.reason = RefusalReason::kAfterEpoch;
    result.expected = command.after_epoch();
    result.actual = epoch;
    return result;
  }
  Producer& producer = it == producers_.end() ? producers_[command.name()] : it->second;
  producer.touched_ms = cluster_time_ms_;
  if (!is_repeat) {
    ++producer.epoch;
    producer.nonce = command.nonce();
    producer.opened_next_sequence = producer.next_sequence;
  }
  result.epoch = producer.epoch;
  result.next_sequence = producer.opened_next_sequence;
  return result;
}

void Sequencer::ApplyConfiguration(const paxos::AcceptedValue& value) {
  if (!paxos::TakesEffect(*value.value.configuration, configuration_) &&
      !paxos::IsBroken(paxos::Break::kAnyConfigurationTakesEffect)) {
    return;
  }
  previous_configuration_ = std::move(configuration_);
  configuration_ = *value.value.configuration;
  configuration_slot_ = value.slot;
  operations_.OnConfiguration(configuration_);
}

}  // namespace distlog
