// Values and configurations to and from bytes. A value is encoded once, by its proposer; the same
// bytes, with one checksum over them, are stored, sent and served.

#ifndef DISTLOG_WIRE_VALUE_H_
#define DISTLOG_WIRE_VALUE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "paxos/configuration.h"
#include "paxos/types.h"
#include "proto/distlog/v1/common.pb.h"
#include "proto/distlog/v1/record.pb.h"

namespace distlog {

paxos::Value MakeValue(const v1::Batch& batch);
paxos::Value MakeValue(const v1::Command& command);
paxos::Value MakeValue(const paxos::Configuration& configuration);

// A value from its parts as stored or received. DataLoss if the checksum does not match the
// payload, the kind's payload is there or missing against its kind, or a configuration cannot be
// decoded. A kind that this program does not know is kept as it is: only apply minds.
absl::StatusOr<paxos::Value> DecodeValue(uint32_t kind, std::string payload, uint64_t checksum);

v1::ConfigurationMessage ToProto(const paxos::Configuration& configuration);
// InvalidArgument if it breaks a rule of Configuration (order, repeats, ids, sizes), or has a field
// that this program does not know. What rule B2 judges (next_replica_id, voters) is left to it.
absl::StatusOr<paxos::Configuration> FromProto(const v1::ConfigurationMessage& message);
v1::BallotMessage ToProto(const paxos::Ballot& ballot);
paxos::Ballot FromProto(const v1::BallotMessage& message);

// 16 bytes, big-endian; from other than 16 bytes: the zero Uuid.
std::string ToBytes(const paxos::Uuid& uuid);
paxos::Uuid UuidFromBytes(const std::string& bytes);
// Drawn from the system's randomness.
paxos::Uuid NewUuid();
uint64_t NewNonce();  // Not 0.

// The genesis of a cluster: `members` in any order get ids 1, 2, 3 ... by sorted address;
// version 1. InvalidArgument: none, two with one address or one UUID, or more than 15.
absl::StatusOr<paxos::Configuration> MakeGenesis(std::vector<paxos::Member> members);
// Its SHA-256, 32 bytes: the id of the cluster. `recovered`: what the cluster has gone through
// since its genesis, oldest first; each recovery makes it another cluster.
std::string ClusterId(const paxos::Configuration& genesis,
                      const std::vector<v1::RecoveredFrom>& recovered = {});
// InvalidArgument if `recovered` cannot be what became of this genesis: each one names the cluster
// before it as its parent, and none goes back behind it.
absl::Status CheckRecovered(const paxos::Configuration& genesis,
                            const std::vector<v1::RecoveredFrom>& recovered);
std::string HexString(const std::string& bytes);

}  // namespace distlog

#endif  // DISTLOG_WIRE_VALUE_H_
