// Arguments that several commands take, held against their form. Errors are usage errors, in one
// sentence.

#ifndef DISTLOG_CLI_ARGUMENTS_H_
#define DISTLOG_CLI_ARGUMENTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace distlog::cli {

// HOST:PORT, as far as it can be told without asking anybody.
absl::Status CheckAddress(const std::string& text);
// Of each, and that none is named twice.
absl::Status CheckAddresses(const std::vector<std::string>& addresses);

// A number from 1, without leading zeros. `what` it is the id of: "replica" or "operation".
absl::StatusOr<uint64_t> ParseId(const std::string& text, const std::string& what);

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_ARGUMENTS_H_
