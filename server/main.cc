// distlogd: one replica of a replicated log.

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/logging.h"
#include "server/server.h"
#include "server/server_options.h"
#include "server/thread_name.h"
#include "server/version.h"

namespace distlog {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kSayPatienceMs = 1000;

// Whole, or not at all if nobody reads `fd`.
void Say(int fd, const std::string& text) {
  pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
  if (poll(&ready, 1, kSayPatienceMs) <= 0) return;
  [[maybe_unused]] const ssize_t written = write(fd, text.data(), text.size());
}

void Complain(const absl::Status& status) {
  Say(STDERR_FILENO, absl::StrCat("distlogd: ", status.message(), "\n"));
}

// A file or socket that is opened as number 2 would get the log written into it. Before the
// initializers of libraries, of which gRPC's open one.
void OpenStandardStreams() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
  }
}
__attribute__((section(".preinit_array"),
               used)) void (*const open_standard_streams)() = OpenStandardStreams;

// Blocks the signals that stop the server, for this thread and those it will start: they are waited
// for.
sigset_t BlockStopSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

void WaitFor(const sigset_t& signals) {
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) {
  }
}

absl::Status TakeTemporaryDirectory(ServerOptions* options) {
  const char* base = std::getenv("TMPDIR");
  std::string dir = absl::StrCat(base != nullptr ? base : "/tmp", "/distlog-dev-XXXXXX");
  if (mkdtemp(dir.data()) == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot make a temporary directory ", dir));
  }
  options->data_dir = dir;
  return absl::OkStatus();
}

int Serve(ServerOptions options, const sigset_t& signals) {
  if (options.data_dir.empty()) {
    if (absl::Status status = TakeTemporaryDirectory(&options); !status.ok()) {
      Complain(status);
      return kExitFailed;
    }
  }
  auto* const stop = new std::promise<void>;  // Never deleted: its thread outlives this function.
  // The second signal ends the process at once, whatever it does.
  std::thread([signals, stop] {
    NameThread("signals");
    WaitFor(signals);
    stop->set_value();
    WaitFor(signals);
    _exit(kExitFailed);
  }).detach();
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options);
  if (!server.ok()) {
    FlushLog();
    Complain(server.status());
    return kExitFailed;
  }
  Say(STDERR_FILENO, absl::StrCat("distlogd: ", (*server)->Describe(), "\n"));
  if (options.dev) Say(STDOUT_FILENO, absl::StrCat((*server)->address(), "\n"));
  stop->get_future().wait();
  (*server)->Stop();
  FlushLog();
  // Not by way of destructors: gRPC 1.51 may abort when the last user of its callbacks goes.
  _exit(0);
}

int Main(int argc, char** argv) {
  umask(077);
  // Some builds of the library look for cycles in the order of locks, at a cost for each lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const sigset_t signals = BlockStopSignals();  // Before the first thread, which is the log's.
  StartLogging(argv[0]);
  const absl::StatusOr<ServerOptions> options =
      ParseServerOptions(std::vector<std::string>(argv + 1, argv + argc));
  if (!options.ok()) {
    Complain(options.status());
    return kExitUsage;
  }
  if (options->help) {
    Say(STDOUT_FILENO, ServerHelp());
    return 0;
  }
  if (options->version) {
    Say(STDOUT_FILENO, absl::StrCat("distlogd ", kVersion, "\n"));
    return 0;
  }
  return Serve(*options, signals);
}

}  // namespace
}  // namespace distlog

int main(int argc, char** argv) { return distlog::Main(argc, argv); }
