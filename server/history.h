// Who led when, for people.

#ifndef DISTLOG_SERVER_HISTORY_H_
#define DISTLOG_SERVER_HISTORY_H_

#include <deque>

#include "paxos/configuration.h"
#include "proto/distlog/v1/cluster.pb.h"
#include "proto/distlog/v1/record.pb.h"

namespace distlog {

// The terms that the log tells of, oldest first, with the addresses that their leaders have in
// `configuration`. The last one goes on.
v1::HistoryResponse HistoryOf(const std::deque<v1::TermState>& terms,
                              const paxos::Configuration& configuration);

}  // namespace distlog

#endif  // DISTLOG_SERVER_HISTORY_H_
