// Whom to ask: the addresses of the cluster as far as they are known, a channel to each, and who
// leads.

#ifndef DISTLOG_CLIENT_MEMBERS_H_
#define DISTLOG_CLIENT_MEMBERS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "grpcpp/channel.h"
#include "proto/distlog/v1/cluster.pb.h"

namespace distlog {

// A server to which a connection stands.
struct Target {
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
};

// Waits between attempts: short at first, then longer, never more than 250 ms, each with jitter.
class Backoff {
 public:
  explicit Backoff(uint64_t seed) : random_(seed) {}
  absl::Duration Next();
  void Reset() { next_ = kFirst; }

 private:
  static constexpr absl::Duration kFirst = absl::Milliseconds(10);
  absl::Duration next_ = kFirst;
  std::mt19937_64 random_;
};

// Waits for `duration`, no longer than until `deadline`. False, and at once, if `stop` is notified
// or the deadline has passed. `stop` may be null.
bool Pause(absl::Duration duration, absl::Time deadline, const absl::Notification* stop);

// All of one cluster: the first one that is found. A server that turns out to belong to another one
// is not asked.
//
// Thread-safe. Every function that waits does so until its deadline at most, or until `stop` (which
// may be null) is notified.
class Members {
 public:
  // Of the addresses it remembers.
  static constexpr size_t kMaxAddresses = 64;

  Members(std::vector<std::string> endpoints, uint64_t seed);

  // The leader; or, if that one cannot be reached, a member that passes requests on.
  // FAILED_PRECONDITION if all servers say that they belong to no cluster, or as many to one as to
  // another; UNAVAILABLE if the deadline passes.
  absl::StatusOr<Target> Find(absl::Time deadline, const absl::Notification* stop = nullptr);

  // Any member but those named: for a read of what they have lost. UNAVAILABLE if there is none
  // that can be reached now.
  absl::StatusOr<Target> FindBeside(const std::set<std::string>& excluded, absl::Time deadline);

  // The leader if it can be reached at once, or else any member that can: for questions that need
  // no leader. Errors as of Find.
  absl::StatusOr<Target> FindMember(absl::Time deadline);

  // The first of the given endpoints to which a connection can be made.
  absl::StatusOr<Target> FindAny(absl::Time deadline);

  // After a request failed there: remembers the leader that the error names, or that this one does
  // not lead.
  void Failed(const Target& target, const absl::Status& error);

  // A member said that this configuration is in force. An older one than is known changes nothing.
  void Learned(const v1::ConfigurationMessage& configuration);

  // Asks all given endpoints what they know. Of the answers of members of the cluster that most of
  // them belong to, one that knows the newest configuration; or else any answer.
  // FAILED_PRECONDITION as for Find.
  absl::StatusOr<v1::StatusResponse> Ask(absl::Time deadline);

  // The one that requests are for, known once Find has found a server; empty before.
  std::string cluster_id() const;

  // Set once any server has answered Find or Ask.
  std::optional<Limits> limits() const;

  uint64_t NextSeed();

 private:
  struct Inquiry;

  std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address);
  std::optional<Target> Connect(const std::string& address, absl::Time deadline);
  std::vector<std::string> addresses() const;
  std::string leader() const;
  // Asks every known address who leads. Those that answered; remembers what they say.
  std::vector<std::string> Learn(absl::Time deadline, absl::Status* trouble);
  std::unique_ptr<Inquiry> StartInquiry(const std::vector<std::string>& addresses, bool self_only,
                                        absl::Time deadline);
  void Remember(const v1::ServerStatus& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeIn(const v1::ConfigurationMessage& configuration) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddAddress(const std::string& address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::vector<std::string> endpoints_;
  mutable absl::Mutex mutex_;
  std::vector<std::string> addresses_ ABSL_GUARDED_BY(mutex_);
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 0;  // Of the configuration they are from.
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mutex_);
  std::string leader_ ABSL_GUARDED_BY(mutex_);      // Its address; empty: not known.
  std::string cluster_id_ ABSL_GUARDED_BY(mutex_);  // Empty: not known yet. Never changes again.
  std::optional<Limits> limits_ ABSL_GUARDED_BY(mutex_);
  std::mt19937_64 seeds_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distlog

#endif  // DISTLOG_CLIENT_MEMBERS_H_
