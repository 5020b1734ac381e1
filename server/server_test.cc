// Forming clusters out of whole servers, and refusing to.

#include "server/server.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/formation.h"
#include "server/peer_service.h"
#include "server/server_fixture.h"
#include "server/server_options.h"

namespace distlog {
namespace {

v1::AssignRequest RequestOf(const paxos::Configuration& genesis) {
  v1::AssignRequest request;
  *request.mutable_genesis() = GenesisToProto(genesis);
  return request;
}

// `init` answers when a leader serves; again until the log holds an entry; then no more.
TEST_F(ServerTest, ThreeEmptyServersFormAClusterOnce) {
  StartServers(3);
  EXPECT_TRUE(AllUnassigned());
  const Answer first = Init(addresses_[0], addresses_);
  ASSERT_TRUE(first.status.ok()) << first.status.error_message();
  EXPECT_TRUE(first.response.formed());
  EXPECT_NE(first.response.leader_id(), 0);
  const Answer again = Init(addresses_[1], {addresses_[2], addresses_[1], addresses_[0]});
  ASSERT_TRUE(again.status.ok()) << again.status.error_message();
  EXPECT_FALSE(again.response.formed());
  EXPECT_EQ(again.response.cluster_id(), first.response.cluster_id());

  const grpc::Status appended = Append(addresses_[2], "an entry");
  ASSERT_TRUE(appended.ok()) << appended.error_message();
  ExpectRefused(Init(addresses_[0], addresses_), grpc::StatusCode::FAILED_PRECONDITION,
                "already formed");
  ExpectRefused(Init(addresses_[0], {addresses_[0]}), grpc::StatusCode::FAILED_PRECONDITION,
                "formed of other addresses");

  const v1::StatusResponse status = StatusOf(addresses_[0]);
  ASSERT_EQ(status.members_size(), 3);
  for (const v1::MemberStatus& member : status.members()) {
    EXPECT_TRUE(member.reachable()) << member.unreachable_reason();
    EXPECT_EQ(member.status().replica_id(), member.id());
  }
}

// The id of a cluster is the hash of its first members: whoever asks first, it is the same cluster.
TEST_F(ServerTest, TwoInitsAtOnceFormOneCluster) {
  StartServers(3);
  Answer one, two;
  std::thread other([&] { two = Init(addresses_[1], addresses_); });
  one = Init(addresses_[0], addresses_);
  other.join();
  ASSERT_TRUE(one.status.ok()) << one.status.error_message();
  ASSERT_TRUE(two.status.ok()) << two.status.error_message();
  EXPECT_EQ(one.response.cluster_id(), two.response.cluster_id());
}

// An init that was interrupted between two servers: the one that was missed gets the genesis from
// the others.
TEST_F(ServerTest, AServerThatInitMissedIsAssignedByItsPeers) {
  StartServers(3);
  const Deadline deadline = std::chrono::steady_clock::now() + kPatience;
  std::vector<v1::ProbeResponse> answers;
  for (const std::string& address : addresses_) {
    const auto answer = ProbeServer(address, deadline);
    ASSERT_TRUE(answer.ok()) << answer.status();
    answers.push_back(*answer);
  }
  const auto genesis = PlanGenesis(addresses_, answers);
  ASSERT_TRUE(genesis.ok()) << genesis.status();
  ASSERT_TRUE(*AssignServer(addresses_[0], RequestOf(*genesis), deadline));
  ASSERT_TRUE(*AssignServer(addresses_[1], RequestOf(*genesis), deadline));
  ASSERT_FALSE(*AssignServer(addresses_[1], RequestOf(*genesis), deadline)) << "the same again";
  while (!StatusOf(addresses_[2]).self().assigned()) std::this_thread::yield();
  const Answer finished = Init(addresses_[0], addresses_);
  EXPECT_TRUE(finished.status.ok()) << finished.status.error_message();
  EXPECT_FALSE(finished.response.formed());
}

// A refused init names the address and leaves every server as it was.
TEST_F(ServerTest, AWrongInitChangesNothing) {
  StartServers(2);
  const std::string nobody = "127.0.0.1:1";
  ExpectRefused(Init(addresses_[0], {}), grpc::StatusCode::INVALID_ARGUMENT, "address");
  ExpectRefused(Init(addresses_[0], {addresses_[0], addresses_[0]}),
                grpc::StatusCode::INVALID_ARGUMENT, addresses_[0] + " is given twice");
  ExpectRefused(Init(addresses_[0], {addresses_[1]}), grpc::StatusCode::INVALID_ARGUMENT,
                "advertises " + addresses_[0]);
  ExpectRefused(Init(addresses_[0], {addresses_[0], "here"}), grpc::StatusCode::INVALID_ARGUMENT,
                "\"here\"");
  ExpectRefused(Init(addresses_[0], {addresses_[0], addresses_[1], nobody}),
                grpc::StatusCode::UNAVAILABLE, nobody + " cannot be reached: connection refused");
  const std::string alias = "localhost" + addresses_[1].substr(addresses_[1].rfind(':'));
  ExpectRefused(Init(addresses_[0], {addresses_[0], alias}), grpc::StatusCode::FAILED_PRECONDITION,
                "advertises " + addresses_[1]);
  EXPECT_TRUE(AllUnassigned());
}

TEST_F(ServerTest, AServerOfAnotherClusterIsNotTaken) {
  StartServers(2);
  ASSERT_TRUE(Init(addresses_[0], {addresses_[0]}).status.ok());
  ExpectRefused(Init(addresses_[1], addresses_), grpc::StatusCode::FAILED_PRECONDITION,
                addresses_[0] + " belongs to another cluster");
  EXPECT_FALSE(StatusOf(addresses_[1]).self().assigned());
}

// --dev. After a restart the cluster is there again, with what was appended.
TEST_F(ServerTest, ADevServerIsAClusterByItselfAndComesBack) {
  ServerOptions options = OptionsFor(NewDirectory());
  options.dev = true;
  {
    auto server = Server::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    options.listen = *ParseHostPort((*server)->address());
    EXPECT_TRUE(StatusOf((*server)->address()).self().assigned());
    grpc::Status appended;
    do {
      appended = Append((*server)->address(), "an entry");
    } while (appended.error_code() == grpc::StatusCode::UNAVAILABLE);
    EXPECT_TRUE(appended.ok()) << appended.error_message();
    (*server)->Stop();
  }
  auto server = Server::Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  // The log is recovered before it serves, and published by the loop soon after.
  while (StatusOf((*server)->address()).self().last_position() < 1) std::this_thread::yield();
  EXPECT_NE((*server)->Describe().find("replica 1"), std::string::npos) << (*server)->Describe();
}

// What a peer has found regressed must not come back: each start raises the start counter, until
// peers could not tell it any more.
TEST_F(ServerTest, ADirectoryThatWasFoundRegressedIsNeverServedAgain) {
  const std::string dir = NewDirectory();
  StartIn(dir)->Stop();
  std::ofstream(dir + "/REGRESSED") << "replica 1 has regressed.";
  const auto server = Server::Start(OptionsFor(dir));
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.status().message(),
            "data directory " + dir + " must not be used again: replica 1 has regressed.");
}

// As an operator who looks at `top -H` or at a core dump wants it.
TEST_F(ServerTest, ThreadsHaveNames) {
  StartServers(1);
  std::set<std::string> missing = {"event-loop", "storage",      "supplier", "reader",
                                   "dialer",     "leader-watch", "spread"};
  // A thread names itself when it begins to run.
  while (!missing.empty()) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::string name;
      std::getline(std::ifstream(task.path() / "comm") >> std::ws, name);
      missing.erase(name);
    }
  }
}

// Two servers can share neither a directory nor a port, and the second one says so.
TEST_F(ServerTest, ADirectoryOrPortInUseIsRefused) {
  StartServers(1);
  const auto same_dir = Server::Start(OptionsFor(dirs_[0]));
  ASSERT_FALSE(same_dir.ok());
  EXPECT_NE(same_dir.status().message().find(dirs_[0]), absl::string_view::npos)
      << same_dir.status();
  ServerOptions same_port = OptionsFor(NewDirectory());
  same_port.listen = *ParseHostPort(addresses_[0]);
  const auto second = Server::Start(same_port);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find(addresses_[0]), absl::string_view::npos)
      << second.status();
  EXPECT_FALSE(StatusOf(addresses_[0]).self().assigned());
}

}  // namespace
}  // namespace distlog
