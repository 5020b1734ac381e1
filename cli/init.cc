
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/arguments.h"
#include "cli/command.h"

namespace distlog::cli {

int RunInit(const Invocation& invocation, Client* client, Output* output) {
  if (absl::Status status = CheckAddresses(invocation.arguments); !status.ok()) {
    output->Error(status);
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
