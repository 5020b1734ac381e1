// The one checksum of the system: XXH3, 64 bits.

#ifndef DISTLOG_WIRE_CHECKSUM_H_
#define DISTLOG_WIRE_CHECKSUM_H_

#include <cstdint>
#include <string_view>

namespace distlog {

uint64_t Checksum(std::string_view bytes);

// Of `bytes` after what `previous` stands for: a running digest.
uint64_t Checksum(std::string_view bytes, uint64_t previous);

}  // namespace distlog

#endif  // DISTLOG_WIRE_CHECKSUM_H_
