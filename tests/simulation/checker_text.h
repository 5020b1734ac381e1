// Joins what can be printed into a sentence.

#ifndef DISTLOG_TESTS_SIMULATION_CHECKER_TEXT_H_
#define DISTLOG_TESTS_SIMULATION_CHECKER_TEXT_H_

#include <sstream>
#include <string>

namespace distlog::simulation {

template <typename... Parts>
std::string Text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CHECKER_TEXT_H_
