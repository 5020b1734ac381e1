// The table of commands and the parser: what is taken, and what is a usage error with a sentence
// that tells what to do.

#include "cli/command.h"

#include <string>
#include <vector>

#include "cli/flags.h"
#include "cli/help.h"
#include "gflags/gflags.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;

class CommandTest : public testing::Test {
  gflags::FlagSaver saver_;
};

TEST_F(CommandTest, FlagsStandAnywhereAndTakeTheirValueInEitherWay) {
  const auto parsed =
      Parse({"--timeout", "3s", "append", "a", "--quiet", "b", "--expect_position=7"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->command->name, "append");
  EXPECT_EQ(parsed->invocation.arguments, (Words{"a", "b"}));
  EXPECT_EQ(parsed->invocation.timeout, absl::Seconds(3));
  EXPECT_TRUE(FLAGS_quiet);
  EXPECT_EQ(FLAGS_expect_position, 7u);
  EXPECT_TRUE(parsed->invocation.Given("expect_position"));
  EXPECT_FALSE(parsed->invocation.Given("epoch"));
}

TEST_F(CommandTest, TwoDashesEndTheFlags) {
  const auto parsed = Parse({"append", "--", "--quiet", "-n", "--"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->invocation.arguments, (Words{"--quiet", "-n", "--"}));
}

TEST_F(CommandTest, ALoneDashAndAnEmptyWordAreArguments) {
  const auto parsed = Parse({"append", "-", ""});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->invocation.arguments, (Words{"-", ""}));
}

TEST_F(CommandTest, CommandsOfTwoWordsAndShortFlags) {
  EXPECT_EQ(Parse({"election", "status"})->command->name, "election status");
  ASSERT_TRUE(Parse({"tail", "-n", "12"}).ok());
  EXPECT_EQ(FLAGS_n, 12u);
  ASSERT_TRUE(Parse({"append", "--noquiet"}).ok());
  EXPECT_FALSE(FLAGS_quiet);
}

TEST_F(CommandTest, WhatIsNotInTheTableIsAUsageError) {
  const struct {
    Words words;
    const char* hint;
  } kCases[] = {
      {{}, "distlog help"},
      {{"benchmark"}, "no command benchmark"},
      {{"member", "grow"}, "no command member grow"},
      {{"election"}, "no command election"},
      {{"election", "vote"}, "no command election vote"},
      {{"member", "replace", "1"},
       "member replace needs more arguments: distlog member replace ID ADDR"},
      {{"status", "--nonsense"}, "no flag --nonsense"},
      {{"status", "--v=1"}, "no flag --v"},
      {{"status", "--flagfile=x"}, "no flag --flagfile"},
      {{"status", "--lines"}, "status takes no flag --lines"},
      {{"read", "-n", "1"}, "read takes no flag -n"},
      {{"append", "-x"}, "-- ends them"},
      {{"read", "--from"}, "needs a value"},
      {{"read", "--from=x"}, "takes a number"},
      {{"read", "--from=-1"}, "takes a number"},
      {{"read", "--from=0x10"}, "takes a number"},
      {{"read", "--from="}, "takes a number"},
      {{"read", "--from=18446744073709551616"},
       "--from takes a number from 0 to 18446744073709551615, not \"18446744073709551616\""},
      {{"read", "--local=maybe"}, "--local is true or false, not \"maybe\""},
      {{"read", "--nofrom"}, "no flag --nofrom"},
      {{"status", "--output=xml"}, "text or json"},
      {{"status", "--timeout=10"}, "--timeout"},
      {{"status", "--timeout=0s"}, "--timeout"},
      {{"status", "--timeout=-1s"}, "--timeout"},
      {{"status", "--timeout=25h"}, "--timeout"},
      {{"status", "extra"}, "status takes no arguments, not \"extra\""},
      {{"init"}, "init needs more arguments: distlog init ADDR ADDR ADDR"},
      {{"help", "nonsense"}, "no command nonsense"},
  };
  for (const auto& one : kCases) {
    const auto parsed = Parse(one.words);
    EXPECT_FALSE(parsed.ok()) << one.hint;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(one.hint));
  }
}

TEST_F(CommandTest, HelpIsOurOwnAndKnowsEveryFlagOfTheTable) {
  for (const Command& command : Commands()) {
    for (const std::string& flag : command.flags) {
      EXPECT_THAT(HelpOf(command), HasSubstr("-" + flag)) << command.name;
    }
    EXPECT_THAT(GeneralHelp(), HasSubstr(command.name));
  }
  EXPECT_EQ(Parse({"help"})->help, GeneralHelp());
  EXPECT_EQ(Parse({"--help"})->help, GeneralHelp());
  EXPECT_EQ(Parse({"help", "election", "status"})->command, nullptr);
  EXPECT_THAT(Parse({"read", "--help"})->help, HasSubstr("--delimiter"));
  EXPECT_THAT(GeneralHelp(), testing::Not(HasSubstr("flagfile")));
}

}  // namespace
}  // namespace distlog::cli
