// Bad input, by people and by peers: one clear sentence, the documented exit status, nothing
// changed, and nobody else disturbed.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "gmock/gmock.h"
#include "tests/e2e/fixture.h"

namespace distlog {
namespace {

using ::testing::HasSubstr;

class BadInputTest : public EndToEnd {
 protected:
  // The cluster takes an append, and what is in it is all there is.
  void ExpectUndisturbed() {
    const Finished append = cluster_->Distlog({"--timeout=60s", "append", "fine"});
    ASSERT_EQ(append.status, 0) << append.err;
    expected_ += "fine\n";
    ExpectEverywhere(expected_);
  }

  // A server beside the cluster, to its end.
  Finished RunServer(const std::vector<std::string>& flags) {
    Command command;
    command.arguments = {Binaries::OfTest().distlogd};
    for (const std::string& flag : flags) command.arguments.push_back(flag);
    return RunToEnd(command, absl::Seconds(30));
  }

  static int Connect(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    PCHECK(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    return fd;
  }

  std::string expected_;
};

TEST_F(BadInputTest, EndpointsThatNobodyAnswersAt) {
  Cluster cluster(Cluster::Defaults(1));  // Nothing is started.
  for (const std::vector<std::string>& command : {std::vector<std::string>{"append", "x"},
                                                  {"read"},
                                                  {"status"},
                                                  {"election", "status"},
                                                  {"tail"}}) {
    std::vector<std::string> arguments = {"--timeout=1s"};
    arguments.insert(arguments.end(), command.begin(), command.end());
    const Finished finished = cluster.Distlog(arguments);
    EXPECT_EQ(finished.status, 5) << command[0];
    EXPECT_TRUE(IsOneSentence(finished.err)) << command[0] << ": " << finished.err;
    EXPECT_THAT(finished.err, HasSubstr(cluster.endpoint(0))) << command[0];
    EXPECT_EQ(finished.out, "") << command[0];
  }
}

TEST_F(BadInputTest, UsageErrorsExitWithTwoAndOneSentence) {
  Cluster cluster(Cluster::Defaults(1));
  const std::vector<std::vector<std::string>> wrong = {
      {"frobnicate"},
      {},
      {"append", "--no_such_flag", "x"},
      {"append", "--from=1", "x"},  // A flag of another command.
      {"read", "--from=seventeen"},
      {"read", "--from=-1"},
      {"read", "--from=9", "--to=3"},
      {"read", "--to=3", "--count=3"},
      {"--timeout=soon", "read"},
      {"--output=xml", "status"},
      {"--endpoints=nonsense", "status"},
      {"--endpoints=", "status"},
      {"init"},
      {"init", "not an address"},
      {"append", "--lines", "text"},
      {"append", "--sequence=1", "text"},
      {"election"},
      {"election", "frobnicate"},
  };
  for (const auto& arguments : wrong) {
    const Finished finished = cluster.Distlog(arguments);
    const std::string what = arguments.empty() ? "no command" : testing::PrintToString(arguments);
    EXPECT_EQ(finished.status, 2) << what << ": " << finished.err;
    EXPECT_TRUE(IsOneSentence(finished.err)) << what << ": " << finished.err;
    EXPECT_EQ(finished.out, "") << what;
  }
  const Finished file = cluster.Distlog({"append", "--lines", "--file=/no/such/file"});
  EXPECT_NE(file.status, 0);
  EXPECT_THAT(file.err, HasSubstr("/no/such/file"));
  EXPECT_TRUE(IsOneSentence(file.err)) << file.err;
}

TEST_F(BadInputTest, AServerToldNonsenseDoesNotStart) {
  const std::string dir = NewDirectory("nonsense");
  const std::string data = absl::StrCat("--data_dir=", dir, "/replica");
  const std::string listen = absl::StrCat("--listen=127.0.0.1:", FreePort());
  const std::vector<std::vector<std::string>> wrong = {
      {listen},
      {data},
      {data, "--listen=nowhere"},
      {data, "--listen=0.0.0.0:4600"},
      {data, listen, "--no_such_flag"},
      {data, listen, "extra"},
      {data, listen, "--segment_bytes=none"},
      {"--data_dir=/proc/distlog", listen},
  };
  for (const auto& flags : wrong) {
    const Finished finished = RunServer(flags);
    EXPECT_GT(finished.status, 0) << testing::PrintToString(flags);
    EXPECT_LT(finished.status, 128) << testing::PrintToString(flags);
    EXPECT_TRUE(IsOneSentence(finished.err))
        << testing::PrintToString(flags) << ": " << finished.err;
  }
  EXPECT_FALSE(std::filesystem::exists(dir + "/replica"));
}

TEST_F(BadInputTest, NoQuorum) {
  StartCluster();
  if (HasFatalFailure()) return;
  ASSERT_EQ(cluster_->Distlog({"append", "one"}).status, 0);
  const int survivor = Leader();
  for (int i = 0; i < 3; ++i) {
    if (i != survivor) cluster_->Kill(i);
  }
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"append", "x"}, {"read"}}) {
    std::vector<std::string> arguments = {"--timeout=2s"};
    arguments.insert(arguments.end(), command.begin(), command.end());
    const Finished finished = cluster_->Distlog(arguments);
    EXPECT_EQ(finished.status, 5) << command[0] << ": " << finished.err;
    EXPECT_TRUE(IsOneSentence(finished.err)) << finished.err;
    EXPECT_EQ(finished.out, "");
  }
  // What needs no quorum works, and says how it stands.
  EXPECT_TRUE(Await([&] {
    const auto status = cluster_->Status(survivor);
    return status.ok() && Text(*status, "leader_id") == "0" && Text(*status, "can_lose") == "-1";
  }));
  const Finished local = cluster_->Distlog(
      {absl::StrCat("--endpoints=", cluster_->endpoint(survivor)), "read", "--local", "--raw"});
  EXPECT_EQ(local.status, 0) << local.err;
  EXPECT_EQ(local.out, "one\n");

