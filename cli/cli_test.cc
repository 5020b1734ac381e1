// Whole commands against a fake cluster: what they print, what they leave in the log, how they
// exit.

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/test_console.h"
#include "client/fake_server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

using testing::HasSubstr;
using Strings = std::vector<std::string>;

class CliTest : public testing::Test {
 protected:
  Ran Do(Strings words, const std::string& input = "") {
    words.insert(words.begin(), "--endpoints=" + absl::StrJoin(cluster_.endpoints(), ","));
    return RunWith(words, input);
  }

  FakeCluster cluster_{3};
};

TEST_F(CliTest, AppendsArgumentsAndPrintsTheirPositions) {
  EXPECT_EQ(Do({"append", "a", "", "c"}).out, "1\n2\n3\n");
  EXPECT_EQ(Do({"append", "d", "--output=json"}).out, "{\"position\":\"4\"}\n");
  EXPECT_EQ(Do({"append", "e", "f", "--quiet"}).out, "5..6\n");
  EXPECT_EQ(Do({"append", "g", "--quiet", "--output=json"}).out,
            "{\"first\":\"7\",\"last\":\"7\",\"count\":\"1\"}\n");
  EXPECT_EQ(cluster_.entries(), (Strings{"a", "", "c", "d", "e", "f", "g"}));
}

TEST_F(CliTest, StandardInputIsOneEntryUnlessLinesAreAskedFor) {
  EXPECT_EQ(Do({"append"}, "a\nb\n").out, "1\n");
  EXPECT_EQ(Do({"append", "--lines"}, "c\r\n\n\xff\nlast").out, "2\n3\n4\n5\n");
  EXPECT_EQ(cluster_.entries(), (Strings{"a\nb\n", "c\r", "", "\xff", "last"}));
  EXPECT_EQ(Do({"append", "--lines", "--quiet"}, "").out, "");
}

TEST_F(CliTest, AFileGoesInAndComesOutByteForByte) {
  std::string file;
  for (int i = 0; i < 5000; ++i) {
    absl::StrAppend(&file, std::string(i % 97, 'x'), i % 7 == 0 ? "\r" : "", i, "\n");
  }
  file += "\n\xfe\xff\n";
  const Ran appended = Do({"append", "--lines", "--quiet"}, file);
  EXPECT_EQ(appended.exit_status, 0) << appended.err;
  EXPECT_EQ(Do({"read", "--raw"}).out, file);
  EXPECT_EQ(Do({"read", "--raw", "--local"}).out, file);
}

TEST_F(CliTest, EachLineIsInOnceThroughLostAnswersAndLeaderChanges) {
  cluster_.Script({Fault::kFailAfter, Fault::kNone, Fault::kMove, Fault::kRefuse, Fault::kNone,
                   Fault::kMove, Fault::kFail});
  std::string file;
  for (int i = 0; i < 3000; ++i) absl::StrAppend(&file, "line ", i, "\n");
  const Ran ran = Do({"append", "--lines", "--quiet"}, file);
  EXPECT_EQ(ran.exit_status, 0) << ran.err;
  EXPECT_EQ(ran.out, "1..3000\n");
  EXPECT_EQ(absl::StrJoin(cluster_.entries(), "\n") + "\n", file);
}

TEST_F(CliTest, ALineAboveTheLimitEndsItThere) {
  cluster_.set_max_entry_bytes(10);
  const Ran ran = Do({"append", "--lines"}, "a\nb\n12345678901\nc\n");
  EXPECT_EQ(ran.exit_status, 1);
  EXPECT_EQ(ran.out, "1\n2\n");
  EXPECT_THAT(ran.err, HasSubstr("line 3 is larger than the 10 bytes"));
  EXPECT_THAT(ran.err, HasSubstr("2 entries are in (positions 1 to 2), 0 unknown, 1 not in"));
  EXPECT_EQ(cluster_.entries(), (Strings{"a", "b"}));
  EXPECT_EQ(Do({"append", "12345678901"}).exit_status, 1);
  EXPECT_EQ(Do({"append"}, "12345678901").exit_status, 1);
  EXPECT_EQ(cluster_.entries().size(), 2u);
}

TEST_F(CliTest, ABackslashInAnErrorIsNotDoubled) {
  EXPECT_THAT(Do({"read", "--delimiter=\\q"}).err, HasSubstr("known are \\n \\r"));
  EXPECT_THAT(Do({"append", "--file=/no\\file\n"}).err,
              HasSubstr("cannot open /no\\file\\n: No such file"));
  EXPECT_THAT(Do({"append", "--file=/no\\file", "--output=json"}).err,
              HasSubstr("cannot open /no\\\\file: No such file"));
}

