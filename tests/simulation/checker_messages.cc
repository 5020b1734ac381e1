// What may leave a replica, message by message.

#include <algorithm>
#include <variant>

#include "tests/simulation/checker.h"
#include "tests/simulation/checker_text.h"

namespace distlog::simulation {

using paxos::AcceptedValue;
using paxos::Ballot;
using paxos::Envelope;
using paxos::ReplicaId;
using paxos::Slot;

void Checker::Left(const Envelope& envelope) {
  std::visit([&](const auto& message) { CheckLeft(envelope, message); }, envelope.message);
}

// P8: only its owner proposes in a ballot, and only in one run.
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

void Checker::CheckPromised(ReplicaId from, const Ballot& ballot, const char* where) {
  const Ballot& durable = member(from).durable.promised;
  if (durable < ballot) {
    Fail(from, Text(where, " of ", ballot, " leaves, but the durable promise is ", durable));
  }
}

void Checker::CheckPair(ReplicaId from, const paxos::Pair& pair, const char* where) {
  if (pair.ballot.owner != paxos::kNoReplica && pair.ballot.owner != from) {
    Fail(from, Text(where, " carries a pair of ballot ", pair.ballot));
  }
  CheckMark(from, pair.chosen_through, where);
}

// P7: nobody knows a configuration that was not chosen.
void Checker::CheckVersion(ReplicaId from, uint64_t version, const char* where) {
  if (version > decisions_.newest_version()) {
    Fail(from, Text(where, " speaks of configuration ", version, ", but the newest one chosen is ",
                    decisions_.newest_version()));
  }
}

// P7, B3: what is proposed is proposed by a voter of the configuration that the message names, for
// slots above that of the configuration. (Its sender may not know of a newer one.)
void Checker::CheckElectorate(ReplicaId from, uint64_t version, Slot slot, const char* where) {
  const Decisions::Electorate* electorate = decisions_.OfVersion(version);
  if (electorate == nullptr) return;  // CheckVersion has said so.
  if (!electorate->IsVoter(from)) {
    Fail(from, Text(where, " for slot ", slot, " leaves, but it is no voter there"));
  }
  if (slot <= electorate->after) {
    Fail(from, Text(where, " for slot ", slot, " leaves in configuration ", version,
                    ", which decides the slots after ", electorate->after));
  }
}

// B5: a replica acts in a configuration when it would recover it.
void Checker::CheckConfigurationMark(ReplicaId from, Slot chosen_through, const char* where) {
  const Slot slot = decisions_.ElectorateOf(chosen_through + 1).after;
  const Slot mark = member(from).durable.mark;
  if (mark < slot) {
    Fail(from, Text(where, " leaves with chosen_through=", chosen_through, ", but the mark ", mark,
                    " would be recovered, below the configuration in slot ", slot));
  }
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::Prepare& m) {
  NoteUse(envelope.from, m.ballot);
  CheckPromised(envelope.from, m.ballot, "Prepare");
  CheckMark(envelope.from, m.from - 1, "Prepare");
  CheckVersion(envelope.from, m.configuration_version, "Prepare");
  CheckElectorate(envelope.from, m.configuration_version, m.from, "Prepare");
  CheckConfigurationMark(envelope.from, m.from - 1, "Prepare");
  uint64_t& version = prepared_version_[m.ballot];
  version = std::max(version, m.configuration_version);
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::Promise& m) {
  const ReplicaId from = envelope.from;
  CheckPromised(from, m.ballot, "Promise");
  CheckMark(from, m.chosen_through, "Promise");
  CheckConfigurationMark(from, m.chosen_through, "Promise");
  for (const AcceptedValue& accepted : m.accepted) {
    const Held* held = member(from).durable.Find(accepted.slot);
    if (held == nullptr || held->ballot < accepted.ballot) {
      Fail(from, Text("a Promise tells of slot ", accepted.slot, " before it is durable"));
    }
  }
  if (m.is_final) promisers_[m.ballot] |= Decisions::Bit(from);
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::Accept& m) {
  const ReplicaId from = envelope.from;
  NoteUse(from, m.ballot);
  CheckMark(from, m.chosen_through, "Accept");
  CheckVersion(from, m.configuration_version, "Accept");
  CheckElectorate(from, m.configuration_version, m.first, "Accept");
  if (prepared_version_[m.ballot] != m.configuration_version) {
    Fail(from, Text("Accept of slot ", m.first, " at ", m.ballot, " leaves in configuration ",
                    m.configuration_version, ", but its Prepare was of configuration ",
                    prepared_version_[m.ballot]));
  }
  const Slot barrier = decisions_.BarrierOf(m.ballot);
  if (barrier > m.chosen_through && m.first + m.values.size() - 1 > barrier) {
    Fail(from, Text("Accept of slot ", m.first, " at ", m.ballot, " leaves with chosen_through=",
                    m.chosen_through, ", above the configuration in slot ", barrier));
  }
  const Decisions::Electorate* electorate = decisions_.OfVersion(m.configuration_version);
  if (electorate != nullptr && !electorate->IsQuorum(promisers_[m.ballot])) {
    Fail(from, Text("Accept of slot ", m.first, " at ", m.ballot,
                    " leaves, but no quorum has promised that ballot"));
  }
  for (size_t i = 0; i < m.values.size(); ++i) {
    decisions_.NoteProposal(from, m.first + i, m.ballot, m.values[i]);
  }
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::Accepted& m) {
  for (Slot slot = m.first; slot <= m.last; ++slot) {
    if (!decisions_.HasAccepted(envelope.from, slot, m.ballot)) {
      Fail(envelope.from,
           Text("Accepted of slot ", slot, " at ", m.ballot, " leaves before it is durable"));
    }
  }
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::Progress& m) {
  CheckMark(envelope.from, m.chosen_through, "Progress");
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::Stale& m) {
  CheckMark(envelope.from, m.chosen_through, "Stale");
  CheckVersion(envelope.from, m.configuration_version, "Stale");
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::Confirm& m) {
  NoteUse(envelope.from, m.ballot);
  CheckMark(envelope.from, m.chosen_through, "Confirm");
  reads_.NoteConfirm(m);
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::Confirmed& m) {
  reads_.NoteConfirmed(envelope.from, m);
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::ReadRequest& m) {
  reads_.NoteRequest(envelope.from, m);
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::ReadReply& m) {
  CheckMark(envelope.from, m.mark, "ReadReply");
  CheckPair(envelope.from, m.pair, "ReadReply");
  if (auto wrong = reads_.CheckReply(envelope.from, envelope.to, m)) Fail(envelope.from, *wrong);
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::Heartbeat& m) {
  CheckPair(envelope.from, m.pair, "Heartbeat");
  CheckVersion(envelope.from, m.configuration_version, "Heartbeat");
  CheckSettled(envelope.from, m.settled_version, "Heartbeat");
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::HeartbeatReply& m) {
  const ReplicaId from = envelope.from;
  CheckPromised(from, m.promised, "HeartbeatReply");
  CheckVersion(from, m.configuration_version, "HeartbeatReply");
  CheckSettled(from, m.settled_version, "HeartbeatReply");
  if (m.claimed != Ballot() && m.claimed.owner != from) {
    Fail(from, Text("it claims ", m.claimed));
  }
  Member& self = member(from);
  if (m.chosen_through > self.durable.mark) {
    Fail(from, Text("HeartbeatReply says durable chosen_through=", m.chosen_through, ", but ",
                    self.durable.mark, " would be recovered"));
  }
  self.reported = std::max(self.reported, m.chosen_through);
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::Announce& m) {
  CheckPair(envelope.from, m.pair, "Announce");
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::LearnReply& m) {
  const ReplicaId from = envelope.from;
  CheckMark(from, m.chosen_through, "LearnReply");
  for (const AcceptedValue& supplied : m.chosen) {
    const Decisions::ValueId value = decisions_.Identify(supplied.value);
    const Held* chosen = decisions_.Chosen(supplied.slot);
    if (chosen == nullptr || chosen->value != value) {
      Fail(from, Text("LearnReply supplies another value for slot ", supplied.slot,
                      " than the chosen one"));
    }
    // B4: with the ballot that is stored.
    const Held* held = member(from).durable.Find(supplied.slot);
    if (held == nullptr || held->value != value || held->ballot < supplied.ballot) {
      Fail(from, Text("LearnReply supplies slot ", supplied.slot, " at ", supplied.ballot,
                      ", which is not durable there"));
    }
  }
}

void Checker::CheckLeft(const Envelope& envelope, const paxos::TakeOver& m) {
  NoteUse(envelope.from, m.ballot);
}

}  // namespace distlog::simulation
