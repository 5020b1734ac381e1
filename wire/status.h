// Errors change clothes here and nowhere else: absl::Status with an ErrorDetail as its payload, and
// grpc::Status with the same in `grpc-status-details-bin`.

#ifndef DISTLOG_WIRE_STATUS_H_
#define DISTLOG_WIRE_STATUS_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"
#include "proto/distlog/v1/log.pb.h"

namespace distlog {

absl::Status MakeError(absl::StatusCode code, const std::string& message,
                       const v1::ErrorDetail& detail);
// None if the status carries none.
std::optional<v1::ErrorDetail> DetailOf(const absl::Status& status);

grpc::Status ToGrpc(const absl::Status& status);    // Keeps code, message and detail.
absl::Status FromGrpc(const grpc::Status& status);  // The same.

// The status of a refusal decided at apply: `reason` and the rest are in `detail`. Names the object
// and the remedy. FAILED_PRECONDITION for most; ABORTED for a sequence gap (which may close).
absl::Status RefusalError(const v1::ErrorDetail& detail);

}  // namespace distlog

#endif  // DISTLOG_WIRE_STATUS_H_
