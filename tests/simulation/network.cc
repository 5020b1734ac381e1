#include "tests/simulation/network.h"

#include <algorithm>
#include <string>

#include "glog/logging.h"
#include "proto/distlog/v1/peer.pb.h"
#include "wire/message.h"

namespace distlog::simulation {
namespace {

using paxos::Envelope;
using paxos::ReplicaId;

// What the other end makes of the bytes.
paxos::Message ThroughBytes(const paxos::Message& message) {
  v1::PeerMessage out;
  ToProto(message, &out);
  v1::PeerMessage in;
  CHECK(in.ParseFromString(out.SerializeAsString()));
  absl::StatusOr<paxos::Message> received = FromProto(&in);
  CHECK(received.ok()) << received.status();
  return *std::move(received);
}

}  // namespace

bool Network::IsCut(ReplicaId from, ReplicaId to) const {
  return links_.at(static_cast<size_t>(from) * kMaxMachines + static_cast<size_t>(to)).cut;
}

uint64_t Network::Reset(ReplicaId from, ReplicaId to) {
  Link& reset = link(from, to);
  ++reset.connection;
  return std::exchange(reset.under_way, 0);
}

void Network::Send(const Envelope& envelope) {
  if (link(envelope.from, envelope.to).cut) return;
  if (weather_.loss > 0 && world_->random.Chance(weather_.loss)) {
    ++world_->counters.messages_lost;
    return;
  }
  auto shared = std::make_shared<Envelope>(envelope);
  if (encoded_) {
    shared->message = ThroughBytes(envelope.message);
    ++world_->counters.messages_encoded;
  }
  if (weather_.duplication > 0 && world_->random.Chance(weather_.duplication)) {
    ++world_->counters.messages_repeated;
    SendOnce(shared);
  }
  SendOnce(std::move(shared));
}

void Network::SendOnce(std::shared_ptr<const Envelope> envelope) {
  Link& way = link(envelope->from, envelope->to);
  const Time delay = world_->random.LongTail(weather_.min_delay, weather_.max_delay);
  if (delay > std::chrono::milliseconds(50)) ++world_->counters.messages_delayed_long;
  Time arrival = world_->now() + delay;
  if (weather_.in_order) arrival = std::max(arrival, way.last_arrival);
  if (arrival < way.last_arrival) ++world_->counters.messages_overtaken;
  way.last_arrival = std::max(arrival, way.last_arrival);
  ++way.under_way;
  world_->scheduler.At(arrival,
                       [this, envelope = std::move(envelope), connection = way.connection] {
                         Link& now = link(envelope->from, envelope->to);
                         if (now.connection != connection) return;
                         --now.under_way;
                         if (now.cut) return;
                         ++world_->counters.messages;
                         deliver_(*envelope);
                       });
}

}  // namespace distlog::simulation
