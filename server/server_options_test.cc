#include "server/server_options.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace distlog {
namespace {

void ExpectRefused(const std::vector<std::string>& arguments, const std::string& why) {
  const absl::Status status = ParseServerOptions(arguments).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << why;
  EXPECT_NE(status.message().find(why), absl::string_view::npos) << status;
}

TEST(ServerOptionsTest, FlagsAreTakenInBothForms) {
  const auto options = ParseServerOptions({"--data_dir=/d", "--listen", "127.0.0.1:4600",
                                           "-max_entry_bytes=100", "--insecure_allow_remote"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->data_dir, "/d");
  EXPECT_EQ(ToString(options->listen), "127.0.0.1:4600");
  EXPECT_EQ(options->max_entry_bytes, 100);
  EXPECT_TRUE(options->insecure_allow_remote);
  EXPECT_FALSE(options->dev);
}

TEST(ServerOptionsTest, DevNeedsNothingElse) {
  const auto options = ParseServerOptions({"--dev"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(ToString(options->listen), "127.0.0.1:4600");
}

TEST(ServerOptionsTest, EveryWrongFlagIsNamed) {
  const std::string dir = "--data_dir=/d";
  const std::string listen = "--listen=127.0.0.1:0";
  ExpectRefused({dir}, "--listen");
  ExpectRefused({listen}, "--data_dir");
  ExpectRefused({dir, listen, "--nonsense=1"}, "--nonsense");
  ExpectRefused({dir, listen, "--logtostderr"}, "--logtostderr");
  ExpectRefused({dir, listen, "serve"}, "\"serve\"");
  ExpectRefused({dir, "--listen"}, "--listen needs a value");
  ExpectRefused({dir, "--listen=4600"}, "HOST:PORT");
  ExpectRefused({dir, "--listen=127.0.0.1:70000"}, "HOST:PORT");
  ExpectRefused({dir, listen, "--dev=maybe"}, "true or false");
  ExpectRefused({dir, listen, "--max_entry_bytes=0"}, "from 1 to");
  ExpectRefused({dir, listen, "--max_entry_bytes=5000000"}, "from 1 to");
  ExpectRefused({dir, listen, "--max_entry_bytes=-1"}, "from 1 to");
  ExpectRefused({dir, listen, "--advertise=x:0"}, "--advertise");
  ExpectRefused({"--data_dir=", listen}, "must not be empty");
}

// Without TLS, whoever reaches the port may do anything.
TEST(ServerOptionsTest, OtherThanLoopbackMustBeAskedFor) {
  const std::vector<std::string> base = {"--data_dir=/d", "--advertise=10.0.0.1:4600"};
  for (const char* listen : {"0.0.0.0:4600", "10.0.0.1:4600", "[::]:4600"}) {
    std::vector<std::string> arguments = base;
    arguments.push_back(std::string("--listen=") + listen);
    ExpectRefused(arguments, "not a loopback address");
    arguments.push_back("--insecure_allow_remote");
    EXPECT_TRUE(ParseServerOptions(arguments).ok()) << listen;
  }
  for (const char* listen : {"127.0.0.1:1", "127.8.9.10:1", "[::1]:1", "localhost:1"}) {
    EXPECT_TRUE(ParseServerOptions({"--data_dir=/d", std::string("--listen=") + listen}).ok())
        << listen;
  }
  ExpectRefused({"--data_dir=/d", "--listen=0.0.0.0:1", "--insecure_allow_remote"}, "--advertise");
}

TEST(ServerOptionsTest, AddressesAreHostAndPort) {
  EXPECT_EQ(ParseHostPort("[::1]:80")->host, "::1");
  EXPECT_EQ(ToString(*ParseHostPort("[::1]:80")), "[::1]:80");
  EXPECT_EQ(ParseHostPort("node-1.example:4600")->port, 4600);
  for (const char* wrong : {"", ":", "x", "x:", ":1", "::1:1", "a b:1", "a/b:1", "x:-1", "x:123456",
                            "x:1x", "unix:/tmp/s", "[]:1"}) {
    EXPECT_FALSE(ParseHostPort(wrong).ok()) << wrong;
  }
}

TEST(ServerOptionsTest, AFreePortIsFoundAndATakenOneIsNot) {
  const auto port = FindPort({"127.0.0.1", 0});
  ASSERT_TRUE(port.ok()) << port.status();
  EXPECT_GT(*port, 0);
  EXPECT_EQ(*FindPort({"127.0.0.1", *port}), *port);
}

TEST(ServerOptionsTest, TheDataDirectoryMustBeItsOwnersAlone) {
  std::string base = std::string(std::getenv("TEST_TMPDIR")) + "/XXXXXX";
  ASSERT_NE(mkdtemp(base.data()), nullptr);
  EXPECT_TRUE(CheckDataDirectory(base + "/missing").ok());
  EXPECT_TRUE(CheckDataDirectory(base).ok());
  ASSERT_EQ(symlink(base.c_str(), (base + "/link").c_str()), 0);
  EXPECT_FALSE(CheckDataDirectory(base + "/link").ok());
  EXPECT_FALSE(CheckDataDirectory(base + "/link/").ok());
  ASSERT_EQ(chmod(base.c_str(), 0770), 0);
  EXPECT_FALSE(CheckDataDirectory(base).ok());
  EXPECT_FALSE(CheckDataDirectory("/dev/null").ok());
}

TEST(ServerOptionsTest, TheHelpNamesEveryFlagAndNoOther) {
  const std::string help = ServerHelp();
  for (const char* flag : {"--data_dir=DIR", "--listen=HOST:PORT", "--dev", "--max_entry_bytes"}) {
    EXPECT_NE(help.find(flag), std::string::npos) << flag;
  }
  EXPECT_EQ(help.find("logtostderr"), std::string::npos);
}

}  // namespace
}  // namespace distlog
