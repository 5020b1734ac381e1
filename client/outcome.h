// What can be known about a request.

#ifndef DISTLOG_CLIENT_OUTCOME_H_
#define DISTLOG_CLIENT_OUTCOME_H_

namespace distlog {

// What is known about a request that changes the log.
enum class Outcome {
  kDone,     // It is in the log, once.
  kNotDone,  // It is not in the log, and will never be.
  kUnknown,  // It may be in the log, or may yet get there.
};

}  // namespace distlog

#endif  // DISTLOG_CLIENT_OUTCOME_H_
