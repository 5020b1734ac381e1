// Runs a command as a shell would, with files in place of its input and output.

#ifndef DISTLOG_CLI_TEST_CONSOLE_H_
#define DISTLOG_CLI_TEST_CONSOLE_H_

#include <stdlib.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "cli/command.h"
#include "gflags/gflags.h"
#include "gtest/gtest.h"

namespace distlog::cli {

// A file without a name, for what goes in or comes out.
class Scratch {
 public:
  explicit Scratch(const std::string& content = "") {
    char name[] = "/tmp/cli_test_XXXXXX";
    fd_ = mkstemp(name);
    unlink(name);
    EXPECT_EQ(write(fd_, content.data(), content.size()), static_cast<ssize_t>(content.size()));
    lseek(fd_, 0, SEEK_SET);
  }
  ~Scratch() { close(fd_); }
  int fd() const { return fd_; }

  std::string Content() const {
    std::string content(lseek(fd_, 0, SEEK_END), '\0');
    EXPECT_EQ(pread(fd_, content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
    return content;
  }

 private:
  int fd_;
};

struct Ran {
  int exit_status = -1;
  std::string out;
  std::string err;
};

inline Ran RunWith(const std::vector<std::string>& words, const std::string& input = "") {
  const gflags::FlagSaver saver;
  const Scratch in(input), out, err;
  Ran ran;
  ran.exit_status = cli::Run(words, {.in = in.fd(), .out = out.fd(), .err = err.fd()});
  ran.out = out.Content();
  ran.err = err.Content();
  return ran;
}

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_TEST_CONSOLE_H_
