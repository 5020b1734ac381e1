// What the user and other programs get to see: buffered output, JSON, times and sizes for people,
// errors and exit statuses.

#ifndef DISTLOG_CLI_OUTPUT_H_
#define DISTLOG_CLI_OUTPUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/client.h"

namespace distlog::cli {

// The contract with scripts: docs of the command line.
constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;  // Certainly without effect.
constexpr int kExitUsage = 2;
constexpr int kExitUnknown = 3;
constexpr int kExitPrecondition = 4;  // Nothing happened.
constexpr int kExitNoLeader = 5;      // Nothing happened.

// Of something that changes the log. `status` says why it is not done.
int ExitStatus(Outcome outcome, const absl::Status& status);
// Of something that changes nothing.
int ExitStatus(const absl::Status& status);

// File descriptors.
struct Console {
  int in = 0;
  int out = 1;
  int err = 2;
};

enum class Format { kText, kJson };

// For one thread at a time. If whoever reads the output has gone, what is written is dropped, and
// broken() is true from then on.
class Output {
 public:
  Output(const Console& console, Format format);

  const Console& console() const { return console_; }
  bool json() const { return format_ == Format::kJson; }
  // Whether a person watches.
  bool terminal() const { return terminal_; }

  void Write(absl::string_view bytes) {
    buffer_.append(bytes.data(), bytes.size());
    if (buffer_.size() >= kBufferBytes) Flush();
  }
  void Flush();
  bool broken() const { return broken_; }

  // One sentence, or one object, on stderr; what is not printable in it is escaped. `fields`: more
  // of the object, as `"key":"value",...`.
  void Error(const absl::Status& status, const std::string& fields = "");
  // Writes `text` to stderr as it is: how something goes on.
  void Show(const std::string& text);
  // One more sentence on stderr, in text only.
  void Note(const std::string& sentence);

  // Flushes; the exit status of a command that did what `status` says. `if_lost`: that of one that
  // is done, but whose output could not be written.
  int Finish(int status, int if_lost);

 private:
  static constexpr size_t kBufferBytes = 64 << 10;

  const Console console_;
  const Format format_;
  const bool terminal_;
  std::string buffer_;
  bool broken_ = false;
  int error_ = 0;  // errno of a write that failed for another reason than a reader that has gone.
};

// `bytes` as a JSON string, with its quotes. What is no UTF-8 is replaced.
std::string JsonString(absl::string_view bytes);
// A 64-bit integer, as protobuf's JSON has it.
std::string JsonNumber(uint64_t number);

// Control bytes escaped as \n, \x1b and the like, backslashes doubled; UTF-8 is kept.
std::string Escaped(absl::string_view bytes);
// The same for sentences: backslashes are kept.
std::string Printable(absl::string_view bytes);
// The inverse of Escaped: knows \n, \r, \t, \0, \\ and \xNN. INVALID_ARGUMENT for any other.
absl::StatusOr<std::string> Unescaped(absl::string_view text);

std::string Hex(absl::string_view bytes);
std::string Bytes(uint64_t count);                      // "5.0 MiB"
std::string Ago(int64_t age_ms);                        // "3 s ago"; "never" if negative.
std::string Span(int64_t span_ms);                      // "3 s"
std::string Count(uint64_t n, absl::string_view noun);  // "1 replica", "2 replicas"

// Columns as wide as their widest cell; the first row is the header.
std::string Aligned(const std::vector<std::vector<std::string>>& rows);

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_OUTPUT_H_
