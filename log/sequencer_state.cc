// The applied state to and from the bytes of a checkpoint.

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "google/protobuf/arena.h"
#include "log/known_fields.h"
#include "log/sequencer.h"
#include "wire/value.h"

namespace distlog {
namespace {

constexpr uint32_t kSnapshotFormat = 1;

// No log lives to see a number above this; from here on sums might overflow.
constexpr uint64_t kMaxNumber = uint64_t{1} << 62;

bool IsStateKnown(const v1::AppliedState& state) {
  if (HasUnknownFields(state)) return false;
  for (const v1::ProducerState& producer : state.producers()) {
    if (HasUnknownFields(producer)) return false;
    for (const v1::ProducerResult& result : producer.results()) {
      if (HasUnknownFields(result)) return false;
    }
  }
  return std::all_of(state.operations().begin(), state.operations().end(), IsAllKnown) &&
         std::all_of(state.terms().begin(), state.terms().end(), IsAllKnown) &&
         std::all_of(state.recoveries().begin(), state.recoveries().end(), IsAllKnown);
}

absl::Status BadState(const std::string& what) {
  return absl::DataLossError(
      absl::StrCat("the checkpoint of the applied state is damaged: ", what));
}

}  // namespace

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
  if (previous_configuration_.has_value()) {
    *state.mutable_previous_configuration() = ToProto(*previous_configuration_);
  }
  for (const v1::OperationState& operation : operations_.all()) {
    *state.add_operations() = operation;
  }
  state.set_next_operation_id(operations_.next_id());
  for (const v1::TermState& term : terms_) *state.add_terms() = term;
  for (const v1::RecoveryCommand& recovery : recoveries_) *state.add_recoveries() = recovery;
  std::string bytes;
  CHECK(state.SerializeToString(&bytes)) << "the applied state does not fit into 2 GiB";
  return bytes;
}

absl::StatusOr<Sequencer> Sequencer::Restore(const std::string& snapshot) {
  google::protobuf::Arena arena;
  v1::AppliedState& state = *google::protobuf::Arena::CreateMessage<v1::AppliedState>(&arena);
  if (!state.ParseFromString(snapshot)) return BadState("its bytes cannot be decoded");
  if (state.format() > kSnapshotFormat || (state.format() != 0 && !IsStateKnown(state))) {
    return absl::UnimplementedError(
        absl::StrCat("the checkpoint of the applied state has format ", state.format(),
                     " or fields that this program does not know (it knows format ",
                     kSnapshotFormat, "); install a newer version of distlog on this server"));
  }
  if (state.format() != kSnapshotFormat) return BadState("it has no format");
  if (state.first_position() == 0 || state.first_position() > state.last_position() + 1 ||
      state.last_position() > kMaxNumber || state.applied_through() > kMaxNumber ||
      state.next_operation_id() > kMaxNumber ||
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
  if (absl::Status status = sequencer.RestoreChanges(state); !status.ok()) return status;
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

// None of these are in a state from before there were changes.
absl::Status Sequencer::RestoreChanges(const v1::AppliedState& state) {
  if (state.has_previous_configuration()) {
    absl::StatusOr<paxos::Configuration> before = FromProto(state.previous_configuration());
    if (!before.ok()) return BadState(std::string(before.status().message()));
    previous_configuration_ = *std::move(before);
  }
  absl::StatusOr<Operations> operations =
      Operations::Restore(state.operations(), state.next_operation_id());
  if (!operations.ok()) return BadState(std::string(operations.status().message()));
  operations_ = *std::move(operations);
  if (static_cast<size_t>(state.terms_size()) > kTermsKept)
    return BadState("it has too many terms");
  paxos::Ballot last;
  for (const v1::TermState& term : state.terms()) {
    const paxos::Ballot ballot = FromProto(term.ballot());
    if (ballot <= last) return BadState("its terms are not in order");
    last = ballot;
    terms_.push_back(term);
  }
  recoveries_.assign(state.recoveries().begin(), state.recoveries().end());
  return absl::OkStatus();
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
