#include "paxos/break.h"

#ifdef DISTLOG_BREAKABLE

namespace distlog::paxos {
namespace {

constexpr BreakDescription kBreaks[] = {
#define DISTLOG_BREAK_DESCRIPTION(enumerator, name, what) {Break::enumerator, name, what},
    DISTLOG_BREAKS(DISTLOG_BREAK_DESCRIPTION)
#undef DISTLOG_BREAK_DESCRIPTION
};

}  // namespace

void SetBreak(Break mistake) { current_break.store(mistake, std::memory_order_relaxed); }

std::span<const BreakDescription> AllBreaks() { return kBreaks; }

std::optional<Break> BreakNamed(std::string_view name) {
  for (const BreakDescription& each : kBreaks) {
    if (each.name == name) return each.mistake;
  }
  return std::nullopt;
}

}  // namespace distlog::paxos

#endif
