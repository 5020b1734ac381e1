#include "cli/lines.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

namespace distlog::cli {
namespace {

constexpr size_t kBlockBytes = 256 << 10;

}  // namespace

// kLine: there is more in the block, or the input has ended.
LineReader::Event LineReader::Fill() {
  pollfd polled[2] = {{fd_, POLLIN, 0}, {wake_, POLLIN, 0}};
  while (poll(polled, wake_ < 0 ? 1 : 2, -1) < 0) {
    if (errno != EINTR) return Event::kError;
  }
  if (wake_ >= 0 && polled[1].revents != 0) return Event::kWoken;
  block_.resize(kBlockBytes);
  next_ = 0;
  ssize_t got;
  do {
    got = read(fd_, block_.data(), block_.size());
  } while (got < 0 && errno == EINTR);
  block_.resize(got < 0 ? 0 : got);
  if (got < 0) return Event::kError;
  ended_ = got == 0;
  return Event::kLine;
}

LineReader::Event LineReader::Next(std::string* line) {
  line->clear();
  bool begun = false;
  for (;;) {
    if (next_ == block_.size()) {
      if (!ended_) {
        if (const Event event = Fill(); event != Event::kLine) return event;
      }
      if (ended_) return begun ? Event::kLine : Event::kEnd;
    }
    const char* const start = block_.data() + next_;
    const size_t left = block_.size() - next_;
    const auto* const newline = static_cast<const char*>(memchr(start, '\n', left));
    const size_t length = newline == nullptr ? left : newline - start;
    if (line->size() + length > max_bytes_) return Event::kTooLong;
    line->append(start, length);
    next_ += length;
    begun = true;
    if (newline != nullptr) {
      ++next_;
      return Event::kLine;
    }
  }
}

}  // namespace distlog::cli
