#include "cli/arguments.h"

#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace distlog::cli {

absl::Status CheckAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  const bool good = colon != std::string::npos && colon > 0 &&
                    absl::SimpleAtoi(text.substr(colon + 1), &port) && port > 0 && port <= 65535 &&
                    text.find_first_of(" \t\r\n/") == std::string::npos;
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not an address: name each server as HOST:PORT"));
}

absl::Status CheckAddresses(const std::vector<std::string>& addresses) {
  std::set<std::string> seen;
  for (const std::string& address : addresses) {
    if (absl::Status status = CheckAddress(address); !status.ok()) return status;
    if (seen.insert(address).second) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(address, " is named twice: name each server once"));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> ParseId(const std::string& text, const std::string& what) {
  uint64_t id = 0;
  const bool digits =
      !text.empty() && text[0] != '0' && text.find_first_not_of("0123456789") == std::string::npos;
  if (digits && absl::SimpleAtoi(text, &id)) return id;
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not the id of ", what == "operation" ? "an " : "a ", what,
                   ": it is a number from 1, as `distlog member ",
                   what == "operation" ? "ops" : "list", "` shows it"));
}

}  // namespace distlog::cli
