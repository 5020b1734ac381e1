// What a replica is asked to do, and does, in words for a trace.

#ifndef DISTLOG_TESTS_SIMULATION_HOST_TRACE_H_
#define DISTLOG_TESTS_SIMULATION_HOST_TRACE_H_

#include <string>

#include "paxos/step.h"

namespace distlog::simulation {

std::string ToString(const paxos::Event& event);
std::string ToString(const paxos::Record& record);
std::string ToString(const paxos::AcceptedValue& accepted);
std::string ToString(const paxos::Outcome& outcome);

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_HOST_TRACE_H_
