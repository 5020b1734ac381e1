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
  round = {confirm.round, ++moments_, Decisions::Bit(confirm.ballot.owner)};
}

void Reads::NoteConfirmed(ReplicaId from, const paxos::Confirmed& confirmed) {
  const auto it = rounds_.find(confirmed.ballot);
  if (it == rounds_.end() || it->second.number != confirmed.round) return;
  Round& round = it->second;
  round.confirmed |= Decisions::Bit(from);
  if (decisions_->IsQuorum(decisions_->chosen_through() + 1, round.confirmed)) {
    uint64_t& since = confirmed_since_[confirmed.ballot.owner];
    since = std::max(since, round.began);
  }
}

uint64_t Reads::ConfirmedSince(ReplicaId owner) const {
  // One that is a quorum by itself asks nobody.
  if (decisions_->IsQuorum(decisions_->chosen_through() + 1, Decisions::Bit(owner))) {
    return moments_;
  }
  const auto it = confirmed_since_.find(owner);
  return it == confirmed_since_.end() ? 0 : it->second;
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
  if (ConfirmedSince(from) < request->second.moment) {
    return "a ReadReply that no quorum has confirmed in a round begun after the request";
  }
  uint64_t& since = answered_since_[asker];
  since = std::max(since, request->second.moment);
  return std::nullopt;
}

std::optional<std::string> Reads::CheckReadable(ReplicaId replica, const Beginning& beginning,
                                                Slot slot) const {
  if (slot < beginning.answered) {
    return Text("stale read: readable through slot ", slot, ", but slot ", beginning.answered,
                " had been answered before the read began");
  }
  const auto answered = answered_since_.find(replica);
  const uint64_t by_leader = answered == answered_since_.end() ? 0 : answered->second;
  if (std::max(ConfirmedSince(replica), by_leader) < beginning.moment) {
    return Text("a read is granted through slot ", slot,
                " without a round of confirmations, or a leader's mark, begun after it");
  }
  return std::nullopt;
}

}  // namespace distlog::simulation
