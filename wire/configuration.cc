// Configurations, the genesis, and the names of disks and clusters.

#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "google/protobuf/message.h"
#include "wire/value.h"

namespace distlog {
namespace {

constexpr size_t kMaxFirstMembers = 15;
constexpr int kMaxMembers = 64;           // Learners included.
constexpr size_t kMaxAddressBytes = 262;  // The longest host name, a colon and a port, with room.
constexpr size_t kMaxRecoveries = 1000;

void AppendBigEndian(uint64_t value, size_t bytes, std::string* out) {
  for (size_t shift = bytes * 8; shift > 0; shift -= 8) {
    out->push_back(static_cast<char>(value >> (shift - 8)));
  }
}

uint64_t ReadBigEndian(const char* bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

absl::Status BrokenRule(const paxos::Configuration& configuration, const std::string& rule) {
  return absl::InvalidArgumentError(
      absl::StrCat("configuration ", configuration.version, ": ", rule));
}

absl::Status CheckMember(const paxos::Configuration& configuration, const paxos::Member& member) {
  const std::string name = absl::StrCat("member ", static_cast<uint64_t>(member.id));
  if (member.id == paxos::kNoReplica) return BrokenRule(configuration, "a member has id 0");
  if (member.uuid == paxos::Uuid{}) return BrokenRule(configuration, name + " has no UUID");
  if (member.address.empty()) return BrokenRule(configuration, name + " has no address");
  if (member.address.size() > kMaxAddressBytes) {
    return BrokenRule(configuration, absl::StrCat(name, " has an address of more than ",
                                                  kMaxAddressBytes, " bytes"));
  }
  return absl::OkStatus();
}

// Whether an id lies below next_replica_id is not asked here: a chosen configuration that breaks
// this is a no-op by rule B2, and must be readable to be one.
absl::Status CheckConfiguration(const paxos::Configuration& configuration) {
  if (configuration.version == 0) return BrokenRule(configuration, "its version is 0");
  if (configuration.feature_level == 0) return BrokenRule(configuration, "its feature level is 0");
  std::set<paxos::Uuid> uuids;
  std::set<std::string> addresses;
  paxos::ReplicaId previous{};
  for (const paxos::Member& member : configuration.members) {
    if (absl::Status status = CheckMember(configuration, member); !status.ok()) return status;
    if (member.id <= previous) return BrokenRule(configuration, "its members are not in order");
    previous = member.id;
    if (!uuids.insert(member.uuid).second) {
      return BrokenRule(configuration, "two members have the UUID " + paxos::ToString(member.uuid));
    }
    if (!addresses.insert(member.address).second) {
      return BrokenRule(configuration,
                        "two members have the address " + absl::CHexEscape(member.address));
    }
  }
  return absl::OkStatus();
}

bool HasUnknownFields(const google::protobuf::Message& message) {
  return !message.GetReflection()->GetUnknownFields(message).empty();
}

void AppendMember(uint64_t id, const std::string& uuid, bool voter, const std::string& address,
                  std::string* bytes) {
  AppendBigEndian(id, 8, bytes);
  *bytes += uuid;
  bytes->push_back(voter ? 1 : 0);
  AppendBigEndian(address.size(), 4, bytes);
  *bytes += address;
}

void AppendRecovery(const v1::RecoveredFrom& recovery, std::string* bytes) {
  *bytes += "recovered";
  *bytes += recovery.parent_cluster_id();
  AppendBigEndian(recovery.slot(), 8, bytes);
  AppendBigEndian(recovery.shared_slot(), 8, bytes);
  AppendBigEndian(recovery.shared_position(), 8, bytes);
  AppendBigEndian(recovery.configuration_version(), 8, bytes);
  AppendBigEndian(recovery.members_size(), 4, bytes);
  for (const v1::MemberMessage& member : recovery.members()) {
    AppendMember(member.id(), member.uuid(), member.voter(), member.address(), bytes);
  }
}

template <typename Bytes>
void DrawRandom(Bytes* bytes) {
  CHECK_EQ(getentropy(bytes, sizeof(*bytes)), 0) << "the system gives no randomness";
}

}  // namespace

v1::ConfigurationMessage ToProto(const paxos::Configuration& configuration) {
  v1::ConfigurationMessage message;
  message.set_version(configuration.version);
  for (const paxos::Member& member : configuration.members) {
    v1::MemberMessage* out = message.add_members();
    out->set_id(static_cast<uint64_t>(member.id));
    out->set_uuid(ToBytes(member.uuid));
    out->set_address(member.address);
    out->set_voter(member.voter);
  }
  message.set_next_replica_id(configuration.next_replica_id);
  message.set_feature_level(configuration.feature_level);
  return message;
}

absl::StatusOr<paxos::Configuration> FromProto(const v1::ConfigurationMessage& message) {
  paxos::Configuration configuration;
  configuration.version = message.version();
  // Quorums are counted by what it says: half understood is not understood.
  if (HasUnknownFields(message) ||
      std::any_of(message.members().begin(), message.members().end(), HasUnknownFields)) {
    return BrokenRule(configuration, "it has a field that this program does not know");
  }
  if (message.members_size() > kMaxMembers) {
    return BrokenRule(configuration,
                      absl::StrCat("it has ", message.members_size(), " members; at most ",
                                   kMaxMembers, " are allowed"));
  }
  for (const v1::MemberMessage& member : message.members()) {
    configuration.members.push_back(paxos::Member{paxos::ReplicaId{member.id()},
                                                  UuidFromBytes(member.uuid()), member.address(),
                                                  member.voter()});
  }
  configuration.next_replica_id = message.next_replica_id();
  configuration.feature_level = message.feature_level();
  if (absl::Status status = CheckConfiguration(configuration); !status.ok()) return status;
  return configuration;
}

std::string ToBytes(const paxos::Uuid& uuid) {
  std::string bytes;
  AppendBigEndian(uuid.high, 8, &bytes);
  AppendBigEndian(uuid.low, 8, &bytes);
  return bytes;
}

paxos::Uuid UuidFromBytes(const std::string& bytes) {
  if (bytes.size() != 16) return paxos::Uuid{};
  return paxos::Uuid{ReadBigEndian(bytes.data()), ReadBigEndian(bytes.data() + 8)};
}

paxos::Uuid NewUuid() {
  paxos::Uuid uuid;
  while (uuid == paxos::Uuid{}) DrawRandom(&uuid);
  return uuid;
}

uint64_t NewNonce() {
  uint64_t nonce = 0;
  while (nonce == 0) DrawRandom(&nonce);
  return nonce;
}

absl::StatusOr<paxos::Configuration> MakeGenesis(std::vector<paxos::Member> members) {
  if (members.empty() || members.size() > kMaxFirstMembers) {
    return absl::InvalidArgumentError(absl::StrCat("a cluster is formed of 1 to ", kMaxFirstMembers,
                                                   " members, not of ", members.size()));
  }
  std::sort(members.begin(), members.end(),
            [](const paxos::Member& a, const paxos::Member& b) { return a.address < b.address; });
  paxos::Configuration genesis;
  genesis.version = 1;
  for (paxos::Member& member : members) {
    member.id = paxos::ReplicaId{genesis.next_replica_id++};
    member.voter = true;
  }
  genesis.members = std::move(members);
  if (absl::Status status = CheckConfiguration(genesis); !status.ok()) return status;
  return genesis;
}

// The canonical encoding, for ever. Numbers are big-endian:
//   "distlog genesis 1"   17 bytes
//   version               8 bytes
//   next_replica_id       8 bytes
//   feature_level         4 bytes
//   members               as below
// and for each recovery, oldest first:
//   "recovered"           9 bytes
//   the parent's id       32 bytes
//   slot, shared slot, shared position, version of the configuration: 8 bytes each
//   members               as below
// Members are their number (4 bytes), and for each, by id: id (8 bytes), UUID (16 bytes), 1 for a
// voter or 0 for a learner (1 byte), length of the address (4 bytes), address.
// Protobuf's own bytes would not do: they are not promised to be the same in every version.
std::string ClusterId(const paxos::Configuration& genesis,
                      const std::vector<v1::RecoveredFrom>& recovered) {
  std::string bytes = "distlog genesis 1";
  AppendBigEndian(genesis.version, 8, &bytes);
  AppendBigEndian(genesis.next_replica_id, 8, &bytes);
  AppendBigEndian(genesis.feature_level, 4, &bytes);
  AppendBigEndian(genesis.members.size(), 4, &bytes);
  for (const paxos::Member& member : genesis.members) {
    AppendMember(static_cast<uint64_t>(member.id), ToBytes(member.uuid), member.voter,
                 member.address, &bytes);
  }
  for (const v1::RecoveredFrom& recovery : recovered) AppendRecovery(recovery, &bytes);
  unsigned char hash[32];
  unsigned int size = 0;
  CHECK_EQ(EVP_Digest(bytes.data(), bytes.size(), hash, &size, EVP_sha256(), nullptr), 1);
  CHECK_EQ(size, sizeof(hash));
  return std::string(reinterpret_cast<const char*>(hash), sizeof(hash));
}

absl::Status CheckRecovered(const paxos::Configuration& genesis,
                            const std::vector<v1::RecoveredFrom>& recovered) {
  if (recovered.size() > kMaxRecoveries) {
    return absl::InvalidArgumentError(absl::StrCat("a cluster was recovered ", recovered.size(),
                                                   " times; at most ", kMaxRecoveries,
                                                   " are understood"));
  }
  v1::RecoveredFrom before;
  std::vector<v1::RecoveredFrom> parents;
  for (const v1::RecoveredFrom& recovery : recovered) {
    const auto wrong = [&](const std::string& what) {
      return absl::InvalidArgumentError(
          absl::StrCat("recovery ", parents.size() + 1, " of the cluster: ", what));
    };
    if (recovery.parent_cluster_id() != ClusterId(genesis, parents)) {
      return wrong("its parent is not the cluster before it");
    }
    if (recovery.shared_slot() > recovery.slot() || recovery.slot() <= before.slot() ||
        recovery.shared_position() < before.shared_position() ||
        recovery.configuration_version() <= before.configuration_version()) {
      return wrong("it goes back behind the one before it");
    }
    if (recovery.members().empty() || recovery.members_size() > kMaxMembers) {
      return wrong(absl::StrCat("it has ", recovery.members_size(), " members"));
    }
    for (const v1::MemberMessage& member : recovery.members()) {
      if (member.uuid().size() == 16 && member.address().size() <= kMaxAddressBytes) continue;
      return wrong("a member has no UUID of 16 bytes, or too long an address");
    }
    before = recovery;
    parents.push_back(recovery);
  }
  return absl::OkStatus();
}

std::string HexString(const std::string& bytes) { return absl::BytesToHexString(bytes); }

}  // namespace distlog
