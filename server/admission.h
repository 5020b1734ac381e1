// The bound on what is under way.

#ifndef DISTLOG_SERVER_ADMISSION_H_
#define DISTLOG_SERVER_ADMISSION_H_

#include <atomic>
#include <cstddef>

namespace distlog {

// The bound on what is taken and not answered, in requests and bytes. Any thread.
class Admission {
 public:
  Admission(size_t max_requests, size_t max_bytes)
      : max_requests_(max_requests), max_bytes_(max_bytes) {}

  // Whether a request of `bytes` may come in. One that came in leaves once, when it is answered.
  bool Enter(size_t bytes);
  void Leave(size_t bytes);
  size_t requests() const { return requests_.load(); }

 private:
  const size_t max_requests_;
  const size_t max_bytes_;
  std::atomic<size_t> requests_{0};
  std::atomic<size_t> bytes_{0};
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_ADMISSION_H_
