// One distlogd: its parts, put together and taken apart in order.

#ifndef DISTLOG_SERVER_SERVER_H_
#define DISTLOG_SERVER_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "paxos/configuration.h"
#include "server/node.h"
#include "server/server_options.h"

namespace distlog {

// Serves from Start() until Stop(). What would risk the log meanwhile ends the process (Die).
class Server {
 public:
  // Formats an empty data directory, opens it, and serves. Each error is one sentence for the
  // operator.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options);
  ~Server();

  // Hands leadership over, finishes what is under way and stops serving.
  void Stop();

  // As advertised.
  const std::string& address() const;
  // `serving at 127.0.0.1:4600, replica 1, data directory /d`.
  std::string Describe() const;

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_SERVER_H_
