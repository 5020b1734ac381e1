// The main job: a file goes in line by line while leaders are killed, and comes out of every
// replica byte for byte.

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/e2e/fixture.h"

namespace distlog {
namespace {

// Lines as files have them: uneven, some empty, some with CR, some that are no UTF-8 or hold NUL,
// and one that is long.
std::vector<std::string> UnevenLines(int count) {
  std::mt19937 random(20);
  std::vector<std::string> lines;
  for (int i = 0; i < count; ++i) {
    std::string line;
    switch (i % 10) {
      case 3:
        break;
      case 5:
        line = absl::StrCat("a line of a DOS file, number ", i, "\r");
        break;
      case 7:
        line = absl::StrCat("no UTF-8: \xff\xfe\xc3 and NUL: ", std::string(3, '\0'), i);
        break;
      default:
        for (size_t n = random() % (i % 100 == 0 ? 2000 : 80); n > 0; --n) {
          const char byte = static_cast<char>(random());
          line.push_back(byte == '\n' ? ' ' : byte);
        }
    }
    if (i == count / 2) line = std::string(200'000, 'x');
    lines.push_back(line + "\n");
  }
  return lines;
}

class FileTest : public EndToEnd {
 protected:
  void Feed(Process* append, const std::vector<std::string>& lines, size_t first, size_t below) {
    std::string bytes;
    for (size_t i = first; i < below; ++i) bytes += lines[i];
    ASSERT_TRUE(append->WriteInput(bytes)) << append->error();
  }
};

TEST_F(FileTest, ComesBackByteForByteThoughTwoLeadersAreKilledMeanwhile) {
  StartCluster();
  if (HasFatalFailure()) return;
  const std::vector<std::string> lines = UnevenLines(20'000);
  Command command = cluster_->DistlogCommand({"--timeout=60s", "append", "--lines"});
  command.open_input = true;
  const std::unique_ptr<Process> append = Process::Start(command);

  Feed(append.get(), lines, 0, 6'000);
  const int first = Leader();
  ASSERT_TRUE(Await([&] { return cluster_->LastPosition(first) > 1'000; }));
  cluster_->Kill(first);
  Feed(append.get(), lines, 6'000, 12'000);
  const int second = Leader();
  ASSERT_NE(second, first);
  ASSERT_TRUE(Await([&] { return cluster_->LastPosition(second) > 7'000; }));
  ASSERT_TRUE(cluster_->Start(first).ok());
  cluster_->Kill(second);
  Feed(append.get(), lines, 12'000, lines.size());
  append->CloseInput();

  EXPECT_EQ(append->Wait(), 0) << append->error();
  std::string positions;
  for (size_t i = 1; i <= lines.size(); ++i) absl::StrAppend(&positions, i, "\n");
  EXPECT_TRUE(append->output() == positions) << "not the positions 1 to " << lines.size();
  ASSERT_TRUE(cluster_->Start(second).ok());
  std::string file;
  for (const std::string& line : lines) file += line;
  ExpectEverywhere(file);
}

// --file and a last line without a newline; the file is the same but for that newline.
TEST_F(FileTest, NeedsNoNewlineAtItsEnd) {
  StartCluster(1);
  if (HasFatalFailure()) return;
  const std::string path = absl::StrCat(cluster_->dir(), "/file");
  FILE* file = fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  fputs("first\r\n\n\nlast", file);
  fclose(file);

  const Finished append =
      cluster_->Distlog({"append", "--lines", absl::StrCat("--file=", path), "--quiet"});
  EXPECT_EQ(append.status, 0) << append.err;
  EXPECT_EQ(append.out, "1..4\n");
  ExpectEverywhere("first\r\n\n\nlast\n");
}

}  // namespace
}  // namespace distlog
