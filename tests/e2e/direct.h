// One server, asked by its API without a client's wisdom: no other server, no second try.

#ifndef DISTLOG_TESTS_E2E_DIRECT_H_
#define DISTLOG_TESTS_E2E_DIRECT_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/distlog/v1/cluster.grpc.pb.h"
#include "proto/distlog/v1/log.grpc.pb.h"

namespace distlog {

// Thread-safe. Waits long for answers.
class Direct {
 public:
  explicit Direct(const std::string& endpoint);

  // Linearizable.
  absl::StatusOr<uint64_t> End() const;
  // The position.
  absl::StatusOr<uint64_t> Append(const std::string& payload) const;
  // "round.replica" that it follows; empty if it follows nobody or does not answer.
  std::string FollowedBallot() const;

 private:
  std::unique_ptr<v1::Log::Stub> log_;
  std::unique_ptr<v1::Cluster::Stub> cluster_;
};

// What a leader that stood still tells those who ask it meanwhile, and at the moment when it goes
// on.
struct StoppedLeaderOutcome {
  absl::Status status;  // Of the takeover and the appends through the others.
  int answered = 0;     // Reads ...
  int stale = 0;        // ... that miss an append acknowledged before the leader went on.
};

// Stops process `leader` (SIGSTOP) until another one, as `other` sees it, has taken over and has
// acknowledged an append; no longer, so that it has had no time of its own to notice. Readers have
// asked it by then, and go on asking it.
StoppedLeaderOutcome StopLeaderUnderReads(pid_t leader, const std::string& leader_endpoint,
                                          const std::string& other_endpoint,
                                          const std::string& payload);

}  // namespace distlog

#endif  // DISTLOG_TESTS_E2E_DIRECT_H_
