#include "server/published.h"

#include "glog/logging.h"
#include "paxos/quorum.h"
#include "wire/value.h"

namespace distlog {
namespace {

int64_t AgeMs(Published::TimePoint time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               time)
      .count();
}

}  // namespace

void Published::NoteRemoved(const std::string& sentence) {
  if (is_removed_) return;
  Update([&](State* state) { state->removed = sentence; });
  is_removed_ = true;
  NoteError(sentence);
}

void Published::NoteError(const std::string& error) {
  bool is_new = false;
  Update([&](State* state) {
    is_new = state->last_error != error;
    state->last_error = error;
    state->last_error_time = std::chrono::steady_clock::now();
  });
  if (is_new) LOG(ERROR) << error;
}

void FillStatus(const Published::State& state, v1::ServerStatus* status) {
  status->set_last_error(state.last_error);
  status->set_last_error_age_ms(state.last_error.empty() ? -1 : AgeMs(state.last_error_time));
  status->set_last_applied_age_ms(state.last_applied ? AgeMs(*state.last_applied) : -1);
  status->set_leader_since_ms(-1);
  status->set_wall_clock_ms(std::chrono::duration_cast<std::chrono::milliseconds>(
                                std::chrono::system_clock::now().time_since_epoch())
                                .count());
  if (!state.assigned) return;

  status->set_leader_id(static_cast<uint64_t>(state.followed.owner));
  *status->mutable_ballot() = ToProto(state.followed);
  *status->mutable_promised() = ToProto(state.promised);
  status->set_is_leader(state.is_leading);
  status->set_content(state.is_content);
  status->set_quorum_connected(paxos::IsQuorum(*state.configuration, state.heard));
  for (const paxos::ReplicaId peer : state.heard) status->add_heard(static_cast<uint64_t>(peer));
  if (state.followed != paxos::Ballot()) {
    status->set_leader_since_ms(AgeMs(state.followed_since));
  }
  status->set_term_changes(state.followed_changes);

  status->set_chosen_through(state.chosen_through);
  status->set_applied_through(state.applied_through);
  status->set_stored_through(state.stored_through);
  status->set_durable_mark(state.durable_mark);
  status->set_first_position(state.bounds.first);
  status->set_last_position(state.bounds.last);
  status->set_digest(state.digest);
  *status->mutable_configuration() = ToProto(*state.configuration);
  status->set_settled(state.settled);
  status->set_has_left(state.has_left || !state.removed.empty());
  for (const auto& [id, peer] : state.peers) {
    if (!peer.round_trip.has_value()) continue;
    v1::PeerRoundTrip* round_trip = status->add_round_trips();
    round_trip->set_id(static_cast<uint64_t>(id));
    round_trip->set_us(peer.round_trip->count());
  }
}

}  // namespace distlog
