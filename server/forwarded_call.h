// What was passed on to other servers and is not answered yet.

#ifndef DISTLOG_SERVER_FORWARDED_CALL_H_
#define DISTLOG_SERVER_FORWARDED_CALL_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"

namespace distlog {

// Why this end gave a call up.
enum class GaveUp { kNot, kAnotherLeads, kStopping };

// What the caller of a request that was passed on to `address` is told. What that server decided is
// handed on as it is. All else is said in a sentence of this server's, which names the one that was
// asked, and leaves open whether the request took effect.
absl::Status ForwardedError(const grpc::Status& status, const std::string& address, GaveUp gave_up);

// One call, or one stream of calls. Any thread.
struct ForwardedCall {
  explicit ForwardedCall(std::string address) : address(std::move(address)) {}

  void GiveUp(GaveUp why) {
    gave_up = why;
    context.TryCancel();
  }
  absl::Status ErrorOf(const grpc::Status& status) const {
    return ForwardedError(status, address, gave_up);
  }

  const std::string address;  // Of the server that was asked.
  grpc::ClientContext context;
  std::atomic<GaveUp> gave_up{GaveUp::kNot};
};

// All that are open. Any thread.
class ForwardedCalls {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // A leader that has handed over answers what it had in flight a little later.
  static constexpr std::chrono::milliseconds kGrace{1000};

  // To be added before it begins, and removed when it has ended. False, and not added, once
  // stopped.
  bool Add(const std::shared_ptr<ForwardedCall>& call);
  void Remove(const ForwardedCall& call);

  // `address` leads at `now`; empty: this server does. Gives up what another one was asked that has
  // not led for kGrace, by what was told here.
  void NoteLeader(const std::string& address, TimePoint now);

  // Takes nothing more, waits until all have ended, and gives up those that are left after
  // `patience`.
  void Stop(std::chrono::milliseconds patience);

 private:
  struct Asked {
    std::unordered_map<const ForwardedCall*, std::shared_ptr<ForwardedCall>> calls;
    std::optional<TimePoint> replaced_at;  // Since when another one leads.
  };

  std::mutex mutex_;
  std::condition_variable none_left_;
  std::map<std::string, Asked> asked_;  // By address. None without calls.
  bool stopped_ = false;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_FORWARDED_CALL_H_
