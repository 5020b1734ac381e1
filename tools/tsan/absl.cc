// Tells ThreadSanitizer about absl::Mutex. Linked into what uses absl in a build with
// --config=tsan, and into nothing else.
//
// TSan knows std::mutex, as it intercepts pthread's functions. absl::Mutex is made of atomics and
// futexes, and tells TSan what it does only where it is compiled with TSan itself. The system's is
// not, so that whatever it guards, in client/ as within gRPC, would look like a race. The functions
// below take the place of those in the shared library for every caller, gRPC included, and say what
// those do. That adds what is true and suppresses nothing: a lock that is missing is still found.
//
// Every way to take a mutex or to let it go leads through them, but for ReaderLockWhen and its kin,
// which nobody here calls; who does hears from TSan of an "unlock of an unlocked mutex".

#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "tools/tsan/original.h"

namespace absl {
ABSL_NAMESPACE_BEGIN
namespace {

using distlog::tsan::Original;
using synchronization_internal::KernelTimeout;

// Between `pre` and `post` TSan looks away: what happens there is the library's business. So are
// the conditions of those who wait, which are evaluated by whoever unlocks, under the lock.
void Take(Mutex* mutex, void (*lock)(Mutex*), unsigned kind) {
  __tsan_mutex_pre_lock(mutex, kind);
  lock(mutex);
  __tsan_mutex_post_lock(mutex, kind, 0);
}

bool TryToTake(Mutex* mutex, bool (*try_lock)(Mutex*), unsigned kind) {
  kind |= __tsan_mutex_try_lock;
  __tsan_mutex_pre_lock(mutex, kind);
  const bool taken = try_lock(mutex);
  __tsan_mutex_post_lock(mutex, taken ? kind : kind | __tsan_mutex_try_lock_failed, 0);
  return taken;
}

void LetGo(Mutex* mutex, void (*unlock)(Mutex*), unsigned kind) {
  __tsan_mutex_pre_unlock(mutex, kind);
  unlock(mutex);
  __tsan_mutex_post_unlock(mutex, kind);
}

// Lets go of the mutex, waits, and takes it again.
template <typename Wait>
bool LetGoAndTake(Mutex* mutex, Wait wait) {
  __tsan_mutex_pre_unlock(mutex, 0);
  __tsan_mutex_post_unlock(mutex, 0);
  __tsan_mutex_pre_lock(mutex, 0);
  const bool result = wait();
  __tsan_mutex_post_lock(mutex, 0, 0);
  return result;
}

}  // namespace

void Mutex::Lock() {
  static const auto original = Original<void(Mutex*)>("_ZN4absl7debian35Mutex4LockEv");
  Take(this, original, 0);
}

void Mutex::Unlock() {
  static const auto original = Original<void(Mutex*)>("_ZN4absl7debian35Mutex6UnlockEv");
  LetGo(this, original, 0);
}

bool Mutex::TryLock() {
  static const auto original = Original<bool(Mutex*)>("_ZN4absl7debian35Mutex7TryLockEv");
  return TryToTake(this, original, 0);
}

void Mutex::ReaderLock() {
  static const auto original = Original<void(Mutex*)>("_ZN4absl7debian35Mutex10ReaderLockEv");
  Take(this, original, __tsan_mutex_read_lock);
}

void Mutex::ReaderUnlock() {
  static const auto original = Original<void(Mutex*)>("_ZN4absl7debian35Mutex12ReaderUnlockEv");
  LetGo(this, original, __tsan_mutex_read_lock);
}

bool Mutex::ReaderTryLock() {
  static const auto original = Original<bool(Mutex*)>("_ZN4absl7debian35Mutex13ReaderTryLockEv");
  return TryToTake(this, original, __tsan_mutex_read_lock);
}

void Mutex::LockWhen(const Condition& condition) {
  static const auto original =
      Original<void(Mutex*, const Condition&)>("_ZN4absl7debian35Mutex8LockWhenERKNS0_9ConditionE");
  __tsan_mutex_pre_lock(this, 0);
  original(this, condition);
  __tsan_mutex_post_lock(this, 0, 0);
}

// LockWhenWithTimeout calls it too. It takes the mutex even if the condition does not hold.
bool Mutex::LockWhenWithDeadline(const Condition& condition, Time deadline) {
  static const auto original = Original<bool(Mutex*, const Condition&, Time)>(
      "_ZN4absl7debian35Mutex20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  __tsan_mutex_pre_lock(this, 0);
  const bool holds = original(this, condition, deadline);
  __tsan_mutex_post_lock(this, 0, 0);
  return holds;
}

// What Await, AwaitWithTimeout and AwaitWithDeadline do if the condition does not hold at once.
bool Mutex::AwaitCommon(const Condition& condition, KernelTimeout timeout) {
  static const auto original = Original<bool(Mutex*, const Condition&, KernelTimeout)>(
      "_ZN4absl7debian35Mutex11AwaitCommonERKNS0_9ConditionENS0_24synchronization_"
      "internal13KernelTimeoutE");
  return LetGoAndTake(this, [&] { return original(this, condition, timeout); });
}

// What Wait, WaitWithTimeout and WaitWithDeadline do.
bool CondVar::WaitCommon(Mutex* mutex, KernelTimeout timeout) {
  static const auto original = Original<bool(CondVar*, Mutex*, KernelTimeout)>(
      "_ZN4absl7debian37CondVar10WaitCommonEPNS0_5MutexENS0_24synchronization_"
      "internal13KernelTimeoutE");
  return LetGoAndTake(mutex, [&] { return original(this, mutex, timeout); });
}

ABSL_NAMESPACE_END
}  // namespace absl
