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
//   number of members     4 bytes
//   for each, by id: id (8 bytes), UUID (16 bytes), 1 for a voter or 0 for a learner (1 byte),
//                    length of the address (4 bytes), address
// Protobuf's own bytes would not do: they are not promised to be the same in every version.
std::string ClusterId(const paxos::Configuration& genesis) {
  std::string bytes = "distlog genesis 1";
  AppendBigEndian(genesis.version, 8, &bytes);
  AppendBigEndian(genesis.next_replica_id, 8, &bytes);
  AppendBigEndian(genesis.feature_level, 4, &bytes);
  AppendBigEndian(genesis.members.size(), 4, &bytes);
  for (const paxos::Member& member : genesis.members) {
    AppendBigEndian(static_cast<uint64_t>(member.id), 8, &bytes);
    bytes += ToBytes(member.uuid);
    bytes.push_back(member.voter ? 1 : 0);
    AppendBigEndian(member.address.size(), 4, &bytes);
    bytes += member.address;
  }
  unsigned char hash[32];
  unsigned int size = 0;
  CHECK_EQ(EVP_Digest(bytes.data(), bytes.size(), hash, &size, EVP_sha256(), nullptr), 1);
  CHECK_EQ(size, sizeof(hash));
  return std::string(reinterpret_cast<const char*>(hash), sizeof(hash));
}

std::string HexString(const std::string& bytes) { return absl::BytesToHexString(bytes); }

}  // namespace distlog
