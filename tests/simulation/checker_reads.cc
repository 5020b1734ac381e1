#include "tests/simulation/checker_reads.h"

#include <algorithm>

#include "tests/simulation/checker_text.h"

namespace distlog::simulation {

using paxos::ReplicaId;
using paxos::Slot;

void Reads::NoteAnswered(Slot slot) { answered_ = std::max(answered_, slot); }

void Reads::NoteRequest(ReplicaId asker, const paxos::ReadRequest& request) {
  requests_[asker].try_emplace(request.id, Begin());  // The same one is repeated.
}

void Reads::NoteConfirm(const paxos::Confirm& confirm) {
  Round& round = rounds_[confirm.ballot];
  if (confirm.round <= round.number) return;
  round = {confirm.round, ++moments_, decisions_->ElectorateOf(confirm.chosen_through + 1).after,
           Decisions::Bit(confirm.ballot.owner)};
}

void Reads::NoteConfirmed(ReplicaId from, const paxos::Confirmed& confirmed) {
  const auto it = rounds_.find(confirmed.ballot);
  if (it == rounds_.end() || it->second.number != confirmed.round) return;
  Round& round = it->second;
  round.confirmed |= Decisions::Bit(from);
  if (!decisions_->ElectorateOf(round.configured_at + 1).IsQuorum(round.confirmed)) return;
  Confirmation& newest = confirmed_[confirmed.ballot.owner];
  if (newest.began < round.began) newest = {round.began, round.configured_at};
}

uint64_t Reads::ConfirmedSince(ReplicaId owner, Slot chosen_through) const {
  const Decisions::Electorate& now = decisions_->ElectorateOf(chosen_through + 1);
  // One that is a quorum by itself asks nobody.
  if (now.IsQuorum(Decisions::Bit(owner))) return moments_;
  const auto it = confirmed_.find(owner);
  return it == confirmed_.end() || it->second.configured_at != now.after ? 0 : it->second.began;
}

std::optional<std::string> Reads::CheckAcross(const paxos::Ballot& ballot,
                                              Slot chosen_through) const {
  const Slot barrier = decisions_->BarrierOf(ballot);
  if (barrier <= chosen_through) return std::nullopt;
  return Text("a read is granted at ", ballot, ", with chosen_through=", chosen_through,
              ", across the configuration in slot ", barrier);
}

std::optional<std::string> Reads::CheckReply(ReplicaId from, ReplicaId asker,
                                             const paxos::ReadReply& reply) {
  const auto& requests = requests_[asker];
  const auto request = requests.find(reply.id);
  if (request == requests.end()) return Text("a ReadReply to ", asker, " which did not ask");
  if (reply.mark < request->second.answered) {
    return Text("a ReadReply with mark ", reply.mark, ", but slot ", request->second.answered,
                " had been answered before it was asked for");
  }
  if (auto wrong = CheckAcross(reply.pair.ballot, reply.pair.chosen_through)) return wrong;
  if (ConfirmedSince(from, reply.pair.chosen_through) < request->second.moment) {
    return "a ReadReply that no quorum has confirmed in a round begun after the request";
  }
  uint64_t& since = answered_since_[asker];
  since = std::max(since, request->second.moment);
  return std::nullopt;
}

std::optional<std::string> Reads::CheckReadable(ReplicaId replica, const Beginning& beginning,
                                                Slot slot, Slot chosen_through,
                                                const std::optional<paxos::Ballot>& leads) const {
  if (slot < beginning.answered) {
    return Text("stale read: readable through slot ", slot, ", but slot ", beginning.answered,
                " had been answered before the read began");
  }
  if (leads.has_value()) {
    if (auto wrong = CheckAcross(*leads, chosen_through)) return wrong;
  }
  const auto answered = answered_since_.find(replica);
  const uint64_t by_leader = answered == answered_since_.end() ? 0 : answered->second;
  if (std::max(ConfirmedSince(replica, chosen_through), by_leader) < beginning.moment) {
    return Text("a read is granted through slot ", slot,
                " without a round of confirmations, or a leader's mark, begun after it");
  }
  return std::nullopt;
}

}  // namespace distlog::simulation
