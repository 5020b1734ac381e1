// The contract of the command line that scripts rely on: output, JSON keys, exit statuses.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "tests/e2e/fixture.h"

namespace distlog {
namespace {

using ::testing::HasSubstr;

class CliTest : public EndToEnd {
 protected:
  void SetUp() override { StartCluster(1); }

  // Standard output of a command that must succeed.
  std::string Out(const std::vector<std::string>& arguments, const std::string& input = "") {
    const Finished finished = cluster_->Distlog(arguments, input);
    EXPECT_EQ(finished.status, 0) << testing::PrintToString(arguments) << ": " << finished.err;
    return finished.out;
  }

  static std::vector<Json> Lines(const std::string& out) {
    std::vector<Json> objects;
    for (const std::string& line : std::vector<std::string>(absl::StrSplit(out, '\n'))) {
      if (line.empty()) continue;
      const auto json = ParseJson(line);
      EXPECT_TRUE(json.ok()) << json.status();
      if (json.ok()) objects.push_back(*json);
    }
    return objects;
  }
};

TEST_F(CliTest, AppendTakesArgumentsOrStandardInput) {
  EXPECT_EQ(Out({"append", "one", "two words", ""}), "1\n2\n3\n");
  EXPECT_EQ(Out({"append"}, "all of\nthis"), "4\n");
  EXPECT_EQ(Out({"append", "--lines", "--quiet"}, "5\n6\n\n8"), "5..8\n");
  EXPECT_EQ(Out({"append", "--lines"}, ""), "");
  EXPECT_EQ(Out({"read", "--raw"}), "one\ntwo words\n\nall of\nthis\n5\n6\n\n8\n");
}

// It is no empty entry, and not to be waited for.
TEST_F(CliTest, AStandardInputThatIsClosedIsAnError) {
  Out({"append", "one"});
  for (const std::string mode : {"", " --lines"}) {
    Command command;
    command.arguments = {"/bin/sh", "-c",
                         absl::StrCat("exec ", Binaries::OfTest().distlog, " --endpoints=",
                                      cluster_->endpoint(0), " append", mode, " <&-")};
    const Finished finished = RunToEnd(command);
    EXPECT_EQ(finished.status, 1) << finished.err;
    EXPECT_THAT(finished.err, HasSubstr("cannot read standard input"));
  }
  EXPECT_EQ(Out({"read", "--raw"}), "one\n");
}

TEST_F(CliTest, AppendAndReadSpeakJson) {
  const auto appended = Lines(Out({"--output=json", "append", "one", "two"}));
  ASSERT_EQ(appended.size(), 2u);
  EXPECT_EQ(Text(appended[0], "position"), "1");
  EXPECT_EQ(Text(appended[1], "position"), "2");
  const auto quiet = Lines(Out({"--output=json", "append", "--lines", "--quiet"}, "a\nb\nc\n"));
  ASSERT_EQ(quiet.size(), 1u);
  EXPECT_EQ(Text(quiet[0], "first"), "3");
  EXPECT_EQ(Text(quiet[0], "last"), "5");
  EXPECT_EQ(Text(quiet[0], "count"), "3");

  const auto read = Lines(Out({"--output=json", "read", "--from=2", "--count=2"}));
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(Text(read[0], "position"), "2");
  EXPECT_EQ(Text(read[0], "payload_base64"), "dHdv");
  EXPECT_GT(Number(read[0], "timestamp_ms"), 1'000'000'000'000u);
  EXPECT_EQ(Text(read[1], "payload_base64"), "YQ==");
}

TEST_F(CliTest, ReadTakesRangesAndDelimiters) {
  Out({"append", "a", "b", "c", "d"});
  EXPECT_EQ(Out({"read", "--from=2", "--to=3"}), "b\nc\n");
  EXPECT_EQ(Out({"read", "--from=3"}), "c\nd\n");
  EXPECT_EQ(Out({"read", "--count=1"}), "a\n");
  EXPECT_EQ(Out({"read", "--raw", "--delimiter="}), "abcd");
  EXPECT_EQ(Out({"read", "--delimiter=;"}), "a;b;c;d;");
  EXPECT_EQ(Out({"read", "--local"}), "a\nb\nc\nd\n");
}

TEST_F(CliTest, TailFollowsTheEnd) {
  Out({"append", "a", "b", "c"});
  const auto tail = Process::Start(cluster_->DistlogCommand({"tail", "-n", "1"}));
  EXPECT_TRUE(Await([&] { return tail->output() == "c\n"; })) << tail->output() << tail->error();
  Out({"append", "d"});
  EXPECT_TRUE(Await([&] { return tail->output() == "c\nd\n"; })) << tail->output();
  const auto follow =
      Process::Start(cluster_->DistlogCommand({"read", "--follow", "--raw", "--from=2"}));
  Out({"append", "e"});
  EXPECT_TRUE(Await([&] { return follow->output() == "b\nc\nd\ne\n"; })) << follow->output();
}

TEST_F(CliTest, StatusHasItsKeys) {
  Out({"append", "a"});
  const auto status = ParseJson(Out({"--output=json", "status"}));
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_GT(Text(*status, "cluster_id").size(), 8u);
  EXPECT_EQ(Text(*status, "leader_id"), "1");
  EXPECT_GT(Number(*status, "ballot.round"), 0u);
  EXPECT_EQ(Text(*status, "ballot.replica"), "1");
  EXPECT_EQ(Text(*status, "configuration_version"), "1");
  EXPECT_EQ(Text(*status, "first_position"), "1");
  EXPECT_EQ(Text(*status, "last_position"), "1");
  EXPECT_EQ(Text(*status, "can_lose"), "0");
  const auto members = Objects(*status, "members");
  ASSERT_EQ(members.size(), 1u);
  EXPECT_EQ(Text(members[0], "id"), "1");
  EXPECT_EQ(Text(members[0], "address"), cluster_->endpoint(0));
  EXPECT_EQ(Text(members[0], "role"), "voter");
  EXPECT_EQ(Text(members[0], "reachable"), "true");
  EXPECT_EQ(Text(members[0], "is_leader"), "true");
  EXPECT_GT(Number(members[0], "chosen_through"), 0u);
  EXPECT_GT(Number(members[0], "applied_through"), 0u);
  EXPECT_EQ(Text(members[0], "last_position"), "1");
  EXPECT_THAT(Out({"status"}), HasSubstr(cluster_->endpoint(0)));
}

TEST_F(CliTest, ElectionStatusHasItsKeys) {
  const auto status = ParseJson(Out({"--output=json", "election", "status"}));
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(Text(*status, "leader_id"), "1");
  EXPECT_GT(Number(*status, "ballot.round"), 0u);
  EXPECT_NE(Text(*status, "since_ms"), "(none)");
  const auto views = Objects(*status, "views");
  ASSERT_EQ(views.size(), 1u);
  EXPECT_EQ(Text(views[0], "id"), "1");
  EXPECT_EQ(Text(views[0], "leader_id"), "1");
  EXPECT_EQ(Text(views[0], "quorum_connected"), "true");
}

TEST_F(CliTest, AnExpectedPositionThatIsTakenExitsWithFour) {
  EXPECT_EQ(Out({"append", "--expect_position=1", "a"}), "1\n");
  const Finished late = cluster_->Distlog({"append", "--expect_position=1", "b"});
  EXPECT_EQ(late.status, 4);
  EXPECT_TRUE(IsOneSentence(late.err)) << late.err;
  EXPECT_EQ(Out({"read"}), "a\n");
}

TEST_F(CliTest, ASequenceThatIsRepeatedGetsTheOriginalAnswer) {
  EXPECT_EQ(Out({"append", "--producer=p", "--sequence=1", "a"}), "1\n");
  EXPECT_EQ(Out({"append", "between"}), "2\n");
  EXPECT_EQ(Out({"append", "--producer=p", "--sequence=1", "a"}), "1\n");
  EXPECT_EQ(Out({"append", "--producer=p", "--sequence=2", "b"}), "3\n");
  const Finished gap = cluster_->Distlog({"append", "--producer=p", "--sequence=9", "z"});
  EXPECT_NE(gap.status, 0);
  EXPECT_TRUE(IsOneSentence(gap.err)) << gap.err;
  EXPECT_EQ(Out({"read"}), "a\nbetween\nb\n");
}

TEST_F(CliTest, ErrorsAreJsonWhenAsked) {
  Out({"append", "a"});
  const Finished late = cluster_->Distlog({"--output=json", "append", "--expect_position=1", "b"});
  EXPECT_EQ(late.status, 4);
  const auto error = ParseJson(late.err);
  ASSERT_TRUE(error.ok()) << error.status();
  EXPECT_NE(Text(*error, "error.code"), "(none)");
  EXPECT_GT(Text(*error, "error.message").size(), 10u);
}

TEST_F(CliTest, AskedForHelpItExplainsItself) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--help"}, {"help"}, {"append", "--help"}}) {
    const std::string out = Out(arguments);
    EXPECT_THAT(out, HasSubstr("append")) << testing::PrintToString(arguments);
    EXPECT_THAT(out, testing::Not(HasSubstr("logtostderr")));
  }
}

}  // namespace
}  // namespace distlog
