// How a request reaches the leader from a replica that does not lead.

#ifndef DISTLOG_SERVER_FORWARDER_H_
#define DISTLOG_SERVER_FORWARDER_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/distlog/v1/log.pb.h"

namespace distlog {

// The metadata of a request that was passed on. It is not passed on again: the one who passed it on
// looks for the leader.
inline constexpr char kForwardedKey[] = "distlog-forwarded";

// Carries requests to another server. Any thread. Callbacks come once each, on any thread. An error
// is that of the other server, or carries not_appended if this end knows that nothing was sent; any
// other error names the other server and says nothing about whether the request was taken.
class Forwarder {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  virtual ~Forwarder() = default;

  using AppendCallback = std::function<void(const absl::StatusOr<v1::AppendResponse>&)>;
  virtual void Append(const std::string& address, const v1::AppendRequest& request,
                      TimePoint deadline, AppendCallback done) = 0;

  using OpenProducerCallback = std::function<void(const absl::StatusOr<v1::OpenProducerResponse>&)>;
  virtual void OpenProducer(const std::string& address, const v1::OpenProducerRequest& request,
                            TimePoint deadline, OpenProducerCallback done) = 0;

  // A pipeline of appends. Whoever lets go of it cancels what is not answered.
  class Stream {
   public:
    virtual ~Stream() = default;
    // Sends a request after those before, or returns false if too much is under way. The owner
    // bounds what it has not got an answer to.
    virtual bool Append(const v1::AppendRequest& request) = 0;
    // No more will follow: it ends when everything is answered.
    virtual void CloseRequests() = 0;
  };
  struct StreamListener {
    std::function<void(const v1::AppendStreamResponse&)> on_response;
    std::function<void(const absl::Status&)> on_end;  // Last.
  };
  // Null, without a call of the listener, if the other server cannot be reached at the moment.
  virtual std::shared_ptr<Stream> OpenStream(const std::string& address, TimePoint deadline,
                                             StreamListener listener) = 0;

  // To be told again and again who leads; empty: this server. Soon after another one than was asked
  // leads, what is not answered fails.
  virtual void NoteLeader(const std::string& address, TimePoint now) = 0;

  // Refuses everything from now on, and fails what is not answered after `patience`.
  virtual void Stop(std::chrono::milliseconds patience) = 0;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_FORWARDER_H_
