// How an operation goes on, for people who wait for it.

#ifndef DISTLOG_CLI_PROGRESS_H_
#define DISTLOG_CLI_PROGRESS_H_

#include <cstddef>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "proto/distlog/v1/cluster.pb.h"

namespace distlog::cli {

// Of one operation. Pure but for what it remembers of what it said.
class Progress {
 public:
  // `columns`: of the terminal whose last line is written over; 0: lines, for what is no terminal.
  explicit Progress(size_t columns) : columns_(columns) {}

  // What to write after this answer. May be empty: a line is written only if it says something new.
  std::string Next(const v1::Operation& operation, absl::Time now);
  // What to write before anything else is: clears the last line.
  std::string End() const;

 private:
  // How far a newcomer was from the target when it was first told of.
  struct Start {
    absl::Time time;
    uint64_t missing = 0;
  };

  std::string Line(const v1::Operation& operation, absl::Time now);
  std::string CatchUp(const v1::Operation::Progress& progress, absl::Time now);

  const size_t columns_;
  std::string said_;                     // What the last line was about.
  std::map<std::string, Start> starts_;  // By address.
};

// "[#####-----]", and how many of a hundred. What has no target is complete.
int Percent(const v1::Operation::Progress& progress);
std::string Bar(int percent);

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_PROGRESS_H_
