// The applied state: what is restored from a checkpoint gives the same checkpoint again, what is
// not is refused in words; and chosen values are applied alike by a state and by its copy, or
// refused with nothing changed. Some of the values are anything, others fit the state, as those of
// a leader would: mere bytes would not come upon the version in force and the operation that runs.

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "glog/logging.h"
#include "log/operations.h"
#include "log/sequencer.h"
#include "proto/distlog/v1/record.pb.h"
#include "tests/fuzz/bytes.h"
#include "wire/batch_outline.h"
#include "wire/checksum.h"
#include "wire/value.h"

namespace distlog {
namespace {

constexpr int kMaxValues = 64;

paxos::Configuration Genesis() {
  paxos::Configuration genesis;
  genesis.version = 1;
  for (uint64_t id = 1; id <= 3; ++id) {
    genesis.members.push_back(
        {paxos::ReplicaId{id}, {0, id}, "replica:" + std::to_string(id), true});
  }
  genesis.next_replica_id = 4;
  return genesis;
}

// ---- Values ------------------------------------------------------------------------------------

// Members in force are kept, demoted or dropped, two bits each; newcomers with UUIDs of one byte.
v1::BeginOperationCommand Begin(const paxos::Configuration& in_force, Bytes* input) {
  v1::BeginOperationCommand begin;
  const auto how = input->Take<uint8_t>();
  begin.set_verb(how % 8);
  begin.set_base_version(in_force.version + (how >> 3 & 1));
  begin.set_learn_first((how >> 4 & 1) != 0);
  begin.set_nonce(how >> 5);
  auto kept = input->Take<uint32_t>();
  const v1::ConfigurationMessage members = ToProto(in_force);
  for (const v1::MemberMessage& member : members.members()) {
    if ((kept & 1) == 0) {
      *begin.add_goal() = member;
      if ((kept & 2) != 0) begin.mutable_goal(begin.goal_size() - 1)->set_voter(false);
    }
    kept >>= 2;
  }
  for (int newcomers = input->Take<uint8_t>() % 8; newcomers > 0; --newcomers) {
    const auto uuid = input->Take<uint8_t>();
    v1::MemberMessage* member = begin.add_goal();
    member->set_uuid(ToBytes({0, uuid}));
    member->set_address("newcomer:" + std::to_string(uuid));
    member->set_voter(uuid % 4 != 0);
  }
  return begin;
}

v1::Command Command(const Sequencer& state, Bytes* input) {
  v1::Command command;
  command.mutable_origin()->set_sequence(input->Take<uint8_t>());
  command.set_cluster_time_ms(input->Take<uint16_t>());
  const auto kind = input->Take<uint8_t>();
  const uint64_t id = state.operations().next_id() - 1 - (kind >> 7);
  switch (kind % 6) {
    case 0:
      *command.mutable_begin_operation() = Begin(state.configuration(), input);
      break;
    case 1:
      command.mutable_cancel_operation()->set_id(id);
      break;
    case 2:
      command.mutable_advance_operation()->set_id(id);
      command.mutable_advance_operation()->set_phase(input->Take<uint8_t>() % 9);
      command.mutable_advance_operation()->set_reason(input->TakeString(1));
      break;
    case 3: {
      v1::LeadershipCommand* leadership = command.mutable_leadership();
      leadership->mutable_ballot()->set_round(input->Take<uint8_t>());
      leadership->mutable_ballot()->set_replica(input->Take<uint8_t>() % 4);
      leadership->set_previous_end(static_cast<v1::TermEnd>(input->Take<uint8_t>() % 8));
      break;
    }
    case 4:
      command.mutable_recovery()->set_divergence_slot(input->Take<uint16_t>());
      command.mutable_recovery()->set_report(input->TakeString(3));
      break;
    default:
      command.mutable_open_producer()->set_name(input->TakeString(1));
      command.mutable_open_producer()->set_nonce(input->Take<uint8_t>());
      break;
  }
  return command;
}

// One of those on the way of the running operation, whether it is its turn or not.
absl::StatusOr<paxos::Configuration> Configuration(const Sequencer& state, int which) {
  const v1::OperationState* running = state.operations().running();
  if (running == nullptr) return absl::NotFoundError("nothing runs");
  const paxos::Configuration& in_force = state.configuration();
  // Whatever a server takes has been decoded.
  if (which % 3 == 0) return FromProto(ToProto(WithLearners(*running, in_force)));
  if (which % 3 == 1) return FromProto(ToProto(GoalOf(*running, in_force)));
  return FromProto(ToProto(WithoutAdded(*running, in_force)));
}

// Whether a client could have sent this: protobuf refuses names that are not UTF-8, the outline of
// a batch takes them.
bool IsFromClients(const paxos::Value& value) {
  if (value.kind != paxos::Value::Kind::kBatch || !OutlineOf(*value.payload).ok()) return true;
  return v1::Batch().ParseFromString(*value.payload);
}

// Not OK: the bytes give no value.
absl::StatusOr<paxos::Value> NextValue(const Sequencer& state, Bytes* input) {
  const auto how = input->Take<uint8_t>();
  if (how % 4 == 0) return MakeValue(Command(state, input));
  if (how % 4 == 1) {
    const auto next = Configuration(state, how / 4);
    if (!next.ok()) return next.status();
    return MakeValue(*next);
  }
  const auto kind = input->Take<uint8_t>();
  std::string payload = input->TakeString(input->Take<uint8_t>());
  const uint64_t checksum = payload.empty() ? 0 : Checksum(payload);
  return DecodeValue(kind, std::move(payload), checksum);
}

// ---- States ------------------------------------------------------------------------------------

// What holds of every table, and of all terms.
void CheckChanges(const Sequencer& state) {
  const std::deque<v1::OperationState>& all = state.operations().all();
  size_t finished = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    CHECK_LT(all[i].id(), i + 1 < all.size() ? all[i + 1].id() : state.operations().next_id());
    if (IsFinished(all[i])) {
      ++finished;
    } else {
      CHECK_EQ(i + 1, all.size()) << "an operation is running, and not the last";
    }
  }
  CHECK_LE(finished, Operations::kFinishedKept);
  CHECK_LE(state.terms().size(), Sequencer::kTermsKept);
  const auto falls = [](const v1::TermState& a, const v1::TermState& b) {
    return FromProto(a.ballot()) >= FromProto(b.ballot());
  };
  CHECK(std::adjacent_find(state.terms().begin(), state.terms().end(), falls) ==
        state.terms().end());
}

// Both are equal before and after.
void ApplyToBoth(const paxos::Value& value, Sequencer* state, Sequencer* copy) {
  const std::string before = state->Snapshot();
  const uint64_t version = state->configuration().version;
  const paxos::AcceptedValue accepted{
      state->applied_through() + 1, {1, paxos::ReplicaId{1}}, value};
  const auto applied = state->Apply(accepted);
  const auto applied_by_copy = copy->Apply(accepted);
  CHECK_EQ(applied.ok(), applied_by_copy.ok());
  if (applied.ok()) {
    CHECK(*applied == *applied_by_copy);
    CHECK_EQ(state->applied_through(), accepted.slot);
    CHECK_LE(state->configuration().version, version + 1);
  } else {
    CHECK(!applied.status().message().empty());
    CHECK_EQ(state->Snapshot(), before);
  }
  CHECK_EQ(state->Snapshot(), copy->Snapshot());
  CheckChanges(*state);
}

// Gives `state` again, or fails.
Sequencer Copy(const Sequencer& state) {
  const std::string snapshot = state.Snapshot();
  auto restored = Sequencer::Restore(snapshot);
  CHECK(restored.ok()) << restored.status();
  CHECK_EQ(restored->Snapshot(), snapshot);
  return *std::move(restored);
}

// Without a checkpoint: the state of a new cluster.
std::optional<Sequencer> FirstState(const std::string& checkpoint) {
  if (checkpoint.empty()) return Sequencer(Genesis());
  auto restored = Sequencer::Restore(checkpoint);
  if (restored.ok()) return *std::move(restored);
  CHECK(!restored.status().message().empty());
  return std::nullopt;
}

}  // namespace
}  // namespace distlog

// A checkpoint, behind its size; then values, up to the end.
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  distlog::Bytes input(data, size);
  const std::string checkpoint = input.TakeString(input.Take<uint16_t>());
  std::optional<distlog::Sequencer> state = distlog::FirstState(checkpoint);
  if (!state.has_value()) return 0;
  distlog::Sequencer copy = distlog::Copy(*state);
  for (int i = 0; i < distlog::kMaxValues && !input.rest().empty(); ++i) {
    const auto value = distlog::NextValue(*state, &input);
    if (!value.ok() || !distlog::IsFromClients(*value)) continue;
    distlog::ApplyToBoth(*value, &*state, &copy);
  }
  distlog::Copy(*state);
  return 0;
}
