#include "log/sequencer.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "google/protobuf/arena.h"
#include "google/protobuf/message.h"
#include "paxos/break.h"
#include "paxos/invariant.h"
#include "wire/checksum.h"
#include "wire/value.h"

namespace distlog {
namespace {

constexpr uint32_t kSnapshotFormat = 1;

// No log lives to see a number above this; from here on sums might overflow.
constexpr uint64_t kMaxNumber = uint64_t{1} << 62;

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

bool HasUnknownFields(const google::protobuf::Message& message) {
  return !message.GetReflection()->GetUnknownFields(message).empty();
}

bool IsAllKnown(const v1::Command& command) {
  return !HasUnknownFields(command) && !HasUnknownFields(command.origin()) &&
         !HasUnknownFields(command.open_producer());
}

bool IsAllKnown(const v1::AppliedState& state) {
  if (HasUnknownFields(state)) return false;
  for (const v1::ProducerState& producer : state.producers()) {
    if (HasUnknownFields(producer)) return false;
    for (const v1::ProducerResult& result : producer.results()) {
      if (HasUnknownFields(result)) return false;
    }
  }
  return true;
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

absl::Status BadState(const std::string& what) {
  return absl::DataLossError(
      absl::StrCat("the checkpoint of the applied state is damaged: ", what));
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
  if (!command->has_open_producer() && !command->has_recovery()) {
    return absl::DataLossError("its command is missing");
  }

  applied->origin_replica = command->origin().replica();
  applied->origin_start_nonce = command->origin().start_nonce();
  applied->origin_sequence = command->origin().sequence();
  cluster_time_ms_ = std::max(cluster_time_ms_, command->cluster_time_ms());
  if (command->has_open_producer()) applied->opened = OpenProducer(command->open_producer());
  return absl::OkStatus();
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
  configuration_ = *value.value.configuration;
  configuration_slot_ = value.slot;
}

std::string Sequencer::Snapshot() const {
  google::protobuf::Arena arena;
  v1::AppliedState& state = *google::protobuf::Arena::CreateMessage<v1::AppliedState>(&arena);
  state.set_format(kSnapshotFormat);
  state.set_applied_through(applied_through_);
  state.set_first_position(first_position_);
  state.set_last_position(last_position_);
  state.set_digest(digest_);
  state.set_cluster_time_ms(cluster_time_ms_);
  // The map's own order may be another in each process.
  std::map<std::string_view, const Producer*> by_name;
  for (const auto& [name, producer] : producers_) by_name.emplace(name, &producer);
  for (const auto& [name, producer] : by_name) {
    v1::ProducerState* out = state.add_producers();
    out->set_name(name.data(), name.size());
    out->set_epoch(producer->epoch);
    out->set_next_sequence(producer->next_sequence);
    out->set_nonce(producer->nonce);
    out->set_touched_ms(producer->touched_ms);
    out->set_opened_next_sequence(producer->opened_next_sequence);
    out->mutable_results()->Reserve(static_cast<int>(producer->results.size()));
    for (const Result& result : producer->results) {
      v1::ProducerResult* to = out->add_results();
      to->set_first_sequence(result.first_sequence);
      to->set_count(result.count);
      to->set_first_position(result.first_position);
      to->set_reason(static_cast<uint32_t>(result.reason));
      to->set_expected(result.expected);
      to->set_actual(result.actual);
      to->set_epoch(result.epoch);
    }
  }
  *state.mutable_configuration() = ToProto(configuration_);
  state.set_configuration_slot(configuration_slot_);
  *state.mutable_highest_ballot() = ToProto(highest_ballot_);
  std::string bytes;
  CHECK(state.SerializeToString(&bytes)) << "the applied state does not fit into 2 GiB";
  return bytes;
}

absl::StatusOr<Sequencer> Sequencer::Restore(const std::string& snapshot) {
  google::protobuf::Arena arena;
  v1::AppliedState& state = *google::protobuf::Arena::CreateMessage<v1::AppliedState>(&arena);
  if (!state.ParseFromString(snapshot)) return BadState("its bytes cannot be decoded");
  if (state.format() > kSnapshotFormat || (state.format() != 0 && !IsAllKnown(state))) {
    return absl::UnimplementedError(
        absl::StrCat("the checkpoint of the applied state has format ", state.format(),
                     " or fields that this program does not know (it knows format ",
                     kSnapshotFormat, "); install a newer version of distlog on this server"));
  }
  if (state.format() != kSnapshotFormat) return BadState("it has no format");
  if (state.first_position() == 0 || state.first_position() > state.last_position() + 1 ||
      state.last_position() > kMaxNumber || state.applied_through() > kMaxNumber ||
      state.configuration_slot() > state.applied_through()) {
    return BadState("its positions or slots contradict each other");
  }
  absl::StatusOr<paxos::Configuration> configuration = FromProto(state.configuration());
  if (!configuration.ok()) return BadState(std::string(configuration.status().message()));

  Sequencer sequencer;
  sequencer.applied_through_ = state.applied_through();
  sequencer.first_position_ = state.first_position();
  sequencer.last_position_ = state.last_position();
  sequencer.digest_ = state.digest();
  sequencer.cluster_time_ms_ = state.cluster_time_ms();
  sequencer.configuration_ = *std::move(configuration);
  sequencer.configuration_slot_ = state.configuration_slot();
  sequencer.highest_ballot_ = FromProto(state.highest_ballot());
  const std::string* previous = nullptr;
  for (const v1::ProducerState& producer : state.producers()) {
    if (previous != nullptr && producer.name() <= *previous) {
      return BadState("its producers are not in order");
    }
    previous = &producer.name();
    Producer& to = sequencer.producers_[producer.name()];
    absl::Status status = RestoreProducer(producer, state.last_position(), &to);
    if (!status.ok()) return status;
  }
  return sequencer;
}

absl::Status Sequencer::RestoreProducer(const v1::ProducerState& state, uint64_t last_position,
                                        Producer* producer) {
  const auto bad = [&state](const std::string& what) {
    return BadState(absl::StrCat("producer \"", absl::CHexEscape(state.name()), "\": ", what));
  };
  if (state.opened_next_sequence() == 0 || state.opened_next_sequence() > state.next_sequence() ||
      (state.results().empty() && state.next_sequence() != 1) ||
      state.next_sequence() > kMaxNumber || state.epoch() > kMaxNumber ||
      static_cast<size_t>(state.results_size()) > kResultsKept) {
    return bad("its sequences contradict each other");
  }
  uint64_t next = state.results().empty() ? 1 : state.results(0).first_sequence();
  for (const v1::ProducerResult& result : state.results()) {
    const auto reason = static_cast<RefusalReason>(result.reason());
    const bool appended = reason == RefusalReason::kNone;
    if (!appended && reason != RefusalReason::kPosition) return bad("it was refused for no reason");
    if (result.first_sequence() == 0 || result.first_sequence() != next || result.count() == 0 ||
        result.count() > state.next_sequence() - next || result.epoch() > state.epoch()) {
      return bad("its ranges contradict each other");
    }
    // A refusal has no position.
    if (appended != (result.first_position() != 0) || result.first_position() > last_position ||
        (appended && result.count() - 1 > last_position - result.first_position())) {
      return bad("it has an answer beyond the end of the log");
    }
    next += result.count();
    producer->results.push_back(Result{.first_sequence = result.first_sequence(),
                                       .epoch = result.epoch(),
                                       .first_position = result.first_position(),
                                       .expected = result.expected(),
                                       .actual = result.actual(),
                                       .count = result.count(),
                                       .reason = reason});
  }
  if (next != state.next_sequence()) return bad("its newest answers are missing");
  producer->epoch = state.epoch();
  producer->next_sequence = state.next_sequence();
  producer->nonce = state.nonce();
  producer->opened_next_sequence = state.opened_next_sequence();
  producer->touched_ms = state.touched_ms();
  return absl::OkStatus();
}

}  // namespace distlog
