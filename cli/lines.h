// Splits what comes in at a file descriptor into lines.

#ifndef DISTLOG_CLI_LINES_H_
#define DISTLOG_CLI_LINES_H_

#include <cstddef>
#include <string>

namespace distlog::cli {

// A line ends with \n, which is no part of it, and with nothing else; the last one need not end.
// Bytes pass as they are. For one thread.
class LineReader {
 public:
  enum class Event {
    kLine,
    kEnd,
    kTooLong,  // The next line is longer than the limit. Nothing comes after that.
    kWoken,    // `wake` can be read. Nothing comes after that.
    kError,    // errno says why.
  };

  // `wake`: a file descriptor that ends waiting for input; -1: none. Neither is closed here.
  LineReader(int fd, int wake, size_t max_bytes) : fd_(fd), wake_(wake), max_bytes_(max_bytes) {}

  Event Next(std::string* line);

 private:
  Event Fill();

  const int fd_;
  const int wake_;
  const size_t max_bytes_;
  std::string block_;
  size_t next_ = 0;  // In the block.
  bool ended_ = false;
};

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_LINES_H_
