// Real processes for tests: started, signalled, waited for, and never left behind.

#ifndef DISTLOG_TESTS_E2E_PROCESS_H_
#define DISTLOG_TESTS_E2E_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace distlog {

// How long a test waits for what must happen some day, before it fails. Never how long something
// may take.
inline constexpr absl::Duration kPatience = absl::Seconds(90);

// Whether `condition` came true within `patience`; asks it again and again.
bool Await(const std::function<bool()>& condition, absl::Duration patience = kPatience);

struct Command {
  std::vector<std::string> arguments;                            // The program's path first.
  std::vector<std::pair<std::string, std::string>> environment;  // Added to this process's own.
  std::string input;        // What it reads from standard input; a pipe if open_input.
  std::string input_file;   // Instead of `input`.
  bool open_input = false;  // Standard input is a pipe: WriteInput, CloseInput.
  std::string output_file;  // Standard output and error are appended to it, if set.
  int stderr_fd = -1;       // Standard error goes there, if set. Not taken over.
};

// Of a process that ended.
struct Finished {
  int status = 0;  // Of exit; 128 + N if it was ended by signal N; -1 if it did not end in time.
  std::string out;
  std::string err;
};

// One child process. Dies with this object, and with the thread that started it. Not thread-safe,
// but for Signal, output() and error(), which any thread may call.
class Process {
 public:
  static std::unique_ptr<Process> Start(const Command& command);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  void Signal(int signal) const;
  // SIGKILL, and waits for the end.
  void Kill();
  // Its status as in Finished, or -1 if it does not end in time.
  int Wait(absl::Duration patience = kPatience);

  // What it wrote so far (empty if it writes to an output_file).
  std::string output() const;
  std::string error() const;

  // Blocks while the pipe is full. False if nobody reads it any more.
  bool WriteInput(const std::string& bytes);
  void CloseInput();

 private:
  Process() = default;

  pid_t pid_ = -1;
  int pid_fd_ = -1;
  int input_fd_ = -1;  // Ours, of a pipe.
  int output_fd_ = -1;
  int error_fd_ = -1;
  std::optional<int> status_;
};

// Runs it to its end; kills it after `patience`.
Finished RunToEnd(const Command& command, absl::Duration patience = kPatience);

// A port of the loopback interface that nobody listens on, outside the range of outgoing
// connections.
int FreePort();

// Whether somebody listens there.
bool Listens(int port);

}  // namespace distlog

#endif  // DISTLOG_TESTS_E2E_PROCESS_H_
