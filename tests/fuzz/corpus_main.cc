// Feeds the files that it is given to a fuzz target, each as it is, cut off, and with each byte
// changed: what was found once is not lost again, in builds without a fuzzer too.

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fuzz/bytes.h"

namespace {

void Feed(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "corpus_main: no file of a corpus is given\n");
    return 2;
  }
  LLVMFuzzerInitialize(&argc, &argv);
  Feed("");
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "corpus_main: %s cannot be read\n", argv[i]);
      return 2;
    }
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    Feed(bytes);
    for (size_t at = 0; at < bytes.size() && at < 2000; ++at) {
      Feed(bytes.substr(0, at));
      Feed(distlog::WithByteFlipped(bytes, at, 0x01));
      Feed(distlog::WithByteFlipped(bytes, at, 0x80));
    }
  }
  std::printf("%d files: whole\n", argc - 1);
  return 0;
}
