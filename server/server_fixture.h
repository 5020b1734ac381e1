// Whole servers in one process, over loopback, for tests.

#ifndef DISTLOG_SERVER_SERVER_FIXTURE_H_
#define DISTLOG_SERVER_SERVER_FIXTURE_H_

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "proto/distlog/v1/cluster.grpc.pb.h"
#include "proto/distlog/v1/log.grpc.pb.h"
#include "server/server.h"
#include "server/server_options.h"

namespace distlog {

inline constexpr std::chrono::seconds kPatience{30};

inline std::string NewDirectory() {
  std::string dir = std::string(std::getenv("TEST_TMPDIR")) + "/XXXXXX";
  return mkdtemp(dir.data());
}

inline ServerOptions OptionsFor(const std::string& dir) {
  ServerOptions options;
  options.data_dir = dir;
  options.listen = {"127.0.0.1", 0};
  options.stop_timeout_ms = 500;
  return options;
}

inline std::unique_ptr<Server> StartIn(const std::string& dir) {
  auto server = Server::Start(OptionsFor(dir));
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

inline std::vector<std::string> AddressesOf(const std::vector<std::unique_ptr<Server>>& servers) {
  std::vector<std::string> addresses;
  for (const auto& server : servers) addresses.push_back(server->address());
  return addresses;
}

template <typename Service>
auto StubOf(const std::string& address) {
  return Service::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
}

struct Answer {
  grpc::Status status;
  v1::InitResponse response;
};

inline Answer Init(const std::string& asked, const std::vector<std::string>& addresses) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::InitRequest request;
  for (const std::string& address : addresses) request.add_addresses(address);
  Answer answer;
  answer.status = StubOf<v1::Cluster>(asked)->Init(&context, request, &answer.response);
  return answer;
}

inline v1::StatusResponse StatusOf(const std::string& asked) {
  grpc::ClientContext context;
  v1::StatusResponse response;
  const grpc::Status status = StubOf<v1::Cluster>(asked)->Status(&context, {}, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

inline grpc::Status Append(const std::string& asked, const std::string& payload) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::AppendRequest request;
  request.add_payloads(payload);
  v1::AppendResponse response;
  return StubOf<v1::Log>(asked)->Append(&context, request, &response);
}

inline void ExpectRefused(const Answer& answer, grpc::StatusCode code, const std::string& why) {
  EXPECT_EQ(answer.status.error_code(), code) << answer.status.error_message();
  EXPECT_NE(answer.status.error_message().find(why), std::string::npos)
      << answer.status.error_message();
}

class ServerTest : public testing::Test {
 protected:
  // Never ends: gRPC 1.51 may abort when the last user of its callbacks goes while others come.
  static void SetUpTestSuite() { StartIn(NewDirectory()).release(); }
  void StartServers(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      dirs_.push_back(NewDirectory());
      servers_.push_back(StartIn(dirs_.back()));
    }
    addresses_ = AddressesOf(servers_);
  }
  bool AllUnassigned() {
    for (const std::string& address : addresses_) {
      if (StatusOf(address).self().assigned()) return false;
    }
    return true;
  }

  std::vector<std::string> dirs_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<std::string> addresses_;
};

}  // namespace distlog

#endif  // DISTLOG_SERVER_SERVER_FIXTURE_H_
