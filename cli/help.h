// Help of our own: gflags' would show the flags of every library.

#ifndef DISTLOG_CLI_HELP_H_
#define DISTLOG_CLI_HELP_H_

#include <string>

#include "cli/command.h"

namespace distlog::cli {

std::string GeneralHelp();
std::string HelpOf(const Command& command);

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_HELP_H_
