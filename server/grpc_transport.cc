#include "server/grpc_transport.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "glog/logging.h"
#include "server/peer_channel.h"
#include "server/thread_name.h"

namespace distlog {
namespace {

v1::TrafficClass ClassOf(const paxos::Message& message) {
  if (std::holds_alternative<paxos::Heartbeat>(message) ||
      std::holds_alternative<paxos::HeartbeatReply>(message)) {
    return v1::TRAFFIC_CLASS_CONTROL;
  }
  if (std::holds_alternative<paxos::LearnReply>(message)) return v1::TRAFFIC_CLASS_BULK;
  return v1::TRAFFIC_CLASS_LIVE;
}

}  // namespace

GrpcTransport::GrpcTransport(Options options, PeerRegistry* registry,
                             std::function<void(const std::string&)> on_regressed)
    : options_(options), registry_(registry), on_regressed_(std::move(on_regressed)) {
  dialer_ = std::thread([this] { RunDialer(); });
}

GrpcTransport::~GrpcTransport() { Stop(); }

GrpcTransport::Peer GrpcTransport::MakePeer(const paxos::Member& member) {
  Peer peer{.member = member, .links = {}};
  for (size_t i = 0; i < kClasses; ++i) {
    const auto traffic_class = static_cast<v1::TrafficClass>(i);
    const PeerLink::Limits& limits = traffic_class == v1::TRAFFIC_CLASS_CONTROL ? options_.control
                                     : traffic_class == v1::TRAFFIC_CLASS_LIVE  ? options_.live
                                                                                : options_.bulk;
    PeerLink::Events events;
    events.up = [this, member, traffic_class] { OnUp(member, traffic_class); };
    events.down = [this, member, traffic_class](const grpc::Status& status, bool was_established) {
      OnDown(member, traffic_class, status, was_established);
    };
    events.stopped = [this] {
      std::lock_guard lock(mutex_);
      --links_;
      changed_.notify_all();  // Under the lock: whoever waits for this may destroy *this.
    };
    peer.links[i] =
        std::make_shared<PeerLink>(member, traffic_class, limits, registry_, std::move(events));
  }
  return peer;
}

void GrpcTransport::SetMembers(const paxos::Configuration& in_force,
                               const std::vector<paxos::Member>& leavers) {
  registry_->SetMembers(in_force, leavers);
  Relink();
}

void GrpcTransport::SetHint(const paxos::Configuration& hint) {
  registry_->SetHint(hint);
  Relink();
}

void GrpcTransport::Relink() {
  std::vector<std::shared_ptr<PeerLink>> dropped;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    // Under the lock: of two changes at once the later one must not be undone by the earlier.
    const std::vector<paxos::Member> wanted = registry_->peers();
    for (auto entry = peers_.begin(); entry != peers_.end();) {
      const paxos::Member& old = entry->second.member;
      const bool is_kept = std::any_of(wanted.begin(), wanted.end(), [&](const auto& member) {
        return member.id == old.id && member.uuid == old.uuid && member.address == old.address;
      });
      if (is_kept) {
        ++entry;
        continue;
      }
      dropped.insert(dropped.end(), entry->second.links.begin(), entry->second.links.end());
      entry = peers_.erase(entry);
    }
    for (const paxos::Member& member : wanted) {
      if (peers_.contains(member.id)) continue;
      peers_.emplace(member.id, MakePeer(member));
      links_ += kClasses;
    }
  }
  for (const auto& link : dropped) link->Close();
  WakeDialer();
}

