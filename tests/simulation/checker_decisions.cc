#include "tests/simulation/checker_decisions.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "tests/simulation/checker_text.h"

namespace distlog::simulation {

using paxos::Ballot;
using paxos::Configuration;
using paxos::Member;
using paxos::ReplicaId;
using paxos::Slot;
using paxos::Value;

namespace {

Decisions::Mask VotersOf(const Configuration& configuration) {
  Decisions::Mask voters = 0;
  for (const Member& member : configuration.members) {
    if (member.voter) voters |= Decisions::Bit(member.id);
  }
  return voters;
}

bool IsMajority(Decisions::Mask of, Decisions::Mask mask) {
  return std::popcount(mask & of) * 2 > std::popcount(of);
}

// Rule B2, read anew: it replaces the one in force, and gives no seat away twice.
bool TakesEffectAfter(const Configuration& current, const Configuration& next) {
  if (next.version != current.version + 1 || VotersOf(next) == 0) return false;
  if (next.next_replica_id < current.next_replica_id) return false;
  return std::all_of(next.members.begin(), next.members.end(), [&](const Member& member) {
    const auto id = static_cast<uint64_t>(member.id);
    bool is_new = id >= current.next_replica_id && id < next.next_replica_id;
    for (const Member& seat : current.members) {
      if (seat.id == member.id) return seat.uuid == member.uuid;
      if (seat.uuid == member.uuid) is_new = false;
    }
    return is_new;
  });
}

}  // namespace

Decisions::Decisions(const Configuration& genesis, Fail fail) : fail_(std::move(fail)), slots_(1) {
  values_.emplace_back();
  electorates_.push_back({0, Ballot(), Ballot(), genesis, VotersOf(genesis)});
}

Decisions::ValueId Decisions::Identify(const Value& value) {
  if (value.kind == Value::Kind::kNoOp) return 0;
  const auto [begin, end] = by_checksum_.equal_range(value.checksum);
  for (auto it = begin; it != end; ++it) {
    const Value& known = values_[it->second];
    if (known.kind == value.kind &&
        (known.payload == value.payload || *known.payload == *value.payload)) {
      return it->second;
    }
  }
  values_.push_back(value);
  by_checksum_.emplace(value.checksum, values_.size() - 1);
  return values_.size() - 1;
}

std::string Decisions::Describe(ValueId value) {
  return value == 0 ? "no-op" : Text("value #", value);
}

Decisions::SlotHistory& Decisions::At(Slot slot) {
  if (slots_.size() <= slot) slots_.resize(slot + 1);
  return slots_[slot];
}

// ---- Who decides. ------------------------------------------------------------------------------

const Decisions::Electorate& Decisions::ElectorateOf(Slot slot) const {
  auto it = electorates_.rbegin();
  while (it->after >= slot && it->after > 0) ++it;
  return *it;
}

bool Decisions::Electorate::IsQuorum(Mask mask) const { return IsMajority(voters, mask); }

const Decisions::Electorate* Decisions::OfVersion(uint64_t version) const {
  const uint64_t first = electorates_.front().configuration.version;
  return version < first || version > newest_version() ? nullptr : &electorates_[version - first];
}

Slot Decisions::BarrierOf(const Ballot& ballot) const {
  const auto barrier = barrier_.find(ballot);
  return barrier == barrier_.end() ? 0 : barrier->second;
}

bool Decisions::HasPendingConfiguration() const {
  return std::any_of(barrier_.begin(), barrier_.end(),
                     [this](const auto& barrier) { return barrier.second > chosen_through_; });
}

// ---- What is proposed. -------------------------------------------------------------------------

void Decisions::NoteProposal(ReplicaId replica, Slot slot, const Ballot& ballot,
                             const Value& value) {
  const ValueId id = Identify(value);
  SlotHistory& history = At(slot);
  const auto [it, added] = history.proposed.emplace(ballot, id);
  if (it->second != id) {
    fail_(replica, Text("two values at slot ", slot, ", ballot ", ballot, ": ",
                        Describe(it->second), " and ", Describe(id)));
  }
  if (!added) return;
  if (history.proposed.size() > 1) ++proposed_again_;
  if (history.chosen.has_value() && history.chosen->ballot < ballot &&
      history.chosen->value != id) {
    fail_(replica,
          Text("slot ", slot, " has ", Describe(history.chosen->value), " chosen at ",
               history.chosen->ballot, ", but ", Describe(id), " is proposed at ", ballot));
  }
  const bool is_configuration = value.kind == Value::Kind::kConfiguration;
  CheckBarrier(replica, slot, ballot, is_configuration);
  if (value.kind == Value::Kind::kCommand) newest_command_ = std::max(newest_command_, slot);
  if (id == 0 || is_configuration) return;
  const auto [where, first] = slot_of_.emplace(id, slot);
  if (where->second != slot) {
    fail_(replica,
          Text(Describe(id), " is proposed in slot ", where->second, " and in slot ", slot));
  }
}

// B1: above a configuration nothing is proposed at its ballot until it is chosen; so at most one is
// under way at a ballot.
void Decisions::CheckBarrier(ReplicaId replica, Slot slot, const Ballot& ballot,
                             bool is_configuration) {
  const auto barrier = barrier_.find(ballot);
  if (barrier != barrier_.end() && slot > barrier->second && barrier->second > chosen_through_) {
    fail_(replica, Text("slot ", slot, " is proposed at ", ballot, ", above the configuration in ",
                        "slot ", barrier->second, ", which is not chosen yet"));
  }
  if (is_configuration) barrier_[ballot] = slot;
}

// ---- What is chosen. ---------------------------------------------------------------------------

const Decisions::Held* Decisions::Chosen(Slot slot) const {
  if (slot >= slots_.size() || !slots_[slot].chosen.has_value()) return nullptr;
  return &*slots_[slot].chosen;
}

bool Decisions::HasAccepted(ReplicaId replica, Slot slot, const Ballot& ballot) const {
  if (slot >= slots_.size()) return false;
  const auto it = slots_[slot].accepted.find(ballot);
  return it != slots_[slot].accepted.end() && (it->second & Bit(replica)) != 0;
}

void Decisions::NoteDurable(ReplicaId replica, Slot slot, const Held& held) {
  Mask& mask = At(slot).accepted[held.ballot];
  mask |= Bit(replica);
  const Electorate& who = ElectorateOf(slot);
  if (held.ballot >= who.since && who.IsQuorum(mask)) NoteChosen(slot, held);
}

void Decisions::NoteChosen(Slot slot, const Held& held) {
  SlotHistory& history = slots_[slot];
  if (!history.chosen.has_value()) {
    history.chosen = held;
  } else if (history.chosen->value != held.value) {
    fail_(paxos::kNoReplica,
          Text("two values are chosen in slot ", slot, ": ", Describe(history.chosen->value),
               " at ", history.chosen->ballot, " and ", Describe(held.value), " at ", held.ballot));
  }
  history.chosen->ballot = std::min(history.chosen->ballot, held.ballot);
  for (auto it = history.proposed.upper_bound(held.ballot); it != history.proposed.end(); ++it) {
    if (it->second != held.value) {
      fail_(paxos::kNoReplica,
            Text("slot ", slot, " has ", Describe(held.value), " chosen at ", held.ballot, ", but ",
                 Describe(it->second), " was proposed at ", it->first));
    }
  }
  if (held.value != 0 && not_chosen_.contains(held.value)) {
    fail_(not_chosen_.at(held.value), Text("slot ", slot, " has ", Describe(held.value),
                                           " chosen, which it said never would be"));
  }
  while (chosen_through_ + 1 < slots_.size() && slots_[chosen_through_ + 1].chosen.has_value()) {
    ++chosen_through_;
    const Held& next = *slots_[chosen_through_].chosen;
    const Value& value = values_[next.value];
    if (value.kind == Value::Kind::kConfiguration && value.configuration != nullptr) {
      NoteConfiguration(chosen_through_, next, *value.configuration);
    }
  }
}

void Decisions::NoteConfiguration(Slot slot, const Held& held, const Configuration& configuration) {
  if (!TakesEffectAfter(electorates_.back().configuration, configuration)) {
    ++without_effect_;
    return;
  }
  Ballot first_proposed = held.ballot;
  for (const auto& [ballot, value] : slots_[slot].proposed) {
    if (value == held.value) first_proposed = std::min(first_proposed, ballot);
  }
  electorates_.push_back(
      {slot, held.ballot, first_proposed, configuration, VotersOf(configuration)});
  // What looked chosen above was counted among others.
  for (Slot above = slot + 1; above < slots_.size(); ++above) {
    SlotHistory& history = slots_[above];
    history.chosen.reset();
    for (const auto& [accepted_at, mask] : history.accepted) {
      if (accepted_at < held.ballot || !electorates_.back().IsQuorum(mask)) continue;
      history.chosen = Held{accepted_at, history.proposed.find(accepted_at)->second};
      break;
    }
  }
}

void Decisions::NoteNotChosen(ReplicaId replica, ValueId value) {
  if (values_[value].kind == Value::Kind::kConfiguration) return;
  not_chosen_[value] = replica;
  const auto where = slot_of_.find(value);
  if (where == slot_of_.end()) return;
  const Held* chosen = Chosen(where->second);
  if (chosen != nullptr && chosen->value == value) {
    fail_(replica, Text("it says that ", Describe(value), " is not chosen, but slot ",
                        where->second, " has it"));
  }
}

}  // namespace distlog::simulation
