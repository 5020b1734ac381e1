// What the leader's log of lines says of the operation that it carries on.

#ifndef DISTLOG_SERVER_PHASE_LOG_H_
#define DISTLOG_SERVER_PHASE_LOG_H_

#include <cstdint>
#include <optional>
#include <string>

#include "log/operations.h"

namespace distlog {

// A line for each phase, and for each configuration on the way, as soon as the leader has applied
// it. Only the leader's: the others would say the same later, and again after each start.
class PhaseLog {
 public:
  // The line that is to be written now, if there is one. `version`: of the configuration applied.
  std::string Next(const Operations& operations, uint64_t version, bool leads);

 private:
  struct Told {
    uint64_t id = 0;
    OperationPhase phase = OperationPhase::kLearning;
    uint64_t version = 0;
    friend bool operator==(const Told&, const Told&) = default;
  };
  std::optional<Told> told_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_PHASE_LOG_H_
