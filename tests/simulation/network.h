// A network that loses, repeats, delays and reorders, link by link and direction by direction.

#ifndef DISTLOG_TESTS_SIMULATION_NETWORK_H_
#define DISTLOG_TESTS_SIMULATION_NETWORK_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "paxos/message.h"
#include "tests/simulation/world.h"

namespace distlog::simulation {

class Network {
 public:
  struct Weather {
    double loss = 0;
    double duplication = 0;
    bool in_order = true;  // Per link, like a stream.
    Time min_delay = std::chrono::microseconds(50);
    Time max_delay = std::chrono::milliseconds(1);
  };
  using Deliver = std::function<void(const paxos::Envelope&)>;

  // `encoded`: each message travels as the bytes that servers exchange.
  Network(World* world, bool encoded, Deliver deliver)
      : world_(world), encoded_(encoded), deliver_(std::move(deliver)) {}

  void set_weather(const Weather& weather) { weather_ = weather; }
  const Weather& weather() const { return weather_; }

  void Send(const paxos::Envelope& envelope);

  // One direction of one link.
  void Cut(paxos::ReplicaId from, paxos::ReplicaId to) { link(from, to).cut = true; }
  void Mend(paxos::ReplicaId from, paxos::ReplicaId to) { link(from, to).cut = false; }
  bool IsCut(paxos::ReplicaId from, paxos::ReplicaId to) const;
  // Loses everything that is under way in one direction: the connection was reset. Returns how many
  // messages those are.
  uint64_t Reset(paxos::ReplicaId from, paxos::ReplicaId to);

 private:
  struct Link {
    bool cut = false;
    uint64_t connection = 0;
    uint64_t under_way = 0;  // On this connection.
    Time last_arrival{0};
  };
  Link& link(paxos::ReplicaId from, paxos::ReplicaId to) {
    return links_.at(static_cast<size_t>(from) * kMaxMachines + static_cast<size_t>(to));
  }
  void SendOnce(std::shared_ptr<const paxos::Envelope> envelope);

  World* world_;
  bool encoded_;
  Deliver deliver_;
  Weather weather_;
  std::array<Link, kMaxMachines * kMaxMachines> links_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_NETWORK_H_