  ASSERT_TRUE(cluster_->StartAll().ok());
  expected_ = "one\n";
  ExpectUndisturbed();
}

TEST_F(BadInputTest, AnEntryOfTheLargestSizeIsTakenAndOneByteMoreIsNot) {
  StartCluster();
  if (HasFatalFailure()) return;
  const std::string largest(1 << 20, 'y');
  EXPECT_EQ(cluster_->Distlog({"append"}, largest).status, 0);
  const Finished refused = cluster_->Distlog({"append"}, largest + "y");
  EXPECT_EQ(refused.status, 1) << refused.err;
  EXPECT_TRUE(IsOneSentence(refused.err)) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("1048576"));
  expected_ = largest + "\n";
  ExpectUndisturbed();

  // In a stream: what stands before it is in, and it says so.
  const Finished stream =
      cluster_->Distlog({"append", "--lines"}, absl::StrCat("before\n", largest, "y\nafter\n"));
  EXPECT_EQ(stream.status, 1) << stream.err;
  EXPECT_EQ(stream.out, "3\n");
  expected_ += "before\n";
  ExpectUndisturbed();
}

TEST_F(BadInputTest, ASecondServerOnTheSameDirectoryOrPort) {
  StartCluster();
  if (HasFatalFailure()) return;
  const Finished directory = RunServer({absl::StrCat("--data_dir=", cluster_->data_dir(0)),
                                        absl::StrCat("--listen=127.0.0.1:", FreePort())});
  EXPECT_GT(directory.status, 0);
  EXPECT_TRUE(IsOneSentence(directory.err)) << directory.err;
  EXPECT_THAT(directory.err, HasSubstr(cluster_->data_dir(0)));

  const Finished port = RunServer({absl::StrCat("--data_dir=", cluster_->dir(), "/other"),
                                   absl::StrCat("--listen=", cluster_->endpoint(0))});
  EXPECT_GT(port.status, 0);
  EXPECT_TRUE(IsOneSentence(port.err)) << port.err;
  EXPECT_THAT(port.err, HasSubstr(cluster_->endpoint(0)));
  ExpectUndisturbed();
}

TEST_F(BadInputTest, AServerOfAnotherClusterAtAMembersAddress) {
  StartCluster();
  if (HasFatalFailure()) return;
  ASSERT_EQ(cluster_->Distlog({"append", "ours"}).status, 0);
  expected_ = "ours\n";

  Cluster::Options options = Cluster::Defaults(1);
  Cluster other(options);
  ASSERT_TRUE(other.StartAndForm().ok());
  ASSERT_EQ(other.Distlog({"append", "theirs"}).status, 0);
  ASSERT_EQ(other.Terminate(0), 0);

  const int replaced = (Leader() + 1) % 3;
  ASSERT_EQ(cluster_->Terminate(replaced), 0);
  const std::string foreign = other.data_dir(0);
  Command command;
  command.arguments = {Binaries::OfTest().distlogd, absl::StrCat("--data_dir=", foreign),
                       absl::StrCat("--listen=", cluster_->endpoint(replaced))};
  const auto stranger = Process::Start(command);
  Await([&] { return !stranger->running() || Listens(cluster_->port(replaced)); });
  // Whether it ends or serves its own log there: it takes no part in ours, in either direction.
  const Finished append = cluster_->Distlog({"--timeout=60s", "append", "ours too"});
  EXPECT_EQ(append.status, 0) << append.err;
  const Finished read = cluster_->Distlog({"--timeout=60s", "read", "--raw"});
  EXPECT_EQ(read.out, "ours\nours too\n") << read.err;
  stranger->Kill();

  ASSERT_TRUE(cluster_->Start(replaced).ok());
  expected_ += "ours too\n";
  ExpectUndisturbed();
}

