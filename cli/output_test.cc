// What users and programs get to see: exit statuses, escaping, JSON, units, columns.

#include "cli/output.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <string>

#include "client/verdict.h"
#include "gtest/gtest.h"
#include "wire/status.h"

namespace distlog::cli {
namespace {

absl::Status WithReason(absl::StatusCode code, v1::ErrorDetail::Reason reason) {
  v1::ErrorDetail detail;
  detail.set_reason(reason);
  return MakeError(code, "x", detail);
}

TEST(ExitStatusTest, FollowsTheContract) {
  using Code = absl::StatusCode;
  using Detail = v1::ErrorDetail;
  EXPECT_EQ(ExitStatus(Outcome::kDone, absl::OkStatus()), 0);
  EXPECT_EQ(ExitStatus(Outcome::kUnknown, absl::UnavailableError("x")), 3);
  EXPECT_EQ(ExitStatus(Outcome::kUnknown, absl::FailedPreconditionError("x")), 3);
  EXPECT_EQ(ExitStatus(Outcome::kNotDone, absl::UnavailableError("x")), 5);
  EXPECT_EQ(ExitStatus(Outcome::kNotDone, absl::DeadlineExceededError("x")), 5);
  EXPECT_EQ(ExitStatus(Outcome::kNotDone, absl::FailedPreconditionError("x")), 4);
  EXPECT_EQ(ExitStatus(Outcome::kNotDone, absl::AbortedError("x")), 4);
  EXPECT_EQ(ExitStatus(Outcome::kNotDone, absl::InvalidArgumentError("x")), 1);
  const struct {
    Code code;
    Detail::Reason reason;
    int exit_status;
  } kCases[] = {
      {Code::kUnavailable, Detail::REASON_NO_LEADER, 5},
      {Code::kFailedPrecondition, Detail::REASON_UNASSIGNED, 5},
      {Code::kUnavailable, Detail::REASON_STOPPING, 5},
      {Code::kFailedPrecondition, Detail::REASON_POSITION, 4},
      {Code::kFailedPrecondition, Detail::REASON_EPOCH, 4},
      {Code::kAborted, Detail::REASON_SEQUENCE_GAP, 1},
      {Code::kAborted, Detail::REASON_CONFIGURATION, 4},
      {Code::kInvalidArgument, Detail::REASON_TOO_LARGE, 1},
      {Code::kResourceExhausted, Detail::REASON_BUSY, 1},
      {Code::kUnavailable, Detail::REASON_BUSY, 1},
      {Code::kResourceExhausted, Detail::REASON_DISK_FULL, 1},
      {Code::kOutOfRange, Detail::REASON_UNSPECIFIED, 1},
  };
  for (const auto& one : kCases) {
    EXPECT_EQ(ExitStatus(Outcome::kNotDone, WithReason(one.code, one.reason)), one.exit_status)
        << Detail::Reason_Name(one.reason);
  }
}

TEST(EscapeTest, ControlBytesAndWhatIsNoUtf8AreEscapedAndTheRestIsKept) {
  EXPECT_EQ(Escaped("plain ü 漢 😀"), "plain ü 漢 😀");
  EXPECT_EQ(Escaped("a\nb\r\t\\"), "a\\nb\\r\\t\\\\");
  EXPECT_EQ(Escaped(std::string("\x1b[2J\x7f\x00", 6)), "\\x1b[2J\\x7f\\x00");
  EXPECT_EQ(Escaped("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(Escaped("\xc2\x9b"), "\\xc2\\x9b");  // Terminals take it for ESC [.
  EXPECT_EQ(Escaped("\xc0\xaf\xed\xa0\x80"), "\\xc0\\xaf\\xed\\xa0\\x80");
}

// Sentences show what is typed, as \n and paths: a second backslash would be in the way.
TEST(EscapeTest, SentencesKeepTheirBackslashes) {
  EXPECT_EQ(Printable("knows \\n, \\\\ ü\n\x1b[2J\xff"), "knows \\n, \\\\ ü\\n\\x1b[2J\\xff");
}

TEST(EscapeTest, DelimitersAreUnescaped) {
  EXPECT_EQ(*Unescaped("\\n"), "\n");
  EXPECT_EQ(*Unescaped(""), "");
  EXPECT_EQ(*Unescaped("a\\t\\0\\x7c\\\\"), std::string("a\t\0|\\", 5));
  for (const char* text : {"\\", "\\q", "\\x1", "\\xzz"})
    EXPECT_FALSE(Unescaped(text).ok()) << text;
}

TEST(JsonTest, StringsAreValidWhateverTheBytes) {
  EXPECT_EQ(JsonString("a\"b\\c\n\x01 ü"), "\"a\\\"b\\\\c\\u000a\\u0001 ü\"");
  EXPECT_EQ(JsonString("\xff"), "\"\xef\xbf\xbd\"");
  EXPECT_EQ(JsonNumber(18446744073709551615u), "\"18446744073709551615\"");
}

TEST(UnitsTest, AreForPeople) {
  EXPECT_EQ(Bytes(1023), "1023 B");
  EXPECT_EQ(Bytes(5 << 20), "5.0 MiB");
  EXPECT_EQ(Ago(3400), "3 s ago");
  EXPECT_EQ(Ago(-1), "never");
  EXPECT_EQ(Span(250), "250 ms");
  EXPECT_EQ(Span(7200 * 1000), "2 h");
  EXPECT_EQ(Count(1, "entry"), "1 entry");
  EXPECT_EQ(Count(2, "entry"), "2 entries");
  EXPECT_EQ(Count(0, "replica"), "0 replicas");
}

TEST(AlignedTest, ColumnsAreAsWideAsTheirWidestCell) {
  EXPECT_EQ(Aligned({{"id", "address", "x"}, {"1", "a", "yes"}, {"20", "b"}}),
            "id  address  x\n1   a        yes\n20  b\n");
}

TEST(OutputTest, AReaderThatHasGoneIsNoError) {
  signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  Output output({.in = 0, .out = ends[1], .err = 2}, Format::kText);
  output.Write("x");
  output.Flush();
  EXPECT_TRUE(output.broken());
  EXPECT_EQ(output.Finish(0, kExitFailed), 0);
  close(ends[1]);
}

TEST(OutputTest, AFullDiskIsAnError) {
  const int full = open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  const int null = open("/dev/null", O_WRONLY);
  Output output({.in = 0, .out = full, .err = null}, Format::kText);
  output.Write("x");
  EXPECT_EQ(output.Finish(0, kExitFailed), kExitFailed);
  close(full);
  close(null);
}

}  // namespace
}  // namespace distlog::cli
