// What the members of a cluster without problems answer, for tests of what is made of it.

#ifndef DISTLOG_CLI_HEALTHY_CLUSTER_H_
#define DISTLOG_CLI_HEALTHY_CLUSTER_H_

#include <cstdint>
#include <string>

#include "proto/distlog/v1/cluster.pb.h"

namespace distlog::cli {

// Three voters on ports 4601 to 4603, led by 1, with 16 entries in 7 slots.
inline v1::StatusResponse Healthy() {
  v1::StatusResponse response;
  for (uint64_t id = 1; id <= 3; ++id) {
    v1::MemberStatus* member = response.add_members();
    member->set_id(id);
    member->set_address("127.0.0.1:460" + std::to_string(id));
    member->set_voter(true);
    member->set_reachable(true);
    v1::ServerStatus* status = member->mutable_status();
    status->set_assigned(true);
    status->set_cluster_id(std::string(32, '\xab'));
    status->set_replica_id(id);
    status->set_uuid(std::string(16, static_cast<char>(id)));
    status->set_leader_id(1);
    status->mutable_ballot()->set_round(3);
    status->mutable_ballot()->set_replica(1);
    *status->mutable_promised() = status->ballot();
    status->set_is_leader(id == 1);
    status->set_content(true);
    status->set_quorum_connected(true);
    for (uint64_t heard = 1; heard <= 3; ++heard) status->add_heard(heard);
    status->set_leader_since_ms(65000);
    status->set_chosen_through(7);
    status->set_applied_through(7);
    status->set_stored_through(7);
    status->set_first_position(1);
    status->set_last_position(16);
    status->set_last_applied_age_ms(3000);
    status->set_last_error_age_ms(-1);
    status->set_disk_used_bytes(2048);
    status->set_disk_free_bytes(uint64_t{50} << 30);
    status->mutable_configuration()->set_version(1);
  }
  *response.mutable_self() = response.members(0).status();
  return response;
}

// This many slots are chosen, and on its disk.
inline void SetChosen(int index, uint64_t slots, v1::StatusResponse* response) {
  v1::ServerStatus* status = response->mutable_members(index)->mutable_status();
  status->set_chosen_through(slots);
  status->set_stored_through(slots);
}

inline void Lose(int index, v1::StatusResponse* response) {
  v1::MemberStatus* member = response->mutable_members(index);
  member->set_reachable(false);
  member->clear_status();
  member->set_unreachable_reason("connection refused");
}

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_HEALTHY_CLUSTER_H_
