// Offline, over data directories: the only command that asks no server.

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "log/recovery.h"
#include "paxos/types.h"

namespace distlog::cli {
namespace {

constexpr size_t kConfirmedDigits = 8;
constexpr size_t kMaxLineBytes = 1024;

int Usage(const std::string& sentence, Output* output) {
  output->Error(absl::InvalidArgumentError(sentence));
  return kExitUsage;
}

// Files made by another user than the server's could not be read by it.
absl::Status CheckOwner(const std::string& dir) {
  struct stat found = {};
  if (stat(dir.c_str(), &found) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(dir, " cannot be read: there is no such ", "directory, or it is not yours"));
  }
  if (found.st_uid == geteuid()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(dir, " belongs to another user: run this as the one who runs its server"));
}

std::string MemberName(uint64_t id, const std::string& address) {
  return id == 0 ? "no member any more" : absl::StrCat(id, " (", address, ")");
}

std::string Text(const RecoveryPlan& plan) {
  std::string text = absl::StrCat("cluster ", Hex(plan.cluster_id), ", configuration ",
                                  plan.configuration.version, "\n\n");
  std::vector<std::vector<std::string>> rows = {
      {"DIRECTORY", "MEMBER", "ROLE", "CHOSEN", "ACCEPTED", ""}};
  for (size_t i = 0; i < plan.directories.size(); ++i) {
    const SurvivingDirectory& directory = plan.directories[i];
    rows.push_back({Printable(directory.dir),
                    MemberName(static_cast<uint64_t>(directory.replica), directory.address),
                    directory.is_voter ? "voter" : "learner",
                    absl::StrCat(directory.chosen_through),
                    absl::StrCat(directory.accepted_through), i == plan.base ? "goes on" : ""});
  }
  for (const paxos::Member& member : plan.missing) {
    rows.push_back({"(missing)", MemberName(static_cast<uint64_t>(member.id), member.address),
                    member.voter ? "voter" : "learner", "", "", ""});
  }
  absl::StrAppend(&text, Aligned(rows), "\n");
  for (const std::string& sentence : plan.report) absl::StrAppend(&text, Printable(sentence), "\n");
  return text;
}

std::string JsonMember(uint64_t id, const std::string& uuid, const std::string& address,
                       bool is_voter) {
  return absl::StrCat("\"id\":", JsonNumber(id), ",\"uuid\":", JsonString(uuid),
                      ",\"address\":", JsonString(address),
                      ",\"role\":", is_voter ? "\"voter\"" : "\"learner\"");
}

// Without the braces.
std::string Json(const RecoveryPlan& plan) {
  std::vector<std::string> directories;
  for (const SurvivingDirectory& directory : plan.directories) {
    directories.push_back(absl::StrCat(
        "{\"dir\":", JsonString(directory.dir), ",",
        JsonMember(static_cast<uint64_t>(directory.replica), paxos::ToString(directory.uuid),
                   directory.address, directory.is_voter),
        ",\"chosen_through\":", JsonNumber(directory.chosen_through),
        ",\"accepted_through\":", JsonNumber(directory.accepted_through), "}"));
  }
  std::vector<std::string> missing;
  for (const paxos::Member& member : plan.missing) {
    missing.push_back(
        absl::StrCat("{",
                     JsonMember(static_cast<uint64_t>(member.id), paxos::ToString(member.uuid),
                                member.address, member.voter),
                     "}"));
  }
  const auto number = [](std::string* out, uint64_t slot) {
    absl::StrAppend(out, JsonNumber(slot));
  };
  const auto sentence = [](std::string* out, const std::string& text) {
    absl::StrAppend(out, JsonString(text));
  };
  return absl::StrCat(
      "\"cluster_id\":", JsonString(Hex(plan.cluster_id)),
      ",\"configuration_version\":", JsonNumber(plan.configuration.version), ",\"directories\":[",
      absl::StrJoin(directories, ","), "],\"base\":", JsonString(plan.directories[plan.base].dir),
      ",\"missing\":[", absl::StrJoin(missing, ","),
      "],\"shared_slot\":", JsonNumber(plan.shared_slot),
      ",\"shared_position\":", JsonNumber(plan.shared_position),
      ",\"last_slot\":", JsonNumber(plan.last_slot),
      ",\"last_position\":", JsonNumber(plan.last_position), ",\"holes\":[",
      absl::StrJoin(plan.holes, ",", number), "],\"can_lose\":", plan.can_lose ? "true" : "false",
      ",\"report\":[", absl::StrJoin(plan.report, ",", sentence),
      "],\"refusal\":", JsonString(plan.refusal));
}

// One line, without its end; what is there if it ends before.
std::string ReadLine(int fd) {
  std::string line;
  char byte = 0;
  while (line.size() < kMaxLineBytes) {
    const ssize_t got = read(fd, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || byte == '\n') break;
    line.push_back(byte);
  }
  return line;
}

// Whether the operator means this cluster.
absl::Status Confirm(const Invocation& invocation, const RecoveryPlan& plan, Output* output) {
  const std::string wanted = Hex(plan.cluster_id).substr(0, kConfirmedDigits);
  std::string given = FLAGS_confirm;
  if (!invocation.Given("confirm")) {
    output->Note(absl::StrCat("this cannot be undone: copy ",
                              Printable(plan.directories[plan.base].dir),
                              " first, and be sure that the missing members never serve again"));
    output->Note(absl::StrCat("to go on, type the first ", kConfirmedDigits,
                              " digits of the cluster's id:"));
    given = ReadLine(output->console().in);
  }
  if (absl::AsciiStrToLower(absl::StripAsciiWhitespace(given)) == wanted) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "that is not how the id of this cluster begins (", wanted, "): nothing was changed"));
}

