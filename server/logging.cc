#include "server/logging.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "glog/logging.h"
#include "server/thread_name.h"

namespace distlog {
namespace {

constexpr size_t kMaxQueuedBytes = 1 << 20;
constexpr std::chrono::milliseconds kLastWordsPatience(500);

// Writes all of `text`, as long as it takes. A descriptor that refuses loses it: there is nobody to
// tell.
void WriteFully(int fd, const std::string& text) {
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = ::write(fd, text.data() + written, text.size() - written);
    if (n > 0) {
      written += static_cast<size_t>(n);
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      // Somebody made the terminal non-blocking; this thread has time.
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    } else if (n == 0 || errno != EINTR) {
      return;
    }
  }
}

LineWriter* stderr_writer = nullptr;  // Set once, never deleted: others log until the very end.

class StderrSink : public google::LogSink {
 public:
  void send(google::LogSeverity severity, const char* /*full_filename*/, const char* base_filename,
            int line, const google::LogMessageTime& time, const char* message,
            size_t message_len) override {
    if (severity == google::GLOG_FATAL) fatal_ = true;
    stderr_writer->Write(ToString(severity, base_filename, line, time, message, message_len));
  }

  // After a FATAL message glog itself would write to stderr, and could be held up there for ever.
  void WaitTillSent() override {
    if (!fatal_) return;
    stderr_writer->Flush(kLastWordsPatience);
    std::abort();
  }

 private:
  bool fatal_ = false;  // Under glog's lock.
};

}  // namespace

LineWriter::LineWriter(int fd, size_t max_bytes)
    : state_(std::make_shared<State>(fd, max_bytes)), thread_([state = state_] { Drain(state); }) {}

LineWriter::~LineWriter() {
  bool stuck = false;
  {
    std::lock_guard lock(state_->mutex);
    state_->stop = true;
    stuck = state_->writing;
  }
  state_->changed.notify_all();
  if (stuck) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void LineWriter::Write(std::string line) {
  line.push_back('\n');
  {
    std::lock_guard lock(state_->mutex);
    if (state_->bytes + line.size() > state_->max_bytes) {
      ++state_->dropped;
      return;
    }
    state_->bytes += line.size();
    state_->lines.push_back(std::move(line));
  }
  state_->changed.notify_all();
}

bool LineWriter::Flush(std::chrono::milliseconds patience) {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, patience,
                                  [this] { return state_->lines.empty() && !state_->writing; });
}

uint64_t LineWriter::dropped() const {
  std::lock_guard lock(state_->mutex);
  return state_->dropped;
}

void LineWriter::Drain(const std::shared_ptr<State>& state) {
  NameThread("log-writer");
  std::unique_lock lock(state->mutex);
  while (true) {
    state->changed.wait(lock, [&] { return state->stop || !state->lines.empty(); });
    if (state->stop) return;
    std::string text;
    while (!state->lines.empty() && text.size() < 64 << 10) {
      text += state->lines.front();
      state->bytes -= state->lines.front().size();
      state->lines.pop_front();
    }
    if (state->dropped > state->dropped_and_told) {
      text += std::to_string(state->dropped - state->dropped_and_told) +
              " lines of this log were dropped: it was read too slowly.\n";
      state->dropped_and_told = state->dropped;
    }
    state->writing = true;
    lock.unlock();
    WriteFully(state->fd, text);
    lock.lock();
    state->writing = false;
    state->changed.notify_all();
  }
}

void StartLogging(const char* program) {
  CHECK(stderr_writer == nullptr);
  stderr_writer = new LineWriter(STDERR_FILENO, kMaxQueuedBytes);
  google::InitGoogleLogging(program);
  for (int severity = 0; severity < google::NUM_SEVERITIES; ++severity) {
    google::SetLogDestination(severity, "");
  }
  FLAGS_logtostderr = false;
  FLAGS_alsologtostderr = false;
  FLAGS_stderrthreshold = google::NUM_SEVERITIES;
  google::AddLogSink(new StderrSink);
}

void FlushLog() {
  if (stderr_writer != nullptr) stderr_writer->Flush(kLastWordsPatience);
}

void Die(const absl::Status& status) {
  LOG(ERROR) << "stopping: " << status.message();
  FlushLog();
  // Not exit(): destructors of a process whose disk cannot be trusted must not run.
  _exit(1);
}

}  // namespace distlog
