// distlog: the command line client.

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "absl/synchronization/mutex.h"
#include "cli/command.h"

int main(int argc, char** argv) {
  // A descriptor that is closed would be given to a socket, and the output written into it.
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", O_RDWR);
  }
  signal(SIGPIPE, SIG_IGN);
  // Some builds of the library look for cycles in the order of locks, at a cost for each lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // gRPC reports on stderr what the client handles; errors are one sentence, and are ours.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  return distlog::cli::Run({argv + 1, argv + argc}, {});
}
