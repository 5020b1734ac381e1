// Runs every script of this folder and compares what happens with what it says. A script is lines
// of commands, a line `----`, and the lines that followed; then an empty line, and more of the
// same. To write them anew, and then to read the difference with care:
//
//   DISTLOG_REWRITE=1 bazel run //tests/scripts:script_test

#include "tests/scripts/script.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace distlog {
namespace {

// Where `bazel run` was called tells where the sources are; a test finds them in its runfiles.
std::filesystem::path Folder() {
  const char* workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  const std::filesystem::path root = workspace == nullptr ? "." : workspace;
  return root / "tests" / "scripts";
}

bool Rewrites() { return std::getenv("DISTLOG_REWRITE") != nullptr; }

std::vector<std::string> Scripts() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(Folder())) {
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The script with what really happens.
std::string Replay(const std::string& text) {
  Script script;
  std::string result;
  std::string happened;
  bool in_output = false;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line == "----") {
      in_output = true;
      result += "----\n" + happened;
      happened.clear();
    } else if (line.empty()) {
      in_output = false;
      result += "\n";
    } else if (!in_output) {
      result += line + "\n";
      if (line[0] != '#') happened += script.Run(line);
    }
  }
  return result;
}

class ScriptTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ScriptTest, HappensAsWritten) {
  const std::filesystem::path path = Folder() / (GetParam() + ".txt");
  std::stringstream written;
  written << std::ifstream(path).rdbuf();
  ASSERT_FALSE(written.str().empty()) << path;
  const std::string happens = Replay(written.str());
  if (Rewrites()) {
    std::ofstream(path) << happens;
  } else {
    EXPECT_EQ(written.str(), happens) << path;
  }
  EXPECT_EQ(happens.find("cannot understand"), std::string::npos) << happens;
  EXPECT_EQ(Replay(happens), happens) << "it does not always happen the same way";
}

INSTANTIATE_TEST_SUITE_P(Scripts, ScriptTest, ::testing::ValuesIn(Scripts()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace distlog
