// A TCP relay on loopback for tests: a cable that can be cut, or left lying with nobody reading.

#ifndef DISTLOG_SERVER_TEST_RELAY_H_
#define DISTLOG_SERVER_TEST_RELAY_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace distlog {

inline sockaddr_in LoopbackAddress(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

inline int ConnectTo(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = LoopbackAddress(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

class Relay {
 public:
  explicit Relay(int target) : target_(target) {
    Open();
    thread_ = std::thread([this] { Run(); });
  }
  ~Relay() {
    stopping_ = true;
    thread_.join();
    Break();
  }

  int port() const { return port_; }
  // While held, nothing is read and nobody is let in, but all connections stay.
  void Hold(bool hold) {
    held_ = hold;
    while (is_held_ != hold) std::this_thread::yield();
  }
  // As if the process behind it were killed: connections are reset, and refused until Mend().
  void Cut() { Ask(true); }
  void Mend() { Ask(false); }

 private:
  struct Pair {
    int near;
    int far;
  };

  void Ask(bool cut) {
    must_cut_ = cut;
    while (is_cut_ != cut) std::this_thread::yield();
  }
  void Open() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address = LoopbackAddress(port_);
    socklen_t size = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0) abort();
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    if (listen(listener_, 16) != 0) abort();
  }
  void Break() {
    if (listener_ >= 0) close(listener_);
    listener_ = -1;
    for (const Pair& pair : pairs_) Drop(pair);
    pairs_.clear();
  }
  static void Drop(const Pair& pair) {
    const linger reset{.l_onoff = 1, .l_linger = 0};
    setsockopt(pair.near, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(pair.near);
    close(pair.far);
  }
  // Whether the connection goes on.
  static bool Pump(int from, int to) {
    std::vector<char> buffer(64 << 10);
    const ssize_t got = recv(from, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN;
    for (ssize_t sent = 0; sent < got;) {
      const ssize_t n = send(to, buffer.data() + sent, got - sent, MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += n;
    }
    return got > 0;
  }
  void Run() {
    while (!stopping_) {
      if (must_cut_ != is_cut_) {
        must_cut_ ? Break() : Open();
        is_cut_ = must_cut_.load();
      }
      is_held_ = held_.load();
      if (is_held_ || is_cut_) {
        poll(nullptr, 0, 1);
        continue;
      }
      Turn();
    }
  }
  void Turn() {
    std::vector<pollfd> ready{{.fd = listener_, .events = POLLIN, .revents = 0}};
    for (const Pair& pair : pairs_) {
      ready.push_back({.fd = pair.near, .events = POLLIN, .revents = 0});
      ready.push_back({.fd = pair.far, .events = POLLIN, .revents = 0});
    }
    poll(ready.data(), ready.size(), 1);
    std::vector<Pair> kept;
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const Pair& pair = pairs_[i];
      const bool goes_on = (ready[2 * i + 1].revents == 0 || Pump(pair.near, pair.far)) &&
                           (ready[2 * i + 2].revents == 0 || Pump(pair.far, pair.near));
      if (goes_on) {
        kept.push_back(pair);
      } else {
        Drop(pair);
      }
    }
    if (ready[0].revents != 0) {
      const int near = accept(listener_, nullptr, nullptr);
      kept.push_back({near, ConnectTo(target_)});
    }
    pairs_.swap(kept);
  }

  const int target_;
  int port_ = 0;
  int listener_ = -1;
  std::vector<Pair> pairs_;
  std::atomic<bool> held_{false};
  std::atomic<bool> is_held_{false};
  std::atomic<bool> must_cut_{false};
  std::atomic<bool> is_cut_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_TEST_RELAY_H_
