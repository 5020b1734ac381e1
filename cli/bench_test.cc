// `distlog bench` against a cluster in this process: that each mode makes its kind of request, what
// it prints, what it refuses, and how it exits. How fast it is is not a matter for a test.

#include <stdlib.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/command.h"
#include "client/fake_server.h"
#include "gflags/gflags.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

using testing::HasSubstr;
using Strings = std::vector<std::string>;

struct Ran {
  int exit_status = -1;
  std::string out;
  std::string err;
};

int Scratch() {
  char name[] = "/tmp/bench_test_XXXXXX";
  const int fd = mkstemp(name);
  unlink(name);
  return fd;
}

std::string Drain(int fd) {
  std::string content(lseek(fd, 0, SEEK_END), '\0');
  EXPECT_EQ(pread(fd, content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
  close(fd);
  return content;
}

class BenchTest : public testing::Test {
 protected:
  Ran Do(const Strings& flags) {
    const gflags::FlagSaver saver;
    Strings words = {"bench", "--endpoints=" + absl::StrJoin(cluster_.endpoints(), ",")};
    words.insert(words.end(), flags.begin(), flags.end());
    const int out = Scratch(), err = Scratch();
    Ran ran;
    ran.exit_status = cli::Run(words, {.in = 0, .out = out, .err = err});
    ran.out = Drain(out);
    ran.err = Drain(err);
    return ran;
  }

  // The number behind `key` in the one JSON object that was printed.
  static double Number(const std::string& json, const std::string& key) {
    const std::string quoted = absl::StrCat("\"", key, "\":");
    const size_t at = json.find(quoted);
    EXPECT_NE(at, std::string::npos) << key << " is not in " << json;
    if (at == std::string::npos) return -1;
    const size_t start = at + quoted.size();
    return atof(json.c_str() + start + (json[start] == '"' ? 1 : 0));
  }

  FakeCluster cluster_{3};
};

TEST_F(BenchTest, EachWayOfAppendingPutsWhatItCountsIntoTheLog) {
  size_t before = 0;
  for (const Strings& mode :
       {Strings{"--mode=unary", "--outstanding=4"}, Strings{"--mode=client", "--outstanding=16"},
        Strings{"--mode=stream", "--outstanding=64"}}) {
    const Ran ran = Do({mode[0], mode[1], "--size=10", "--seconds=1", "--output=json"});
    EXPECT_EQ(ran.exit_status, 0) << ran.err;
    const Strings entries = cluster_.entries();
    // A producer's first entry opens it, and is not measured.
    const size_t unmeasured = mode[0] == "--mode=unary" ? 0 : 1;
    EXPECT_EQ(Number(ran.out, "entries"), entries.size() - before - unmeasured) << mode[0];
    EXPECT_GT(Number(ran.out, "entries"), 0) << mode[0];
    for (size_t i = before; i < entries.size(); ++i) EXPECT_EQ(entries[i].size(), 10u);
    before = entries.size();
  }
}

TEST_F(BenchTest, ReadsCountWhatIsInTheLog) {
  cluster_.Put({"one", "two", "six"});
  for (const char* mode : {"--mode=read", "--mode=scan"}) {
    for (const char* local : {"--local", "--nolocal"}) {
      const Ran ran = Do({mode, local, "--seconds=1", "--output=json"});
      EXPECT_EQ(ran.exit_status, 0) << ran.err;
      EXPECT_GT(Number(ran.out, "rate"), 0);
      EXPECT_EQ(Number(ran.out, "size"), 3);
      EXPECT_EQ(Number(ran.out, "errors"), 0);
    }
  }
  EXPECT_EQ(cluster_.entries().size(), 3u);
}

TEST_F(BenchTest, TheKeysOfItsJsonAreThoseThatOthersParse) {
  const Ran ran = Do({"--outstanding=2", "--size=7", "--seconds=1", "--output=json"});
  EXPECT_THAT(ran.out, testing::StartsWith("{\"mode\":\"unary\",\"outstanding\":2,\"size\":7,"));
  EXPECT_GT(Number(ran.out, "rate"), 0);
  EXPECT_GT(Number(ran.out, "p50_us"), 0);
  EXPECT_GE(Number(ran.out, "p99_us"), Number(ran.out, "p50_us"));
  EXPECT_GE(Number(ran.out, "p999_us"), Number(ran.out, "p99_us"));
  EXPECT_GE(Number(ran.out, "max_us"), Number(ran.out, "p999_us"));
  EXPECT_EQ(Number(ran.out, "errors"), 0);
  EXPECT_GE(Number(ran.out, "seconds"), 1);
  EXPECT_THAT(ran.out, testing::EndsWith("}\n"));
  EXPECT_THAT(Do({"--seconds=1"}).out, HasSubstr("100 B entries, 64 outstanding"));
}

TEST_F(BenchTest, AStreamOfLargeEntriesHasASmallerWindowUnlessItIsTold) {
  const auto outstanding = [this](const Strings& flags) {
    Strings all = {"--mode=stream", "--seconds=1", "--output=json"};
    all.insert(all.end(), flags.begin(), flags.end());
    return Number(Do(all).out, "outstanding");
  };
  EXPECT_EQ(outstanding({"--size=1"}), 16384);
  EXPECT_EQ(outstanding({"--size=65536"}), 128);
  EXPECT_EQ(outstanding({"--size=1048576"}), 64);
  EXPECT_EQ(outstanding({"--size=65536", "--outstanding=3"}), 3);
}

TEST_F(BenchTest, ErrorsAreCountedAndTheFirstOneGivesTheExitStatus) {
  // Refused with proof, then cut off without: the first says that nothing happened, as for want of
  // a leader.
  cluster_.Script({Fault::kNone, Fault::kRefuse, Fault::kFail});
  const Ran refused = Do({"--outstanding=1", "--seconds=1", "--output=json"});
  EXPECT_EQ(refused.exit_status, 5) << refused.err;
  EXPECT_EQ(Number(refused.out, "errors"), 2);
  EXPECT_GT(Number(refused.out, "rate"), 0);
  EXPECT_THAT(refused.err, HasSubstr("2 failed, the first with: "));
  cluster_.Script({Fault::kFailAfter});
  EXPECT_EQ(Do({"--outstanding=1", "--seconds=1"}).exit_status, 3);
}

TEST_F(BenchTest, AProducerLosesNothingToFaults) {
  cluster_.Script({Fault::kNone, Fault::kFailAfter, Fault::kMove, Fault::kRefuse, Fault::kFail});
  const Ran ran = Do({"--mode=client", "--outstanding=3", "--seconds=1", "--output=json"});
  EXPECT_EQ(ran.exit_status, 0) << ran.err;
  EXPECT_EQ(Number(ran.out, "errors"), 0);
  EXPECT_EQ(Number(ran.out, "entries"), cluster_.entries().size() - 1);
}

TEST_F(BenchTest, AProducerThatFailsEndsTheRun) {
  cluster_.SetLeader(0);
  for (const char* mode : {"--mode=client", "--mode=stream", "--mode=unary", "--mode=read"}) {
    const Ran ran = Do({mode, "--seconds=60", "--timeout=200ms"});
    EXPECT_EQ(ran.exit_status, 5) << mode << ran.err;
    EXPECT_EQ(ran.out, "");
  }
}

TEST_F(BenchTest, WhatMakesNoSenseIsRefusedBeforeAnythingIsSent) {
  const struct {
    Strings flags;
    int exit_status;
    const char* hint;
  } kCases[] = {
      {{"--mode=fast"}, 2, "unary, client, stream, read or scan"},
      {{"--mode="}, 2, "unary, client, stream, read or scan"},
      {{"--seconds=0"}, 2, "--seconds is 1 to 86400"},
      {{"--seconds=86401"}, 2, "--seconds is 1 to 86400"},
      {{"--seconds=1.5"}, 2, "takes a number"},
      {{"--outstanding=0"}, 2, "--outstanding is 1 to 65536"},
      {{"--outstanding=65537"}, 2, "--outstanding is 1 to 65536"},
      {{"--local"}, 2, "--local is for"},
      {{"--mode=stream", "--local"}, 2, "--local is for"},
      {{"--mode=read", "--size=10"}, 2, "--size is for"},
      {{"--mode=scan", "--outstanding=2"}, 2, "takes no --outstanding"},
      {{"--lines"}, 2, "bench takes no flag --lines"},
      {{"text"}, 2, "takes no arguments"},
      {{"--size=1048577"}, 1, "more than the 1048576 bytes"},
      {{"--size=1048576", "--outstanding=2000"}, 1, "1 GiB"},
      {{"--mode=read"}, 1, "the log is empty"},
      {{"--mode=scan", "--local"}, 1, "the log is empty"},
  };
  for (const auto& one : kCases) {
    const Ran ran = Do(one.flags);
    EXPECT_EQ(ran.exit_status, one.exit_status) << absl::StrJoin(one.flags, " ") << ": " << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(one.hint));
    EXPECT_EQ(ran.out, "");
  }
  EXPECT_EQ(cluster_.appends_taken(), 0u);
}

}  // namespace
}  // namespace distlog::cli
