#include "server/phase_log.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace distlog {
namespace {

const char* NameOf(OperationPhase phase) {
  switch (phase) {
    case OperationPhase::kLearning:
      return "learning";
    case OperationPhase::kChanging:
      return "changing";
    case OperationPhase::kSettling:
      return "settling";
    case OperationPhase::kCancelling:
      return "cancelling";
    case OperationPhase::kDone:
      return "done";
    case OperationPhase::kCancelled:
      return "cancelled";
    case OperationPhase::kFailed:
      return "failed";
  }
  return "in no phase";
}

}  // namespace

std::string PhaseLog::Next(const Operations& operations, uint64_t version, bool leads) {
  if (!leads || operations.all().empty()) {
    told_.reset();
    return "";
  }
  const v1::OperationState& newest = operations.all().back();
  const Told now{newest.id(), PhaseOf(newest), version};
  const std::optional<Told> before = std::exchange(told_, now);
  if (before == now) return "";
  // One that had ended before this replica led is no news.
  const bool is_followed = before.has_value() && before->id == now.id;
  if (IsFinished(newest) && (!is_followed || before->phase == now.phase)) return "";
  return absl::StrCat("operation ", now.id, " (", newest.begun().request(),
                      "): ", NameOf(now.phase), ", with configuration ", version, " in force",
                      newest.reason().empty() ? "" : ": ", newest.reason());
}

}  // namespace distlog
