// Which cluster is meant, when servers of several answer.

#ifndef DISTLOG_CLIENT_COMMON_CLUSTER_H_
#define DISTLOG_CLIENT_COMMON_CLUSTER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace distlog {

// What a server said of itself.
struct Membership {
  std::string address;
  std::string cluster_id;  // Empty: it belongs to none.
};

// The cluster that most of them belong to, empty if none belongs to any. FAILED_PRECONDITION,
// WRONG_CLUSTER, that names them if two clusters have as many: which one is meant is not guessed.
absl::StatusOr<std::string> CommonCluster(const std::vector<Membership>& memberships);

}  // namespace distlog

#endif  // DISTLOG_CLIENT_COMMON_CLUSTER_H_
