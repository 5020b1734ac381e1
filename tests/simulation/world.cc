#include "tests/simulation/world.h"

#include <cstdio>

namespace distlog::simulation {

void Trace::Add(Time now, const std::string& line) {
  char time[32];
  std::snprintf(time, sizeof time, "%11.6f ", static_cast<double>(now.count()) / 1e9);
  std::string whole = time + line;
  for (const char c : whole) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  hash_ = (hash_ ^ '\n') * 0x100000001b3;
  if (print_) std::puts(whole.c_str());
  last_lines_.push_back(std::move(whole));
  if (last_lines_.size() > kKept) last_lines_.pop_front();
}

}  // namespace distlog::simulation
