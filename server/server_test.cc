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

// ---- Members -----------------------------------------------------------------------------------

class MembersTest : public ServerTest {
 protected:
  template <typename Request, typename Response>
  using Method = grpc::Status (v1::Cluster::StubInterface::*)(grpc::ClientContext*, const Request&,
                                                              Response*);

  // Calls until there is a leader that answers.
  template <typename Request, typename Response>
  grpc::Status Call(const std::string& asked, Method<Request, Response> method,
                    const Request& request, Response* response) {
    for (;;) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + kPatience);
      const auto stub = StubOf<v1::Cluster>(asked);
      const grpc::Status status = (stub.get()->*method)(&context, request, response);
      if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return status;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  template <typename Request>
  grpc::Status Change(const std::string& asked, Method<Request, v1::ChangeResponse> method,
                      Request request, v1::ChangeResponse* response) {
    request.mutable_options()->set_nonce(++nonce_);
    return Call(asked, method, request, response);
  }
  // Asks for the change, and waits until its operation is done.
  template <typename Request>
  void Do(const std::string& asked, Method<Request, v1::ChangeResponse> method, Request request) {
    v1::ChangeResponse response;
    const grpc::Status status = Change(asked, method, std::move(request), &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_GT(response.operation_id(), 0) << response.plan().ShortDebugString();
    v1::OperationsRequest ask;
    ask.set_id(response.operation_id());
    for (;;) {
      v1::OperationsResponse answer;
      const grpc::Status told = Call(asked, &v1::Cluster::StubInterface::Operations, ask, &answer);
      if (!told.ok()) continue;
      const v1::Operation& operation = answer.operations(0);
      ASSERT_NE(operation.phase(), v1::Operation::PHASE_FAILED) << operation.cause();
      if (operation.phase() == v1::Operation::PHASE_DONE) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  void Add(const std::string& asked, const std::string& address) {
    v1::AddMemberRequest request;
    request.set_address(address);
    Do(asked, &v1::Cluster::StubInterface::AddMember, request);
  }
  void AppendSome(const std::string& asked, int count) {
    for (int i = 0; i < count; ++i) {
      while (!Append(asked, "entry").ok()) std::this_thread::yield();
      ++appended_;
    }
  }
  void UntilApplied(const std::string& address) {
    while (StatusOf(address).self().last_position() < appended_) std::this_thread::yield();
  }
  void UntilLastError(const std::string& address, const std::string& words) {
    while (StatusOf(address).self().last_error().find(words) == std::string::npos) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  // A cluster of the first `members` of `servers`.
  void Form(size_t members, size_t servers) {
    StartServers(servers);
    const std::vector<std::string> first(addresses_.begin(), addresses_.begin() + members);
    const Answer formed = Init(addresses_[0], first);
    ASSERT_TRUE(formed.status.ok()) << formed.status.error_message();
  }
  uint64_t IdOf(const std::string& address) { return StatusOf(address).self().replica_id(); }

  uint64_t nonce_ = 0;
  uint64_t appended_ = 0;
};

// It learns all that was, takes its seat by itself, and comes back after a restart with what it
// holds, though its genesis does not name it.
TEST_F(MembersTest, ANewcomerBecomesAVoter) {
  Form(3, 4);
  AppendSome(addresses_[0], 5);
  Add(addresses_[1], addresses_[3]);
  UntilApplied(addresses_[3]);
  EXPECT_EQ(IdOf(addresses_[3]), 4);
  const v1::StatusResponse status = StatusOf(addresses_[0]);
  ASSERT_EQ(status.members_size(), 4);
  EXPECT_TRUE(status.members(3).voter());
  ServerOptions options = OptionsFor(dirs_[3]);
  options.listen = *ParseHostPort(addresses_[3]);
  servers_[3]->Stop();
  servers_[3].reset();
  servers_[3] = *Server::Start(options);
  EXPECT_NE(servers_[3]->Describe().find("replica 4"), std::string::npos);
  AppendSome(addresses_[3], 1);
  UntilApplied(addresses_[3]);
}

// The whole cluster moves to other machines, and the old ones are destroyed the moment it is done.
TEST_F(MembersTest, AClusterMovesToOtherMachinesAsAWhole) {
  Form(3, 6);
  AppendSome(addresses_[0], 3);
  v1::SetMembersRequest request;
  for (size_t i = 3; i < 6; ++i) request.add_addresses(addresses_[i]);
  // Asked of one that leaves, the end could not be told.
  v1::ChangeResponse response;
  ASSERT_TRUE(
      Change(addresses_[0], &v1::Cluster::StubInterface::SetMembers, request, &response).ok());
  const auto is_over = [&] {
    const v1::StatusResponse status = StatusOf(addresses_[5]);
    return status.members_size() == 3 && status.members(0).id() == 4 && status.self().settled();
  };
  while (!is_over()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  for (size_t i = 0; i < 3; ++i) {
    servers_[i].reset();
    std::filesystem::remove_all(dirs_[i]);
  }
  AppendSome(addresses_[4], 3);
  for (size_t i = 3; i < 6; ++i) UntilApplied(addresses_[i]);
}

// Who was removed says so, refuses everything else, and cannot be added again as it is.
TEST_F(MembersTest, OneThatWasRemovedSaysSo) {
  Form(3, 3);
  v1::RemoveMemberRequest request;
  request.set_id(IdOf(addresses_[2]));
  Do(addresses_[0], &v1::Cluster::StubInterface::RemoveMember, request);
  UntilLastError(addresses_[2], "it was removed; delete its data directory");
  EXPECT_TRUE(StatusOf(addresses_[2]).self().has_left());
  EXPECT_EQ(StatusOf(addresses_[0]).members_size(), 2);
  grpc::Status append;
  do {
    append = Append(addresses_[2], "refused");
  } while (append.error_message().find("it was removed") == std::string::npos);
  EXPECT_EQ(append.error_code(), grpc::StatusCode::UNAVAILABLE);
  v1::AddMemberRequest again;
  again.set_address(addresses_[2]);
  v1::ChangeResponse response;
  const grpc::Status refused =
      Change(addresses_[0], &v1::Cluster::StubInterface::AddMember, again, &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_NE(refused.error_message().find("was a member of this cluster once"), std::string::npos)
      << refused.error_message();
}

// A wiped directory at a member's address never votes; both it and the members say what to do, and
// that brings it back.
TEST_F(MembersTest, AWipedMemberIsReplacedAtItsOwnAddress) {
  Form(3, 3);
  AppendSome(addresses_[0], 3);
  const uint64_t lost = IdOf(addresses_[2]);
  ServerOptions options = OptionsFor(NewDirectory());
  options.listen = *ParseHostPort(addresses_[2]);
  servers_[2].reset();
  servers_[2] = *Server::Start(options);
  const std::string remedy = "distlog member replace " + std::to_string(lost) + " " + addresses_[2];
  UntilLastError(addresses_[2], remedy);
  EXPECT_FALSE(StatusOf(addresses_[2]).self().assigned());
  v1::ReplaceMemberRequest request;
  request.set_id(lost);
  request.set_address(addresses_[2]);
  Do(addresses_[0], &v1::Cluster::StubInterface::ReplaceMember, request);
  UntilApplied(addresses_[2]);
  EXPECT_EQ(IdOf(addresses_[2]), 4);
}

// What is refused leaves nothing in the log, and --dry_run neither.
TEST_F(MembersTest, WhatIsRefusedChangesNothing) {
  Form(2, 3);
  AppendSome(addresses_[0], 1);
  const auto slots = [&] {
    return std::max(StatusOf(addresses_[0]).self().chosen_through(),
                    StatusOf(addresses_[1]).self().chosen_through());
  };
  const uint64_t before = slots();
  v1::AddMemberRequest add;
  add.set_address(addresses_[1]);
  v1::ChangeResponse response;
  EXPECT_EQ(
      Change(addresses_[0], &v1::Cluster::StubInterface::AddMember, add, &response).error_code(),
      grpc::StatusCode::FAILED_PRECONDITION);
  add.set_address("nonsense");
  EXPECT_EQ(
      Change(addresses_[0], &v1::Cluster::StubInterface::AddMember, add, &response).error_code(),
      grpc::StatusCode::INVALID_ARGUMENT);
  add.set_address(addresses_[2]);
  add.mutable_options()->set_expect_version(7);
  EXPECT_EQ(
      Change(addresses_[0], &v1::Cluster::StubInterface::AddMember, add, &response).error_code(),
      grpc::StatusCode::ABORTED);
  add.mutable_options()->clear_expect_version();
  add.mutable_options()->set_dry_run(true);
  EXPECT_TRUE(Change(addresses_[1], &v1::Cluster::StubInterface::AddMember, add, &response).ok());
  EXPECT_EQ(response.plan().refusal(), "");
  EXPECT_EQ(response.plan().steps_size(), 3);
  v1::RemoveMemberRequest remove;
  remove.set_id(9);
  EXPECT_EQ(Change(addresses_[0], &v1::Cluster::StubInterface::RemoveMember, remove, &response)
                .error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  v1::CancelOperationRequest cancel;
  cancel.set_id(3);
  v1::CancelOperationResponse cancelled;
  EXPECT_EQ(Call(addresses_[0], &v1::Cluster::StubInterface::CancelOperation, cancel, &cancelled)
                .error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(slots(), before);
  EXPECT_FALSE(StatusOf(addresses_[2]).self().assigned());
}

TEST_F(MembersTest, TheLeadGoesWhereItIsSent) {
  Form(3, 3);
  const uint64_t leader = StatusOf(addresses_[0]).self().leader_id();
  v1::TransferLeadershipRequest request;
  request.set_to(leader % 3 + 1);
  v1::TransferLeadershipResponse response;
  grpc::Status status;
  do {
    status =
        Call(addresses_[0], &v1::Cluster::StubInterface::TransferLeadership, request, &response);
  } while (!status.ok());
  EXPECT_EQ(response.to_id(), request.to());
  EXPECT_GT(response.ballot().round(), 1);
  request.set_to(17);
  EXPECT_EQ(Call(addresses_[0], &v1::Cluster::StubInterface::TransferLeadership, request, &response)
                .error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

}  // namespace
}  // namespace distlog
