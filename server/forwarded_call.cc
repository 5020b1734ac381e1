#include "server/forwarded_call.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "proto/distlog/v1/log.pb.h"
#include "wire/status.h"

namespace distlog {
namespace {

absl::Status Open(absl::StatusCode code, const std::string& what) {
  return MakeError(code, absl::StrCat(what, ": the request may or may not have taken effect"),
                   v1::ErrorDetail());
}

}  // namespace

absl::Status ForwardedError(const grpc::Status& status, const std::string& address,
                            GaveUp gave_up) {
  const absl::Status said = FromGrpc(status);
  if (said.ok() || DetailOf(said).has_value()) return said;
  using Code = absl::StatusCode;
  const std::string leader = absl::StrCat("the leader at ", address);
  switch (gave_up) {
    case GaveUp::kAnotherLeads:
      return Open(Code::kUnavailable,
                  absl::StrCat(leader, " did not answer, and another replica leads now"));
    case GaveUp::kStopping:
      return Open(Code::kUnavailable,
                  absl::StrCat("this server stopped before ", leader, " answered"));
    case GaveUp::kNot:
      break;
  }
  LOG_EVERY_N(INFO, 100) << "a request passed on to " << address << " failed: " << said;
  switch (said.code()) {
    case Code::kDeadlineExceeded:
      return Open(said.code(), absl::StrCat(leader, " did not answer before the deadline"));
    case Code::kResourceExhausted:
      return Open(said.code(), absl::StrCat(leader, " had no room for the request"));
    case Code::kUnimplemented:
      return Open(said.code(), absl::StrCat(leader, " does not know this kind of request"));
    default:
      return Open(Code::kUnavailable,
                  absl::StrCat("the connection to ", leader, " broke before it answered"));
  }
}

bool ForwardedCalls::Add(const std::shared_ptr<ForwardedCall>& call) {
  std::lock_guard lock(mutex_);
  if (stopped_) return false;
  asked_[call->address].calls.emplace(call.get(), call);
  return true;
}

void ForwardedCalls::Remove(const ForwardedCall& call) {
  // Destroyed unlocked, should this be the last that holds it.
  std::shared_ptr<ForwardedCall> removed;
  std::lock_guard lock(mutex_);
  const auto asked = asked_.find(call.address);
  if (asked == asked_.end()) return;
  const auto found = asked->second.calls.find(&call);
  if (found == asked->second.calls.end()) return;
  removed = std::move(found->second);
  asked->second.calls.erase(found);
  if (asked->second.calls.empty()) asked_.erase(asked);
  if (asked_.empty()) none_left_.notify_all();
}

void ForwardedCalls::NoteLeader(const std::string& address, TimePoint now) {
  // Given up unlocked: a call that ends may be removed on this thread.
  std::vector<std::shared_ptr<ForwardedCall>> lost;
  {
    std::lock_guard lock(mutex_);
    for (auto& [asked_address, asked] : asked_) {
      if (asked_address == address) {
        asked.replaced_at.reset();
      } else if (!asked.replaced_at.has_value()) {
        asked.replaced_at = now;
      } else if (now - *asked.replaced_at >= kGrace) {
        for (const auto& [key, call] : asked.calls) lost.push_back(call);
      }
    }
  }
  for (const auto& call : lost) call->GiveUp(GaveUp::kAnotherLeads);
}

void ForwardedCalls::Stop(std::chrono::milliseconds patience) {
  std::vector<std::shared_ptr<ForwardedCall>> left;
  {
    std::unique_lock lock(mutex_);
    stopped_ = true;
    none_left_.wait_for(lock, patience, [this] { return asked_.empty(); });
    for (const auto& [address, asked] : asked_) {
      for (const auto& [key, call] : asked.calls) left.push_back(call);
    }
  }
  for (const auto& call : left) call->GiveUp(GaveUp::kStopping);
}

}  // namespace distlog
