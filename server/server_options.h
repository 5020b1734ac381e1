// The command line of distlogd.

#ifndef DISTLOG_SERVER_SERVER_OPTIONS_H_
#define DISTLOG_SERVER_SERVER_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace distlog {

struct HostPort {
  std::string host;  // Without brackets.
  int port = 0;
};
// InvalidArgument if it is not HOST:PORT, or [HOST]:PORT for an IPv6 address.
absl::StatusOr<HostPort> ParseHostPort(const std::string& address);
std::string ToString(const HostPort& address);

struct ServerOptions {
  bool help = false;
  bool version = false;
  std::string data_dir;
  HostPort listen;
  std::string advertise;  // Empty: as it listens.
  bool dev = false;
  bool insecure_allow_remote = false;
  uint64_t max_entry_bytes = 1 << 20;
  uint64_t segment_bytes = 64 << 20;
  uint64_t scrub_bytes_per_second = 16 << 20;
  uint64_t heartbeat_interval_ms = 100;
  uint64_t stop_timeout_ms = 3000;
  bool unsafe_no_sync = false;
};

// From the arguments after the program's name. InvalidArgument: one sentence about the wrong one.
absl::StatusOr<ServerOptions> ParseServerOptions(const std::vector<std::string>& arguments);

// What --help prints.
std::string ServerHelp();

// Every address of `host` is of this machine alone. InvalidArgument if it has none.
absl::StatusOr<bool> IsLoopback(const std::string& host);

// A port of `host` that nobody listens on: `address.port`, or a free one if that is 0. Unavailable
// if it is taken. Somebody may take it until it is used.
absl::StatusOr<int> FindPort(const HostPort& address);

// Whether this process may keep a log in `dir`: missing, or a directory (no link) that is its own
// and that nobody else may write to.
absl::Status CheckDataDirectory(const std::string& dir);

}  // namespace distlog

#endif  // DISTLOG_SERVER_SERVER_OPTIONS_H_
