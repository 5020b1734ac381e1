// distlog: the command line client.

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "absl/synchronization/mutex.h"
#include "cli/command.h"

int main(int argc, char** argv) {
  // A standard descriptor that is closed would be given to a socket, and the output written into
  // it. An inherited one is never close-on-exec: one that is was closed, and a library has its
  // number.
  for (int fd = 0; fd <= 2; ++fd) {
    const int flags = fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) continue;
    // Reading a standard input that is not there fails: it is no empty entry, and nothing to await.
    const int null = open("/dev/null", fd == 0 ? O_WRONLY : O_RDWR);
    if (null == fd) continue;
    dup2(null, fd);
    close(null);
  }
  signal(SIGPIPE, SIG_IGN);
  // Some builds of the library look for cycles in the order of locks, at a cost for each lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // gRPC reports on stderr what the client handles; errors are one sentence, and are ours.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  return distlog::cli::Run({argv + 1, argv + argc}, {});
}
