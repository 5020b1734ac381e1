// What is wrong with a cluster, in words. Pure: the same answers, the same words.

#ifndef DISTLOG_CLI_PROBLEMS_H_
#define DISTLOG_CLI_PROBLEMS_H_

#include <string>
#include <vector>

#include "cli/overview.h"
#include "proto/distlog/v1/cluster.pb.h"

namespace distlog::cli {

// That the server belongs to no cluster, and the remedy.
std::string Unassigned(const v1::ServerStatus& self);

// A sentence each, what stops the cluster first. `overview`: its summary, but for the problems.
std::vector<std::string> FindProblems(const v1::StatusResponse& response, const Overview& overview);

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_PROBLEMS_H_
