
#include <cstdint>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cli/command.h"

namespace distlog::cli {

namespace {

// HOST:PORT, as far as it can be told without asking anybody.
bool IsAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  uint32_t port = 0;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &port) || port == 0 || port > 65535) return false;
  return text.find_first_of(" \t\r\n/") == std::string::npos;
}

}  // namespace

int RunInit(const Invocation& invocation, Client* client, Output* output) {
  for (const std::string& address : invocation.arguments) {
    if (IsAddress(address)) continue;
    output->Error(absl::InvalidArgumentError(
        absl::StrCat("\"", address, "\" is not an address: name each server as HOST:PORT")));
    return kExitUsage;
  }
  const InitResult result = client->Init(invocation.arguments);
  if (result.outcome != Outcome::kDone) {
    output->Error(result.status);
    if (result.outcome == Outcome::kUnknown) {
      output->Note("it may have been formed: the same `distlog init` again finishes it");
    }
    return ExitStatus(result.outcome, result.status);
  }
  const v1::InitResponse& response = result.response;
  const std::string id = Hex(response.cluster_id());
  if (output->json()) {
    output->Write(absl::StrCat("{\"cluster_id\":", JsonString(id),
                               ",\"formed\":", response.formed() ? "true" : "false",
                               ",\"leader_id\":", JsonNumber(response.leader_id()), "}\n"));
  } else {
    output->Write(absl::StrCat(response.formed() ? "formed cluster " : "this is cluster ", id,
                               " of ", Count(invocation.arguments.size(), "replica"), ", led by ",
                               response.leader_id(), "\n"));
  }
  return kExitDone;
}

}  // namespace distlog::cli
