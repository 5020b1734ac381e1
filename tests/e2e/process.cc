#include "tests/e2e/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "glog/logging.h"

extern char** environ;

namespace distlog {
namespace {

// A file in memory, to be read while the process writes it, and afterwards.
int Memory(const std::string& content = "") {
  const int fd = memfd_create("distlog-test", MFD_CLOEXEC);
  PCHECK(fd >= 0);
  for (size_t done = 0; done < content.size();) {
    const ssize_t n = write(fd, content.data() + done, content.size() - done);
    PCHECK(n > 0);
    done += n;
  }
  PCHECK(lseek(fd, 0, SEEK_SET) == 0);
  return fd;
}

std::string Content(int fd) {
  std::string content;
  if (fd < 0) return content;
  char buffer[1 << 16];
  for (ssize_t n; (n = pread(fd, buffer, sizeof(buffer), content.size())) > 0;) {
    content.append(buffer, n);
  }
  return content;
}

void Close(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

// In the child, between fork and exec: nothing here may take a lock or memory.
[[noreturn]] void Execute(char* const* arguments, char* const* environment, int in, int out,
                          int err, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(127);
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) ::signal(signal, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(arguments[0], arguments, environment);
  _exit(127);
}

std::vector<char*> Pointers(std::vector<std::string>* strings) {
  std::vector<char*> pointers;
  for (std::string& string : *strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

}  // namespace

bool Await(const std::function<bool()>& condition, absl::Duration patience) {
  const absl::Time end = absl::Now() + patience;
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(20));
  }
  return true;
}

std::unique_ptr<Process> Process::Start(const Command& command) {
  CHECK(!command.arguments.empty());
  std::unique_ptr<Process> process(new Process());

  int in = -1;
  if (command.open_input) {
    int ends[2];
    PCHECK(pipe2(ends, O_CLOEXEC) == 0);
    in = ends[0];
    process->input_fd_ = ends[1];
  } else if (!command.input_file.empty()) {
    in = open(command.input_file.c_str(), O_RDONLY | O_CLOEXEC);
    PCHECK(in >= 0) << command.input_file;
  } else {
    in = Memory(command.input);
  }
  int out = -1;
  int err = -1;
  if (!command.output_file.empty()) {
    out = open(command.output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    PCHECK(out >= 0) << command.output_file;
    err = out;
  } else {
    out = process->output_fd_ = Memory();
    err = process->error_fd_ = Memory();
  }
  if (command.stderr_fd >= 0) err = command.stderr_fd;

  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  for (const auto& [name, value] : command.environment) {
    environment.push_back(absl::StrCat(name, "=", value));
  }
  const std::vector<char*> argv = Pointers(&arguments);
  const std::vector<char*> envp = Pointers(&environment);

  const pid_t parent = getpid();
  process->pid_ = fork();
  PCHECK(process->pid_ >= 0);
  if (process->pid_ == 0) Execute(argv.data(), envp.data(), in, out, err, parent);
  process->pid_fd_ = static_cast<int>(syscall(SYS_pidfd_open, process->pid_, 0));
  PCHECK(process->pid_fd_ >= 0);

  close(in);
  if (!command.output_file.empty()) close(out);
  return process;
}

Process::~Process() {
  Kill();
  Close(&input_fd_);
  Close(&output_fd_);
  Close(&error_fd_);
  Close(&pid_fd_);
}

bool Process::running() { return Wait(absl::ZeroDuration()) == -1; }

void Process::Signal(int signal) const {
  syscall(SYS_pidfd_send_signal, pid_fd_, signal, nullptr, 0);
}

void Process::Kill() {
  if (status_.has_value()) return;
  Signal(SIGKILL);
  Wait(absl::InfiniteDuration());
}

int Process::Wait(absl::Duration patience) {
  if (status_.has_value()) return *status_;
  const absl::Time end = absl::Now() + patience;
  while (true) {
    int status = 0;
    const pid_t ended = waitpid(pid_, &status, WNOHANG);
    PCHECK(ended >= 0);
    if (ended == pid_) {
      status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      return *status_;
    }
    const absl::Duration left = end - absl::Now();
    if (left <= absl::ZeroDuration()) return -1;
    pollfd waiting = {pid_fd_, POLLIN, 0};
    poll(&waiting, 1,
         static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 1000)));
  }
}

std::string Process::output() const { return Content(output_fd_); }
std::string Process::error() const { return Content(error_fd_); }

bool Process::WriteInput(const std::string& bytes) {
  CHECK_GE(input_fd_, 0);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = write(input_fd_, bytes.data() + done, bytes.size() - done);
    if (n <= 0) return false;
    done += n;
  }
  return true;
}

void Process::CloseInput() { Close(&input_fd_); }

Finished RunToEnd(const Command& command, absl::Duration patience) {
  // Somebody may end before it has read all of its input: an error of the write, not the end of us.
  signal(SIGPIPE, SIG_IGN);
  const std::unique_ptr<Process> process = Process::Start(command);
  Finished finished;
  finished.status = process->Wait(patience);
  finished.out = process->output();
  finished.err = process->error();
  return finished;
}

int FreePort() {
  static std::mt19937 random{std::random_device{}()};
  while (true) {
    const int port = std::uniform_int_distribution<int>(10000, 30000)(random);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    PCHECK(fd >= 0);
    const sockaddr_in address = Loopback(port);
    const bool is_free =
        bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    close(fd);
    if (is_free) return port;
  }
}

bool Listens(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  PCHECK(fd >= 0);
  const sockaddr_in address = Loopback(port);
  const bool listens =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return listens;
}

}  // namespace distlog
