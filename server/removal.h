// The one sentence about a removed replica, wherever it is said.

#ifndef DISTLOG_SERVER_REMOVAL_H_
#define DISTLOG_SERVER_REMOVAL_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "paxos/configuration.h"

namespace distlog {

inline std::string WasRemoved(paxos::ReplicaId replica, const paxos::Configuration& in_force) {
  return absl::StrCat("replica ", paxos::ToString(replica),
                      " is not a member as of configuration version ", in_force.version,
                      " of this cluster: it was removed; delete its data directory, or start the "
                      "server with an empty one to add it again");
}

}  // namespace distlog

#endif  // DISTLOG_SERVER_REMOVAL_H_
