// Reads from other members what this replica's disk has lost.

#ifndef DISTLOG_SERVER_PEER_READER_H_
#define DISTLOG_SERVER_PEER_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "log/store.h"
#include "paxos/configuration.h"
#include "paxos/types.h"
#include "server/peer_registry.h"

namespace distlog {

// Asks one member after the other, beginning with the one that served last. What is chosen is the
// same at all of them. Calls block, for some seconds with each member at most. Any thread. An error
// says what each member answered.
class PeerReader {
 public:
  // `registry` outlives the reader.
  explicit PeerReader(PeerRegistry* registry) : registry_(registry) {}

  // Store::FetchChosen.
  absl::StatusOr<std::vector<paxos::AcceptedValue>> FetchChosen(paxos::Slot first,
                                                                paxos::Slot through);
  // As Store::ReadEntries.
  absl::StatusOr<std::vector<LogEntry>> ReadEntries(uint64_t from, uint64_t to);

  // Begins with another member from now on: what this one supplied could not be used.
  void TurnToNext();

  // Cancels the calls under way, and fails all that follow.
  void Stop();

 private:
  using Ask = std::function<absl::Status(const paxos::Member& member,
                                         const std::shared_ptr<grpc::Channel>& channel,
                                         grpc::ClientContext* context)>;
  absl::Status AskInTurn(const Ask& ask);
  absl::Status AskOne(const paxos::Member& member, const Ask& ask);

  PeerRegistry* const registry_;
  std::mutex mutex_;
  size_t turn_ = 0;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_;  // By address, of members.
  std::set<grpc::ClientContext*> under_way_;
  bool stopped_ = false;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_PEER_READER_H_
