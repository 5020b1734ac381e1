#include "paxos/invariant.h"

#ifdef DISTLOG_BREAKABLE

#include <atomic>
#include <string_view>

namespace distlog::paxos {
namespace {

std::atomic<bool> is_fatal{true};
thread_local BrokenInvariants counted;

}  // namespace

void SetInvariantsFatal(bool fatal) { is_fatal.store(fatal, std::memory_order_relaxed); }

const BrokenInvariants& CountedInvariants() { return counted; }

void ClearCountedInvariants() { counted = {}; }

bool NoteBroken(const char* rule, const char* file, int line) {
  if (counted.count++ == 0) {
    std::string_view name = file;
    name.remove_prefix(name.rfind('/') + 1);
    counted.first = std::string(rule) + " " + std::string(name) + ":" + std::to_string(line);
  }
  return is_fatal.load(std::memory_order_relaxed);
}

}  // namespace distlog::paxos

#endif