TEST_F(BadInputTest, InitOfAFormedCluster) {
  StartCluster();
  if (HasFatalFailure()) return;
  const std::vector<std::string> same = {"init", cluster_->endpoint(0), cluster_->endpoint(1),
                                         cluster_->endpoint(2)};
  const std::string id = Text(*cluster_->Status(), "cluster_id");
  EXPECT_EQ(cluster_->Distlog(same).status, 0) << "the same set again, while the log is empty";
  const Finished fewer = cluster_->Distlog({"init", cluster_->endpoint(0), cluster_->endpoint(1)});
  EXPECT_EQ(fewer.status, 4) << fewer.err;
  EXPECT_TRUE(IsOneSentence(fewer.err)) << fewer.err;

  ExpectUndisturbed();
  const Finished again = cluster_->Distlog(same);
  EXPECT_EQ(again.status, 4) << again.err;
  EXPECT_TRUE(IsOneSentence(again.err)) << again.err;
  EXPECT_EQ(Text(*cluster_->Status(), "cluster_id"), id);
  ExpectUndisturbed();
}

TEST_F(BadInputTest, InitWithAServerThatIsAway) {
  cluster_ = std::make_unique<Cluster>(Cluster::Defaults(3));
  ASSERT_TRUE(cluster_->Start(0).ok());
  ASSERT_TRUE(cluster_->Start(1).ok());
  const Finished finished = cluster_->Distlog({"--timeout=3s", "init", cluster_->endpoint(0),
                                               cluster_->endpoint(1), cluster_->endpoint(2)});
  EXPECT_NE(finished.status, 0);
  EXPECT_TRUE(IsOneSentence(finished.err)) << finished.err;
  EXPECT_THAT(finished.err, HasSubstr(cluster_->endpoint(2)));
  ASSERT_TRUE(cluster_->StartAll().ok());
  const absl::Status formed = cluster_->Form();
  ASSERT_TRUE(formed.ok()) << formed;
  ExpectUndisturbed();
}

