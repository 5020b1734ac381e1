// What a leader finds out before it plans a change of members.

#ifndef DISTLOG_SERVER_SURVEY_H_
#define DISTLOG_SERVER_SURVEY_H_

#include <map>
#include <string>
#include <vector>

#include "proto/distlog/v1/cluster.pb.h"
#include "server/formation.h"
#include "server/peer_registry.h"
#include "server/plan.h"

namespace distlog {

// `status` is the leader's, with what each member says of itself.
ClusterView ViewOf(const v1::StatusResponse& status, const v1::OperationsResponse& operations);

// Probes the servers at `addresses` from here and, by Peer.Reach, from every other voter that is
// heard. Blocks, not beyond `deadline`.
std::map<std::string, Newcomer> ProbeNewcomers(const std::vector<std::string>& addresses,
                                               const ClusterView& view,
                                               const PeerRegistry& registry, Deadline deadline);

}  // namespace distlog

#endif  // DISTLOG_SERVER_SURVEY_H_
