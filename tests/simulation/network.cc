#include "tests/simulation/network.h"

#include <algorithm>
#include <memory>

namespace distlog::simulation {

using paxos::Envelope;
using paxos::ReplicaId;

bool Network::IsCut(ReplicaId from, ReplicaId to) const {
  const auto it = links_.find({from, to});
  return it != links_.end() && it->second.cut;
}

void Network::Send(const Envelope& envelope) {
  if (world_->random.Chance(weather_.loss)) {
    ++world_->counters["messages lost"];
    return;
  }
  SendOnce(envelope);
  if (world_->random.Chance(weather_.duplication)) {
    ++world_->counters["messages repeated"];
    SendOnce(envelope);
  }
}

void Network::SendOnce(const Envelope& envelope) {
  Link& link = links_[{envelope.from, envelope.to}];
  if (link.cut) return;
  Time arrival = world_->now() + world_->random.LongTail(weather_.min_delay, weather_.max_delay);
  if (weather_.in_order) arrival = std::max(arrival, link.last_arrival);
  link.last_arrival = std::max(arrival, link.last_arrival);
  auto shared = std::make_shared<const Envelope>(envelope);
  world_->scheduler.At(arrival, [this, shared, connection = link.connection] {
    const Link& now = links_[{shared->from, shared->to}];
    if (now.cut || now.connection != connection) return;
    ++world_->counters["messages delivered"];
    deliver_(*shared);
  });
}

}  // namespace distlog::simulation