int Apply(Recovery* recovery, Output* output) {
  const absl::StatusOr<RecoveredCluster> made = recovery->Apply(absl::ToUnixMillis(absl::Now()));
  if (!made.ok()) {
    output->Error(made.status());
    return absl::IsUnknown(made.status()) ? kExitUnknown : ExitStatus(made.status());
  }
  const auto id = static_cast<uint64_t>(made->member.id);
  if (output->json()) {
    output->Write(absl::StrCat(
        "{", Json(recovery->plan()), ",\"recovered\":{\"cluster_id\":",
        JsonString(Hex(made->cluster_id)), ",\"dir\":", JsonString(made->dir),
        ",\"configuration_version\":", JsonNumber(made->configuration_version), ",",
        JsonMember(id, paxos::ToString(made->member.uuid), made->member.address, true), "}}\n"));
  } else {
    output->Write(absl::StrCat("\nrecovered as cluster ", Hex(made->cluster_id), " of replica ", id,
                               " alone: start its server on ", Printable(made->dir), " at ",
                               made->member.address,
                               ", then add members with `distlog member add`\n"));
  }
  return kExitDone;
}

}  // namespace

int RunRecover(const Invocation& invocation, Client*, Output* output) {
  if (FLAGS_plan == FLAGS_apply) return Usage("recover needs --plan or --apply", output);
  if (FLAGS_plan && invocation.Given("confirm")) {
    return Usage("--confirm goes with --apply: --plan changes nothing", output);
  }
  if (FLAGS_apply && output->json() && !invocation.Given("confirm")) {
    return Usage(
        "--apply with --output=json needs --confirm, the first 8 digits of the cluster's id",
        output);
  }
  for (const std::string& dir : invocation.arguments) {
    const absl::Status status = CheckOwner(dir);
    if (!status.ok()) {
      output->Error(status);
      return kExitPrecondition;
    }
  }
  const absl::StatusOr<std::unique_ptr<Recovery>> recovery =
      Recovery::Open({.store = {}, .address = FLAGS_address}, invocation.arguments);
  if (!recovery.ok()) {
    output->Error(recovery.status());
    return kExitPrecondition;
  }
  const RecoveryPlan& plan = (*recovery)->plan();
  if (!output->json()) {
    output->Write(Text(plan));
  } else if (FLAGS_plan || !plan.refusal.empty()) {
    output->Write(absl::StrCat("{", Json(plan), "}\n"));
  }
  if (!plan.refusal.empty()) {
    output->Error(absl::FailedPreconditionError(plan.refusal));
    return kExitPrecondition;
  }
  if (FLAGS_plan) return kExitDone;
  const absl::Status confirmed = Confirm(invocation, plan, output);
  if (!confirmed.ok()) {
    output->Error(confirmed);
    return kExitPrecondition;
  }
  return Apply(recovery->get(), output);
}

}  // namespace distlog::cli
