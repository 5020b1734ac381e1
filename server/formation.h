// Forming a cluster out of empty servers: `init`.

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
absl::StatusOr<bool> AssignServer(const std::string& address, const paxos::Configuration& genesis,
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

// Gives the genesis to members that an interrupted init has missed: a thread that probes, about
// once a second, the members in `missing()`, all of the genesis that `genesis()` returns (version
// 0: none yet).
class GenesisSpread {
 public:
  GenesisSpread(std::function<std::vector<paxos::Member>()> missing,
                std::function<paxos::Configuration()> genesis);
  ~GenesisSpread();

 private:
  void Run();
  void Offer(const paxos::Member& member, const paxos::Configuration& genesis);

  const std::function<std::vector<paxos::Member>()> missing_;
  const std::function<paxos::Configuration()> genesis_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_FORMATION_H_
