#include "cli/help.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gflags/gflags.h"

namespace distlog::cli {
namespace {

constexpr char kExitStatus[] =
    "\nExit status: 0 done; 1 failed, without effect; 2 usage; 3 outcome unknown; 4 a precondition "
    "did\n"
    "not hold; 5 no quorum or no leader within the timeout, nothing happened.\n";

std::string FlagLine(const std::string& name) {
  gflags::CommandLineFlagInfo info;
  if (!gflags::GetCommandLineFlagInfo(name.c_str(), &info)) return "";
  std::string shown = absl::StrCat(name.size() == 1 ? "-" : "--", name);
  if (name.size() == 1) {
    absl::StrAppend(&shown, " N");
  } else if (info.type != "bool") {
    absl::StrAppend(&shown, info.type == "string" ? "=TEXT" : "=N");
  }
  const bool tell = info.type == "string" && !info.default_value.empty();
  return absl::StrFormat("  %-22s%s%s\n", shown, info.description,
                         tell ? absl::StrCat(" (default ", info.default_value, ")") : "");
}

std::string GlobalFlags() {
  return absl::StrCat("\nFlags of every command:\n", FlagLine("endpoints"), FlagLine("timeout"),
                      FlagLine("output"));
}

}  // namespace

std::string GeneralHelp() {
  std::string help =
      "distlog [--endpoints=HOST:PORT,...] [--timeout=10s] [--output=text|json] "
      "COMMAND [ARGUMENTS] [--flags]\n\nCommands:\n";
  for (const Command& command : Commands()) {
    absl::StrAppendFormat(&help, "  %-22s%s\n", absl::StrCat(command.name, " ", command.arguments),
                          command.summary);
  }
  absl::StrAppendFormat(&help, "  %-22s%s\n", "help [COMMAND]", "tells more about a command");
  return absl::StrCat(help, GlobalFlags(), kExitStatus);
}

std::string HelpOf(const Command& command) {
  std::string help = absl::StrCat("distlog ", command.name, command.arguments.empty() ? "" : " ",
                                  command.arguments, command.flags.empty() ? "" : " [--flags]",
                                  "\n  ", command.summary, "\n");
  if (!command.flags.empty()) absl::StrAppend(&help, "\nFlags:\n");
  for (const std::string& flag : command.flags) absl::StrAppend(&help, FlagLine(flag));
  return absl::StrCat(help, GlobalFlags());
}

}  // namespace distlog::cli
