#include "tests/simulation/world.h"

#include <cinttypes>
#include <cstdio>

namespace distlog::simulation {

void Trace::Add(Time now, const std::string& line) {
  char time[32];  // Seconds, to the nanosecond, without a rounding that could differ.
  std::snprintf(time, sizeof time, "%4" PRId64 ".%09" PRId64 " ",
                static_cast<int64_t>(now.count() / 1'000'000'000),
                static_cast<int64_t>(now.count() % 1'000'000'000));
  ++lines_;
  std::string whole = time + line;
  for (const char c : whole) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  hash_ = (hash_ ^ '\n') * 0x100000001b3;
  if (print_) std::puts(whole.c_str());
  last_lines_.push_back(std::move(whole));
  if (last_lines_.size() > kKept) last_lines_.pop_front();
}

}  // namespace distlog::simulation
