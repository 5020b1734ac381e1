// Tells ThreadSanitizer what gRPC promises about the order of its callbacks. Linked into what uses
// gRPC in a build with --config=tsan, and into nothing else.
//
// gRPC hands work from thread to thread through its own atomics, which TSan does not see, as the
// system's library is not compiled with it: what was done before an operation was started would
// look concurrent with the reaction to its end. As in absl.cc, the functions below take the
// place of the library's, and say what those do: a release where an order begins, an acquire where
// it ends. None of them orders anything that gRPC does not.

#include <grpc/grpc.h>
#include <sanitizer/tsan_interface.h>

#include <utility>

#include "absl/status/status.h"
#include "grpcpp/server.h"
#include "grpcpp/support/server_callback.h"
#include "tools/tsan/original.h"

using distlog::tsan::Original;

// 1. An operation ends after it was started, and is taken off its queue after the thread that ended
// it has put its results there.

namespace {

grpc_event Acquire(grpc_event event) {
  if (event.type == GRPC_OP_COMPLETE) __tsan_acquire(event.tag);
  return event;
}

}  // namespace

extern "C" {

grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t op_count,
                                      void* tag, void* reserved) {
  static const auto original = Original<decltype(grpc_call_start_batch)>("grpc_call_start_batch");
  __tsan_release(tag);
  return original(call, ops, op_count, tag, reserved);
}

grpc_event grpc_completion_queue_next(grpc_completion_queue* queue, gpr_timespec deadline,
                                      void* reserved) {
  static const auto original =
      Original<decltype(grpc_completion_queue_next)>("grpc_completion_queue_next");
  return Acquire(original(queue, deadline, reserved));
}

grpc_event grpc_completion_queue_pluck(grpc_completion_queue* queue, void* tag,
                                       gpr_timespec deadline, void* reserved) {
  static const auto original =
      Original<decltype(grpc_completion_queue_pluck)>("grpc_completion_queue_pluck");
  return Acquire(original(queue, tag, deadline, reserved));
}

}  // extern "C"

struct grpc_cq_completion;

void grpc_cq_end_op(grpc_completion_queue* queue, void* tag, absl::Status error,
                    void (*done)(void*, grpc_cq_completion*), void* done_argument,
                    grpc_cq_completion* storage, bool internal) {
  static const auto original = Original<decltype(grpc_cq_end_op)>(
      "_Z14grpc_cq_end_opP21grpc_completion_queuePvN4absl7debian36StatusEPFvS1_P18grpc_cq_"
      "completionES1_S6_b");
  __tsan_release(tag);
  original(queue, tag, std::move(error), done, done_argument, storage, internal);
}

namespace grpc {

// 2. OnCancel comes after the call's handler has returned, and OnDone after every other reaction.
// The library counts both down; where it does so in headers TSan sees it, and these are the rest.

namespace internal {
namespace {

// Says when OnCancel has ended. Stands in for the reactor for that one reaction.
class Cancellation final : public ServerReactor {
 public:
  Cancellation(ServerReactor* reactor, void* ended) : reactor_(reactor), ended_(ended) {}
  void OnCancel() override {
    reactor_->OnCancel();
    __tsan_release(ended_);
    delete this;
  }
  void OnDone() override {}
  bool InternalInlineable() override { return reactor_->InternalInlineable(); }

 private:
  ServerReactor* const reactor_;
  void* const ended_;
};

}  // namespace

void ServerCallbackCall::CallOnCancel(ServerReactor* reactor) {
  static const auto original = Original<void(ServerCallbackCall*, ServerReactor*)>(
      "_ZN4grpc8internal18ServerCallbackCall12CallOnCancelEPNS0_13ServerReactorE");
  __tsan_acquire(&on_cancel_conditions_remaining_);
  original(this, new Cancellation(reactor, &callbacks_outstanding_));
}

void ServerCallbackCall::ScheduleOnDone(bool inline_ondone) {
  static const auto original = Original<void(ServerCallbackCall*, bool)>(
      "_ZN4grpc8internal18ServerCallbackCall14ScheduleOnDoneEb");
  __tsan_acquire(&callbacks_outstanding_);
  original(this, inline_ondone);
}

}  // namespace internal

// 3. A server has shut down after the last of its calls.

void Server::UnrefWithPossibleNotify() {
  static const auto original =
      Original<void(Server*)>("_ZN4grpc6Server23UnrefWithPossibleNotifyEv");
  __tsan_release(this);
  original(this);
}

void Server::UnrefAndWaitLocked() {
  static const auto original = Original<void(Server*)>("_ZN4grpc6Server18UnrefAndWaitLockedEv");
  original(this);
  __tsan_acquire(this);
}

}  // namespace grpc
