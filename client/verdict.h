// What the error of one attempt proves, and whether another attempt makes sense. The rules of
// docs/protocol.md, "What an answer means", and nothing else.

#ifndef DISTLOG_CLIENT_VERDICT_H_
#define DISTLOG_CLIENT_VERDICT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/outcome.h"
#include "grpcpp/support/status.h"
#include "proto/distlog/v1/log.pb.h"

namespace distlog {

// REASON_UNSPECIFIED if the error carries no detail.
v1::ErrorDetail::Reason ReasonOf(const absl::Status& status);

// What a call to append, or to open a producer, at `address` came to. What a server said of it is
// handed on; what only the connection said is put in a sentence that names the server.
absl::Status StatusFrom(const grpc::Status& status, const std::string& address);

// Whether this copy of the append certainly is not in the log and never will be.
bool ProvesNotAppended(const absl::Status& status);

// Whether the refusal was remembered together with the sequence, so that it holds for every copy of
// the request, earlier ones of unknown outcome included.
bool HoldsForEveryCopy(const absl::Status& status);

// Whether the same request may fare better elsewhere or later. Says nothing about safety.
bool MayPass(const absl::Status& status);

// Takes in the errors of the attempts of one append, in order.
class Attempts {
 public:
  explicit Attempts(bool has_producer) : has_producer_(has_producer) {}

  // Whether another attempt is safe and makes sense after this error.
  bool Again(const absl::Status& error);

  // What is known after all attempts so far.
  Outcome outcome() const { return unknown_ ? Outcome::kUnknown : Outcome::kNotDone; }

 private:
  const bool has_producer_;
  bool unknown_ = false;
};

// The error of a call that found nobody to serve it within `timeout`. `last`: the error of the last
// attempt; may be OK.
absl::Status NobodyServed(absl::Duration timeout, const absl::Status& last);

}  // namespace distlog

#endif  // DISTLOG_CLIENT_VERDICT_H_
