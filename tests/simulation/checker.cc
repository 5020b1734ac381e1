#include "tests/simulation/checker.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/checker_text.h"

namespace distlog::simulation {

using paxos::AcceptedValue;
using paxos::AcceptRecord;
using paxos::Ballot;
using paxos::Confirmed;
using paxos::Envelope;
using paxos::MarkRecord;
using paxos::Outcome;
using paxos::Promise;
using paxos::PromiseRecord;
using paxos::Record;
using paxos::ReplicaId;
using paxos::Slot;
using paxos::Ticket;
using paxos::Value;

Checker::Checker(const paxos::Configuration& genesis, Slot window,
                 std::function<void(const std::string&)> fail)
    : fail_(std::move(fail)),
      window_(window),
      decisions_(genesis,
                 [this](ReplicaId replica, const std::string& what) { Fail(replica, what); }),
      reads_(&decisions_),
      settled_version_(genesis.version) {}

void Checker::Fail(ReplicaId replica, const std::string& what) {
  fail_(replica == paxos::kNoReplica ? what : Text("replica ", replica, ": ", what));
}

Checker::Member& Checker::member(ReplicaId replica) {
  if (static_cast<uint64_t>(replica) > Decisions::kMaxReplicaId) {
    Fail(replica, "its id is above what the checker can take");
  }
  return members_[replica];
}

const Checker::Held* Checker::Image::Find(Slot slot) const {
  return slot < accepted.size() && accepted[slot].has_value() ? &*accepted[slot] : nullptr;
}

void Checker::Image::Hold(Slot slot, const Held& held) {
  if (accepted.size() <= slot) accepted.resize(slot + 1);
  accepted[slot] = held;
  while (Find(stored + 1) != nullptr) ++stored;
}

// ---- Starting again. ---------------------------------------------------------------------------

void Checker::Started(ReplicaId replica, const paxos::DurableState& recovered) {
  CheckRecovered(replica, recovered);
  Member& self = member(replica);
  ++self.run;
  self.written = self.durable;
  self.promised = recovered.promised;
  self.chosen_through = self.given = recovered.chosen_through;
  self.applied = 0;
  self.stored_through = 0;
  self.durable_mark = 0;
  self.seen_version = 0;
  self.leads.reset();
}

// What is recovered is what the disk was told, no less and no more.
void Checker::CheckRecovered(ReplicaId replica, const paxos::DurableState& recovered) {
  const Member& self = member(replica);
  if (recovered.promised < self.durable.promised) {
    Fail(replica, Text("promise ", self.durable.promised, " was durable, but ", recovered.promised,
                       " is recovered"));
  }
  if (recovered.chosen_through < std::max(self.durable.mark, self.reported)) {
    Fail(replica, Text("mark ", std::max(self.durable.mark, self.reported), " was durable, but ",
                       recovered.chosen_through, " is recovered"));
  }
  if (recovered.chosen_through > self.durable.stored) {
    Fail(replica, Text("mark ", recovered.chosen_through, " is recovered, but slots are held only ",
                       "through ", self.durable.stored));
  }
  CheckMark(replica, recovered.chosen_through, "the recovered mark");
  size_t expected = 0;
  for (Slot slot = recovered.chosen_through + 1; slot <= self.durable.last(); ++slot) {
    if (self.durable.Find(slot) != nullptr) ++expected;
  }
  for (const AcceptedValue& accepted : recovered.accepted) {
    const Held* held = self.durable.Find(accepted.slot);
    if (held == nullptr || held->ballot != accepted.ballot ||
        held->value != decisions_.Identify(accepted.value)) {
      Fail(replica, Text("slot ", accepted.slot, " is recovered at ", accepted.ballot,
                         ", which is not what was durable there"));
    }
  }
  if (recovered.accepted.size() != expected) {
    Fail(replica, Text(expected, " slots above the mark ", recovered.chosen_through,
                       " were durable, but ", recovered.accepted.size(), " are recovered"));
  }
  if (!recovered.accepted.empty() &&
      recovered.accepted.back().slot > recovered.chosen_through + 2 * window_) {
    Fail(replica,
         Text("slot ", recovered.accepted.back().slot,
              " is accepted more than two windows above the mark ", recovered.chosen_through));
  }
}

void Checker::Crashed(ReplicaId replica) { member(replica).written = member(replica).durable; }

// ---- What is written. --------------------------------------------------------------------------

void Checker::Written(ReplicaId replica, const Record& record) {
  Fold(replica, record, &member(replica).written, true);
}

void Checker::Durable(ReplicaId replica, const Record& record) {
  Fold(replica, record, &member(replica).durable, false);
  if (const auto* accept = std::get_if<AcceptRecord>(&record)) {
    const AcceptedValue& accepted = accept->accepted;
    decisions_.NoteDurable(replica, accepted.slot,
                           {accepted.ballot, decisions_.Identify(accepted.value)});
  }
}

void Checker::MarkSaved(ReplicaId replica, Slot through) {
  Member& self = member(replica);
  if (through > self.durable.stored) {
    Fail(replica, Text("mark ", through, " is saved, but slots are durable only through ",
                       self.durable.stored));
  }
  CheckMark(replica, through, "the saved mark");
  CheckCovered(replica, self.durable, through, "the saved mark");
  self.durable.mark = std::max(self.durable.mark, through);
  self.written.mark = std::max(self.written.mark, through);
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
    const Decisions::ValueId value = decisions_.Identify(accepted.value);
    if (check) CheckAccepting(replica, *image, *accept, value);
    image->promised = std::max(image->promised, accepted.ballot);
    image->Hold(accepted.slot, {accepted.ballot, value});
    mark = accept->chosen_through;
  } else {
    mark = std::get<MarkRecord>(record).chosen_through;
  }
  if (mark > image->stored) {
    Fail(replica, Text("a record says chosen_through=", mark, ", but slots are held only through ",
                       image->stored));
  }
  if (check) {
    CheckMark(replica, mark, "a record");
    CheckCovered(replica, *image, mark, "a record");
  }
  image->mark = std::max(image->mark, mark);
}

