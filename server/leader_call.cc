#include "server/leader_call.h"

#include <optional>

#include "wire/status.h"

namespace distlog {

NextAttempt DecideAfter(const absl::Status& error, bool was_passed_on, bool is_repeatable) {
  const std::optional<v1::ErrorDetail> detail = DetailOf(error);
  if (detail.has_value() && detail->not_appended()) {
    // Not while this server stops: its client had better ask another one.
    const bool want_of_leader =
        detail->reason() == v1::ErrorDetail::REASON_NO_LEADER ||
        (was_passed_on && (detail->reason() == v1::ErrorDetail::REASON_STOPPING ||
                           detail->reason() == v1::ErrorDetail::REASON_UNASSIGNED));
    return want_of_leader ? NextAttempt::kRepeat : NextAttempt::kNone;
  }
  const bool connection_broke =
      absl::IsUnavailable(error) || absl::IsUnknown(error) || absl::IsInternal(error);
  return was_passed_on && is_repeatable && connection_broke ? NextAttempt::kRepeatUnknown
                                                            : NextAttempt::kNone;
}

absl::Status AfterUnknown(const absl::Status& error) {
  std::optional<v1::ErrorDetail> detail = DetailOf(error);
  // A precondition is remembered with its sequence: had an earlier copy been appended, that would
  // have been the answer.
  if (!detail.has_value() || detail->reason() == v1::ErrorDetail::REASON_POSITION) return error;
  detail->set_not_appended(false);
  return MakeError(error.code(), std::string(error.message()), *detail);
}

}  // namespace distlog
