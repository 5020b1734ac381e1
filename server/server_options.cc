#include "server/server_options.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace distlog {
namespace {

constexpr uint64_t kMaxEntryBytes = (4 << 20) - (64 << 10);

struct Flag {
  const char* name;
  const char* value;  // Of the help; null: a switch.
  const char* help;
  std::variant<bool ServerOptions::*, std::string ServerOptions::*, HostPort ServerOptions::*,
               uint64_t ServerOptions::*>
      target;
  uint64_t min = 0;
  uint64_t max = 0;
};

const Flag kFlags[] = {
    {"data_dir", "DIR", "where the log is kept; missing or empty: a new, unassigned server",
     &ServerOptions::data_dir},
    {"listen", "HOST:PORT", "where to serve; port 0 takes a free one", &ServerOptions::listen},
    {"advertise", "HOST:PORT", "how others reach this server (default: as it listens)",
     &ServerOptions::advertise},
    {"dev", nullptr,
     "form a one-replica cluster at once, to try things out; by default on 127.0.0.1:4600 and "
     "in a new temporary directory",
     &ServerOptions::dev},
    {"insecure_allow_remote", nullptr,
     "listen on an address that other machines reach: without TLS anyone there may do anything",
     &ServerOptions::insecure_allow_remote},
    {"max_entry_bytes", "N", "the largest entry taken (default 1048576)",
     &ServerOptions::max_entry_bytes, 1, kMaxEntryBytes},
    {"segment_bytes", "N", "how much a segment of the log holds (default 67108864)",
     &ServerOptions::segment_bytes, 1 << 16, uint64_t{1} << 32},
    {"scrub_bytes_per_second", "N",
     "how fast segments are verified in the background, and repaired; 0 verifies none (default "
     "16777216)",
     &ServerOptions::scrub_bytes_per_second, 0, uint64_t{1} << 40},
    {"heartbeat_interval_ms", "N",
     "how often replicas ask each other, the same for all (default 100)",
     &ServerOptions::heartbeat_interval_ms, 10, 10'000},
    {"stop_timeout_ms", "N", "how long to wait at SIGTERM for requests under way (default 3000)",
     &ServerOptions::stop_timeout_ms, 0, 60'000},
    {"unsafe_no_sync", nullptr,
     "never sync, for tests only: a power cut loses acknowledged entries",
     &ServerOptions::unsafe_no_sync},
    {"help", nullptr, "print this", &ServerOptions::help},
    {"version", nullptr, "print the version", &ServerOptions::version},
};

absl::Status BadFlag(const Flag& flag, const std::string& value, const std::string& wanted) {
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag.name, "=", absl::CEscape(value), ": ", wanted));
}

absl::Status SetFlag(const Flag& flag, const std::string& value, ServerOptions* options) {
  if (const auto* target = std::get_if<bool ServerOptions::*>(&flag.target)) {
    if (value != "true" && value != "false") return BadFlag(flag, value, "must be true or false");
    options->*(*target) = value == "true";
  } else if (const auto* target = std::get_if<std::string ServerOptions::*>(&flag.target)) {
    if (value.empty()) return BadFlag(flag, value, "must not be empty");
    options->*(*target) = value;
  } else if (const auto* target = std::get_if<HostPort ServerOptions::*>(&flag.target)) {
    const absl::StatusOr<HostPort> address = ParseHostPort(value);
    if (!address.ok()) return BadFlag(flag, value, "must be HOST:PORT");
    options->*(*target) = *address;
  } else {
    uint64_t number = 0;
    if (!absl::SimpleAtoi(value, &number) || number < flag.min || number > flag.max) {
      return BadFlag(flag, value,
                     absl::StrCat("must be a number from ", flag.min, " to ", flag.max));
    }
    options->*std::get<uint64_t ServerOptions::*>(flag.target) = number;
  }
  return absl::OkStatus();
}

absl::Status CheckTogether(ServerOptions* options) {
  if (options->listen.host.empty()) {
    if (!options->dev) {
      return absl::InvalidArgumentError("--listen=HOST:PORT says where to serve; it is missing");
    }
    options->listen = {"127.0.0.1", 4600};
  }
  if (options->data_dir.empty() && !options->dev) {
    return absl::InvalidArgumentError("--data_dir=DIR says where to keep the log; it is missing");
  }
  absl::StatusOr<bool> is_loopback = IsLoopback(options->listen.host);
  if (!is_loopback.ok()) return is_loopback.status();
  if (!*is_loopback && !options->insecure_allow_remote) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--listen=", ToString(options->listen),
        ": not a loopback address, so that anyone who reaches it could do anything; give "
        "--insecure_allow_remote if that is meant"));
  }
  if (!options->advertise.empty()) {
    const absl::StatusOr<HostPort> address = ParseHostPort(options->advertise);
    if (!address.ok() || address->port == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--advertise=", absl::CEscape(options->advertise), ": must be HOST:PORT"));
    }
  } else if (options->listen.host == "0.0.0.0" || options->listen.host == "::") {
    return absl::InvalidArgumentError(absl::StrCat("--listen=", ToString(options->listen),
                                                   ": nobody can reach that address; say with "
                                                   "--advertise=HOST:PORT which one others use"));
  }
  return absl::OkStatus();
}

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::StatusOr<AddressList> Resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the host ", absl::CEscape(host), " is not known: ", gai_strerror(error)));
  }
  return AddressList(found, &freeaddrinfo);
}

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(const std::string& address) {
  const auto error = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", absl::CEscape(address.substr(0, 300)), "\" is not HOST:PORT"));
  };
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || address.size() > 300) return error();
  HostPort parsed{.host = address.substr(0, colon)};
  const std::string port = address.substr(colon + 1);
  const bool is_number = !port.empty() && port.size() <= 5 &&
                         port.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number || !absl::SimpleAtoi(port, &parsed.port) || parsed.port > 65535) return error();
  if (parsed.host.size() > 2 && parsed.host.front() == '[' && parsed.host.back() == ']') {
    parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
  } else if (parsed.host.find(':') != std::string::npos) {
    return error();
  }
  const auto is_fit = [](unsigned char c) { return std::isalnum(c) || std::strchr(".-_:%", c); };
  if (parsed.host.empty() || !std::all_of(parsed.host.begin(), parsed.host.end(), is_fit)) {
    return error();
  }
  return parsed;
}

