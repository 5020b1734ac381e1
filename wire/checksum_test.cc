// The checksum is part of the stored and the wire format: these numbers must never change.

#include "wire/checksum.h"

#include <string>

#include "gtest/gtest.h"

namespace distlog {
namespace {

TEST(ChecksumTest, IsXxh3AsPublished) {
  EXPECT_EQ(Checksum(""), 0x2d06800538d394c2u);
  EXPECT_EQ(Checksum("a"), 0xe6c632b61e964e1fu);
  EXPECT_EQ(Checksum("abc"), 0x78af5f94892f3950u);
}

TEST(ChecksumTest, EveryBitOfTheBytesCounts) {
  for (size_t size : {1, 3, 8, 16, 17, 128, 129, 240, 241, 5000}) {
    std::string bytes(size, 'x');
    const uint64_t before = Checksum(bytes);
    for (size_t bit = 0; bit < size * 8; ++bit) {
      bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
      EXPECT_NE(Checksum(bytes), before) << "size " << size << ", bit " << bit;
      bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    }
  }
}

// A running digest stands for what came before and for its order.
TEST(ChecksumTest, RunningDigestKnowsOrderAndHistory) {
  const uint64_t ab = Checksum("b", Checksum("a"));
  EXPECT_NE(ab, Checksum("a", Checksum("b")));
  EXPECT_NE(ab, Checksum("b", Checksum("c")));
  EXPECT_NE(ab, Checksum("b"));
  EXPECT_NE(Checksum("", 1), Checksum("", 2));
  EXPECT_EQ(ab, Checksum("b", Checksum("a")));
}

}  // namespace
}  // namespace distlog
