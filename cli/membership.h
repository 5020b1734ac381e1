// What the commands about members print. Pure: the same answer, the same text.

#ifndef DISTLOG_CLI_MEMBERSHIP_H_
#define DISTLOG_CLI_MEMBERSHIP_H_

#include <cstdint>
#include <string>

#include "proto/distlog/v1/cluster.pb.h"

namespace distlog::cli {

// The steps as a table, what the death of each member would mean at each, warnings, refusal.
std::string PlanText(const v1::Plan& plan);

// `ended`: how it ended, with the configuration then; null if that was not waited for.
std::string ChangeJson(const v1::ChangeResponse& response, const v1::OperationsResponse* ended);

// In a sentence, how the first operation of the answer ended and what the configuration is now.
std::string EndText(const v1::OperationsResponse& ended);

std::string MembersText(const v1::OperationsResponse& response);
std::string MembersJson(const v1::OperationsResponse& response);

std::string OperationsText(const v1::OperationsResponse& response, int64_t now_ms);
std::string OperationsJson(const v1::OperationsResponse& response);

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_MEMBERSHIP_H_
