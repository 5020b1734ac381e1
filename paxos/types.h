// The vocabulary of the protocol: docs/protocol.md, "Words".

#ifndef DISTLOG_PAXOS_TYPES_H_
#define DISTLOG_PAXOS_TYPES_H_

#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>

namespace distlog::paxos {

struct Configuration;

// Names one member for all time: never given to a second machine, nor again to the same one
// after it has lost its disk. 0 means "none".
enum class ReplicaId : uint64_t {};
inline constexpr ReplicaId kNoReplica{0};

// The index of one Paxos instance. The first is 1; 0 means "none".
using Slot = uint64_t;

// Names one disk: drawn once, when its data directory is formatted. All zero means "none".
struct Uuid {
  uint64_t high = 0;
  uint64_t low = 0;
  friend auto operator<=>(const Uuid&, const Uuid&) = default;
};

// A proposal number: ordered by round, then by owner, so that two replicas never propose with
// equal ballots. The default one is below every ballot that is used.
struct Ballot {
  uint64_t round = 0;
  ReplicaId owner{};
  friend auto operator<=>(const Ballot&, const Ballot&) = default;
};

// What a slot decides. The payload is shared, never modified, and opaque to the protocol. A
// kConfiguration value carries its decoded form too, made by whoever decoded the bytes.
struct Value {
  enum class Kind : uint8_t { kNoOp = 0, kBatch = 1, kConfiguration = 2, kCommand = 3 };
  Kind kind = Kind::kNoOp;
  std::shared_ptr<const std::string> payload;  // Null for a no-op.
  uint64_t checksum = 0;                       // Of payload, by the proposer; 0 for a no-op.
  std::shared_ptr<const Configuration> configuration;  // Set iff kind is kConfiguration.

  size_t size() const { return payload == nullptr ? 0 : payload->size(); }
};
// Compares contents.
bool operator==(const Value& a, const Value& b);

// A value and the ballot it was last accepted at (or learned with) in its slot.
struct AcceptedValue {
  Slot slot = 0;
  Ballot ballot;
  Value value;
  friend bool operator==(const AcceptedValue&, const AcceptedValue&) = default;
};

// A reading of a monotonic clock, handed in by the caller. The protocol compares and adds such
// readings; it never asks for the time.
using Time = std::chrono::nanoseconds;

std::string ToString(ReplicaId id);          // "1"
std::string ToString(const Ballot& ballot);  // "3.1": round 3 of replica 1
std::string ToString(const Uuid& uuid);      // 32 hexadecimal digits
std::string ToString(Value::Kind kind);
std::ostream& operator<<(std::ostream& out, ReplicaId id);
std::ostream& operator<<(std::ostream& out, const Ballot& ballot);
std::ostream& operator<<(std::ostream& out, const Uuid& uuid);
std::ostream& operator<<(std::ostream& out, const Value& value);

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_TYPES_H_