void Checker::CheckAccepting(ReplicaId replica, const Image& image, const AcceptRecord& record,
                             Decisions::ValueId value) {
  const AcceptedValue& accepted = record.accepted;
  const Slot slot = accepted.slot;
  decisions_.NoteProposal(replica, slot, accepted.ballot, accepted.value);
  const Held* chosen = decisions_.Chosen(slot);
  const bool is_chosen = chosen != nullptr && chosen->value == value;
  if (accepted.ballot < image.promised && !is_chosen) {
    Fail(replica, Text("slot ", slot, " is accepted at ", accepted.ballot, ", below the promise ",
                       image.promised));
  }
  const Held* held = image.Find(slot);
  // B4: also what is learned keeps the higher ballot.
  if (held != nullptr && accepted.ballot < held->ballot) {
    Fail(replica, Text("slot ", slot, " is written at ", accepted.ballot, " after ", held->ballot));
  }
  // (Held below the ballot at which it was chosen elsewhere, it may be.)
  if (held != nullptr && held->value != value && chosen != nullptr &&
      held->value == chosen->value && held->ballot >= chosen->ballot) {
    Fail(replica, Text("slot ", slot, " holds the chosen value and is overwritten"));
  }
  const Slot mark = std::max(image.mark, record.chosen_through);
  if (slot > mark + 2 * window_) {
    Fail(replica, Text("slot ", slot, " is accepted more than two windows above the mark ", mark));
  }
}

void Checker::CheckMark(ReplicaId replica, Slot chosen_through, const char* where) {
  if (chosen_through > decisions_.chosen_through()) {
    Fail(replica,
         Text(where, " says chosen_through=", chosen_through,
              ", but by the disks slots are chosen only through ", decisions_.chosen_through()));
  }
}

// What a mark newly covers is held with the chosen value.
void Checker::CheckCovered(ReplicaId replica, const Image& image, Slot mark, const char* where) {
  for (Slot slot = image.mark + 1; slot <= std::min(mark, image.stored); ++slot) {
    const Held* chosen = decisions_.Chosen(slot);
    if (chosen != nullptr && image.Find(slot)->value != chosen->value) {
      Fail(replica, Text(where, " says chosen_through=", mark, ", which covers slot ", slot,
                         ", but that holds another value than the chosen one"));
    }
  }
}

// ---- What a step asks to send. -----------------------------------------------------------------

