#include <stdlib.h>

#include "absl/time/clock.h"
#include "cli/command.h"
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
    const bool color = output->terminal() && getenv("NO_COLOR") == nullptr;
    return output->json() ? StatusJson(response) : StatusText(response, color);
  });
}

int RunElectionStatus(const Invocation&, Client* client, Output* output) {
  return Show(client, output, [&](const v1::StatusResponse& response) {
    return output->json() ? ElectionJson(response, absl::ToUnixMillis(absl::Now()))
                          : ElectionText(response);
  });
}

}  // namespace distlog::cli
