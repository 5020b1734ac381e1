#include "tests/simulation/checker.h"

#include <algorithm>
#include <bit>
#include <sstream>
#include <type_traits>
#include <utility>

#include "proto/distlog/v1/record.pb.h"

namespace distlog::simulation {
namespace {

using paxos::Accept;
using paxos::Accepted;
using paxos::AcceptedValue;
using paxos::AcceptRecord;
using paxos::Announce;
using paxos::Ballot;
using paxos::Confirm;
using paxos::Confirmed;
using paxos::Envelope;
using paxos::Heartbeat;
using paxos::HeartbeatReply;
using paxos::LearnReply;
using paxos::MarkRecord;
using paxos::Outcome;
using paxos::Prepare;
using paxos::Progress;
using paxos::Promise;
using paxos::PromiseRecord;
using paxos::ReadReply;
using paxos::Record;
using paxos::ReplicaId;
using paxos::Slot;
using paxos::Stale;
using paxos::Ticket;
using paxos::Value;

template <typename... Parts>
std::string Text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace

Checker::Checker(const paxos::Configuration& genesis, Slot window,
                 std::function<void(const std::string&)> fail)
    : fail_(std::move(fail)), window_(window) {
  values_.emplace_back();
  for (const paxos::Member& each : genesis.members) {
    bits_[each.id] = Mask{1} << members_.size();
    members_[each.id];
    if (each.voter) ++voters_;
  }
}

void Checker::Fail(ReplicaId replica, const std::string& what) {
  fail_(Text("replica ", replica, ": ", what));
}

bool Checker::IsQuorum(Mask mask) const {
  return static_cast<size_t>(std::popcount(mask)) * 2 > voters_;
}

Checker::ValueId Checker::Identify(const Value& value) {
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

std::string Checker::Describe(ValueId value) const {
  return value == 0 ? "no-op" : Text("value #", value);
}

Checker::SlotHistory& Checker::At(Slot slot) {
  if (slots_.size() <= slot) slots_.resize(slot + 1);
  return slots_[slot];
}

// ---- One replica's own steps. ------------------------------------------------------------------

void Checker::Started(ReplicaId replica, const paxos::DurableState& recovered) {
  Member& self = member(replica);
  ++self.run;
  self.written = self.durable;
  self.promised = recovered.promised;
  self.chosen_through = self.given = recovered.chosen_through;
  self.stored_through = 0;
  self.durable_mark = 0;
  if (recovered.promised < self.durable.promised) {
    Fail(replica, Text("promise ", self.durable.promised, " was durable, but ", recovered.promised,
                       " is recovered"));
  }
  if (recovered.chosen_through > self.durable.stored) {
    Fail(replica, Text("mark ", recovered.chosen_through, " is recovered, but slots are held only ",
                       "through ", self.durable.stored));
  }
  CheckMark(replica, recovered.chosen_through, "the recovered mark");
  for (const auto& [slot, held] : self.durable.accepted) {
    if (slot > recovered.chosen_through) break;
    if (At(slot).chosen.has_value() && At(slot).chosen->value != held.value) {
      Fail(replica, Text("slot ", slot, " below the mark holds another value than the chosen one"));
    }
  }
  if (!recovered.accepted.empty() &&
      recovered.accepted.back().slot > recovered.chosen_through + 2 * window_) {
    Fail(replica,
         Text("slot ", recovered.accepted.back().slot,
              " is accepted more than two windows above the mark ", recovered.chosen_through));
  }
}

void Checker::Crashed(ReplicaId replica) { member(replica).written = member(replica).durable; }

void Checker::Written(ReplicaId replica, const Record& record) {
  Fold(replica, record, &member(replica).written, true);
}

void Checker::Durable(ReplicaId replica, const Record& record) {
  Fold(replica, record, &member(replica).durable, false);
  if (const auto* accept = std::get_if<AcceptRecord>(&record)) {
    const Slot slot = accept->accepted.slot;
    const Ballot& ballot = accept->accepted.ballot;
    Mask& mask = At(slot).accepted[ballot];
    mask |= bits_.at(replica);
    if (IsQuorum(mask)) NoteChosen(slot, ballot, Identify(accept->accepted.value));
  }
}

void Checker::MarkSaved(ReplicaId replica, Slot through) {
  Image& durable = member(replica).durable;
  if (through > durable.stored) {
    Fail(replica,
         Text("mark ", through, " is saved, but slots are durable only through ", durable.stored));
  }
  CheckMark(replica, through, "the saved mark");
  durable.mark = std::max(durable.mark, through);
  member(replica).written.mark = std::max(member(replica).written.mark, through);
}

void Checker::Fold(ReplicaId replica, const Record& record, Image* image, bool check) {
  Slot mark = 0;
  if (const auto* promise = std::get_if<PromiseRecord>(&record)) {
    if (promise->promised < image->promised) {
      Fail(replica,
           Text("promises fall: ", promise->promised, " is written after ", image->promised));
    }
    image->promised = std::max(image->promised, promise->promised);
  } else if (const auto* accept = std::get_if<AcceptRecord>(&record)) {
    const AcceptedValue& accepted = accept->accepted;
    const Slot slot = accepted.slot;
    const ValueId value = Identify(accepted.value);
    if (check) {
      NoteProposal(replica, slot, accepted.ballot, accepted.value);
      const auto& chosen = At(slot).chosen;
      const bool is_chosen = chosen.has_value() && chosen->value == value;
      if (accepted.ballot < image->promised && !is_chosen) {
        Fail(replica, Text("slot ", slot, " is accepted at ", accepted.ballot,
                           ", below the promise ", image->promised));
      }
      const auto held = image->accepted.find(slot);
      if (held != image->accepted.end() && accepted.ballot < held->second.ballot && !is_chosen) {
        Fail(replica, Text("slot ", slot, " is written at ", accepted.ballot, " after ",
                           held->second.ballot));
      }
      if (slot > std::max(image->mark, accept->chosen_through) + 2 * window_) {
        Fail(replica, Text("slot ", slot, " is accepted more than two windows above the mark ",
                           std::max(image->mark, accept->chosen_through)));
      }
    }
    image->promised = std::max(image->promised, accepted.ballot);
    image->accepted[slot] = {accepted.ballot, value};
    while (image->accepted.contains(image->stored + 1)) ++image->stored;
    mark = accept->chosen_through;
  } else {
    mark = std::get<MarkRecord>(record).chosen_through;
  }
  if (mark > image->stored) {
    Fail(replica, Text("a record says chosen_through=", mark, ", but slots are held only through ",
                       image->stored));
  }
  if (check) CheckMark(replica, mark, "a record");
  if (mark > image->mark && check) {
    for (Slot slot = image->mark + 1; slot <= std::min(mark, image->stored); ++slot) {
      if (At(slot).chosen.has_value() && image->accepted.at(slot).value != At(slot).chosen->value) {
        Fail(replica, Text("a record's chosen_through=", mark, " covers slot ", slot,
                           ", which holds another value than the chosen one"));
      }
    }
  }
  image->mark = std::max(image->mark, mark);
}

void Checker::CheckMark(ReplicaId replica, Slot chosen_through, const char* where) {
  if (chosen_through > chosen_through_) {
    Fail(replica, Text(where, " says chosen_through=", chosen_through,
                       ", but by the disks slots are chosen only through ", chosen_through_));
  }
}

// ---- Values, ballots, what is chosen. ----------------------------------------------------------

void Checker::NoteProposal(ReplicaId replica, Slot slot, const Ballot& ballot, const Value& value) {
  const ValueId id = Identify(value);
  SlotHistory& history = At(slot);
  const auto [it, added] = history.proposed.emplace(ballot, id);
  if (it->second != id) {
    Fail(replica, Text("two values at slot ", slot, ", ballot ", ballot, ": ", Describe(it->second),
                       " and ", Describe(id)));
  }
  if (!added) return;
  if (history.proposed.size() > 1) ++proposed_again_;
  if (history.chosen.has_value() && history.chosen->ballot < ballot &&
      history.chosen->value != id) {
    Fail(replica, Text("slot ", slot, " has ", Describe(history.chosen->value), " chosen at ",
                       history.chosen->ballot, ", but ", Describe(id), " is proposed at ", ballot));
  }
  if (id == 0) return;
  const auto [where, first] = slot_of_.emplace(id, slot);
  if (where->second != slot) {
    Fail(replica,
         Text(Describe(id), " is proposed in slot ", where->second, " and in slot ", slot));
  }
}

void Checker::NoteUse(ReplicaId replica, const Ballot& ballot) {
  if (ballot.owner != replica) {
    Fail(replica, Text("it proposes at ", ballot, ", which is not its own"));
  }
  const uint64_t run = member(replica).run;
  const auto [it, first] = used_in_run_.emplace(ballot, run);
  if (it->second != run) {
    Fail(replica, Text("ballot ", ballot, " is used again after a restart"));
  }
}

void Checker::NoteChosen(Slot slot, const Ballot& ballot, ValueId value) {
  SlotHistory& history = At(slot);
  if (history.chosen.has_value()) {
    if (history.chosen->value != value) {
      fail_(Text("two values are chosen in slot ", slot, ": ", Describe(history.chosen->value),
                 " at ", history.chosen->ballot, " and ", Describe(value), " at ", ballot));
    }
    history.chosen->ballot = std::min(history.chosen->ballot, ballot);
  } else {
    history.chosen = Held{ballot, value};
  }
  for (const auto& [proposed_at, proposed] : history.proposed) {
    if (proposed_at > ballot && proposed != value) {
      fail_(Text("slot ", slot, " has ", Describe(value), " chosen at ", ballot, ", but ",
                 Describe(proposed), " was proposed at ", proposed_at));
    }
  }
  if (value != 0 && not_chosen_.contains(value)) {
    Fail(not_chosen_.at(value),
         Text("slot ", slot, " has ", Describe(value), " chosen, which it said never would be"));
  }
  while (chosen_through_ + 1 < slots_.size() && slots_[chosen_through_ + 1].chosen.has_value()) {
    ++chosen_through_;
  }
}

// ---- What is said. -----------------------------------------------------------------------------

// What the same step accepted later, above the promise, is nothing that the promise tells.
void Checker::CheckPromise(ReplicaId from, const Promise& promise) {
  const Image& written = member(from).written;
  if (written.promised < promise.ballot) {
    Fail(from, Text("it promises ", promise.ballot, " having written ", written.promised));
  }
  std::map<Slot, const AcceptedValue*> listed;
  for (const AcceptedValue& accepted : promise.accepted) listed[accepted.slot] = &accepted;
  for (const auto& [slot, accepted] : listed) {
    const auto held = written.accepted.find(slot);
    const bool is_held =
        held != written.accepted.end() &&
        (held->second.ballot > promise.ballot || (held->second.ballot == accepted->ballot &&
                                                  held->second.value == Identify(accepted->value)));
    if (!is_held) {
      Fail(from, Text("a Promise lists slot ", slot, " at ", accepted->ballot,
                      ", which is not what it holds"));
    }
  }
  const Slot first = std::max(promise.first, promise.chosen_through + 1);
  for (auto it = written.accepted.lower_bound(first); it != written.accepted.end(); ++it) {
    if (it->first > promise.last && !promise.is_final) break;
    if (it->second.ballot <= promise.ballot && !listed.contains(it->first)) {
      Fail(from, Text("a Promise of slots ", promise.first, "..", promise.last, " leaves out slot ",
                      it->first, ", held at ", it->second.ballot));
    }
  }
}

void Checker::Emitted(const Envelope& envelope) {
  const ReplicaId from = envelope.from;
  if (const auto* promise = std::get_if<Promise>(&envelope.message)) {
    CheckPromise(from, *promise);
  } else if (const auto* confirmed = std::get_if<Confirmed>(&envelope.message)) {
    // As of before this step: what the same step promises, it promises after.
    if (member(from).promised > confirmed->ballot) {
      Fail(from,
           Text("it confirms ", confirmed->ballot, " having promised ", member(from).promised));
    }
  }
}

void Checker::Left(const Envelope& envelope) {
  const ReplicaId from = envelope.from;
  const Image& durable = member(from).durable;
  const auto check_pair = [&](const paxos::Pair& pair, const char* where) {
    if (pair.ballot.owner != paxos::kNoReplica && pair.ballot.owner != from) {
      Fail(from, Text(where, " carries a pair of ballot ", pair.ballot));
    }
    CheckMark(from, pair.chosen_through, where);
  };
  const auto check_promised = [&](const Ballot& ballot, const char* where) {
    if (durable.promised < ballot) {
      Fail(from,
           Text(where, " of ", ballot, " leaves, but the durable promise is ", durable.promised));
    }
  };
  std::visit(
      [&](const auto& m) {
        using M = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<M, Prepare>) {
          NoteUse(from, m.ballot);
          check_promised(m.ballot, "Prepare");
          CheckMark(from, m.from - 1, "Prepare");
        } else if constexpr (std::is_same_v<M, Promise>) {
          check_promised(m.ballot, "Promise");
          CheckMark(from, m.chosen_through, "Promise");
          for (const AcceptedValue& accepted : m.accepted) {
            const auto held = durable.accepted.find(accepted.slot);
            if (held == durable.accepted.end() || held->second.ballot < accepted.ballot) {
              Fail(from, Text("a Promise tells of slot ", accepted.slot, " before it is durable"));
            }
          }
        } else if constexpr (std::is_same_v<M, Accept>) {
          NoteUse(from, m.ballot);
          CheckMark(from, m.chosen_through, "Accept");
          for (size_t i = 0; i < m.values.size(); ++i) {
            NoteProposal(from, m.first + i, m.ballot, m.values[i]);
          }
        } else if constexpr (std::is_same_v<M, Accepted>) {
          for (Slot slot = m.first; slot <= m.last; ++slot) {
            const auto& at = At(slot).accepted;
            const auto it = at.find(m.ballot);
            if (it == at.end() || (it->second & bits_.at(from)) == 0) {
              Fail(from, Text("Accepted of slot ", slot, " at ", m.ballot,
                              " leaves before it is durable"));
            }
          }
        } else if constexpr (std::is_same_v<M, Confirm>) {
          NoteUse(from, m.ballot);
          CheckMark(from, m.chosen_through, "Confirm");
        } else if constexpr (std::is_same_v<M, Progress> || std::is_same_v<M, Stale>) {
          CheckMark(from, m.chosen_through, "Progress or Stale");
        } else if constexpr (std::is_same_v<M, ReadReply>) {
          CheckMark(from, m.mark, "ReadReply");
          check_pair(m.pair, "ReadReply");
        } else if constexpr (std::is_same_v<M, Heartbeat>) {
          check_pair(m.pair, "Heartbeat");
        } else if constexpr (std::is_same_v<M, HeartbeatReply>) {
          check_promised(m.promised, "HeartbeatReply");
          if (m.claimed != Ballot() && m.claimed.owner != from) {
            Fail(from, Text("it claims ", m.claimed));
          }
          if (m.chosen_through > durable.mark) {
            Fail(from, Text("HeartbeatReply says durable chosen_through=", m.chosen_through,
                            ", but ", durable.mark, " would be recovered"));
          }
        } else if constexpr (std::is_same_v<M, Announce>) {
          check_pair(m.pair, "Announce");
        } else if constexpr (std::is_same_v<M, LearnReply>) {
          CheckMark(from, m.chosen_through, "LearnReply");
          for (const AcceptedValue& chosen : m.chosen) {
            const auto& known = At(chosen.slot).chosen;
            if (!known.has_value() || known->value != Identify(chosen.value)) {
              Fail(from, Text("LearnReply supplies another value for slot ", chosen.slot,
                              " than the chosen one"));
            }
          }
        }
      },
      envelope.message);
}

// ---- What is made of it. -----------------------------------------------------------------------

void Checker::Chosen(ReplicaId replica, const AcceptedValue& chosen) {
  Member& self = member(replica);
  if (chosen.slot != self.given + 1) {
    Fail(replica, Text("slot ", chosen.slot, " is given to apply after slot ", self.given));
  }
  self.given = chosen.slot;
  const auto& known = At(chosen.slot).chosen;
  if (!known.has_value()) {
    Fail(replica, Text("slot ", chosen.slot, " is given to apply, but by the disks nothing is ",
                       "chosen there"));
  } else if (known->value != Identify(chosen.value)) {
    Fail(replica,
         Text("slot ", chosen.slot, " is given to apply with ", Describe(Identify(chosen.value)),
              ", but ", Describe(known->value), " is chosen there"));
  }
}

void Checker::Applied(ReplicaId replica, const Value& value, const distlog::Applied& applied,
                      uint64_t digest) {
  const Slot slot = applied.slot;
  if (slot <= applied_.size()) {
    const AppliedSlot& known = applied_[slot - 1];
    if (known.digest != digest || known.entries != applied.entries ||
        (applied.entries > 0 && known.first_position != applied.first_position)) {
      Fail(replica, Text("applying slot ", slot, " has another result than elsewhere"));
    }
    return;
  }
  if (slot != applied_.size() + 1) {
    Fail(replica, Text("slot ", slot, " is applied, but nobody applied slot ", slot - 1));
    return;
  }
  applied_.push_back({digest, applied.first_position, applied.entries});
  if (value.kind != Value::Kind::kBatch) {
    if (applied.entries != 0) Fail(replica, Text("slot ", slot, " is no batch, but has entries"));
    return;
  }
  v1::Batch batch;
  if (!batch.ParseFromString(*value.payload) ||
      batch.appends_size() != static_cast<int>(applied.appends.size())) {
    Fail(replica, Text("applying slot ", slot, " does not answer each of its appends"));
    return;
  }
  uint64_t appended = 0;
  for (int i = 0; i < batch.appends_size(); ++i) {
    const AppendResult& result = applied.appends[i];
    if (result.reason != RefusalReason::kNone || result.duplicate) continue;
    if (result.first_position != log_.size() + 1) {
      Fail(replica, Text("slot ", slot, " appends at position ", result.first_position,
                         ", but the log ends at ", log_.size()));
    }
    const uint64_t expected = batch.appends(i).expect_position();
    if (expected != 0 && expected != result.first_position) {
      Fail(replica, Text("slot ", slot, " appends at position ", result.first_position,
                         " what was to be appended only at ", expected));
    }
    for (const std::string& payload : batch.appends(i).payloads()) log_.push_back(payload);
    appended += batch.appends(i).payloads_size();
  }
  if (appended != applied.entries) {
    Fail(replica,
         Text("slot ", slot, " says ", applied.entries, " entries and appends ", appended));
  }
}

void Checker::Stands(ReplicaId replica, const Ballot& promised, Slot chosen_through,
                     Slot stored_through, Slot durable_mark) {
  Member& self = member(replica);
  if (promised < self.promised) {
    Fail(replica, Text("its promise falls from ", self.promised, " to ", promised));
  }
  if (promised < self.durable.promised) {
    Fail(replica, Text("its promise is ", promised, ", but its disk has ", self.durable.promised));
  }
  if (chosen_through < self.chosen_through || stored_through < self.stored_through ||
      durable_mark < self.durable_mark) {
    Fail(replica, "its chosen_through, stored_through or durable_mark falls");
  }
  CheckMark(replica, chosen_through, "the replica");
  if (chosen_through != self.given) {
    Fail(replica, Text("chosen_through=", chosen_through,
                       ", but slots were given to apply through ", self.given));
  }
  if (stored_through > self.durable.stored || stored_through > chosen_through) {
    Fail(replica, Text("stored_through=", stored_through, ", but slots are durable only through ",
                       self.durable.stored));
  }
  if (durable_mark > self.durable.mark) {
    Fail(replica,
         Text("durable_mark=", durable_mark, ", but ", self.durable.mark, " would be recovered"));
  }
  self.promised = promised;
  self.chosen_through = chosen_through;
  self.stored_through = stored_through;
  self.durable_mark = durable_mark;
}

// ---- Proposals and reads. ----------------------------------------------------------------------

void Checker::Proposed(ReplicaId replica, Ticket ticket, const Value& value) {
  tickets_[{replica, ticket}].proposal = Identify(value);
}

void Checker::ReadNoted(ReplicaId replica, Ticket ticket) {
  tickets_[{replica, ticket}].answered = answered_;
}

void Checker::Answered(Slot slot) { answered_ = std::max(answered_, slot); }

void Checker::Resolved(ReplicaId replica, const Outcome& outcome) {
  const auto it = tickets_.find({replica, outcome.ticket});
  if (it == tickets_.end()) {
    Fail(replica, "an outcome for a ticket that was never given");
    return;
  }
  Ticketed& ticket = it->second;
  if (std::exchange(ticket.resolved, true)) Fail(replica, "two outcomes for one ticket");
  const bool readable = outcome.result == Outcome::Result::kReadable;
  if (readable != !ticket.proposal.has_value()) {
    Fail(replica, "the outcome is not one of what was asked");
    return;
  }
  if (readable) {
    if (outcome.slot < ticket.answered) {
      Fail(replica, Text("stale read: readable through slot ", outcome.slot, ", but slot ",
                         ticket.answered, " had been answered before the read began"));
    }
    CheckMark(replica, outcome.slot, "a readable outcome");
    return;
  }
  const ValueId value = *ticket.proposal;
  if (outcome.result == Outcome::Result::kChosen) {
    const auto& chosen = At(outcome.slot).chosen;
    if (!chosen.has_value() || chosen->value != value || outcome.slot > chosen_through_) {
      Fail(replica, Text("it says that ", Describe(value), " is chosen in slot ", outcome.slot,
                         ", but by the disks it is not"));
    }
    return;
  }
  not_chosen_[value] = replica;
  const auto where = slot_of_.find(value);
  if (where == slot_of_.end()) return;
  const auto& chosen = At(where->second).chosen;
  if (chosen.has_value() && chosen->value == value) {
    Fail(replica, Text("it says that ", Describe(value), " is not chosen, but slot ", where->second,
                       " has it"));
  }
}

void Checker::CheckDisks() {
  for (Slot slot = 1; slot <= chosen_through_; ++slot) {
    const Held& chosen = *At(slot).chosen;
    Mask holders = 0;
    for (const auto& [id, each] : members_) {
      const auto held = each.durable.accepted.find(slot);
      if (held == each.durable.accepted.end()) continue;
      if (held->second.value == chosen.value) {
        holders |= bits_.at(id);
      } else if (held->second.ballot >= chosen.ballot) {
        Fail(id, Text("slot ", slot, " holds ", Describe(held->second.value), " at ",
                      held->second.ballot, ", but ", Describe(chosen.value), " was chosen at ",
                      chosen.ballot));
      }
    }
    if (!IsQuorum(holders)) {
      fail_(Text("the value chosen in slot ", slot, " is no longer on the disks of a quorum"));
    }
  }
}

}  // namespace distlog::simulation
