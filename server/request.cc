#include "server/request.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "wire/status.h"
#include "wire/value.h"

namespace distlog {
namespace {

constexpr size_t kMaxProducerBytes = 128;

absl::Status Invalid(const std::string& message) {
  return NotAppendedError(absl::StatusCode::kInvalidArgument, message,
                          v1::ErrorDetail::REASON_UNSPECIFIED);
}

absl::Status TooLarge(const std::string& message) {
  return NotAppendedError(absl::StatusCode::kInvalidArgument, message,
                          v1::ErrorDetail::REASON_TOO_LARGE);
}

absl::Status OtherCluster(const std::string& asked, const std::string& cluster_id,
                          const std::vector<v1::RecoveredFrom>& recovered) {
  const std::string name = HexString(asked.substr(0, 32));
  v1::ErrorDetail detail;
  detail.set_not_appended(true);
  detail.set_cluster_id(cluster_id);
  for (const v1::RecoveredFrom& parent : recovered) {
    if (parent.parent_cluster_id() != asked) continue;
    detail.set_reason(v1::ErrorDetail::REASON_RECOVERED);
    detail.set_divergence_position(parent.shared_position());
    return MakeError(
        absl::StatusCode::kFailedPrecondition,
        absl::StrCat("this server's cluster ", HexString(cluster_id), " was recovered from ", name,
                     ", which it left at position ", parent.shared_position(),
                     ": positions above that may be other entries; read from there on again, and "
                     "name the new cluster"),
        detail);
  }
  detail.set_reason(v1::ErrorDetail::REASON_WRONG_CLUSTER);
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("this server belongs to cluster ", HexString(cluster_id), ", not to ", name),
      detail);
}

absl::Status CheckProducer(const v1::AppendRequest& request) {
  if (request.producer().empty()) {
    if (request.sequence() != 0 || request.epoch() != 0) {
      return Invalid("append: sequence and epoch must be 0 without a producer");
    }
    return absl::OkStatus();
  }
  if (request.producer().size() > kMaxProducerBytes) {
    return Invalid(absl::StrCat("append: the producer's name has ", request.producer().size(),
                                " bytes; at most ", kMaxProducerBytes, " are allowed"));
  }
  if (request.sequence() == 0) {
    return Invalid("append: a producer's sequence is missing; sequences count from 1");
  }
  if (request.sequence() > UINT64_MAX / 2) {
    return Invalid("append: the sequence is too large; sequences count entries from 1");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status NotAppendedError(absl::StatusCode code, const std::string& message,
                              v1::ErrorDetail::Reason reason, const std::string& leader_address) {
  v1::ErrorDetail detail;
  detail.set_not_appended(true);
  detail.set_reason(reason);
  detail.set_leader_address(leader_address);
  return MakeError(code, message, detail);
}

absl::Status CheckAppend(const v1::AppendRequest& request, const Node::Limits& limits) {
  if (request.payloads().empty()) return Invalid("append: there is no payload; give at least one");
  if (static_cast<size_t>(request.payloads_size()) > limits.max_payloads) {
    return TooLarge(absl::StrCat("append: the request has ", request.payloads_size(),
                                 " payloads; at most ", limits.max_payloads, " are allowed"));
  }
  size_t bytes = 0;
  for (const std::string& payload : request.payloads()) {
    if (payload.size() > limits.max_entry_bytes) {
      return TooLarge(absl::StrCat("append: an entry has ", payload.size(), " bytes; at most ",
                                   limits.max_entry_bytes, " are allowed"));
    }
    bytes += payload.size();
  }
  if (bytes > limits.max_request_bytes) {
    return TooLarge(absl::StrCat("append: the request has ", bytes, " bytes of payload; at most ",
                                 limits.max_request_bytes, " are allowed: split it"));
  }
  if (request.fence() != 0) return Invalid("append: fences are not supported; fence must be 0");
  return CheckProducer(request);
}

absl::Status CheckOpenProducer(const v1::OpenProducerRequest& request) {
  if (request.name().empty() || request.name().size() > kMaxProducerBytes) {
    return Invalid(absl::StrCat("open producer: the name has ", request.name().size(),
                                " bytes; 1 to ", kMaxProducerBytes, " are allowed"));
  }
  if (request.nonce() == 0) return Invalid("open producer: the nonce must not be 0");
  return absl::OkStatus();
}

absl::Status CheckCluster(const std::string& asked, const std::string& log,
                          const std::string& cluster_id,
                          const std::vector<v1::RecoveredFrom>& recovered) {
  if (!log.empty()) return Invalid("there is one log only; the name of a log must be empty");
  if (cluster_id.empty()) {
    return NotAppendedError(absl::StatusCode::kUnavailable,
                            "this server belongs to no cluster yet; init one, or add it to one",
                            v1::ErrorDetail::REASON_UNASSIGNED);
  }
  if (asked.empty() || asked == cluster_id) return absl::OkStatus();
  return OtherCluster(asked, cluster_id, recovered);
}

}  // namespace distlog