TEST_F(CliTest, AnInputThatCannotBeReadIsCountedOnlyAfterAnEntryOfIt) {
  const Ran none = Do({"append", "--lines", "--file=/etc"});
  EXPECT_EQ(none.exit_status, 1);
  EXPECT_EQ(none.err, "distlog: cannot read /etc: Is a directory\n");

  // A line, and then the connection is reset: its other end is closed with something unread.
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  ASSERT_EQ(write(ends[1], "a\n", 2), 2);
  ASSERT_EQ(write(ends[0], "x", 1), 1);
  close(ends[1]);
  const gflags::FlagSaver saver;
  const Scratch out, err;
  EXPECT_EQ(cli::Run({"--endpoints=" + cluster_.endpoint(1), "append", "--lines"},
                     {.in = ends[0], .out = out.fd(), .err = err.fd()}),
            1);
  close(ends[0]);
  EXPECT_EQ(out.Content(), "1\n");
  EXPECT_THAT(err.Content(), HasSubstr("1 entry is in (positions 1 to 1), 0 unknown, 0 not in: "
                                       "cannot read standard input: Connection reset"));
}

TEST_F(CliTest, AnExpectedPositionThatDoesNotHoldExits4) {
  cluster_.Put({"x"});
  for (const Strings& words : {Strings{"append", "a", "b", "--expect_position=1"},
                               Strings{"append", "--lines", "--expect_position=1"}}) {
    const Ran ran = Do(words, "a\nb\n");
    EXPECT_EQ(ran.exit_status, 4) << ran.err;
    EXPECT_EQ(ran.out, "");
  }
  const Ran json = Do({"append", "a", "--expect_position=1", "--output=json"});
  EXPECT_THAT(json.err, HasSubstr("{\"error\":{\"code\":\"FAILED_PRECONDITION\",\"message\":"));
  EXPECT_EQ(cluster_.entries(), (Strings{"x"}));
  EXPECT_EQ(Do({"append", "--lines", "--expect_position=2"}, "a\nb\nc\n").out, "2\n3\n4\n");
}

TEST_F(CliTest, AProducersAppendCanBeRepeated) {
  for (int run = 0; run < 2; ++run) {
    EXPECT_EQ(Do({"append", "a", "b", "--producer=p", "--sequence=1"}).out, "1\n2\n");
    EXPECT_EQ(Do({"append", "--lines", "--producer=q", "--sequence=1"}, "c\nd\n").out, "3\n4\n");
  }
  // It goes on in the middle, too.
  EXPECT_EQ(Do({"append", "--lines", "--producer=q", "--sequence=2"}, "d\ne\n").out, "4\n5\n");
  EXPECT_EQ(Do({"append", "x", "--producer=q", "--sequence=9"}).exit_status, 1);
  EXPECT_EQ(Do({"append", "x", "--producer=q", "--sequence=4", "--epoch=3"}).exit_status, 4);
}

TEST_F(CliTest, FlagsThatDoNotGoTogetherAreUsageErrors) {
  for (const Strings& words :
       {Strings{"append", "a", "--lines"}, Strings{"append", "a", "--producer=p"},
        Strings{"append", "a", "--epoch=1"}, Strings{"append", "a", "--producer=p", "--sequence=0"},
        Strings{"append", "a", "--expect_position=0"}, Strings{"append", "--file="},
        Strings{"read", "--to=2", "--count=1"}, Strings{"read", "--from=3", "--to=2"},
        Strings{"read", "--delimiter=\\q"}, Strings{"read", "--follow", "--local"},
        Strings{"status", "--endpoints=nonsense"}}) {
    const Ran ran = Do(words);
    EXPECT_EQ(ran.exit_status, 2) << absl::StrJoin(words, " ");
    EXPECT_THAT(ran.err, testing::StartsWith("distlog: "));
  }
  EXPECT_EQ(cluster_.appends_taken(), 0u);
}

TEST_F(CliTest, ReadsRangesInTextAndJson) {
  cluster_.Put({"a", "b\n", "c", "d", "e"});
  EXPECT_EQ(Do({"read", "--from=2", "--to=3"}).out, "b\n\nc\n");
  EXPECT_EQ(Do({"read", "--from=4", "--count=9", "--delimiter="}).out, "de");
  EXPECT_EQ(Do({"read", "--count=2", "--delimiter=\\0"}).out, std::string("a\0b\n\0", 5));
  EXPECT_EQ(Do({"read", "--count=0"}).out, "");
  EXPECT_EQ(
      Do({"read", "--from=2", "--count=1", "--output=json"}).out,
      "{\"position\":\"2\",\"timestamp_ms\":\"1700000000002\",\"payload_base64\":\"Ygo=\"}\n");
  EXPECT_EQ(Do({"read", "--follow", "--from=3", "--count=2"}).out, "c\nd\n");
  EXPECT_EQ(Do({"read", "--follow", "--to=2"}).out, "a\nb\n\n");
}

