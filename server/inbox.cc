#include "server/inbox.h"

namespace distlog {
namespace {

constexpr size_t kEnvelopeOverhead = 256;

size_t BytesOf(const std::vector<paxos::AcceptedValue>& values) {
  size_t bytes = values.size() * sizeof(paxos::AcceptedValue);
  for (const paxos::AcceptedValue& accepted : values) bytes += accepted.value.size();
  return bytes;
}

}  // namespace

size_t BytesOf(const paxos::Envelope& envelope) {
  size_t bytes = kEnvelopeOverhead;
  if (const auto* accept = std::get_if<paxos::Accept>(&envelope.message)) {
    for (const paxos::Value& value : accept->values) bytes += sizeof(value) + value.size();
  } else if (const auto* promise = std::get_if<paxos::Promise>(&envelope.message)) {
    bytes += BytesOf(promise->accepted);
  } else if (const auto* reply = std::get_if<paxos::LearnReply>(&envelope.message)) {
    bytes += BytesOf(reply->chosen);
  }
  return bytes;
}

std::vector<paxos::Envelope> TakeMessagesTo(paxos::ReplicaId to,
                                            std::vector<paxos::Envelope>* envelopes) {
  std::vector<paxos::Envelope> taken;
  std::vector<paxos::Envelope> left;
  left.reserve(envelopes->size());
  for (paxos::Envelope& envelope : *envelopes) {
    (envelope.to == to ? taken : left).push_back(std::move(envelope));
  }
  *envelopes = std::move(left);
  return taken;
}

bool Inbox::PostFromPeer(std::vector<paxos::Envelope> envelopes) {
  size_t bytes = 0;
  for (const paxos::Envelope& envelope : envelopes) bytes += BytesOf(envelope);
  bool dropped = false;
  Post([&](Burst* burst) {
    dropped = peer_bytes_ + bytes > max_peer_bytes_ && peer_bytes_ > 0;
    if (dropped) return;
    peer_bytes_ += bytes;
    for (paxos::Envelope& envelope : envelopes) {
      burst->events.emplace_back(paxos::Receive{std::move(envelope)});
    }
  });
  return !dropped;
}

Inbox::Burst Inbox::Take(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(mutex_);
  if (waiting_.empty()) {
    asleep_ = true;
    changed_.wait_until(lock, until, [this] { return !asleep_; });
    asleep_ = false;
  }
  peer_bytes_ = 0;
  return std::exchange(waiting_, Burst());
}

Inbox::Burst Inbox::Close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  return std::exchange(waiting_, Burst());
}

}  // namespace distlog
