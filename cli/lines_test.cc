// Lines end at \n and nowhere else, whatever the bytes, and however they arrive.

#include "cli/lines.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

using Event = LineReader::Event;
using Strings = std::vector<std::string>;

// The lines of `text`, which arrives `step` bytes at a time, and how they ended.
std::pair<Strings, Event> Split(const std::string& text, size_t step, size_t limit) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  std::thread writer([&] {
    for (size_t i = 0; i < text.size(); i += step) {
      const std::string part = text.substr(i, step);
      if (write(ends[1], part.data(), part.size()) < 0) break;
    }
    close(ends[1]);
  });
  LineReader reader(ends[0], -1, limit);
  Strings lines;
  std::string line;
  Event event;
  while ((event = reader.Next(&line)) == Event::kLine) lines.push_back(line);
  writer.join();
  close(ends[0]);
  return {lines, event};
}

TEST(LineReaderTest, SplitsAtNewlinesOnly) {
  const struct {
    std::string text;
    Strings lines;
  } kCases[] = {
      {"", {}},
      {"\n", {""}},
      {"\n\n", {"", ""}},
      {"a", {"a"}},
      {"a\n", {"a"}},
      {"a\nb", {"a", "b"}},
      {"a\r\nb\r", {"a\r", "b\r"}},
      {std::string("a\0b\n\xff\xfe\n", 7), {std::string("a\0b", 3), "\xff\xfe"}},
      {"a\n\n\nb\n", {"a", "", "", "b"}},
      {"\x0b\x0c\xe2\x80\xa8\n", {"\x0b\x0c\xe2\x80\xa8"}},
  };
  for (const auto& one : kCases) {
    for (const size_t step : {1, 2, 1000}) {
      const auto [lines, event] = Split(one.text, step, 100);
      EXPECT_EQ(lines, one.lines);
      EXPECT_EQ(event, Event::kEnd);
    }
  }
}

TEST(LineReaderTest, TheLimitIsTheLongestLineTaken) {
  const std::string fits(10, 'x');
  EXPECT_EQ(Split(fits + "\n" + fits, 3, 10), std::make_pair(Strings{fits, fits}, Event::kEnd));
  EXPECT_EQ(Split("a\n" + fits + "x\nb\n", 3, 10), std::make_pair(Strings{"a"}, Event::kTooLong));
}

TEST(LineReaderTest, LinesLongerThanABlockAreWhole) {
  const std::string line(700000, 'x');
  EXPECT_EQ(Split(line + "\n" + line + "\n", 65536, 1 << 20).first, (Strings{line, line}));
}

TEST(LineReaderTest, AWakeEndsTheWaitForInput) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int wake = eventfd(1, 0);
  LineReader reader(ends[0], wake, 10);
  std::string line;
  EXPECT_EQ(reader.Next(&line), Event::kWoken);
  for (const int fd : {ends[0], ends[1], wake}) close(fd);
}

}  // namespace
}  // namespace distlog::cli