TEST_F(CliTest, AReaderThatHasGoneEndsItQuietly) {
  signal(SIGPIPE, SIG_IGN);
  cluster_.Put({"a", "b", "c", "d", "e"});
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  const gflags::FlagSaver saver;
  const Scratch in("x\ny\n"), err;
  const Console console = {.in = in.fd(), .out = ends[1], .err = err.fd()};
  const std::string endpoints = "--endpoints=" + cluster_.endpoint(1);
  EXPECT_EQ(cli::Run({endpoints, "tail", "-n", "3"}, console), 0);
  // What was appended is in all the same.
  EXPECT_EQ(cli::Run({endpoints, "append", "--lines"}, console), 0);
  EXPECT_EQ(cluster_.entries().size(), 7u);
  EXPECT_EQ(err.Content(), "");
  close(ends[1]);
}

TEST_F(CliTest, WithoutALeaderItExits5AndStatusStillAnswers) {
  cluster_.SetLeader(0);
  EXPECT_EQ(Do({"append", "a", "--timeout=200ms"}).exit_status, 5);
  EXPECT_EQ(Do({"append", "--lines", "--timeout=200ms"}, "a\n").exit_status, 5);
  EXPECT_EQ(Do({"read", "--timeout=200ms"}).exit_status, 5);
  EXPECT_EQ(Do({"tail", "--timeout=200ms"}).exit_status, 5);
  EXPECT_EQ(Do({"status"}).exit_status, 0);
  EXPECT_THAT(Do({"election", "status"}).out, HasSubstr("nobody leads"));
}

// Which one is meant is not guessed, also where neither leader nor quorum is needed.
TEST_F(CliTest, StatusOfTwoClustersAtOnceExits1) {
  FakeCluster other(1, /*assigned=*/true, 'x');
  const Ran ran = RunWith(
      {"status", absl::StrCat("--endpoints=", cluster_.endpoint(1), ",", other.endpoint(1))});
  EXPECT_EQ(ran.exit_status, 1);
  EXPECT_THAT(ran.err, HasSubstr("the endpoints belong to different clusters"));
}

TEST_F(CliTest, WithNobodyThereItExits5) {
  for (int id : {1, 2, 3}) cluster_.Stop(id);
  for (const Strings& words : {Strings{"append", "a"}, Strings{"status"}, Strings{"read"},
                               Strings{"init", "127.0.0.1:1"}, Strings{"read", "--local"}}) {
    Strings all = words;
    all.push_back("--timeout=200ms");
    const Ran ran = Do(all);
    EXPECT_EQ(ran.exit_status, 5) << words[0] << ": " << ran.err;
  }
}

TEST_F(CliTest, AnAppendWithoutAnAnswerExits3) {
  cluster_.Script(std::vector<Fault>(50, Fault::kHang));
  const Ran one = Do({"append", "a", "--timeout=300ms"});
  EXPECT_EQ(one.exit_status, 3) << one.err;
  cluster_.Script(std::vector<Fault>(50, Fault::kHang));
  const Ran lines = Do({"append", "--lines", "--timeout=300ms", "--output=json"}, "b\n");
  EXPECT_EQ(lines.exit_status, 3) << lines.err;
  EXPECT_THAT(lines.err, HasSubstr("\"in\":\"0\",\"unknown\":\"1\",\"not_in\":\"0\""));
}

TEST_F(CliTest, InitFormsOnceAndIsRefusedWhenTheLogHoldsAnEntry) {
  Strings words = {"init"};
  for (const std::string& endpoint : cluster_.endpoints()) words.push_back(endpoint);
  const Ran ran = RunWith(words);
  EXPECT_EQ(ran.exit_status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("of 3 replicas, led by 1"));
  cluster_.Put({"x"});
  EXPECT_EQ(RunWith(words).exit_status, 4);
}

TEST_F(CliTest, EndpointsComeFromTheEnvironmentUnlessTheyAreNamed) {
  setenv("DISTLOG_ENDPOINTS", cluster_.endpoint(2).c_str(), 1);
  EXPECT_EQ(RunWith({"append", "a"}).out, "1\n");
  unsetenv("DISTLOG_ENDPOINTS");
}

}  // namespace
}  // namespace distlog::cli
