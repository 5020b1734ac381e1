// The members and operations of a fake cluster. What an operation goes through is scripted; which
// servers are members the test says.

#ifndef DISTLOG_CLIENT_FAKE_MEMBERSHIP_H_
#define DISTLOG_CLIENT_FAKE_MEMBERSHIP_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "proto/distlog/v1/cluster.pb.h"

namespace distlog {

// Thread-safe.
class FakeMembership {
 public:
  explicit FakeMembership(uint64_t size);

  // The next version of the configuration.
  void SetMembers(std::vector<uint64_t> ids);
  std::vector<uint64_t> members() const;
  uint64_t version() const;
  bool HasLeft(uint64_t id) const;

  // What is told of an operation: one stage per answer of the leader, the last one for ever. As
  // long as nothing is scripted an operation is done at once.
  void Script(std::vector<v1::Operation> stages);
  // Every change from now on, with this sentence.
  void Refuse(const std::string& sentence);
  // The requests that began an operation or planned one, in words.
  std::vector<std::string> requests() const;
  // How often a leader was asked for operations.
  int told() const;

  // For the service.
  absl::Status Change(const v1::ChangeOptions& options, const std::string& request,
                      const v1::ConfigurationMessage& configuration, v1::ChangeResponse* response);
  absl::Status Cancel(uint64_t id);
  // As the leader tells it, or somebody else.
  void Tell(bool is_leader, v1::OperationsResponse* response);

 private:
  mutable absl::Mutex mutex_;
  std::vector<uint64_t> members_ ABSL_GUARDED_BY(mutex_);
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, uint64_t> begun_ ABSL_GUARDED_BY(mutex_);  // By nonce.
  std::vector<v1::Operation> stages_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::Operation> operations_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> requests_ ABSL_GUARDED_BY(mutex_);
  int told_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string refusal_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distlog

#endif  // DISTLOG_CLIENT_FAKE_MEMBERSHIP_H_
