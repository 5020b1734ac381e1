// What the answers to a status request amount to. Pure: the same answer, the same overview.

#ifndef DISTLOG_CLI_OVERVIEW_H_
#define DISTLOG_CLI_OVERVIEW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "proto/distlog/v1/cluster.pb.h"

namespace distlog::cli {

// A voter further behind than this, in slots, would have to catch up before it could carry the
// cluster.
constexpr uint64_t kCaughtUpSlots = 1000;

struct Overview {
  uint64_t leader_id = 0;  // 0: nobody leads.
  v1::BallotMessage ballot;
  int64_t leader_since_ms = -1;  // As an age; -1: not known.
  uint64_t first_position = 0;
  uint64_t last_position = 0;
  uint64_t chosen_through = 0;  // The highest of all.
  uint64_t voters = 0;
  // How many more voters may fail while appends go on; -1: the quorum is lost already.
  int can_lose = -1;
  // What is wrong, a sentence each.
  std::vector<std::string> problems;
};

Overview Summarize(const v1::StatusResponse& response);

// Of a member: entries that it has not applied.
uint64_t LagOf(const v1::MemberStatus& member, const Overview& overview);

// Whether there is a status of it.
bool Reachable(const v1::MemberStatus& member);

// The screen and the object that `status` prints. `operations`: empty if they are not known.
std::string StatusText(const v1::StatusResponse& response, const v1::OperationsResponse& operations,
                       bool color);
std::string StatusJson(const v1::StatusResponse& response,
                       const v1::OperationsResponse& operations);

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_OVERVIEW_H_
