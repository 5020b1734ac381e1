#include "paxos/types.h"

#include <cinttypes>
#include <cstdio>

#include "paxos/configuration.h"

namespace distlog::paxos {

bool operator==(const Value& a, const Value& b) {
  if (a.kind != b.kind || a.checksum != b.checksum || a.size() != b.size()) return false;
  return a.payload == b.payload || a.size() == 0 || *a.payload == *b.payload;
}

std::string ToString(ReplicaId id) { return std::to_string(static_cast<uint64_t>(id)); }

std::string ToString(const Ballot& ballot) {
  return std::to_string(ballot.round) + "." + ToString(ballot.owner);
}

std::string ToString(const Uuid& uuid) {
  char text[33];
  std::snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64, uuid.high, uuid.low);
  return text;
}

std::string ToString(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::kNoOp:
      return "no-op";
    case Value::Kind::kBatch:
      return "batch";
    case Value::Kind::kConfiguration:
      return "configuration";
    case Value::Kind::kCommand:
      return "command";
  }
  return "kind " + std::to_string(static_cast<int>(kind));
}

std::ostream& operator<<(std::ostream& out, ReplicaId id) { return out << ToString(id); }
std::ostream& operator<<(std::ostream& out, const Ballot& ballot) {
  return out << ToString(ballot);
}
std::ostream& operator<<(std::ostream& out, const Uuid& uuid) { return out << ToString(uuid); }
std::ostream& operator<<(std::ostream& out, const Value& value) {
  return out << ToString(value.kind) << " of " << value.size() << " bytes";
}

}  // namespace distlog::paxos
