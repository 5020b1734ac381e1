// For functions that take the place of a shared library's own.

#ifndef DISTLOG_TOOLS_TSAN_ORIGINAL_H_
#define DISTLOG_TOOLS_TSAN_ORIGINAL_H_

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace distlog::tsan {

// The function of the library that a function of this program has taken the place of. For a member
// function, `Function` takes the object as its first argument. Ends the process if there is none.
template <typename Function>
Function* Original(const char* symbol) {
  void* const found = dlsym(RTLD_NEXT, symbol);
  if (found == nullptr) {
    std::fprintf(stderr, "tools/tsan: the system's libraries have no %s; adapt tools/tsan\n",
                 symbol);
    std::abort();
  }
  return reinterpret_cast<Function*>(found);
}

}  // namespace distlog::tsan

#endif  // DISTLOG_TOOLS_TSAN_ORIGINAL_H_
