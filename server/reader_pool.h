// Threads for reading the disk.

#ifndef DISTLOG_SERVER_READER_POOL_H_
#define DISTLOG_SERVER_READER_POOL_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace distlog {

// Runs tasks that may wait for the disk, which gRPC's own threads must not. In the order asked for.
// Each reader has one task at a time, so the bound on readers bounds the queue.
class ReaderPool {
 public:
  explicit ReaderPool(int threads);
  // Finishes everything asked for.
  ~ReaderPool();

  void Run(std::function<void()> task);

 private:
  void Loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_READER_POOL_H_
