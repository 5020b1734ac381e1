// The configurations that a change goes through, as an operator judges them.

#ifndef DISTLOG_SERVER_PLAN_STEPS_H_
#define DISTLOG_SERVER_PLAN_STEPS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "paxos/configuration.h"
#include "proto/distlog/v1/cluster.pb.h"
#include "server/plan.h"

namespace distlog {

// Newcomers have id 0, and count as reachable.
size_t VotersOf(const std::vector<paxos::Member>& members);
size_t QuorumOf(const std::vector<paxos::Member>& members);
// "replica 3 at 127.0.0.1:4603", or the address of a newcomer.
std::string NameOf(const paxos::Member& member);
v1::MemberMessage MessageOf(const paxos::Member& member);

void AddStep(const std::string& what, const std::vector<paxos::Member>& members,
             const ClusterView& view, v1::Plan* plan);
// All steps after the present one.
void AddSteps(const std::vector<paxos::Member>& goal, const std::string& last_step,
              bool learn_first, const ClusterView& view, v1::Plan* plan);
// What an operator should know who wants the steps of the plan.
void AddWarnings(const std::vector<paxos::Member>& goal, const ClusterView& view, v1::Plan* plan);

}  // namespace distlog

#endif  // DISTLOG_SERVER_PLAN_STEPS_H_
