// How servers become members: `init` forms a cluster out of empty ones, and those who are members
// bring in those who do not know yet that they are.

#ifndef DISTLOG_SERVER_FORMATION_H_
#define DISTLOG_SERVER_FORMATION_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "paxos/configuration.h"
#include "proto/distlog/v1/peer.pb.h"

namespace distlog {

using Deadline = std::chrono::steady_clock::time_point;

// Peer.Probe and Peer.Assign of the server at `address`. Unavailable: not reached.
absl::StatusOr<v1::ProbeResponse> ProbeServer(const std::string& address, Deadline deadline);
absl::StatusOr<bool> AssignServer(const std::string& address, const v1::AssignRequest& request,
                                  Deadline deadline);

// The genesis that `addresses` and what each server there answered to a Probe make, if they may
// form a cluster now: none of them belongs to another one, and none has seen an entry or a second
// configuration. One sentence that names the address otherwise. `addresses` are checked by
// CheckInitAddresses.
absl::StatusOr<paxos::Configuration> PlanGenesis(const std::vector<std::string>& addresses,
                                                 const std::vector<v1::ProbeResponse>& answers);

// InvalidArgument: none, too many, a malformed or repeated one, or without `self`.
absl::Status CheckInitAddresses(const std::vector<std::string>& addresses, const std::string& self);

// Forms the cluster of `addresses` as far as possible: durably assigned everywhere when it returns.
// FailedPrecondition, InvalidArgument: nothing was changed. Unavailable: to be repeated. Blocks.
struct Formed {
  paxos::Configuration genesis;
  bool is_new = false;  // Somebody had to be assigned.
};
absl::StatusOr<Formed> FormCluster(const std::vector<std::string>& addresses, Deadline deadline);

// Tells members that they are: newcomers that a running cluster adds, founders that an interrupted
// init has missed, and those that slept while all whom they know were replaced. A thread that
// probes them about once a second. A server with another UUID than the member's is left alone.
class Spread {
 public:
  struct Offer {
    std::string cluster_id;              // Empty: nothing to offer yet.
    v1::AssignRequest request;           // The configuration in force here, unless it is the first.
    std::vector<paxos::Member> missing;  // Its members to which no connection is up.
  };
  explicit Spread(std::function<Offer()> offer);
  ~Spread();

 private:
  void Run();

  const std::function<Offer()> offer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_FORMATION_H_
