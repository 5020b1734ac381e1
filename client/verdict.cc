#include "client/verdict.h"

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "wire/status.h"

namespace distlog {

v1::ErrorDetail::Reason ReasonOf(const absl::Status& status) {
  const std::optional<v1::ErrorDetail> detail = DetailOf(status);
  return detail ? detail->reason() : v1::ErrorDetail::REASON_UNSPECIFIED;
}

absl::Status StatusFrom(const grpc::Status& status, const std::string& address) {
  const absl::Status said = FromGrpc(status);
  if (said.ok() || DetailOf(said).has_value()) return said;
  switch (said.code()) {
    case absl::StatusCode::kDeadlineExceeded:
      return absl::DeadlineExceededError(
          absl::StrCat("the server at ", address, " did not answer in time"));
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
      return absl::Status(said.code(), absl::StrCat("the connection to the server at ", address,
                                                    " failed before it answered"));
    default:
      return said;
  }
}

bool ProvesNotAppended(const absl::Status& status) {
  const std::optional<v1::ErrorDetail> detail = DetailOf(status);
  // A result no longer kept was decided earlier: perhaps to be appended.
  return detail && detail->not_appended() &&
         detail->reason() != v1::ErrorDetail::REASON_RESULT_NOT_KEPT;
}

bool HoldsForEveryCopy(const absl::Status& status) {
  return ProvesNotAppended(status) && ReasonOf(status) == v1::ErrorDetail::REASON_POSITION;
}

bool MayPass(const absl::Status& status) {
  switch (ReasonOf(status)) {
    case v1::ErrorDetail::REASON_NO_LEADER:
    case v1::ErrorDetail::REASON_BUSY:
    case v1::ErrorDetail::REASON_STOPPING:
    // Another server has taken the place of a member: the others are still there.
    case v1::ErrorDetail::REASON_WRONG_CLUSTER:
    // An earlier request may still be under way; it closes the gap.
    case v1::ErrorDetail::REASON_SEQUENCE_GAP:
      return true;
    case v1::ErrorDetail::REASON_UNSPECIFIED:
      break;
    default:
      return false;
  }
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kInternal:
      return true;
    default:
      return false;
  }
}

bool Attempts::Again(const absl::Status& error) {
  if (ProvesNotAppended(error)) {
    // One copy was refused; another one may still be on its way.
    if (HoldsForEveryCopy(error) && has_producer_) unknown_ = false;
    // This is the only request of its sequence under way here: nobody else closes a gap.
    if (ReasonOf(error) == v1::ErrorDetail::REASON_SEQUENCE_GAP) return false;
    return MayPass(error);
  }
  unknown_ = true;
  return has_producer_ && MayPass(error);
}

absl::Status NobodyServed(absl::Duration timeout, const absl::Status& last) {
  // What an attempt before said may have been told in these words already.
  if (absl::StartsWith(last.message(), "no leader served")) return last;
  v1::ErrorDetail detail = DetailOf(last).value_or(v1::ErrorDetail());
  if (detail.reason() == v1::ErrorDetail::REASON_UNSPECIFIED) {
    detail.set_reason(v1::ErrorDetail::REASON_NO_LEADER);
  }
  return MakeError(
      absl::StatusCode::kUnavailable,
      absl::StrCat("no leader served this within ", absl::FormatDuration(timeout),
                   last.ok() ? "" : absl::StrCat(" (", std::string(last.message()), ")"),
                   "; `distlog status` tells which members can be reached"),
      detail);
}

}  // namespace distlog
