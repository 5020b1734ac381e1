// Names for threads, as `top -H` and debuggers show them.

#ifndef DISTLOG_SERVER_THREAD_NAME_H_
#define DISTLOG_SERVER_THREAD_NAME_H_

#include <pthread.h>

#include <cstddef>

namespace distlog {

// Names the calling thread. The kernel keeps 15 characters.
template <size_t kSize>
void NameThread(const char (&name)[kSize]) {
  static_assert(kSize <= 16, "too long for the kernel");
  pthread_setname_np(pthread_self(), name);
}

}  // namespace distlog

#endif  // DISTLOG_SERVER_THREAD_NAME_H_
