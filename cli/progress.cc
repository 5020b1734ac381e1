#include "cli/progress.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/fields.h"
#include "cli/output.h"

namespace distlog::cli {
namespace {

constexpr int kBarWidth = 20;
// A line per so many percent.
constexpr int kLineStep = 10;
// Before, a rate says little.
constexpr absl::Duration kMinMeasured = absl::Seconds(1);

// The one that all the others wait for; null if nobody is waited for: a newcomer that takes the
// place of a dead member, or is being removed again, may be as far as it likes.
const v1::Operation::Progress* Slowest(const v1::Operation& operation) {
  if (operation.phase() != v1::Operation::PHASE_LEARNING) return nullptr;
  const v1::Operation::Progress* slowest = nullptr;
  for (const v1::Operation::Progress& progress : operation.progress()) {
    const auto rank = [](const v1::Operation::Progress& one) {
      return std::pair(one.is_reachable(), Percent(one));
    };
    if (slowest == nullptr || rank(progress) < rank(*slowest)) slowest = &progress;
  }
  return slowest;
}

// The cause without its counts ("3 of 10"), which are others in each answer.
std::string WithoutCounts(const std::string& cause) {
  std::vector<std::string> words = absl::StrSplit(cause, ' ');
  for (size_t i = 1; i + 1 < words.size(); ++i) {
    uint64_t number = 0;
    if (words[i] == "of" && absl::SimpleAtoi(words[i - 1], &number)) {
      words[i - 1] = words[i + 1] = "";
    }
  }
  return absl::StrJoin(words, " ");
}

uint64_t Missing(const v1::Operation::Progress& progress) {
  return progress.target() - std::min(progress.target(), progress.chosen_through());
}

}  // namespace

int Percent(const v1::Operation::Progress& progress) {
  if (Missing(progress) == 0) return 100;
  return static_cast<int>(100.0 * progress.chosen_through() / progress.target());
}

std::string Bar(int percent) {
  const int full = kBarWidth * percent / 100;
  return absl::StrCat("[", std::string(full, '#'), std::string(kBarWidth - full, '-'), "]");
}

std::string Progress::CatchUp(const v1::Operation::Progress& progress, absl::Time now) {
  const std::string name = Named(progress.id(), progress.address());
  if (!progress.is_reachable()) return absl::StrCat(name, " cannot be reached");
  const uint64_t missing = Missing(progress);
  const int percent = Percent(progress);
  std::string text =
      absl::StrCat(name, " ", columns_ > 0 ? Bar(percent) + " " : "", percent, " % (",
                   progress.chosen_through(), " of ", progress.target(), " slots");
  const Start& start = starts_.try_emplace(progress.address(), Start{now, missing}).first->second;
  if (missing > 0 && missing < start.missing && now - start.time >= kMinMeasured) {
    const absl::Duration left = (now - start.time) * (1.0 * missing / (start.missing - missing));
    absl::StrAppend(&text, ", about ", Span(absl::ToInt64Milliseconds(left)), " left");
  }
  return text + ")";
}

std::string Progress::Line(const v1::Operation& operation, absl::Time now) {
  std::string line = absl::StrCat("operation ", operation.id(), ": ", PhaseOf(operation));
  if (const v1::Operation::Progress* slowest = Slowest(operation)) {
    absl::StrAppend(&line, ", ", CatchUp(*slowest, now));
    if (operation.progress_size() > 1) {
      absl::StrAppend(&line, ", the last of ", Count(operation.progress_size(), "newcomer"));
    }
  }
  if (!operation.cause().empty()) absl::StrAppend(&line, ": ", operation.cause());
  return Printable(line);
}

std::string Progress::Next(const v1::Operation& operation, absl::Time now) {
  const std::string line = Line(operation, now);
  if (columns_ > 0) {
    // One that wraps would not be written over.
    return absl::StrCat("\r\x1b[K", line.substr(0, columns_ - 1));
  }
  const v1::Operation::Progress* slowest = Slowest(operation);
  std::string about = absl::StrCat(PhaseOf(operation), " ", WithoutCounts(operation.cause()));
  if (slowest != nullptr) {
    absl::StrAppend(&about, " ", slowest->address(), " ", slowest->is_reachable(), " ",
                    Percent(*slowest) / kLineStep);
  }
  if (about == std::exchange(said_, about)) return "";
  return line + "\n";
}

std::string Progress::End() const { return columns_ > 0 ? "\r\x1b[K" : ""; }

}  // namespace distlog::cli
