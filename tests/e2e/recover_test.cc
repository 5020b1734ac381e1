// Two of three data directories are lost for good: `distlog recover` makes a cluster of the third,
// with all that was acknowledged through it, and the other two never come back into it.

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "proto/distlog/v1/log.grpc.pb.h"
#include "tests/e2e/fixture.h"
#include "tests/e2e/load.h"
#include "wire/status.h"

namespace distlog {
namespace {

namespace fs = std::filesystem;

// The one that is left.
constexpr int kLeft = 2;

class RecoverTest : public EndToEnd {
 protected:
  std::string ClusterId(int replica) {
    const auto status = cluster_->Status(replica);
    return status.ok() ? Text(*status, "cluster_id") : status.status().ToString();
  }

  // A formed cluster that holds these lines, everywhere, and its id.
  void StartWith(const std::string& lines) {
    StartCluster(3, {"--heartbeat_interval_ms=50"});
    if (HasFatalFailure()) return;
    const Finished appended = cluster_->Distlog({"append", "--lines", "--quiet"}, lines);
    ASSERT_EQ(appended.status, 0) << appended.err;
    ExpectEverywhere(lines);
    cluster_id_ = ClusterId(kLeft);
  }

  Finished Plan(const std::vector<std::string>& dirs) {
    std::vector<std::string> arguments = {"recover", "--plan"};
    arguments.insert(arguments.end(), dirs.begin(), dirs.end());
    return cluster_->Distlog(arguments);
  }

  void Recover() {
    const Finished applied = cluster_->Distlog(
        {"recover", "--apply", absl::StrCat("--confirm=", cluster_id_.substr(0, 8)),
         "--output=json", cluster_->data_dir(kLeft)});
    ASSERT_EQ(applied.status, 0) << applied.err;
    const auto json = ParseJson(applied.out);
    ASSERT_TRUE(json.ok()) << json.status() << applied.out;
    plan_ = *json;
    ASSERT_TRUE(cluster_->Start(kLeft).ok());
    EXPECT_EQ(Leader(), kLeft);
  }