std::string ToString(const HostPort& address) {
  return address.host.find(':') == std::string::npos
             ? absl::StrCat(address.host, ":", address.port)
             : absl::StrCat("[", address.host, "]:", address.port);
}

absl::StatusOr<ServerOptions> ParseServerOptions(const std::vector<std::string>& arguments) {
  ServerOptions options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument.size() < 2 || argument[0] != '-') {
      return absl::InvalidArgumentError(absl::StrCat("distlogd takes no arguments but flags; \"",
                                                     absl::CEscape(argument), "\" is none"));
    }
    const size_t begin = argument[1] == '-' ? 2 : 1;
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(begin, equals - begin);
    const auto* flag = std::find_if(std::begin(kFlags), std::end(kFlags),
                                    [&](const Flag& known) { return name == known.name; });
    if (flag == std::end(kFlags)) {
      return absl::InvalidArgumentError(
          absl::StrCat("distlogd knows no flag --", absl::CEscape(name), "; see distlogd --help"));
    }
    std::string value = "true";
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (flag->value != nullptr) {
      if (++i == arguments.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--", flag->name, " needs a value: --", flag->name, "=", flag->value));
      }
      value = arguments[i];
    }
    if (absl::Status status = SetFlag(*flag, value, &options); !status.ok()) return status;
  }
  if (options.help || options.version) return options;
  if (absl::Status status = CheckTogether(&options); !status.ok()) return status;
  return options;
}

std::string ServerHelp() {
  std::string help =
      "distlogd: one replica of a replicated log\n\n"
      "    distlogd --data_dir=DIR --listen=HOST:PORT [--advertise=HOST:PORT]\n"
      "    distlogd --dev\n\n";
  for (const Flag& flag : kFlags) {
    std::string name = absl::StrCat("--", flag.name);
    if (flag.value != nullptr) absl::StrAppend(&name, "=", flag.value);
    name.resize(std::max<size_t>(name.size(), 28), ' ');
    absl::StrAppend(&help, "  ", name, "  ", flag.help, "\n");
  }
  return help;
}

absl::StatusOr<bool> IsLoopback(const std::string& host) {
  absl::StatusOr<AddressList> addresses = Resolve(host);
  if (!addresses.ok()) return addresses.status();
  for (const addrinfo* info = addresses->get(); info != nullptr; info = info->ai_next) {
    if (info->ai_family == AF_INET) {
      const auto* address = reinterpret_cast<const sockaddr_in*>(info->ai_addr);
      if (ntohl(address->sin_addr.s_addr) >> 24 != 127) return false;
    } else if (info->ai_family == AF_INET6) {
      const auto* address = reinterpret_cast<const sockaddr_in6*>(info->ai_addr);
      if (!IN6_IS_ADDR_LOOPBACK(&address->sin6_addr)) return false;
    } else {
      return false;
    }
  }
  return true;
}

absl::StatusOr<int> FindPort(const HostPort& address) {
  absl::StatusOr<AddressList> addresses = Resolve(address.host);
  if (!addresses.ok()) return addresses.status();
  const addrinfo* info = addresses->get();
  sockaddr_storage bound{};
  socklen_t size = info->ai_addrlen;
  std::memcpy(&bound, info->ai_addr, size);
  // sin_port and sin6_port are at the same place.
  in_port_t* port = info->ai_family == AF_INET6
                        ? &reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                        : &reinterpret_cast<sockaddr_in*>(&bound)->sin_port;
  *port = htons(static_cast<uint16_t>(address.port));
  const int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::UnavailableError(absl::StrCat("no socket: ", std::strerror(errno)));
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool is_bound = bind(fd, reinterpret_cast<sockaddr*>(&bound), size) == 0 &&
                        listen(fd, 1) == 0 &&
                        getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) == 0;
  const int error = errno;
  close(fd);
  if (!is_bound) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", ToString(address), ": ",
                     error == EADDRINUSE ? "another process does already" : std::strerror(error)));
  }
  return ntohs(*port);
}

absl::Status CheckDataDirectory(const std::string& dir) {
  std::string path = dir;
  while (path.size() > 1 && path.back() == '/') path.pop_back();  // lstat follows "link/".
  const auto refuse = [&](const std::string& why) {
    return absl::FailedPreconditionError(absl::StrCat("data directory ", dir, ": ", why));
  };
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return refuse(std::strerror(errno));
  }
  if (S_ISLNK(found.st_mode)) return refuse("it is a symbolic link; name the directory itself");
  if (!S_ISDIR(found.st_mode)) return refuse("it is no directory");
  if (found.st_uid != geteuid()) {
    return refuse(absl::StrCat("it belongs to user ", found.st_uid, ", and this process runs as ",
                               geteuid(), "; run distlogd as its owner"));
  }
  if ((found.st_mode & 022) != 0) {
    return refuse("others may write to it; make it private (chmod 700)");
  }
  return absl::OkStatus();
}

}  // namespace distlog
