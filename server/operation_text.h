// What operators are told of an operation: progress, the cause of its delay, refusals.

#ifndef DISTLOG_SERVER_OPERATION_TEXT_H_
#define DISTLOG_SERVER_OPERATION_TEXT_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "log/operations.h"
#include "paxos/replica.h"
#include "proto/distlog/v1/cluster.pb.h"
#include "proto/distlog/v1/record.pb.h"

namespace distlog {

// What the log says of it.
void FillOperation(const v1::OperationState& operation, v1::Operation* out);
// How far those are that its goal makes voters, as this replica hears them.
void FillProgress(const v1::OperationState& operation, const paxos::Replica& replica,
                  const paxos::Configuration& in_force, v1::Operation* out);

// The first member that the goal makes a voter and that is not heard within a window of this
// replica; null: all are.
const paxos::Member* FirstBehind(const v1::OperationState& operation, const paxos::Replica& replica,
                                 const paxos::Configuration& in_force);

// Why the running operation is not further, in words; empty if it is on its way, or if this replica
// does not lead and so does not know. `next` is the configuration it needs, if it needs one; its
// newcomers have kept up for `rounds` of `rounds_wanted`.
std::string CauseOfDelay(const v1::OperationState& operation, const paxos::Replica& replica,
                         const paxos::Configuration& in_force,
                         const std::optional<paxos::Configuration>& next, int rounds,
                         int rounds_wanted);

// Why a request had no effect, and what would help.
absl::Status ErrorOf(const OperationResult& result);

}  // namespace distlog

#endif  // DISTLOG_SERVER_OPERATION_TEXT_H_
