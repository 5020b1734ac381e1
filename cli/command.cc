#include "cli/command.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/flags.h"
#include "cli/help.h"
#include "gflags/gflags.h"

namespace distlog::cli {
namespace {

constexpr size_t kAny = 1 << 24;
constexpr char kNumber[] = " takes a number from 0 to 18446744073709551615, not \"";
const char* const kGlobalFlags[] = {"endpoints", "timeout", "output"};

const Command* FindCommand(const std::string& name) {
  for (const Command& command : Commands()) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

bool IsGroup(const std::string& word) {
  return std::any_of(Commands().begin(), Commands().end(), [&](const Command& command) {
    return absl::StartsWith(command.name, absl::StrCat(word, " "));
  });
}

bool IsGlobal(const std::string& flag) {
  return std::find(std::begin(kGlobalFlags), std::end(kGlobalFlags), flag) !=
         std::end(kGlobalFlags);
}

bool Takes(const Command& command, const std::string& flag) {
  return IsGlobal(flag) ||
         std::find(command.flags.begin(), command.flags.end(), flag) != command.flags.end();
}

bool TakenByAny(const std::string& flag) {
  return IsGlobal(flag) || std::any_of(Commands().begin(), Commands().end(),
                                       [&](const Command& c) { return Takes(c, flag); });
}

absl::Status Usage(const std::string& sentence) { return absl::InvalidArgumentError(sentence); }

// One flag as it was typed.
struct Typed {
  std::string shown;  // With its dashes.
  std::string name;
  std::optional<std::string> value;
};

Typed Dissect(const std::string& word) {
  const size_t dashes = absl::StartsWith(word, "--") ? 2 : 1;
  const size_t equals = word.find('=');
  Typed typed;
  typed.name = word.substr(dashes, equals == std::string::npos ? equals : equals - dashes);
  typed.shown = word.substr(0, equals);
  if (equals != std::string::npos) typed.value = word.substr(equals + 1);
  return typed;
}

// Sorts the words into words of the command, and flags with their values, by the types of the flags
// alone: which command it is may only show behind a flag.
class Words {
 public:
  absl::Status Sort(const std::vector<std::string>& words) {
    for (size_t i = 0; i < words.size(); ++i) {
      const std::string& word = words[i];
      if (word == "--") {
        plain.insert(plain.end(), words.begin() + i + 1, words.end());
        return absl::OkStatus();
      }
      if (word.size() < 2 || word[0] != '-') {
        plain.push_back(word);
        continue;
      }
      if (absl::Status status = TakeFlag(words, &i); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  std::vector<std::string> plain;
  std::vector<std::pair<std::string, std::string>> flags;
  bool help = false;

 private:
  absl::Status TakeFlag(const std::vector<std::string>& words, size_t* i) {
    Typed typed = Dissect(words[*i]);
    if (typed.name == "help" || typed.name == "h") {
      help = true;
      return absl::OkStatus();
    }
    bool negated = false;
    if (!TakenByAny(typed.name) && absl::StartsWith(typed.name, "no") && !typed.value) {
      negated = true;
      typed.name = typed.name.substr(2);
    }
    gflags::CommandLineFlagInfo info;
    const bool known = TakenByAny(typed.name) &&
                       gflags::GetCommandLineFlagInfo(typed.name.c_str(), &info) &&
                       (!negated || info.type == "bool");
    if (!known) {
      return Usage(absl::StrCat("there is no flag ", typed.shown,
                                "; `distlog help COMMAND` lists those of a command, and -- ends "
                                "them"));
    }
    if (info.type == "bool") {
      if (!typed.value) typed.value = negated ? "false" : "true";
    } else if (!typed.value) {
      if (*i + 1 >= words.size()) return Usage(absl::StrCat(typed.shown, " needs a value"));
      typed.value = words[++*i];
    }
    flags.emplace_back(typed.name, *typed.value);
    return absl::OkStatus();
  }
};

absl::StatusOr<const Command*> TakeCommand(std::vector<std::string>* plain) {
  if (plain->empty()) {
    return Usage("no command; `distlog help` lists them");
  }
  const std::string word = plain->front();
  const std::string both = plain->size() > 1 ? absl::StrCat(word, " ", (*plain)[1]) : word;
  if (const Command* command = FindCommand(word)) {
    plain->erase(plain->begin());
    return command;
  }
  if (const Command* command = FindCommand(both)) {
    plain->erase(plain->begin(), plain->begin() + 2);
    return command;
  }
  return Usage(absl::StrCat("there is no command ", IsGroup(word) ? both : word,
                            "; `distlog help` lists them"));
}

absl::Status CheckValue(const std::string& name, const std::string& value) {
  gflags::CommandLineFlagInfo info;
  gflags::GetCommandLineFlagInfo(name.c_str(), &info);
  const std::string shown = absl::StrCat(name.size() == 1 ? "-" : "--", name);
  // gflags takes "-1" for a huge number, and octal and hexadecimal ones.
  const bool digits = !value.empty() && value.find_first_not_of("0123456789") == std::string::npos;
  if (info.type == "uint64" && (!digits || (value.size() > 1 && value[0] == '0'))) {
    return Usage(absl::StrCat(shown, kNumber, value, "\""));
  }
  if (name == "output" && value != "text" && value != "json") {
    return Usage(absl::StrCat("--output is text or json, not \"", value, "\""));
  }
  if (gflags::SetCommandLineOption(name.c_str(), value.c_str()).empty()) {
    return Usage(absl::StrCat(shown, info.type == "bool" ? " is true or false, not \"" : kNumber,
                              value, "\""));
  }
  return absl::OkStatus();
}

absl::Status CheckArguments(const Command& command, const std::vector<std::string>& arguments) {
  const std::string line = absl::StrCat("distlog ", command.name, " ", command.arguments);
  if (arguments.size() < command.min_arguments) {
    return Usage(absl::StrCat(command.name, " needs more arguments: ", line));
  }
  if (command.max_arguments == 0 && !arguments.empty()) {
    return Usage(absl::StrCat(command.name, " takes no arguments, not \"", arguments[0], "\""));
  }
  if (arguments.size() > command.max_arguments) {
    return Usage(absl::StrCat(command.name, " takes fewer arguments: ", line));
  }
  return absl::OkStatus();
}

absl::StatusOr<Parsed> ParseHelp(std::vector<std::string> topic) {
  Parsed parsed;
  if (topic.empty()) {
    parsed.help = GeneralHelp();
    return parsed;
  }
  const absl::StatusOr<const Command*> command = TakeCommand(&topic);
  if (!command.ok() && IsGroup(topic.front())) {
    parsed.help = GeneralHelp();
    return parsed;
  }
  if (!command.ok()) return command.status();
  parsed.help = HelpOf(**command);
  return parsed;
}

}  // namespace

const std::vector<Command>& Commands() {
  static const auto* const commands = new std::vector<Command>{
      {"init", "ADDR ADDR ADDR", "forms a cluster out of empty servers", {}, 1, 64, &RunInit, true},
      {"append",
       "[TEXT ...]",
       "appends each argument, or standard input, as an entry",
       {"lines", "file", "quiet", "expect_position", "producer", "sequence", "epoch"},
       0,
       kAny,
       &RunAppend,
       true},
      {"read",
       "",
       "prints entries",
       {"from", "to", "count", "raw", "local", "follow", "delimiter"},
       0,
       0,
       &RunRead,
       false},
      {"tail",
       "",
       "prints new entries as they come",
       {"n", "raw", "delimiter"},
       0,
       0,
       &RunTail,
       false},
      {"status", "", "shows the cluster", {}, 0, 0, &RunStatus, false},
      {"election status",
       "",
       "shows who leads and who believes what",
       {},
       0,
       0,
       &RunElectionStatus,
       false},
      {"election transfer",
       "[ID]",
       "hands the leadership over and waits for it",
       {},
       0,
       1,
       &RunElectionTransfer,
       true},
      {"election history",
       "",
       "shows who led when, and why it ended",
       {"n"},
       0,
       0,
       &RunElectionHistory,
       false},
      {"member list",
       "",
       "shows the members, and the change under way",
       {},
       0,
       0,
       &RunMemberList,
       false},
      {"member add",
       "ADDR",
       "adds the empty server at this address",
       {"learner", "dry_run", "force", "expect_version", "no_wait", "quiet"},
       1,
       1,
       &RunMemberAdd,
       true},
      {"member remove",
       "ID",
       "removes a member",
       {"dry_run", "force", "expect_version", "no_wait", "quiet"},
       1,
       1,
       &RunMemberRemove,
       true},
      {"member replace",
       "ID ADDR",
       "puts the empty server at this address in a member's place",
       {"dry_run", "force", "expect_version", "no_wait", "quiet"},
       2,
       2,
       &RunMemberReplace,
       true},
      {"member promote",
       "ID",
       "makes a learner a voter",
       {"dry_run", "force", "expect_version", "no_wait", "quiet"},
       1,
       1,
       &RunMemberPromote,
       true},
      {"member set",
       "ADDR ...",
       "makes these the voters, in one step",
       {"dry_run", "force", "expect_version", "no_wait", "quiet"},
       1,
       64,
       &RunMemberSet,
       true},
      {"member ops",
       "",
       "lists the changes of members, also those of before",
       {},
       0,
       0,
       &RunMemberOps,
       false},
      {"member cancel",
       "OP",
       "gives a change up that is not in force yet",
       {"quiet"},
       1,
       1,
       &RunMemberCancel,
       true},
      {"recover",
       "DIR ...",
       "after a quorum is lost for good: goes on from the data directories that are left",
       {"plan", "apply", "confirm", "address"},
       1,
       64,
       &RunRecover,
       true},
      {"bench",
       "",
       "puts load on the cluster and measures it; the modes that append do append",
       {"mode", "outstanding", "size", "seconds", "local"},
       0,
       0,
       &RunBench,
       true},
  };
  return *commands;
}

absl::StatusOr<absl::Duration> ParseTimeout(const std::string& text) {
  absl::Duration timeout;
  if (!absl::ParseDuration(text, &timeout) || timeout <= absl::ZeroDuration() ||
      timeout > absl::Hours(24)) {
    return Usage(
        absl::StrCat("--timeout is a time as 10s, 500ms or 2m, a day at most, not \"", text, "\""));
  }
  return timeout;
}

absl::StatusOr<Parsed> Parse(const std::vector<std::string>& words) {
  Words sorted;
  if (absl::Status status = sorted.Sort(words); !status.ok()) return status;
  if (!sorted.plain.empty() && sorted.plain.front() == "help") {
    sorted.help = true;
    sorted.plain.erase(sorted.plain.begin());
  }
  if (sorted.help) return ParseHelp(sorted.plain);

  // The format of errors is wanted for the errors below too.
  for (const auto& [name, value] : sorted.flags) {
    if (name == "output" && value == "json") FLAGS_output = "json";
  }
  Parsed parsed;
  const absl::StatusOr<const Command*> command = TakeCommand(&sorted.plain);
  if (!command.ok()) return command.status();
  parsed.command = *command;
  for (const auto& [name, value] : sorted.flags) {
    if (!Takes(**command, name)) {
      return Usage(absl::StrCat((*command)->name, " takes no flag ", name.size() == 1 ? "-" : "--",
                                name, "; `distlog help ", (*command)->name, "` lists its flags"));
    }
    if (absl::Status status = CheckValue(name, value); !status.ok()) return status;
    parsed.invocation.given.insert(name);
  }
  parsed.invocation.arguments = std::move(sorted.plain);
  const absl::Status count = CheckArguments(**command, parsed.invocation.arguments);
  if (!count.ok()) return count;
  const absl::StatusOr<absl::Duration> timeout = ParseTimeout(FLAGS_timeout);
  if (!timeout.ok()) return timeout.status();
  parsed.invocation.timeout = *timeout;
  return parsed;
}

namespace {

std::vector<std::string> Endpoints(const Parsed& parsed) {
  if (!parsed.invocation.Given("endpoints")) {
    // The servers to be formed into a cluster are the ones to ask.
    if (parsed.command->handler == &RunInit) return {parsed.invocation.arguments.front()};
    const char* environment = std::getenv("DISTLOG_ENDPOINTS");
    if (environment != nullptr && *environment != '\0') return absl::StrSplit(environment, ',');
  }
  return absl::StrSplit(FLAGS_endpoints, ',');
}

}  // namespace

int Run(const std::vector<std::string>& words, const Console& console) {
  const absl::StatusOr<Parsed> parsed = Parse(words);
  Output output(console, FLAGS_output == "json" ? Format::kJson : Format::kText);
  if (!parsed.ok()) {
    output.Error(parsed.status());
    return kExitUsage;
  }
  if (parsed->command == nullptr) {
    output.Write(parsed->help);
    return output.Finish(kExitDone, kExitFailed);
  }
  const absl::StatusOr<std::unique_ptr<Client>> client =
      Client::Connect({.endpoints = Endpoints(*parsed), .timeout = parsed->invocation.timeout});
  if (!client.ok()) {
    output.Error(client.status());
    return kExitUsage;
  }
  const int status = parsed->command->handler(parsed->invocation, client->get(), &output);
  // Whoever did not get the positions of an append must not take it for one without effect.
  return output.Finish(status, parsed->command->changes_log ? kExitUnknown : kExitFailed);
}

}  // namespace distlog::cli
