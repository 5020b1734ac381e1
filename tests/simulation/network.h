// A network that loses, repeats, delays and reorders, link by link and direction by direction.

#ifndef DISTLOG_TESTS_SIMULATION_NETWORK_H_
#define DISTLOG_TESTS_SIMULATION_NETWORK_H_

#include <cstdint>
#include <functional>
#include <map>
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

  Network(World* world, Deliver deliver) : world_(world), deliver_(std::move(deliver)) {}

  void set_weather(const Weather& weather) { weather_ = weather; }
  const Weather& weather() const { return weather_; }

  void Send(const paxos::Envelope& envelope);

  // One direction of one link.
  void Cut(paxos::ReplicaId from, paxos::ReplicaId to) { links_[{from, to}].cut = true; }
  void Mend(paxos::ReplicaId from, paxos::ReplicaId to) { links_[{from, to}].cut = false; }
  bool IsCut(paxos::ReplicaId from, paxos::ReplicaId to) const;
  // Loses everything that is under way in one direction: the connection was reset.
  void Reset(paxos::ReplicaId from, paxos::ReplicaId to) { ++links_[{from, to}].connection; }

 private:
  struct Link {
    bool cut = false;
    uint64_t connection = 0;
    Time last_arrival{0};
  };
  void SendOnce(const paxos::Envelope& envelope);

  World* world_;
  Deliver deliver_;
  Weather weather_;
  std::map<std::pair<paxos::ReplicaId, paxos::ReplicaId>, Link> links_;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_NETWORK_H_
