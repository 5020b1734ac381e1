#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/time/clock.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/election.h"
#include "cli/flags.h"
#include "cli/overview.h"

namespace distlog::cli {
namespace {

// Prints what `render` makes of the answer.
template <typename Render>
int Show(Client* client, Output* output, const Render& render) {
  const absl::StatusOr<v1::StatusResponse> response = client->Status();
  if (!response.ok()) {
    output->Error(response.status());
    return ExitStatus(response.status());
  }
  output->Write(render(*response));
  return kExitDone;
}

}  // namespace

int RunStatus(const Invocation&, Client* client, Output* output) {
  return Show(client, output, [&](const v1::StatusResponse& response) {
    v1::OperationsResponse operations;
    if (response.self().assigned() && !response.self().has_left()) {
      if (auto known = client->Operations(); known.ok()) operations = *std::move(known);
    }
    const bool color = output->terminal() && getenv("NO_COLOR") == nullptr;
    return output->json() ? StatusJson(response, operations)
                          : StatusText(response, operations, color);
  });
}

int RunElectionStatus(const Invocation&, Client* client, Output* output) {
  return Show(client, output, [&](const v1::StatusResponse& response) {
    return output->json() ? ElectionJson(response, absl::ToUnixMillis(absl::Now()))
                          : ElectionText(response);
  });
}

int RunElectionHistory(const Invocation&, Client* client, Output* output) {
  const absl::StatusOr<v1::HistoryResponse> response =
      client->History(static_cast<uint32_t>(std::min<uint64_t>(FLAGS_n, UINT32_MAX)));
  if (!response.ok()) {
    output->Error(response.status());
    return ExitStatus(response.status());
  }
  output->Write(output->json() ? HistoryJson(*response)
                               : HistoryText(*response, absl::ToUnixMillis(absl::Now())));
  return kExitDone;
}

int RunElectionTransfer(const Invocation& invocation, Client* client, Output* output) {
  uint64_t to = 0;
  if (!invocation.arguments.empty()) {
    const absl::StatusOr<uint64_t> id = ParseId(invocation.arguments[0], "replica");
    if (!id.ok()) {
      output->Error(id.status());
      return kExitUsage;
    }
    to = *id;
  }
  const absl::Time start = absl::Now();
  const TransferResult result = client->TransferLeadership(to);
  if (result.outcome != Outcome::kDone) {
    output->Error(result.status);
    return ExitStatus(result.outcome, result.status);
  }
  const int64_t took_ms = absl::ToInt64Milliseconds(absl::Now() - start);
  output->Write(output->json() ? TransferJson(result.response, took_ms)
                               : TransferText(result.response, took_ms));
  return kExitDone;
}

}  // namespace distlog::cli
