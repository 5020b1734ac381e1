// `distlog recover` before it has a directory to look at: what is a usage error, and what is
// refused. What it does with real directories is in tests/e2e/recover_test.cc.

#include <stdlib.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "cli/command.h"
#include "gflags/gflags.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

struct Ran {
  int exit_status = -1;
  std::string out;
  std::string err;
};

std::string TakeAll(int fd) {
  std::string content(lseek(fd, 0, SEEK_END), '\0');
  EXPECT_EQ(pread(fd, content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
  close(fd);
  return content;
}

int NewFile() {
  char name[] = "/tmp/recover_test_XXXXXX";
  const int fd = mkstemp(name);
  unlink(name);
  return fd;
}

Ran Recover(std::vector<std::string> words) {
  const gflags::FlagSaver saver;
  words.insert(words.begin(), "recover");
  const Console console = {.in = NewFile(), .out = NewFile(), .err = NewFile()};
  Ran ran;
  ran.exit_status = Run(words, console);
  ran.out = TakeAll(console.out);
  ran.err = TakeAll(console.err);
  close(console.in);
  return ran;
}

std::string EmptyDirectory() {
  char name[] = "/tmp/recover_test_XXXXXX";
  return mkdtemp(name);
}

TEST(RecoverTest, WhatIsToBeDoneMustBeSaid) {
  const struct {
    std::vector<std::string> words;
    std::string sentence;
  } cases[] = {
      {{"dir"}, "needs --plan or --apply"},
      {{"--plan", "--apply", "dir"}, "needs --plan or --apply"},
      {{"--plan"}, "needs more arguments"},
      {{"--plan", "--confirm=12345678", "dir"}, "--confirm goes with --apply"},
      {{"--apply", "--output=json", "dir"}, "needs --confirm"},
      {{"--plan", "--lines", "dir"}, "takes no flag --lines"},
  };
  for (const auto& c : cases) {
    const Ran ran = Recover(c.words);
    EXPECT_EQ(ran.exit_status, kExitUsage) << c.sentence;
    EXPECT_THAT(ran.err, HasSubstr(c.sentence));
    EXPECT_THAT(ran.out, IsEmpty());
  }
}

TEST(RecoverTest, WhatIsNoStoreIsRefusedAndLeftAlone) {
  Ran ran = Recover({"--plan", "/nowhere/at/all"});
  EXPECT_EQ(ran.exit_status, kExitPrecondition);
  EXPECT_THAT(ran.err, HasSubstr("/nowhere/at/all cannot be read"));

  const std::string dir = EmptyDirectory();
  ran = Recover({"--apply", "--confirm=12345678", dir});
  EXPECT_EQ(ran.exit_status, kExitPrecondition);
  EXPECT_THAT(ran.err, HasSubstr(dir + " is not a distlog store"));
  EXPECT_EQ(rmdir(dir.c_str()), 0) << "something was written there";

  ran = Recover({"--plan", "--output=json", "/"});
  EXPECT_EQ(ran.exit_status, kExitPrecondition);
  EXPECT_THAT(ran.err, HasSubstr("\"code\":\"FAILED_PRECONDITION\""));
}

}  // namespace
}  // namespace distlog::cli
