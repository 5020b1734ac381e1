// What replicas take to be in force, when a change of configuration has come to its end, and what
// must be on the disks that are left then.

#include "tests/simulation/checker.h"
#include "tests/simulation/checker_text.h"

namespace distlog::simulation {

using paxos::ReplicaId;
using paxos::Slot;

// P7: each slot's configuration is the same wherever it is known.
void Checker::Sees(ReplicaId replica, const View& view) {
  Member& self = member(replica);
  self.leads = view.leads;
  const uint64_t version = view.configuration.version;
  const Decisions::Electorate& truth = decisions_.ElectorateOf(self.chosen_through + 1);
  const bool is_true = version == truth.configuration.version &&
                       view.configuration_slot == truth.after &&
                       (version == self.seen_version || view.configuration == truth.configuration);
  if (!is_true) {
    Fail(replica, Text("it takes configuration ", version, " of slot ", view.configuration_slot,
                       " to be in force after slot ", self.chosen_through, ", but that is ",
                       truth.configuration.version, " of slot ", truth.after));
  }
  self.seen_version = version;
  if (view.is_settled) CheckSettled(replica, version, "it");
  if (!view.has_left) return;
  CheckSettled(replica, version, "who has left");
  if (view.configuration.Find(replica) != nullptr) Fail(replica, "it has left, but is a member");
}

bool Checker::IsSettled(uint64_t version) {
  for (uint64_t each = decisions_.newest_version(); each > settled_version_; --each) {
    const Decisions::Electorate& electorate = *decisions_.OfVersion(each);
    Mask holders = 0;
    for (const auto& [id, member] : members_) {
      const Image& disk = member.durable;
      if (disk.stored >= electorate.after && disk.mark >= electorate.after) {
        holders |= Decisions::Bit(id);
      }
    }
    if (electorate.IsQuorum(holders)) settled_version_ = each;
  }
  return version <= settled_version_;
}

void Checker::CheckSettled(ReplicaId replica, uint64_t version, const char* where) {
  if (version <= settled_version_ || IsSettled(version)) return;
  Fail(replica, Text(where, " says that configuration ", version, " is settled, but no quorum of ",
                     "its voters would recover its slot as chosen"));
}

// Leavers may go as soon as an operation is called done.
void Checker::CheckProposedEnd(ReplicaId replica, const paxos::Value& value) {
  v1::Command command;
  if (value.kind != paxos::Value::Kind::kCommand || !command.ParseFromString(*value.payload) ||
      !command.has_advance_operation()) {
    return;
  }
  const auto phase = static_cast<OperationPhase>(command.advance_operation().phase());
  if (phase < OperationPhase::kDone) return;
  CheckSettled(replica, member(replica).seen_version, "who ends an operation");
}

std::optional<std::string> Checker::CheckChange(const paxos::Value& value,
                                                const distlog::Applied& applied) {
  const paxos::Configuration& in_force = decisions_.ElectorateOf(applied.slot).configuration;
  if (value.kind == paxos::Value::Kind::kConfiguration) {
    const Decisions::Electorate& next = decisions_.ElectorateOf(applied.slot + 1);
    if (next.after != applied.slot) return std::nullopt;
    return operations_.Follow(applied.slot, in_force, next.configuration);
  }
  v1::Command command;
  if (value.kind != paxos::Value::Kind::kCommand || !command.ParseFromString(*value.payload)) {
    return std::nullopt;
  }
  return operations_.Apply(command, in_force, applied);
}

void Checker::Operates(ReplicaId replica, Slot through, const Operations& table) {
  if (auto wrong = operations_.Compare(through, table)) Fail(replica, *wrong);
}

void Checker::BeginAnswered(uint64_t nonce, const absl::StatusOr<uint64_t>& answer) {
  if (auto wrong = operations_.BeginAnswered(nonce, answer)) fail_(*wrong);
}

void Checker::CancelAnswered(uint64_t id, const absl::StatusOr<uint64_t>& answer) {
  if (auto wrong = operations_.CancelAnswered(id, answer)) fail_(*wrong);
}

void Checker::CheckRefusals() {
  if (auto wrong = operations_.CheckRefusals()) fail_(*wrong);
}

void Checker::Destroyed(ReplicaId replica) {
  Member& self = member(replica);
  self.durable = self.written = Image();
}

// Of C(s), or of the configuration that is settled since: then machines that have left may be gone.
void Checker::CheckDisks() {
  const Decisions::Electorate& settled = *decisions_.OfVersion(settled_version_);
  for (Slot slot = 1; slot <= decisions_.chosen_through(); ++slot) {
    const Held& chosen = *decisions_.Chosen(slot);
    Mask holders = 0;
    for (const auto& [id, each] : members_) {
      const Held* held = each.durable.Find(slot);
      if (held == nullptr) continue;
      if (held->value == chosen.value) {
        holders |= Decisions::Bit(id);
      } else if (held->ballot >= chosen.ballot) {
        Fail(id,
             Text("slot ", slot, " holds ", Decisions::Describe(held->value), " at ", held->ballot,
                  ", but ", Decisions::Describe(chosen.value), " was chosen at ", chosen.ballot));
      }
    }
    const Decisions::Electorate& keepers =
        slot <= settled.after ? settled : decisions_.ElectorateOf(slot);
    if (!keepers.IsQuorum(holders)) {
      fail_(Text("the value chosen in slot ", slot, " is no longer on the disks of a quorum"));
    }
  }
}

}  // namespace distlog::simulation
