// What a client's request must be like, before anything is done about it.

#ifndef DISTLOG_SERVER_REQUEST_H_
#define DISTLOG_SERVER_REQUEST_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proto/distlog/v1/common.pb.h"
#include "proto/distlog/v1/log.pb.h"
#include "server/node.h"

namespace distlog {

// An error of a replica that decided not to append: not_appended is set.
absl::Status NotAppendedError(absl::StatusCode code, const std::string& message,
                              v1::ErrorDetail::Reason reason,
                              const std::string& leader_address = "");

// INVALID_ARGUMENT if a field breaks what log.proto says of it or a limit.
absl::Status CheckAppend(const v1::AppendRequest& request, const Node::Limits& limits);
absl::Status CheckOpenProducer(const v1::OpenProducerRequest& request);

// FAILED_PRECONDITION if a request names another cluster than this server's, with the point of
// divergence if it is one that this one was `recovered` from; UNAVAILABLE if this server belongs to
// none; INVALID_ARGUMENT if it names a log.
absl::Status CheckCluster(const std::string& asked, const std::string& log,
                          const std::string& cluster_id,
                          const std::vector<v1::RecoveredFrom>& recovered = {});

}  // namespace distlog

#endif  // DISTLOG_SERVER_REQUEST_H_
