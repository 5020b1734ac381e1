// Keeps gRPC's callbacks alive.

#ifndef DISTLOG_WIRE_CALLBACK_QUEUE_H_
#define DISTLOG_WIRE_CALLBACK_QUEUE_H_

namespace distlog {

// gRPC 1.51 runs callbacks on a queue with threads of its own that is shared by all channels of the
// process, and destroyed with the last one. If that happens in a callback, a thread of the queue
// waits for itself and goes on with what it has freed: the process aborts ("prior > 0"). To be
// called before a program makes its first channel: it makes one that is never destroyed, and keeps
// the queue. Any thread, any number of times.
void KeepCallbackQueue();

}  // namespace distlog

#endif  // DISTLOG_WIRE_CALLBACK_QUEUE_H_
