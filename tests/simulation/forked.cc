#include "tests/simulation/forked.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "glog/logging.h"

namespace distlog::simulation {
namespace {

int out = -1;  // In the process of some work: where the result goes.

[[noreturn]] void Work(const std::function<std::string()>& work, bool quiet) {
  if (quiet) {
    const int nothing = open("/dev/null", O_WRONLY);
    PCHECK(nothing >= 0 && dup2(nothing, STDERR_FILENO) >= 0);
  }
  Forked::End(work());
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
    out = ends[1];
    Work(work, quiet);
  }
  close(ends[1]);
  pipe_ = ends[0];
}

Forked::~Forked() { Get(); }

void Forked::End(const std::string& result) {
  for (size_t at = 0; at < result.size();) {
    const ssize_t wrote = write(out, result.data() + at, result.size() - at);
    PCHECK(wrote > 0);
    at += static_cast<size_t>(wrote);
  }
  _exit(0);
}

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
