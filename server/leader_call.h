// One request that needs the leader, wherever that is.

#ifndef DISTLOG_SERVER_LEADER_CALL_H_
#define DISTLOG_SERVER_LEADER_CALL_H_

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/alarm.h"
#include "proto/distlog/v1/log.pb.h"
#include "server/node.h"

namespace distlog {

// What to do after an attempt failed.
enum class NextAttempt {
  kNone,           // The answer is what the attempt said.
  kRepeat,         // Certainly not done, for want of a leader.
  kRepeatUnknown,  // It may have been done, but doing it twice is doing it once.
};
NextAttempt DecideAfter(const absl::Status& error, bool was_passed_on, bool is_repeatable);

// `error` of the last attempt, as what is known of the whole request: once one attempt is unknown,
// a later refusal does not make it known. (docs/protocol.md, "What an answer means")
absl::Status AfterUnknown(const absl::Status& error);

// Tries here or at the leader until there is an answer or the time is over, and answers once. Holds
// itself until then.
template <typename Response>
class LeaderCall : public std::enable_shared_from_this<LeaderCall<Response>> {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Done = std::function<void(const absl::StatusOr<Response>&)>;
  struct Ways {
    std::function<void(Done)> here;
    std::function<void(const std::string& address, Done)> there;
    std::function<Node::Leader()> leader;
    std::function<bool()> is_cancelled;
  };
  struct Options {
    TimePoint deadline{};
    bool is_forwarded = false;   // Then it is tried here, once.
    bool is_repeatable = false;  // It carries what makes a copy of it harmless.
  };

  LeaderCall(Ways ways, const Options& options, Done done)
      : ways_(std::move(ways)), options_(options), done_(std::move(done)) {}

  void Start() {
    const Node::Leader leader = ways_.leader();
    const bool there = !options_.is_forwarded && !leader.is_here && !leader.address.empty();
    auto answered = [self = this->shared_from_this(), there](
                        const absl::StatusOr<Response>& answer) { self->OnAnswer(answer, there); };
    if (there) {
      ways_.there(leader.address, std::move(answered));
    } else {
      ways_.here(std::move(answered));
    }
  }

 private:
  static constexpr std::chrono::milliseconds kFirstPause{5};
  static constexpr std::chrono::milliseconds kLongestPause{80};

  void OnAnswer(const absl::StatusOr<Response>& answer, bool was_passed_on) {
    const NextAttempt next =
        answer.ok() || options_.is_forwarded
            ? NextAttempt::kNone
            : DecideAfter(answer.status(), was_passed_on, options_.is_repeatable);
    if (next == NextAttempt::kRepeatUnknown) is_unknown_ = true;
    const auto later = std::chrono::steady_clock::now() + pause_;
    if (next == NextAttempt::kNone || later >= options_.deadline || ways_.is_cancelled()) {
      if (!answer.ok() && is_unknown_) {
        done_(AfterUnknown(answer.status()));
      } else {
        done_(answer);
      }
      return;
    }
    alarm_ = std::make_unique<grpc::Alarm>();
    alarm_->Set(std::chrono::system_clock::now() + pause_,
                [self = this->shared_from_this()](bool /*ok*/) {
                  // Let go of, since it holds this call.
                  const std::unique_ptr<grpc::Alarm> alarm = std::move(self->alarm_);
                  self->Start();
                });
    pause_ = std::min(2 * pause_, kLongestPause);
  }

  const Ways ways_;
  const Options options_;
  const Done done_;
  bool is_unknown_ = false;  // An attempt may have succeeded.
  std::chrono::milliseconds pause_ = kFirstPause;
  std::unique_ptr<grpc::Alarm> alarm_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_LEADER_CALL_H_
