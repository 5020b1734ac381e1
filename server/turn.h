// A bound on calls that take a thread each.

#ifndef DISTLOG_SERVER_TURN_H_
#define DISTLOG_SERVER_TURN_H_

#include <atomic>

namespace distlog {

// One of a bounded number of calls under way.
class Turn {
 public:
  Turn(std::atomic<int>* taken, int max) : taken_(taken), is_taken_(++*taken <= max) {}
  ~Turn() { --*taken_; }
  bool ok() const { return is_taken_; }

 private:
  std::atomic<int>* const taken_;
  const bool is_taken_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_TURN_H_
