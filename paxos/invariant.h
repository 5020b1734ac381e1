// Rules of docs/protocol.md that the code checks while it runs.

#ifndef DISTLOG_PAXOS_INVARIANT_H_
#define DISTLOG_PAXOS_INVARIANT_H_

#include "glog/logging.h"

// Dies unless `condition` holds; `rule` is its number in docs/protocol.md, as in
//
//   DISTLOG_INVARIANT(P3, ballot >= promised_) << "a promise never falls";
//
// In the breakable build (paxos/break.h) it may be counted instead, so that a test can show that
// others than the code itself would notice.
#ifndef DISTLOG_BREAKABLE

#define DISTLOG_INVARIANT(rule, condition) CHECK(condition) << #rule ": "

#else

#include <cstdint>
#include <string>

#define DISTLOG_INVARIANT(rule, condition)                                               \
  LOG_IF(FATAL, !(condition) && ::distlog::paxos::NoteBroken(#rule, __FILE__, __LINE__)) \
      << "Check failed: " #condition " " #rule ": "

namespace distlog::paxos {

// Invariants broken in this thread: all while they are not fatal, else the one that ends it.
struct BrokenInvariants {
  uint64_t count = 0;
  std::string first;  // "P3 acceptor.cc:25".
};

// Whether a broken invariant ends the process (as is the default), or is counted. For the whole
// process.
void SetInvariantsFatal(bool fatal);

// What was counted in this thread since the last Clear.
const BrokenInvariants& CountedInvariants();
void ClearCountedInvariants();

// Counts, and says whether it is fatal. For DISTLOG_INVARIANT alone.
bool NoteBroken(const char* rule, const char* file, int line);

}  // namespace distlog::paxos

#endif

#endif  // DISTLOG_PAXOS_INVARIANT_H_
