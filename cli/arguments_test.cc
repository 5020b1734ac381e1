// What passes for an address or an id, and the sentence for what does not.

#include "cli/arguments.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distlog::cli {
namespace {

using testing::HasSubstr;

TEST(ArgumentsTest, AnAddressIsAHostAndAPort) {
  for (const char* good : {"127.0.0.1:4601", "host:1", "[::1]:65535"}) {
    EXPECT_TRUE(CheckAddress(good).ok()) << good;
  }
  for (const char* bad : {"", "host", ":4601", "host:", "host:0", "host:65536", "host:x", "host:-1",
                          "a host:1", "host:1/", "host\n:1"}) {
    EXPECT_EQ(CheckAddress(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_EQ(CheckAddress("host").message(),
            "\"host\" is not an address: name each server as HOST:PORT");
}

TEST(ArgumentsTest, EachServerIsNamedOnce) {
  EXPECT_TRUE(CheckAddresses({"a:1", "a:2", "b:1"}).ok());
  EXPECT_EQ(CheckAddresses({"a:1", "b:1", "a:1"}).message(),
            "a:1 is named twice: name each server once");
  EXPECT_THAT(std::string(CheckAddresses({"a:1", "b"}).message()), HasSubstr("\"b\" is not"));
}

TEST(ArgumentsTest, AnIdIsANumberFromOne) {
  EXPECT_EQ(*ParseId("1", "replica"), 1u);
  EXPECT_EQ(*ParseId("18446744073709551615", "replica"), UINT64_MAX);
  for (const char* bad : {"", "0", "01", "-1", "+1", "1 ", "0x1", "x", "18446744073709551616"}) {
    EXPECT_FALSE(ParseId(bad, "replica").ok()) << bad;
  }
  EXPECT_EQ(ParseId("x", "replica").status().message(),
            "\"x\" is not the id of a replica: it is a number from 1, as `distlog member list` "
            "shows it");
  EXPECT_EQ(ParseId("x", "operation").status().message(),
            "\"x\" is not the id of an operation: it is a number from 1, as `distlog member ops` "
            "shows it");
}

}  // namespace
}  // namespace distlog::cli
