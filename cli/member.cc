// The commands about members.

#include <sys/ioctl.h>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/membership.h"
#include "cli/progress.h"

namespace distlog::cli {
namespace {

// Of the terminal that standard error goes to; 0: it is none.
size_t Columns(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

int UsageError(const absl::Status& status, Output* output) {
  output->Error(status);
  return kExitUsage;
}

v1::ChangeOptions Options(const Invocation&) {
  v1::ChangeOptions options;
  options.set_expect_version(FLAGS_expect_version);
  options.set_dry_run(FLAGS_dry_run);
  options.set_force(FLAGS_force);
  return options;
}

// Until the operation has finished; shows how it goes on.
absl::StatusOr<v1::OperationsResponse> Follow(uint64_t id, Client* client, Output* output) {
  Progress progress(output->json() ? 0 : Columns(output->console().err));
  const bool shows = !output->json() && !FLAGS_quiet;
  const auto show = [&](const std::string& text) {
    if (shows && !text.empty()) output->Show(text);
  };
  absl::StatusOr<v1::OperationsResponse> ended =
      client->AwaitOperation(id, [&](const v1::OperationsResponse& response) {
        show(progress.Next(response.operations(0), absl::Now()));
      });
  show(progress.End());
  return ended;
}

// The exit status of an operation that has ended.
int ExitOf(const v1::Operation& operation, v1::Operation::Phase wanted) {
  return operation.phase() == wanted ? kExitDone : kExitPrecondition;
}

int Await(const v1::ChangeResponse& begun, Client* client, Output* output) {
  const absl::StatusOr<v1::OperationsResponse> ended = Follow(begun.operation_id(), client, output);
  if (!ended.ok()) {
    output->Error(ended.status(),
                  absl::StrCat("\"operation_id\":", JsonNumber(begun.operation_id())));
    output->Note(absl::StrCat("operation ", begun.operation_id(),
                              " is in the log and goes on: see `distlog member ops`"));
    return kExitUnknown;
  }
  output->Write(output->json() ? ChangeJson(begun, &*ended) : EndText(*ended));
  return ExitOf(ended->operations(0), v1::Operation::PHASE_DONE);
}

int Change(ChangeRequest request, Client* client, Output* output) {
  const ChangeResult result = client->Change(std::move(request));
  if (result.outcome != Outcome::kDone) {
    output->Error(result.status);
    if (result.outcome == Outcome::kUnknown) {
      output->Note("it may have been begun: see `distlog member ops`");
    }
    return ExitStatus(result.outcome, result.status);
  }
  const v1::ChangeResponse& begun = result.response;
  if (FLAGS_dry_run) {
    output->Write(output->json() ? ChangeJson(begun, nullptr) : PlanText(begun.plan()));
    return begun.plan().refusal().empty() ? kExitDone : kExitPrecondition;
  }
  for (const std::string& warning : begun.plan().warnings()) {
    output->Note(absl::StrCat("warning: ", warning));
  }
  if (begun.operation_id() == 0) {
    output->Write(output->json() ? ChangeJson(begun, nullptr)
                                 : "there is nothing to do: the members are as wanted\n");
    return kExitDone;
  }
  if (FLAGS_no_wait) {
    output->Write(output->json()
                      ? ChangeJson(begun, nullptr)
                      : absl::StrCat("operation ", begun.operation_id(), " has begun\n"));
    return kExitDone;
  }
  return Await(begun, client, output);
}

// The id of a replica in the first argument.
absl::StatusOr<uint64_t> ReplicaOf(const Invocation& invocation) {
  return ParseId(invocation.arguments[0], "replica");
}

}  // namespace

int RunMemberList(const Invocation&, Client* client, Output* output) {
  const absl::StatusOr<v1::OperationsResponse> response = client->Operations();
  if (!response.ok()) {
    output->Error(response.status());
    return ExitStatus(response.status());
  }
  output->Write(output->json() ? MembersJson(*response) : MembersText(*response));
  return kExitDone;
}

int RunMemberAdd(const Invocation& invocation, Client* client, Output* output) {
  const std::string& address = invocation.arguments[0];
  if (absl::Status status = CheckAddress(address); !status.ok()) return UsageError(status, output);
  v1::AddMemberRequest request;
  *request.mutable_options() = Options(invocation);
  request.set_address(address);
  request.set_learner(FLAGS_learner);
  return Change(std::move(request), client, output);
}

int RunMemberRemove(const Invocation& invocation, Client* client, Output* output) {
  const absl::StatusOr<uint64_t> id = ReplicaOf(invocation);
  if (!id.ok()) return UsageError(id.status(), output);
  v1::RemoveMemberRequest request;
  *request.mutable_options() = Options(invocation);
  request.set_id(*id);
  return Change(std::move(request), client, output);
}

int RunMemberReplace(const Invocation& invocation, Client* client, Output* output) {
  const absl::StatusOr<uint64_t> id = ReplicaOf(invocation);
  if (!id.ok()) return UsageError(id.status(), output);
  const std::string& address = invocation.arguments[1];
  if (absl::Status status = CheckAddress(address); !status.ok()) return UsageError(status, output);
  v1::ReplaceMemberRequest request;
  *request.mutable_options() = Options(invocation);
  request.set_id(*id);
  request.set_address(address);
  return Change(std::move(request), client, output);
}

int RunMemberPromote(const Invocation& invocation, Client* client, Output* output) {
  const absl::StatusOr<uint64_t> id = ReplicaOf(invocation);
  if (!id.ok()) return UsageError(id.status(), output);
  v1::PromoteMemberRequest request;
  *request.mutable_options() = Options(invocation);
  request.set_id(*id);
  return Change(std::move(request), client, output);
}

int RunMemberSet(const Invocation& invocation, Client* client, Output* output) {
  if (absl::Status status = CheckAddresses(invocation.arguments); !status.ok()) {
    return UsageError(status, output);
  }
  v1::SetMembersRequest request;
  *request.mutable_options() = Options(invocation);
  for (const std::string& address : invocation.arguments) request.add_addresses(address);
  return Change(std::move(request), client, output);
}

int RunMemberOps(const Invocation&, Client* client, Output* output) {
  const absl::StatusOr<v1::OperationsResponse> response = client->Operations();
  if (!response.ok()) {
    output->Error(response.status());
    return ExitStatus(response.status());
  }
  output->Write(output->json() ? OperationsJson(*response)
                               : OperationsText(*response, absl::ToUnixMillis(absl::Now())));
  return kExitDone;
}

int RunMemberCancel(const Invocation& invocation, Client* client, Output* output) {
  const absl::StatusOr<uint64_t> id = ParseId(invocation.arguments[0], "operation");
  if (!id.ok()) return UsageError(id.status(), output);
  const CancelResult result = client->CancelOperation(*id);
  if (result.outcome != Outcome::kDone) {
    output->Error(result.status);
    const bool is_known = result.status.code() != absl::StatusCode::kNotFound;
    return is_known ? ExitStatus(result.outcome, result.status) : kExitPrecondition;
  }
  const absl::StatusOr<v1::OperationsResponse> ended = Follow(*id, client, output);
  if (!ended.ok()) {
    output->Error(ended.status());
    output->Note(absl::StrCat("operation ", *id, " is being cancelled: see `distlog member ops`"));
    return kExitUnknown;
  }
  output->Write(output->json() ? OperationsJson(*ended) : EndText(*ended));
  return ExitOf(ended->operations(0), v1::Operation::PHASE_CANCELLED);
}

}  // namespace distlog::cli
