// Work in a process of its own, so that a CHECK that fails there ends nothing here.

#ifndef DISTLOG_TESTS_SIMULATION_FORKED_H_
#define DISTLOG_TESTS_SIMULATION_FORKED_H_

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

namespace distlog::simulation {

// Only for a program without threads.
class Forked {
 public:
  // Begins `work`. Its standard error is thrown away if `quiet`.
  Forked(const std::function<std::string()>& work, bool quiet);
  Forked(const Forked&) = delete;
  ~Forked();

  // Within `work`, at any depth: it ends here, and this is what it returned.
  [[noreturn]] static void End(const std::string& result);

  // Waits for the end. What `work` returned; none if its process died of something.
  std::optional<std::string> Get();

 private:
  pid_t pid_ = 0;
  int pipe_ = -1;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_FORKED_H_