// What the same step accepted later, above the promise, is nothing that the promise tells.
void Checker::CheckPromise(ReplicaId from, const Promise& promise) {
  const Image& written = member(from).written;
  if (written.promised < promise.ballot) {
    Fail(from, Text("it promises ", promise.ballot, " having written ", written.promised));
  }
  std::map<Slot, const AcceptedValue*> listed;
  for (const AcceptedValue& accepted : promise.accepted) listed[accepted.slot] = &accepted;
  for (const auto& [slot, accepted] : listed) {
    const Held* held = written.Find(slot);
    const bool is_held =
        held != nullptr &&
        (held->ballot > promise.ballot ||
         (held->ballot == accepted->ballot && held->value == decisions_.Identify(accepted->value)));
    if (!is_held) {
      Fail(from, Text("a Promise lists slot ", slot, " at ", accepted->ballot,
                      ", which is not what it holds"));
    }
  }
  const Slot first = std::max(promise.first, promise.chosen_through + 1);
  const Slot last = promise.is_final ? written.last() : std::min(promise.last, written.last());
  for (Slot slot = first; slot <= last; ++slot) {
    const Held* held = written.Find(slot);
    if (held != nullptr && held->ballot <= promise.ballot && !listed.contains(slot)) {
      Fail(from, Text("a Promise of slots ", promise.first, "..", promise.last, " leaves out slot ",
                      slot, ", held at ", held->ballot));
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

// ---- What is made of it. -----------------------------------------------------------------------

void Checker::Chosen(ReplicaId replica, const AcceptedValue& chosen) {
  Member& self = member(replica);
  if (chosen.slot != self.given + 1) {
    Fail(replica, Text("slot ", chosen.slot, " is given to apply after slot ", self.given));
  }
  self.given = chosen.slot;
  const Held* known = decisions_.Chosen(chosen.slot);
  const Decisions::ValueId value = decisions_.Identify(chosen.value);
  if (known == nullptr) {
    Fail(replica, Text("slot ", chosen.slot, " is given to apply, but by the disks nothing is ",
                       "chosen there"));
  } else if (known->value != value) {
    Fail(replica, Text("slot ", chosen.slot, " is given to apply with ", Decisions::Describe(value),
                       ", but ", Decisions::Describe(known->value), " is chosen there"));
  }
}

void Checker::Applied(ReplicaId replica, const Value& value, const distlog::Applied& applied,
                      uint64_t digest) {
  Member& self = member(replica);
  const Slot slot = applied.slot;
  if (slot > self.given || (self.applied != 0 && slot != self.applied + 1)) {
    Fail(replica, Text("slot ", slot, " is applied after slot ", self.applied, ", and slots were ",
                       "given to apply through ", self.given));
  }
  self.applied = slot;
  const Held* chosen = decisions_.Chosen(slot);
  if (chosen == nullptr || chosen->value != decisions_.Identify(value)) {
    Fail(replica, Text("slot ", slot, " is applied with another value than the chosen one"));
  }
  if (slot > positions_.applied_through() + 1) {
    Fail(replica, Text("slot ", slot, " is applied, but nobody applied slot ", slot - 1));
    return;
  }
  std::optional<std::string> wrong;
  if (slot <= positions_.applied_through()) {
    wrong = positions_.Compare(applied, digest);
  } else {
    wrong = positions_.Apply(value, applied);
    positions_.SetDigest(digest);
    if (auto change = CheckChange(value, applied); !wrong.has_value()) wrong = std::move(change);
  }
  if (wrong.has_value()) Fail(replica, Text("slot ", slot, ": ", *wrong));
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
  tickets_[{replica, ticket}].proposal = decisions_.Identify(value);
  CheckProposedEnd(replica, value);
}

void Checker::ReadNoted(ReplicaId replica, Ticket ticket) {
  tickets_[{replica, ticket}].beginning = reads_.Begin();
}

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
    const Member& self = member(replica);
    auto wrong = reads_.CheckReadable(replica, ticket.beginning, outcome.slot, self.chosen_through,
                                      self.leads);
    if (wrong.has_value()) Fail(replica, *wrong);
    CheckMark(replica, outcome.slot, "a readable outcome");
    return;
  }
  const Decisions::ValueId value = *ticket.proposal;
  if (outcome.result == Outcome::Result::kNotChosen) {
    decisions_.NoteNotChosen(replica, value);
    return;
  }
  const Held* chosen = decisions_.Chosen(outcome.slot);
  if (chosen == nullptr || chosen->value != value || outcome.slot > decisions_.chosen_through()) {
    Fail(replica, Text("it says that ", Decisions::Describe(value), " is chosen in slot ",
                       outcome.slot, ", but by the disks it is not"));
  }
}

}  // namespace distlog::simulation
