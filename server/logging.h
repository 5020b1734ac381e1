// The log of the program, on stderr, which never stops the program: glog writes synchronously, and
// a terminal or pipe that nobody reads would stop whoever logs next.

#ifndef DISTLOG_SERVER_LOGGING_H_
#define DISTLOG_SERVER_LOGGING_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"

namespace distlog {

// Whole lines on their way to a file descriptor, written by a thread of its own, which alone may
// block. Lines that do not fit are dropped and counted; the count is written as a line when there
// is room.
class LineWriter {
 public:
  // Writes to `fd`, which stays the caller's.
  LineWriter(int fd, size_t max_bytes);
  // Writes nothing more. If the thread is stuck in a write, leaves it behind.
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // Queues `line`, without its newline, or drops it. Never blocks. Any thread.
  void Write(std::string line);

  // Waits until everything queued is written, at most for `patience`. Whether it was.
  bool Flush(std::chrono::milliseconds patience);

  uint64_t dropped() const;

 private:
  // Shared with the thread, which may outlive this object.
  struct State {
    const int fd;
    const size_t max_bytes;
    mutable std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::string> lines;
    size_t bytes = 0;
    uint64_t dropped = 0;
    uint64_t dropped_and_told = 0;
    bool writing = false;
    bool stop = false;
    State(int fd, size_t max_bytes) : fd(fd), max_bytes(max_bytes) {}
  };
  static void Drain(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;
  std::thread thread_;
};

// Sends all that glog is given to stderr through a LineWriter, and nothing to files. Once, first
// thing in main.
void StartLogging(const char* program);

// Waits until the log is written, but not for long.
void FlushLog();

// Ends the process, non-zero, with the status as its last words: for what would risk the log, like
// a write that failed. Nothing is acknowledged after it. Works without StartLogging, too.
[[noreturn]] void Die(const absl::Status& status);

}  // namespace distlog

#endif  // DISTLOG_SERVER_LOGGING_H_
