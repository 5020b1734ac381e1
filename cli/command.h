// What can be typed: the table of commands with the flags each one takes, and the parser that holds
// the command line against it.

#ifndef DISTLOG_CLI_COMMAND_H_
#define DISTLOG_CLI_COMMAND_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/output.h"
#include "client/client.h"

namespace distlog::cli {

// A command line that was found good. The values of the flags are in cli/flags.h.
struct Invocation {
  std::vector<std::string> arguments;  // After the command.
  std::set<std::string> given;         // The flags that were named.
  absl::Duration timeout;

  bool Given(const std::string& flag) const { return given.count(flag) > 0; }
};

// Does what the command says and returns the exit status.
using Handler = int (*)(const Invocation& invocation, Client* client, Output* output);

struct Command {
  std::string name;       // One or two words.
  std::string arguments;  // As help shows them.
  std::string summary;
  std::vector<std::string> flags;  // Besides those that all commands take.
  size_t min_arguments;
  size_t max_arguments;
  Handler handler;
  bool changes_log;
};

const std::vector<Command>& Commands();

// Runs one command line (without the program's name) and returns the exit status. Reads nothing of
// the process but the flags' registry, DISTLOG_ENDPOINTS and the console.
int Run(const std::vector<std::string>& words, const Console& console);

// For tests of the parser: what `Run` does before it calls the handler. An error is a usage error,
// in one sentence. Sets the flags.
struct Parsed {
  const Command* command = nullptr;  // Null: print `help`.
  Invocation invocation;
  std::string help;
};
absl::StatusOr<Parsed> Parse(const std::vector<std::string>& words);

// "10s", "1m30s", "500ms"; more than nothing, and a day at most.
absl::StatusOr<absl::Duration> ParseTimeout(const std::string& text);

// The handlers: one file per group.
int RunInit(const Invocation& invocation, Client* client, Output* output);
int RunAppend(const Invocation& invocation, Client* client, Output* output);
int RunRead(const Invocation& invocation, Client* client, Output* output);
int RunTail(const Invocation& invocation, Client* client, Output* output);
int RunStatus(const Invocation& invocation, Client* client, Output* output);
int RunElectionStatus(const Invocation& invocation, Client* client, Output* output);
int RunElectionTransfer(const Invocation& invocation, Client* client, Output* output);
int RunElectionHistory(const Invocation& invocation, Client* client, Output* output);
int RunMemberList(const Invocation& invocation, Client* client, Output* output);
int RunMemberAdd(const Invocation& invocation, Client* client, Output* output);
int RunMemberRemove(const Invocation& invocation, Client* client, Output* output);
int RunMemberReplace(const Invocation& invocation, Client* client, Output* output);
int RunMemberPromote(const Invocation& invocation, Client* client, Output* output);
int RunMemberSet(const Invocation& invocation, Client* client, Output* output);
int RunMemberOps(const Invocation& invocation, Client* client, Output* output);
int RunMemberCancel(const Invocation& invocation, Client* client, Output* output);
int RunRecover(const Invocation& invocation, Client* client, Output* output);
int RunBench(const Invocation& invocation, Client* client, Output* output);

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_COMMAND_H_
