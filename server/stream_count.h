// The bound on streams.

#ifndef DISTLOG_SERVER_STREAM_COUNT_H_
#define DISTLOG_SERVER_STREAM_COUNT_H_

#include <atomic>
#include <memory>

namespace distlog {

// Counts streams that are open at once. Any thread.
class StreamCount {
 public:
  explicit StreamCount(int max) : max_(max) {}

  // Held by each stream for as long as it is open.
  using Place = std::shared_ptr<void>;

  // Null if there is none left. The count outlives its places.
  Place Take() {
    if (open_.fetch_add(1) >= max_) {
      open_.fetch_sub(1);
      return nullptr;
    }
    return Place(this, [this](void*) { open_.fetch_sub(1); });
  }

 private:
  const int max_;
  std::atomic<int> open_{0};
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_STREAM_COUNT_H_