void GrpcTransport::Send(std::vector<paxos::Envelope> envelopes) {
  std::map<std::pair<paxos::ReplicaId, v1::TrafficClass>, std::vector<paxos::Message>> bursts;
  for (paxos::Envelope& envelope : envelopes) {
    const v1::TrafficClass traffic_class = ClassOf(envelope.message);
    bursts[{envelope.to, traffic_class}].push_back(std::move(envelope.message));
  }
  for (auto& [to, messages] : bursts) {
    std::shared_ptr<PeerLink> link;
    {
      std::lock_guard lock(mutex_);
      const auto peer = peers_.find(to.first);
      if (peer != peers_.end()) link = peer->second.links[to.second];
    }
    if (link == nullptr) {
      registry_->CountDropped(messages.size());
    } else {
      link->Send(std::move(messages));
    }
  }
}

void GrpcTransport::OnUp(const paxos::Member& member, v1::TrafficClass traffic_class) {
  if (traffic_class != v1::TRAFFIC_CLASS_LIVE) return;
  {
    std::lock_guard lock(mutex_);
    const auto peer = peers_.find(member.id);
    if (peer != peers_.end()) peer->second.is_lost = false;
  }
  registry_->NoteTrouble(member, "");
  if (listener_ != nullptr) listener_->OnPeerConnected(member.id);
}

void GrpcTransport::OnDown(const paxos::Member& member, v1::TrafficClass traffic_class,
                           const grpc::Status& status, bool was_established) {
  WakeDialer();
  if (status.error_code() == grpc::StatusCode::DATA_LOSS) {
    on_regressed_("replica " + paxos::ToString(member.id) + " at " + member.address +
                  " refuses this server: " + status.error_message());
    return;
  }
  // On any stream: one that nothing is sent on may stay open.
  if (status.error_code() == grpc::StatusCode::PERMISSION_DENIED && listener_ != nullptr) {
    listener_->OnRemoved(status.error_message());
  }
  if (traffic_class != v1::TRAFFIC_CLASS_LIVE) return;
  registry_->NoteTrouble(member, WhyUnreachable(status));
  if (!PeerIsGone(status, was_established)) return;
  {
    std::lock_guard lock(mutex_);
    const auto peer = peers_.find(member.id);
    if (peer == peers_.end() || std::exchange(peer->second.is_lost, true)) return;
  }
  if (listener_ != nullptr) listener_->OnPeerLost(member.id);
}

void GrpcTransport::DialSoon(paxos::ReplicaId id) {
  Links links;
  {
    std::lock_guard lock(mutex_);
    const auto peer = peers_.find(id);
    if (peer == peers_.end()) return;
    links = peer->second.links;
  }
  for (const auto& link : links) link->DialSoon();
  WakeDialer();
}

std::vector<paxos::Member> GrpcTransport::Disconnected() const {
  std::vector<Peer> peers;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, peer] : peers_) peers.push_back(peer);
  }
  std::vector<paxos::Member> members;
  for (const Peer& peer : peers) {
    if (!peer.links[v1::TRAFFIC_CLASS_LIVE]->established()) members.push_back(peer.member);
  }
  return members;
}

void GrpcTransport::WakeDialer() {
  std::lock_guard lock(mutex_);
  must_dial_ = true;
  changed_.notify_all();
}

void GrpcTransport::RunDialer() {
  NameThread("dialer");
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    must_dial_ = false;
    std::vector<std::shared_ptr<PeerLink>> links;
    for (const auto& [id, peer] : peers_) {
      links.insert(links.end(), peer.links.begin(), peer.links.end());
    }
    lock.unlock();
    auto due = PeerLink::Clock::now() + std::chrono::hours(1);
    for (const auto& link : links) due = std::min(due, link->Tick(PeerLink::Clock::now()));
    links.clear();
    lock.lock();
    changed_.wait_until(lock, due, [this] { return stopping_ || must_dial_; });
  }
}

void GrpcTransport::Stop() {
  std::vector<std::shared_ptr<PeerLink>> links;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
    for (const auto& [id, peer] : peers_) {
      links.insert(links.end(), peer.links.begin(), peer.links.end());
    }
    peers_.clear();
  }
  if (dialer_.joinable()) dialer_.join();
  for (const auto& link : links) link->Close();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return links_ == 0; });
}

}  // namespace distlog
