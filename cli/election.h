// What the commands about leadership print. Pure: the same answer, the same text.

#ifndef DISTLOG_CLI_ELECTION_H_
#define DISTLOG_CLI_ELECTION_H_

#include <cstdint>
#include <string>

#include "proto/distlog/v1/cluster.pb.h"

namespace distlog::cli {

// Who leads, what each replica believes, and who hears whom. `now_ms`: since 1970.
std::string ElectionText(const v1::StatusResponse& response);
std::string ElectionJson(const v1::StatusResponse& response, int64_t now_ms);

std::string HistoryText(const v1::HistoryResponse& response, int64_t now_ms);
std::string HistoryJson(const v1::HistoryResponse& response);

std::string TransferText(const v1::TransferLeadershipResponse& response, int64_t took_ms);
std::string TransferJson(const v1::TransferLeadershipResponse& response, int64_t took_ms);

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_ELECTION_H_