TEST_F(BadInputTest, GarbageOnThePort) {
  StartCluster();
  if (HasFatalFailure()) return;
  std::mt19937 random(33);
  std::string noise(10'000, '\0');
  for (char& byte : noise) byte = static_cast<char>(random());
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const std::vector<std::string> garbage = {
      noise,
      "GET / HTTP/1.1\r\nHost: distlog\r\n\r\n",
      std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),
      preface + noise,
      preface + std::string("\xff\xff\xff\x04\x00\x00\x00\x00\x00", 9),
      std::string(1, '\0'),
      "",  // Connected, and silent.
  };
  std::vector<int> sockets;
  for (int round = 0; round < 5; ++round) {
    for (int replica = 0; replica < 3; ++replica) {
      for (const std::string& bytes : garbage) {
        sockets.push_back(Connect(cluster_->port(replica)));
        [[maybe_unused]] const ssize_t sent =
            send(sockets.back(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      }
    }
    ExpectUndisturbed();
  }
  for (const int fd : sockets) close(fd);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(cluster_->running(i)) << "server " << i + 1;
}

// Logging must never hold up the protocol: the pipe is full from the start.
TEST_F(BadInputTest, AReaderOfStandardErrorThatStopsReading) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  ASSERT_GT(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
  ASSERT_EQ(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  while (write(ends[1], "full\n", 5) > 0 || write(ends[1], "\n", 1) > 0) {
  }
  ASSERT_EQ(fcntl(ends[1], F_SETFL, 0), 0);

  cluster_ = std::make_unique<Cluster>(Cluster::Defaults(3));
  std::vector<std::unique_ptr<Process>> servers;
  for (int i = 0; i < 3; ++i) {
    Command command;
    command.arguments = {Binaries::OfTest().distlogd,
                         absl::StrCat("--data_dir=", cluster_->data_dir(i)),
                         absl::StrCat("--listen=", cluster_->endpoint(i))};
    command.stderr_fd = ends[1];
    servers.push_back(Process::Start(command));
  }
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Await([&] { return Listens(cluster_->port(i)); }));
  ASSERT_TRUE(cluster_->Form().ok());
  // Things worth logging: peers that go away and come back, and strangers.
  for (int round = 0; round < 10; ++round) {
    servers[round % 3]->Signal(SIGSTOP);
    const Finished append = cluster_->Distlog({"--timeout=60s", "append", "fine"});
    EXPECT_EQ(append.status, 0) << append.err;
    servers[round % 3]->Signal(SIGCONT);
    expected_ += "fine\n";
    close(Connect(cluster_->port(round % 3)));
  }
  const Finished read = cluster_->Distlog({"--timeout=60s", "read", "--raw"});
  EXPECT_EQ(read.out, expected_) << read.err;
  for (int i = 0; i < 3; ++i) {
    servers[i]->Signal(SIGTERM);
    EXPECT_EQ(servers[i]->Wait(), 0) << "server " << i + 1;
  }
  close(ends[0]);
  close(ends[1]);
}

// A directory put back from a backup has forgotten what its owner told others since.
TEST_F(BadInputTest, AMemberWithADirectoryFromABackupIsRefused) {
  StartCluster();
  if (HasFatalFailure()) return;
  ASSERT_EQ(cluster_->Distlog({"append", "one"}).status, 0);
  const int member = (Leader() + 1) % 3;
  ASSERT_EQ(cluster_->Terminate(member), 0);
  const std::string backup = cluster_->dir() + "/backup";
  std::filesystem::copy(cluster_->data_dir(member), backup,
                        std::filesystem::copy_options::recursive);
  ASSERT_TRUE(cluster_->Start(member).ok());
  ASSERT_EQ(cluster_->Distlog({"append", "two"}).status, 0);
  const auto equal = cluster_->AwaitEqual();
  ASSERT_TRUE(equal.ok()) << equal.status();
  ASSERT_EQ(cluster_->Terminate(member), 0);

  std::filesystem::remove_all(cluster_->data_dir(member));
  std::filesystem::rename(backup, cluster_->data_dir(member));
  cluster_->Launch(member);
  EXPECT_TRUE(Await([&] {
    return cluster_->server_log(member).find("member replace") != std::string::npos;
  })) << "it does not say what is wrong";
  const Finished read = cluster_->Distlog({"--timeout=60s", "read", "--raw"});
  EXPECT_EQ(read.out, "one\ntwo\n") << read.err;
}

// A member whose directory is gone has forgotten what it promised: it must not vote again.
TEST_F(BadInputTest, AMemberWithAWipedDirectoryNeverVotesAndSaysWhy) {
  StartCluster();
  if (HasFatalFailure()) return;
  ASSERT_EQ(cluster_->Distlog({"append", "one"}).status, 0);
  expected_ = "one\n";
  const int leader = Leader();
  const int wiped = (leader + 1) % 3;
  const int healthy = (leader + 2) % 3;
  ASSERT_EQ(cluster_->Terminate(wiped), 0);
  std::filesystem::remove_all(cluster_->data_dir(wiped));
  ASSERT_TRUE(cluster_->Start(wiped).ok());

  // With it, there would be a quorum. Without it, there is none.
  cluster_->Kill(healthy);
  const Finished append = cluster_->Distlog({"--timeout=4s", "append", "x"});
  EXPECT_EQ(append.status, 5) << append.err;
  const auto status = cluster_->Status(wiped);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_NE(Text(*status, "leader_id"), absl::StrCat(wiped + 1));
  EXPECT_THAT(cluster_->server_log(leader) + cluster_->server_log(wiped),
              ::testing::AnyOf(HasSubstr("member replace"), HasSubstr("another server"),
                               HasSubstr("uuid"), HasSubstr("UUID"), HasSubstr("incarnation")));

  ASSERT_TRUE(cluster_->Start(healthy).ok());
  const Finished after = cluster_->Distlog({"--timeout=60s", "append", "two"});
  EXPECT_EQ(after.status, 0) << after.err;
  const Finished read = cluster_->Distlog({"--timeout=60s", "read", "--raw"});
  EXPECT_EQ(read.out, "one\ntwo\n") << read.err;
}

}  // namespace
}  // namespace distlog
