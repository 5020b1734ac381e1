// A request that may safely be sent any number of times, sent until one answer is final.

#ifndef DISTLOG_CLIENT_REPEAT_H_
#define DISTLOG_CLIENT_REPEAT_H_

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "client/members.h"
#include "client/verdict.h"
#include "grpcpp/client_context.h"

namespace distlog {

inline void SetDeadline(absl::Time deadline, grpc::ClientContext* context) {
  context->set_deadline(absl::ToChronoTime(deadline));
}

// Makes every copy of one request the same request. Never 0.
inline uint64_t FreshNonce() {
  std::random_device random;
  return (static_cast<uint64_t>(random()) << 32 | random()) | 1;
}

// `send(target, attempt_deadline)` makes one attempt. UNAVAILABLE: nobody served it in time.
template <typename Send>
absl::Status Repeat(Members& members, const ClientOptions& options, const Send& send) {
  const absl::Time deadline = absl::Now() + options.timeout;
  Backoff backoff(members.NextSeed());
  absl::Status last;
  do {
    const absl::StatusOr<Target> target = members.Find(deadline);
    if (!target.ok()) {
      if (target.status().code() != absl::StatusCode::kUnavailable) return target.status();
      return NobodyServed(options.timeout, target.status());
    }
    last = send(*target, std::min(deadline, absl::Now() + options.attempt_timeout));
    if (last.ok() || !MayPass(last)) return last;
    members.Failed(*target, last);
  } while (Pause(backoff.Next(), deadline, nullptr));
  return NobodyServed(options.timeout, last);
}

}  // namespace distlog

#endif  // DISTLOG_CLIENT_REPEAT_H_
