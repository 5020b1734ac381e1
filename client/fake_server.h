// A cluster that runs inside of a test: real gRPC servers, one log in memory, and faults by script.

#ifndef DISTLOG_CLIENT_FAKE_SERVER_H_
#define DISTLOG_CLIENT_FAKE_SERVER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/fake_membership.h"
#include "grpcpp/server.h"
#include "proto/distlog/v1/cluster.pb.h"
#include "proto/distlog/v1/log.pb.h"

namespace distlog {

// What happens to one request to append or to change the cluster, or to one response of a read.
enum class Fault {
  kNone,
  kRefuse,     // Refused with proof: no leader here.
  kFail,       // Not applied, and UNAVAILABLE, which proves nothing.
  kFailAfter,  // Applied, and UNAVAILABLE.
  kHang,       // Applied, and never answered.
  kMove,       // Applied, not answered; the stream ends and another server leads.
  kDamaged,    // Of a read: DATA_LOSS, what comes next is lost on that server's disk.
};

// Thread-safe.
class FakeCluster {
 public:
  static constexpr absl::Duration kIdle = absl::Milliseconds(1500);

  explicit FakeCluster(int size, bool assigned = true, char id = '\x1f');
  ~FakeCluster();

  std::vector<std::string> endpoints() const;
  std::string endpoint(int id) const;  // Ids from 1.

  void SetLeader(uint64_t id);  // 0: nobody.
  uint64_t leader() const;
  void Stop(int id);  // As if killed: connections break, the port is closed.
  void Start(int id);

  // For the next requests, in order, to whichever server that leads.
  void Script(std::vector<Fault> faults);

  std::vector<std::string> entries() const;
  void Put(std::vector<std::string> entries);
  // Once a subscriber has heard nothing for kIdle.
  void PutWhenIdle(std::vector<std::string> entries);
  uint64_t appends_taken() const;  // Requests that reached a leader.
  void Fence(const std::string& producer);
  void set_max_entry_bytes(uint64_t bytes);

  // Of servers that are no members (any more) the status says that they have left.
  FakeMembership& membership() { return membership_; }
  v1::ConfigurationMessage configuration() const;

  // For the services, which refuse requests that name another cluster.
  Fault NextFault();
  absl::Status Apply(const v1::AppendRequest& request, v1::AppendResponse* response);
  absl::Status Open(const v1::OpenProducerRequest& request, v1::OpenProducerResponse* response);
  absl::Status RefuseOthers(const std::string& cluster_id) const;
  absl::Status RefuseUnlessLeader(uint64_t id, const std::string& cluster_id) const;
  v1::ServerStatus StatusOf(uint64_t id) const;
  v1::StatusResponse FullStatus(uint64_t id) const;
  void Move();
  void Idled();  // A subscriber has heard nothing for kIdle.
  absl::Status Transfer(uint64_t to, v1::TransferLeadershipResponse* response);
  v1::HistoryResponse History(uint32_t limit) const;
  absl::Status Form(const v1::InitRequest& request, v1::InitResponse* response);

 private:
  struct Server;
  struct ProducerRow {
    uint64_t epoch = 0;
    uint64_t nonce = 0;
    uint64_t next_sequence = 1;
    std::map<uint64_t, v1::AppendResponse> results;
  };

  v1::ServerStatus StatusLocked(uint64_t id) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  const std::string cluster_id_;
  FakeMembership membership_;
  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<Server>> servers_;
  bool assigned_ ABSL_GUARDED_BY(mutex_);
  uint64_t leader_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t round_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t max_entry_bytes_ ABSL_GUARDED_BY(mutex_) = 1 << 20;
  std::deque<Fault> faults_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> entries_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> when_idle_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ProducerRow> producers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distlog

#endif  // DISTLOG_CLIENT_FAKE_SERVER_H_
