// Hashes of whole protocol states, for searches that must know a state again.

#ifndef DISTLOG_PAXOS_HASH_H_
#define DISTLOG_PAXOS_HASH_H_

#include <concepts>
#include <cstdint>
#include <ranges>
#include <tuple>
#include <type_traits>

#include "paxos/configuration.h"
#include "paxos/message.h"
#include "paxos/options.h"
#include "paxos/types.h"

namespace distlog::paxos {

// What of a value makes up its hash. Classes with private members say it themselves: Fields().
inline auto FieldsOf(const Uuid& uuid) { return std::tie(uuid.high, uuid.low); }
inline auto FieldsOf(const Ballot& ballot) { return std::tie(ballot.round, ballot.owner); }
inline auto FieldsOf(const Value& value) { return std::tie(value.kind, value.checksum); }
inline auto FieldsOf(const AcceptedValue& value) {
  return std::tie(value.slot, value.ballot, value.value);
}
inline auto FieldsOf(const Configuration& configuration) {
  return std::tie(configuration.version, configuration.next_replica_id);
}
inline auto FieldsOf(const HeartbeatReply& reply) {
  return std::tie(reply.round, reply.claimed, reply.followed, reply.promised, reply.content,
                  reply.chosen_through, reply.configuration_version, reply.received_through,
                  reply.settled_version);
}
inline auto FieldsOf(const Options& options) { return std::tie(options.self, options.seed); }
template <typename T>
requires requires(const T& value) { value.Fields(); }
auto FieldsOf(const T& value) { return value.Fields(); }

template <typename T>
uint64_t HashOf(const T& value);

// Not commutative, so that order counts.
inline uint64_t Mix(uint64_t hash, uint64_t next) {
  hash = (hash ^ next) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 29);
}

// Equal values have equal hashes; what FieldsOf leaves out only makes collisions.
template <typename T>
uint64_t HashOf(const T& value) {
  if constexpr (std::is_enum_v<T> || std::integral<T>) {
    return Mix(1, static_cast<uint64_t>(value));
  } else if constexpr (requires { value.count(); }) {  // A time.
    return Mix(2, static_cast<uint64_t>(value.count()));
  } else if constexpr (requires { value.has_value(); }) {
    return value.has_value() ? Mix(3, HashOf(*value)) : 3;
  } else if constexpr (std::ranges::range<T>) {
    uint64_t hash = 4;
    for (const auto& each : value) hash = Mix(hash, HashOf(each));
    return hash;
  } else if constexpr (requires {
                         value.first;
                         value.second;
                       }) {
    return Mix(HashOf(value.first), HashOf(value.second));
  } else {
    return std::apply(
        [](const auto&... field) {
          uint64_t hash = 5;
          ((hash = Mix(hash, HashOf(field))), ...);
          return hash;
        },
        FieldsOf(value));
  }
}

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_HASH_H_
