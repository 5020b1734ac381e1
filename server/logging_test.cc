// The log must never stop the program, whoever reads it.

#include "server/logging.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "absl/status/status.h"
#include "glog/logging.h"
#include "gtest/gtest.h"

namespace distlog {
namespace {

struct Pipe {
  Pipe() { EXPECT_EQ(::pipe(ends), 0); }
  ~Pipe() {
    for (int end : ends) {
      if (end >= 0) ::close(end);
    }
  }
  std::string ReadUntil(const std::string& text) {
    std::string all;
    char buffer[65536];
    while (all.find(text) == std::string::npos) {
      const ssize_t n = ::read(ends[0], buffer, sizeof(buffer));
      if (n <= 0) break;
      all.append(buffer, static_cast<size_t>(n));
    }
    return all;
  }
  int ends[2] = {-1, -1};
};

TEST(LineWriterTest, LinesArriveWholeAndInOrder) {
  Pipe pipe;
  LineWriter writer(pipe.ends[1], 1 << 20);
  writer.Write("one");
  writer.Write("two");
  EXPECT_EQ(pipe.ReadUntil("two\n"), "one\ntwo\n");
  EXPECT_TRUE(writer.Flush(std::chrono::seconds(60)));
}

// A reader that stops reading costs lines, which are counted, and never a wait.
TEST(LineWriterTest, AReaderThatStopsReadingStopsNothingAndLearnsWhatItMissed) {
  Pipe pipe;
  LineWriter writer(pipe.ends[1], 256 << 10);
  const std::string line(1023, 'x');
  for (int i = 0; i < 2000; ++i) writer.Write(line);  // 2 MB: more than the pipe and queue hold.
  EXPECT_GT(writer.dropped(), 0u);
  EXPECT_FALSE(writer.Flush(std::chrono::milliseconds(1)));
  const std::string read = pipe.ReadUntil("were dropped");
  EXPECT_NE(read.find("lines of this log were dropped"), std::string::npos);
  // The writer may be still in the middle of what it has, and nobody waits for it. With no reader
  // left it comes to an end: before its descriptor is closed, which may then be another file's.
  ::close(pipe.ends[0]);
  pipe.ends[0] = -1;
  EXPECT_TRUE(writer.Flush(std::chrono::seconds(60)));
}

TEST(DieTest, EndsTheProcessWithTheSentence) {
  EXPECT_EXIT(Die(absl::DataLossError("store /d1: a write failed; restart it")),
              testing::ExitedWithCode(1), "store /d1: a write failed; restart it");
}

TEST(DieTest, AFatalMessageIsWrittenToTheEnd) {
  EXPECT_DEATH(
      {
        StartLogging("logging_test");
        LOG(FATAL) << "P2: two values in one slot";
      },
      "P2: two values in one slot");
}

}  // namespace
}  // namespace distlog

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  testing::InitGoogleTest(&argc, argv);
  // The writers of the tests before have threads, which a fork would not take along.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  return RUN_ALL_TESTS();
}