  std::string cluster_id_;
  Json plan_;
};

TEST_F(RecoverTest, TheOneThatIsLeftGoesOnAndTheOthersNeverComeBack) {
  std::string lines;
  for (int i = 1; i <= 300; ++i) absl::StrAppend(&lines, "line ", i, "\n");
  StartWith(lines);
  if (HasFatalFailure()) return;
  cluster_->KillAll();
  for (const int lost : {0, 1}) {
    fs::rename(cluster_->data_dir(lost), absl::StrCat(cluster_->dir(), "/copy", lost));
  }
  const std::string left = cluster_->data_dir(kLeft);

  const Finished plan = Plan({left});
  EXPECT_EQ(plan.status, 0) << plan.err;
  EXPECT_NE(plan.out.find("positions 1 to 300"), std::string::npos) << plan.out;
  EXPECT_NE(plan.out.find("are lost"), std::string::npos) << plan.out;
  // Typed wrongly, and not at all.
  for (const std::string typed : {"12345678\n", ""}) {
    const Finished refused = cluster_->Distlog({"recover", "--apply", left}, typed);
    EXPECT_EQ(refused.status, 4) << refused.err;
    EXPECT_NE(refused.err.find("nothing was changed"), std::string::npos) << refused.err;
  }
  const Finished applied =
      cluster_->Distlog({"recover", "--apply", left}, cluster_id_.substr(0, 8) + "\n");
  ASSERT_EQ(applied.status, 0) << applied.err;
  EXPECT_NE(applied.out.find("of replica 4 alone"), std::string::npos) << applied.out;

  ASSERT_TRUE(cluster_->Start(kLeft).ok());
  ASSERT_EQ(Leader(), kLeft);
  EXPECT_NE(ClusterId(kLeft), cluster_id_);
  const std::string endpoints = "--endpoints=" + cluster_->endpoint(kLeft);
  const Finished status = cluster_->Distlog({endpoints, "status"});
  EXPECT_NE(status.out.find(absl::StrCat("recovered from cluster ", cluster_id_.substr(0, 16),
                                         ": positions through 300 are the same there")),
            std::string::npos)
      << status.out;
  Finished read = cluster_->Distlog({endpoints, "read", "--raw"});
  EXPECT_EQ(read.status, 0) << read.err;
  EXPECT_EQ(read.out, lines);
  const Finished appended = cluster_->Distlog({endpoints, "append", "after"});
  EXPECT_EQ(appended.out, "301\n") << appended.err;

  // The others are whole copies, and a quorum: they end, and so does each further start of them.
  for (const int lost : {0, 1}) {
    fs::rename(absl::StrCat(cluster_->dir(), "/copy", lost), cluster_->data_dir(lost));
  }
  for (int start = 0; start < 2; ++start) {
    for (const int lost : {0, 1}) cluster_->Launch(lost);
    for (const int lost : {0, 1}) {
      EXPECT_NE(cluster_->process(lost)->Wait(), 0);
      EXPECT_NE(cluster_->server_log(lost).find("was recovered without it"), std::string::npos);
    }
  }
  // Restarted, the one that is left is what it was.
  cluster_->Kill(kLeft);
  ASSERT_TRUE(cluster_->Start(kLeft).ok());
  ASSERT_EQ(Leader(), kLeft);
  read = cluster_->Distlog({endpoints, "read", "--raw"});
  EXPECT_EQ(read.out, lines + "after\n") << read.err;
}

TEST_F(RecoverTest, AllThatWasAcknowledgedThroughTheOneThatIsLeftIsThere) {
  StartCluster(3, {"--heartbeat_interval_ms=50"});
  if (HasFatalFailure()) return;
  cluster_id_ = ClusterId(kLeft);
  // From now on a quorum is the two others: what is acknowledged is on both disks.
  cluster_->Kill(0);
  Load::Options options;
  options.endpoints = absl::StrCat(cluster_->endpoint(1), ",", cluster_->endpoint(kLeft));
  options.timeout = absl::Seconds(2);
  Load load(options);
  ASSERT_TRUE(load.AwaitProgress(2000));
  cluster_->KillAll();
  load.Stop();
  for (const int lost : {0, 1}) fs::remove_all(cluster_->data_dir(lost));
  Recover();
  if (HasFatalFailure()) return;
  const auto log = ReadLocal(cluster_->endpoint(kLeft));
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ(log->size(), Number(plan_, "last_position"));
  const absl::Status kept = load.history().Check(*log);
  EXPECT_TRUE(kept.ok()) << kept;
  EXPECT_GE(load.history().acknowledged(), 2000u);
}

TEST_F(RecoverTest, ARequestThatNamesTheParentIsToldWhereTheyPart) {
  StartWith("a\nb\nc\n");
  if (HasFatalFailure()) return;
  cluster_->KillAll();
  Recover();
  if (HasFatalFailure()) return;
  v1::EndRequest request;
  request.set_cluster_id(absl::HexStringToBytes(cluster_id_));
  v1::EndResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  const auto channel =
      grpc::CreateChannel(cluster_->endpoint(kLeft), grpc::InsecureChannelCredentials());
  const absl::Status status =
      FromGrpc(v1::Log::NewStub(channel)->End(&context, request, &response));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  ASSERT_TRUE(DetailOf(status).has_value()) << status;
  EXPECT_EQ(DetailOf(status)->reason(), v1::ErrorDetail::REASON_RECOVERED);
  EXPECT_EQ(DetailOf(status)->divergence_position(), Number(plan_, "shared_position"));
  EXPECT_EQ(absl::BytesToHexString(DetailOf(status)->cluster_id()),
            Text(plan_, "recovered.cluster_id"));
}

TEST_F(RecoverTest, WhatIsRefusedChangesNothing) {
  StartWith("a\nb\n");
  if (HasFatalFailure()) return;
  const std::string left = cluster_->data_dir(kLeft);
  const auto expect_refused = [&](const std::vector<std::string>& dirs, const std::string& why) {
    std::vector<std::string> arguments = {"recover", "--apply",
                                          "--confirm=" + cluster_id_.substr(0, 8)};
    arguments.insert(arguments.end(), dirs.begin(), dirs.end());
    const Finished refused = cluster_->Distlog(arguments);
    EXPECT_EQ(refused.status, 4) << refused.err;
    EXPECT_TRUE(IsOneSentence(refused.err)) << refused.err;
    EXPECT_NE(refused.err.find(why), std::string::npos) << refused.err;
  };
  expect_refused({left}, "is in use");
  cluster_->KillAll();
  expect_refused({left, left + "/"}, "given twice");
  expect_refused({left, cluster_->data_dir(0)}, "start their servers, and nothing is lost");
  expect_refused({cluster_->dir()}, "is not a distlog store");
  expect_refused({left + "/nowhere"}, "cannot be read");
  ASSERT_TRUE(cluster_->StartAll().ok());
  ExpectEverywhere("a\nb\n");
  EXPECT_EQ(ClusterId(kLeft), cluster_id_);
}

}  // namespace
}  // namespace distlog
