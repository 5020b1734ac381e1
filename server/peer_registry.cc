#include "server/peer_registry.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "server/removal.h"
#include "wire/value.h"

namespace distlog {
namespace {

// Strangers must not fill the memory.
constexpr size_t kMaxRefusedCallers = 32;

std::string Name(const paxos::Member& member) {
  return absl::StrCat("replica ", paxos::ToString(member.id), " (UUID ",
                      paxos::ToString(member.uuid), ")");
}

// Of bytes that came from outside: bounded, and nothing but hexadecimal digits.
std::string Shown(const std::string& bytes) {
  return bytes.empty() ? "none" : HexString(bytes.substr(0, 32));
}

absl::Status Refuse(const std::string& sentence) { return absl::FailedPreconditionError(sentence); }

}  // namespace

void PeerRegistry::SetMembers(const paxos::Configuration& in_force,
                              const std::vector<paxos::Member>& leavers) {
  std::lock_guard lock(mutex_);
  members_ = in_force;
  leavers_ = leavers;
  seat_lost_.clear();
  std::erase_if(outgoing_, [&](const auto& entry) {
    const paxos::Member* peer = FindPeer(entry.second.id);
    return peer == nullptr || paxos::ToString(peer->uuid) != entry.first;
  });
}

void PeerRegistry::SetHint(const paxos::Configuration& hint) {
  std::lock_guard lock(mutex_);
  if (hint.version > hint_.version) hint_ = hint;
}

const paxos::Member* PeerRegistry::FindPeer(paxos::ReplicaId id) const {
  if (const paxos::Member* member = members_.Find(id)) return member;
  for (const paxos::Member& leaver : leavers_) {
    if (leaver.id == id) return &leaver;
  }
  return hint_.version > members_.version ? hint_.Find(id) : nullptr;
}

std::vector<paxos::Member> PeerRegistry::peers() const {
  const paxos::ReplicaId self = own_->identity().replica;
  std::map<paxos::ReplicaId, paxos::Member> peers;
  std::lock_guard lock(mutex_);
  for (const auto* members : {&members_.members, &leavers_, &hint_.members}) {
    for (const paxos::Member& member : *members) {
      if (member.id != self && FindPeer(member.id) != nullptr) peers.emplace(member.id, member);
    }
  }
  std::vector<paxos::Member> sorted;
  for (auto& [id, member] : peers) sorted.push_back(std::move(member));
  return sorted;
}

paxos::Configuration PeerRegistry::members() const {
  std::lock_guard lock(mutex_);
  return members_;
}

paxos::ReplicaId PeerRegistry::self() const { return own_->identity().replica; }

bool PeerRegistry::IsPeer(paxos::ReplicaId id, const paxos::Uuid& uuid) const {
  std::lock_guard lock(mutex_);
  const paxos::Member* member = FindPeer(id);
  return member != nullptr && member->uuid == uuid;
}

v1::Hello PeerRegistry::MakeHello(const paxos::Member& to, v1::TrafficClass traffic_class) const {
  const Identity identity = own_->identity();
  v1::Hello hello;
  hello.set_wire_version_min(kWireVersionMin);
  hello.set_wire_version_max(kWireVersionMax);
  hello.set_cluster_id(identity.cluster_id);
  hello.set_from_uuid(ToBytes(identity.uuid));
  hello.set_to_id(static_cast<uint64_t>(to.id));
  hello.set_to_uuid(ToBytes(to.uuid));
  hello.set_start_counter(identity.start_counter);
  hello.set_start_nonce(identity.start_nonce);
  hello.set_traffic_class(traffic_class);
  *hello.mutable_promised() = ToProto(own_->promised());
  hello.set_accepted_through(own_->accepted_through());
  hello.set_from_id(static_cast<uint64_t>(identity.replica));
  return hello;
}

// What both ends of a connection ask of the other's Hello.
absl::Status PeerRegistry::CheckIdentity(const v1::Hello& hello, const Identity& identity) const {
  if (hello.wire_version_min() > kWireVersionMax || hello.wire_version_max() < kWireVersionMin) {
    return Refuse(absl::StrCat("this server speaks wire versions ", kWireVersionMin, " to ",
                               kWireVersionMax, ", the other ", hello.wire_version_min(), " to ",
                               hello.wire_version_max(), ": upgrade the older one"));
  }
  const bool is_meant = hello.to_uuid() == ToBytes(identity.uuid);
  if (identity.cluster_id.empty()) {
    if (is_meant || hello.to_id() == 0) {
      return Refuse("this server belongs to no cluster yet: it waits for init or member add");
    }
    return Refuse(absl::StrCat("the data directory served at ", address_, " is empty (UUID ",
                               paxos::ToString(identity.uuid), "), not that of replica ",
                               hello.to_id(), " (UUID ", Shown(hello.to_uuid()),
                               "): it votes for nothing; if that one is lost, run `distlog member ",
                               "replace ", hello.to_id(), " ", address_, "`"));
  }
  if (hello.cluster_id() != identity.cluster_id) {
    return Refuse(absl::StrCat("this server belongs to cluster ", HexString(identity.cluster_id),
                               ", the other to ", Shown(hello.cluster_id()),
                               ": check the addresses"));
  }
  if (members_.members.empty()) {
    return Refuse("this server is about to join its cluster: it will answer soon");
  }
  if (!is_meant) {
    return Refuse(absl::StrCat("the server here has UUID ", paxos::ToString(identity.uuid),
                               ", not ", Shown(hello.to_uuid()),
                               ": another data directory is served at this address"));
  }
  if (paxos::ReplicaId{hello.to_id()} != identity.replica) {
    return Refuse(absl::StrCat("the server here is replica ", paxos::ToString(identity.replica),
                               ", not ", hello.to_id()));
  }
  const paxos::Member* from = FindPeer(paxos::ReplicaId{hello.from_id()});
  if (from == nullptr || hello.from_id() == 0) return RefuseStranger(hello);
  if (hello.from_uuid() != ToBytes(from->uuid) || from->uuid == identity.uuid) {
    return Refuse(absl::StrCat(Name(*from), " is the member of configuration ", members_.version,
                               ", not the server with UUID ", Shown(hello.from_uuid()),
                               ": replace the member if its disk was lost"));
  }
  return absl::OkStatus();
}

// Ids never return (rule B2): one below the next that holds no seat was removed, whatever else this
// replica has yet to learn.
absl::Status PeerRegistry::RefuseStranger(const v1::Hello& hello) const {
  if (hello.from_id() != 0 && hello.from_id() < members_.next_replica_id) {
    return absl::PermissionDeniedError(WasRemoved(paxos::ReplicaId{hello.from_id()}, members_));
  }
  return Refuse(absl::StrCat("replica ", hello.from_id(), " is no member of configuration ",
                             members_.version, " of this cluster"));
}

absl::Status PeerRegistry::CheckAnswer(const v1::Hello& answer, const paxos::Member& callee) const {
  const Identity identity = own_->identity();
  std::lock_guard lock(mutex_);
  if (absl::Status status = CheckIdentity(answer, identity); !status.ok()) return status;
  if (paxos::ReplicaId{answer.from_id()} != callee.id) {
    return Refuse(absl::StrCat("replica ", answer.from_id(), " answers there, not ",
                               paxos::ToString(callee.id)));
  }
  return absl::OkStatus();
}

// A member whose disk holds less than it told before may have forgotten promises and accepted
// values: counted in a quorum, it would let two values be chosen in one slot.
absl::Status PeerRegistry::CheckStart(const v1::Hello& hello, const paxos::Member& caller) {
  const auto [entry, inserted] = starts_.try_emplace(caller.uuid);
  Start& known = entry->second;
  if (inserted) {
    known.start = own_->RememberedPeer(caller.uuid);
    known.durable = true;
  }
  const Store::PeerStart start{hello.start_counter(), hello.start_nonce()};
  const auto regressed = [&](const std::string& how) {
    return absl::DataLossError(absl::StrCat(
        Name(caller), " has regressed: ", how,
        ". Its data directory is an old copy or lost what was durable; keep it stopped and replace "
        "it by an empty server (distlog member replace ",
        paxos::ToString(caller.id), " ADDRESS)"));
  };
  if (start.start_counter < known.start.start_counter) {
    return regressed(absl::StrCat("it says that this is its start number ", start.start_counter,
                                  ", but number ", known.start.start_counter, " was seen before"));
  }
  if (start.start_counter == known.start.start_counter) {
    if (start.start_nonce == known.start.start_nonce) return absl::OkStatus();
    return regressed(absl::StrCat("its start number ", start.start_counter,
                                  " was seen before, with another nonce"));
  }
  const auto told = told_.find(caller.uuid);
  if (told != told_.end()) {
    const paxos::Ballot promised = FromProto(hello.promised());
    if (promised < told->second.promised) {
      return regressed(absl::StrCat(
          "it holds ballot ", paxos::ToString(promised), " as its highest promise, but told ",
          paxos::ToString(told->second.promised), " before it restarted"));
    }
    if (hello.accepted_through() < told->second.accepted_through) {
      return regressed(absl::StrCat("it holds slots through ", hello.accepted_through(),
                                    ", but told that it had accepted slot ",
                                    told->second.accepted_through, " before it restarted"));
    }
  }
  known.start = start;
  known.durable = false;
  return absl::OkStatus();
}

void PeerRegistry::Admit(const v1::Hello& hello, const std::string& address, AdmitCallback done) {
  const Identity identity = own_->identity();
  paxos::Member caller;
  absl::Status status;
  {
    std::lock_guard lock(mutex_);
    status = CheckIdentity(hello, identity);
    if (status.ok()) {
      caller = *FindPeer(paxos::ReplicaId{hello.from_id()});
      status = CheckStart(hello, caller);
    } else if (identity.cluster_id.empty() && hello.to_uuid() != ToBytes(identity.uuid)) {
      seat_lost_ = std::string(status.message());
    }
  }
  if (!status.ok()) {
    NoteRefusal(hello, address, std::string(status.message()));
    done(status);
    return;
  }
  Remember(caller.uuid, [this, caller, done = std::move(done)](const absl::Status& durable) {
    if (!durable.ok()) {
      done(durable);
      return;
    }
    {
      std::lock_guard lock(mutex_);
      refused_.erase(ToBytes(caller.uuid));
    }
    done(caller);
  });
}

void PeerRegistry::Remember(const paxos::Uuid& peer,
                            std::function<void(const absl::Status&)> done) {
  Store::PeerStart start;
  {
    std::unique_lock lock(mutex_);
    Start& known = starts_[peer];
    if (known.durable) {
      lock.unlock();
      done(absl::OkStatus());
      return;
    }
    // One write serves the streams of all classes that come with one start.
    const bool under_way = !known.waiting.empty();
    known.waiting.push_back(std::move(done));
    if (under_way) return;
    start = known.start;
  }
  own_->RememberPeer(peer, start, [this, peer, start](const absl::Status& status) {
    Remembered(peer, start, status);
  });
}

void PeerRegistry::Remembered(const paxos::Uuid& peer, const Store::PeerStart& start,
                              const absl::Status& status) {
  std::vector<std::function<void(const absl::Status&)>> waiting;
  Store::PeerStart newer;
  {
    std::lock_guard lock(mutex_);
    Start& known = starts_[peer];
    if (status.ok() && known.start.start_counter != start.start_counter) {
      newer = known.start;  // It has started once more meanwhile: those who wait need that one.
    } else {
      known.durable = status.ok();
      waiting.swap(known.waiting);
    }
  }
  if (newer.start_counter != 0) {
    own_->RememberPeer(peer, newer, [this, peer, newer](const absl::Status& again) {
      Remembered(peer, newer, again);
    });
  }
  for (const auto& done : waiting) done(status);
}

void PeerRegistry::Observe(const paxos::Uuid& peer, const std::vector<paxos::Envelope>& envelopes) {
  Told seen;
  for (const paxos::Envelope& envelope : envelopes) {
    if (const auto* accepted = std::get_if<paxos::Accepted>(&envelope.message)) {
      seen.promised = std::max(seen.promised, accepted->ballot);
      seen.accepted_through = std::max(seen.accepted_through, accepted->last);
    } else if (const auto* promise = std::get_if<paxos::Promise>(&envelope.message)) {
      seen.promised = std::max(seen.promised, promise->ballot);
      for (const paxos::AcceptedValue& accepted : promise->accepted) {
        seen.accepted_through = std::max(seen.accepted_through, accepted.slot);
      }
    }
  }
  if (seen.promised == paxos::Ballot{}) return;
  std::lock_guard lock(mutex_);
  Told& told = told_[peer];
  told.promised = std::max(told.promised, seen.promised);
  told.accepted_through = std::max(told.accepted_through, seen.accepted_through);
}

void PeerRegistry::NoteIn(std::map<std::string, Trouble>* troubles, const std::string& key,
                          Trouble trouble, const std::string& what) {
  std::lock_guard lock(mutex_);
  if (troubles == &refused_ && refused_.size() >= kMaxRefusedCallers && !refused_.contains(key)) {
    refused_.erase(std::min_element(
        refused_.begin(), refused_.end(),
        [](const auto& a, const auto& b) { return a.second.order < b.second.order; }));
  }
  Trouble& known = (*troubles)[key];
  if (known.reason != trouble.reason) {
    LOG(WARNING) << what << trouble.reason;
    known = std::move(trouble);
  }
  known.order = ++troubles_noted_;
  ++known.count;
}

void PeerRegistry::NoteRefusal(const v1::Hello& hello, const std::string& address,
                               const std::string& reason) {
  ++refused_connections_;
  NoteIn(&refused_, hello.from_uuid().substr(0, 16),
         {.id = paxos::ReplicaId{hello.from_id()}, .address = address, .reason = reason},
         absl::StrCat("refused replica ", hello.from_id(), " (UUID ", Shown(hello.from_uuid()),
                      ") from ", address, ": "));
}

void PeerRegistry::NoteTrouble(const paxos::Member& member, const std::string& reason) {
  const std::string key = paxos::ToString(member.uuid);
  if (!reason.empty()) {
    NoteIn(&outgoing_, key, {.id = member.id, .address = member.address, .reason = reason},
           absl::StrCat("no connection to ", Name(member), " at ", member.address, ": "));
    return;
  }
  std::lock_guard lock(mutex_);
  if (outgoing_.erase(key) > 0) LOG(INFO) << "connected to " << Name(member);
}

void PeerRegistry::CountMalformed(const paxos::Uuid& peer, const std::string& reason) {
  // Powers of two: a peer gone wrong must not fill the log.
  const uint64_t count = ++malformed_messages_;
  if ((count & (count - 1)) == 0) {
    LOG(WARNING) << "dropped a malformed message (number " << count << ") of the server with UUID "
                 << peer << ": " << absl::CEscape(reason.substr(0, 200));
  }
}

void PeerRegistry::FillStatus(v1::ServerStatus* status) const {
  status->set_refused_connections(refused_connections_);
  status->set_malformed_messages(malformed_messages_);
  status->set_dropped_messages(dropped_messages_);
  std::lock_guard lock(mutex_);
  if (status->last_error().empty()) status->set_last_error(seat_lost_);
  for (const auto* troubles : {&outgoing_, &refused_}) {
    for (const auto& [key, trouble] : *troubles) {
      v1::PeerTrouble* out = status->add_trouble();
      out->set_replica_id(static_cast<uint64_t>(trouble.id));
      out->set_address(trouble.address);
      out->set_reason(troubles == &refused_ ? "refused: " + trouble.reason : trouble.reason);
      out->set_count(trouble.count);
    }
  }
}

}  // namespace distlog
