// What ThreadSanitizer is not to report, in every program that is built with --config=tsan.
//
// Only for libraries of the system, which are not compiled with TSan: it sees neither their atomics
// nor their accesses, but for those that go through functions it intercepts, such as memcpy, free
// and write. absl.cc and grpc.cc tell it what orders *our* accesses; what is left are accesses of
// the libraries to their own memory, which they order by reference counts that TSan does not see.
// A race in our code is fixed, never listed here. (The manual: "ThreadSanitizerSuppressions".)

extern "C" __attribute__((no_sanitize_thread)) const char* __tsan_default_suppressions() {
  return
      // gRPC: memory of calls, slices and channels, allocated and filled by one thread and freed by
      // another, and sockets. Intercepted functions are not checked when these libraries call them.
      // The stack is not searched, so that our reactions, which gRPC calls, are checked in full.
      "called_from_lib:libgrpc.so\n"
      "called_from_lib:libgrpc++.so\n"
      "called_from_lib:libgpr.so\n"
      "called_from_lib:libupb.so\n"
      // absl::Status and absl::Cord: the last owner frees the shared representation. These
      // libraries call nobody back, so that naming them in a stack hides no code of ours above
      // them.
      "race:libabsl_status.so\n"
      "race:libabsl_cord.so\n"
      // glog: every message asks the C library for the time zone, which it guards by a lock of its
      // own that TSan does not see.
      "race:google::LogMessageTime::CalcGmtOffset\n";
}
