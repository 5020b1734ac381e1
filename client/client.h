// The client of a distlog cluster: finds the leader, follows it when it changes, retries what is
// safe to retry, and says exactly what became of every append.
//
//   absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect({.endpoints =
//   {"127.0.0.1:4600"}}); AppendResult result = (*client)->Append({"hello"});
//
// For many appends use Producer (client/producer.h): it is exactly once, pipelined, and much
// faster.

#ifndef DISTLOG_CLIENT_CLIENT_H_
#define DISTLOG_CLIENT_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/outcome.h"
#include "proto/distlog/v1/cluster.pb.h"
#include "proto/distlog/v1/log.pb.h"

namespace distlog {

class Members;

struct ClientOptions {
  // HOST:PORT of any one or more members. The others are learned from them.
  std::vector<std::string> endpoints = {};
  // How long a call may take altogether, retries included; for streams, how long it may go on
  // without progress.
  absl::Duration timeout = absl::Seconds(10);
  // How long one server may be silent before another one is tried, where trying again is safe.
  absl::Duration attempt_timeout = absl::Seconds(2);
  // The same for a change of members, for which the leader asks the newcomers and all voters.
  absl::Duration change_attempt_timeout = absl::Seconds(6);
  // Of the jitter. 0: another one each time.
  uint64_t seed = 0;
};

struct AppendResult {
  Outcome outcome = Outcome::kNotDone;
  absl::Status status;  // OK if and only if it is done; otherwise may carry an ErrorDetail.
  uint64_t first_position = 0;
  uint32_t count = 0;
  bool duplicate = false;  // This is the original answer to an append that was done before.
};

struct AppendOptions {
  // Name, epoch and sequence of the first payload make it safe to repeat. Without a name the append
  // is tried again only after a refusal which proves that nothing happened.
  std::string producer = {};
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  uint64_t expect_position = 0;  // Only if the first payload gets this position. 0: any.
};

// What became of a request that changes the cluster.
template <typename Response>
struct ClusterResult {
  Outcome outcome = Outcome::kNotDone;
  absl::Status status;  // OK if and only if it is done.
  Response response;
};
using InitResult = ClusterResult<v1::InitResponse>;
using ChangeResult = ClusterResult<v1::ChangeResponse>;
using CancelResult = ClusterResult<v1::CancelOperationResponse>;
using TransferResult = ClusterResult<v1::TransferLeadershipResponse>;

// A change of members. The cluster id and the nonce are filled in by the client.
using ChangeRequest =
    std::variant<v1::AddMemberRequest, v1::RemoveMemberRequest, v1::ReplaceMemberRequest,
                 v1::PromoteMemberRequest, v1::SetMembersRequest>;

struct ReadRange {
  uint64_t from = 0;   // 0: the first retained.
  uint64_t to = 0;     // 0: the end as of the call.
  uint64_t count = 0;  // 0: no bound.
  // Whatever the first endpoint that can be reached has; nobody else is asked.
  bool local = false;
};

struct SubscribeRange {
  // The first position; if not set, that many entries before the end as of the call.
  std::optional<uint64_t> from = {};
  uint64_t last = 0;
};

// What the cluster takes.
struct Limits {
  uint64_t max_entry_bytes = 0;
  uint64_t max_request_bytes = 0;
};

// Takes consecutive entries; they may be moved from. False ends the call, which then returns OK. A
// response without entries is not handed on.
using EntriesCallback = std::function<bool(std::vector<v1::Entry>* entries)>;

// Thread-safe: any number of threads may call at once. Calls block; callbacks run on the calling
// thread. Errors carry a sentence for people, and the server's ErrorDetail (wire/status.h) if there
// is one. UNAVAILABLE or DEADLINE_EXCEEDED: no leader, no quorum or nobody there within the
// timeout.
class Client {
 public:
  // Does not wait for the network: unreachable endpoints are an error of the calls.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(const ClientOptions& options);

  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Appends all payloads at consecutive positions, or none.
  AppendResult Append(std::vector<std::string> payloads, const AppendOptions& options = {});

  // Opens a new epoch of the producer: appends of earlier epochs are refused from now on. With
  // `after_epoch`, only if that is the current epoch.
  absl::StatusOr<v1::OpenProducerResponse> OpenProducer(
      const std::string& name, std::optional<uint64_t> after_epoch = std::nullopt);

  // Calls `callback` with the entries of the range, in order and without a gap, through failures of
  // servers (unless local).
  absl::Status Read(const ReadRange& range, const EntriesCallback& callback);

  // Like Read, and goes on with new entries until the callback says false, or until no server has
  // answered for the timeout since the last stream ended. A stream ends after 3 s of silence at the
  // earliest, however short the timeout is: on an idle log servers speak about once a second.
  absl::Status Subscribe(const SubscribeRange& range, const EntriesCallback& callback);

  absl::StatusOr<v1::EndResponse> End(bool local = false);

  // The cluster as one of the endpoints sees it. Needs neither leader nor quorum.
  absl::StatusOr<v1::StatusResponse> Status();

  // Forms a cluster out of empty servers. Asks the first of the endpoints.
  InitResult Init(const std::vector<std::string>& addresses);

  // Begins a change of members, or plans it (dry_run). Done: the operation is in the log, and the
  // cluster carries it to its end by itself. Repeated through failures of servers under one nonce,
  // so that it is begun once.
  ChangeResult Change(ChangeRequest request);

  // The operations in the log; with `id` only that one. From the leader if there is one, otherwise
  // as the first member that answers knows them.
  absl::StatusOr<v1::OperationsResponse> Operations(uint64_t id = 0);

  // Asks for the operation until it has finished, through changes of the leader and of all members
  // that were known at first, and returns the answer that says so. `progress` gets every answer of
  // a leader before that. UNAVAILABLE: no leader has answered for the timeout; the operation is in
  // the log all the same. NOT_FOUND: the leader knows of no such operation.
  absl::StatusOr<v1::OperationsResponse> AwaitOperation(
      uint64_t id, const std::function<void(const v1::OperationsResponse&)>& progress);

  // Done: it is being cancelled. AwaitOperation tells when it has been.
  CancelResult CancelOperation(uint64_t id);

  // Waits until the new leader serves. `to`: 0 lets the leader choose; then it is tried again only
  // after proof that nothing happened.
  TransferResult TransferLeadership(uint64_t to);

  // The newest `limit` terms as a member knows them, oldest first; 0: all.
  absl::StatusOr<v1::HistoryResponse> History(uint32_t limit);

  // Asks a server for them, the first time.
  absl::StatusOr<Limits> GetLimits();

  const ClientOptions& options() const { return options_; }

  // For the other files of this folder.
  Members& members() { return *members_; }

 private:
  Client(const ClientOptions& options, std::unique_ptr<Members> members);

  const ClientOptions options_;
  const std::unique_ptr<Members> members_;
};

}  // namespace distlog

#endif  // DISTLOG_CLIENT_CLIENT_H_
