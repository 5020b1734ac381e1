// What a change of members will do, and why it would be refused: worked out by the leader before
// anything of it is in the log.

#ifndef DISTLOG_SERVER_PLAN_H_
#define DISTLOG_SERVER_PLAN_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "paxos/configuration.h"
#include "proto/distlog/v1/cluster.pb.h"
#include "proto/distlog/v1/peer.pb.h"
#include "proto/distlog/v1/record.pb.h"

namespace distlog {

// A change of members, as it was asked for.
struct Change {
  v1::Operation::Verb verb = v1::Operation::VERB_UNKNOWN;
  v1::ChangeOptions options = {};
  uint64_t id = 0;                          // Of remove, replace, promote.
  std::vector<std::string> addresses = {};  // Of add and replace one; of set, the voters.
  bool learner = false;                     // Of add.
};

// The cluster as its leader sees it.
struct ClusterView {
  std::string cluster_id;
  paxos::Configuration configuration;  // In force.
  paxos::ReplicaId leader{};
  std::set<paxos::ReplicaId> heard;      // The leader among them.
  std::set<paxos::ReplicaId> caught_up;  // Of those heard: within a window of the leader.
  uint64_t running_id = 0;               // The operation that is running; 0: none is.
  std::string running;                   // What it was asked for, in words.
};

// What was found at the address of a server that is to be added.
struct Newcomer {
  absl::StatusOr<v1::ProbeResponse> answer = absl::UnknownError("it was not asked");
  int64_t clock_ahead_ms = 0;  // Of the leader's; negative: behind.
  // The voters that are heard and do not reach it, with the reason.
  std::map<paxos::ReplicaId, std::string> unreached_from;
};

// InvalidArgument: the request is malformed, whatever the cluster looks like.
absl::Status CheckChange(const Change& change);

// The addresses that have to be probed for the change.
std::vector<std::string> NewcomersOf(const Change& change, const paxos::Configuration& in_force);

struct Planned {
  // FailedPrecondition, or Aborted if the configuration is not at the expected version: in one
  // sentence, with the remedy. It is in the plan, too.
  absl::Status refusal;
  v1::Plan plan;
  bool has_effect = false;  // False: it is as it should be already.
  v1::BeginOperationCommand command;
};

// `newcomers` has an entry for each of NewcomersOf.
Planned PlanChange(const Change& change, const ClusterView& view,
                   const std::map<std::string, Newcomer>& newcomers);

}  // namespace distlog

#endif  // DISTLOG_SERVER_PLAN_H_
