#include "tests/simulation/forked.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "glog/logging.h"

namespace distlog::simulation {
namespace {

[[noreturn]] void Work(const std::function<std::string()>& work, bool quiet, int out) {
  if (quiet) {
    const int nothing = open("/dev/null", O_WRONLY);
    PCHECK(nothing >= 0 && dup2(nothing, STDERR_FILENO) >= 0);
  }
  const std::string result = work();
  for (size_t at = 0; at < result.size();) {
    const ssize_t wrote = write(out, result.data() + at, result.size() - at);
    PCHECK(wrote > 0);
    at += static_cast<size_t>(wrote);
  }
  _exit(0);
}

}  // namespace

Forked::Forked(const std::function<std::string()>& work, bool quiet) {
  std::fflush(nullptr);
  int ends[2];
  PCHECK(pipe(ends) == 0);
  pid_ = fork();
  PCHECK(pid_ >= 0);
  if (pid_ == 0) {
    close(ends[0]);
    Work(work, quiet, ends[1]);
  }
  close(ends[1]);
  pipe_ = ends[0];
}

Forked::~Forked() { Get(); }

std::optional<std::string> Forked::Get() {
  if (pid_ == 0) return std::nullopt;
  std::string result;
  char bytes[4096];
  for (ssize_t count = 0; (count = read(pipe_, bytes, sizeof bytes)) > 0;) {
    result.append(bytes, static_cast<size_t>(count));
  }
  close(pipe_);
  int status = 0;
  PCHECK(waitpid(pid_, &status, 0) == pid_);
  pid_ = 0;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return result;
}

}  // namespace distlog::simulation
