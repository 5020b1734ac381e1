// A replica whose sealed segments are damaged serves every entry, by way of another member as long
// as its own disk has not got them, and repairs them from the others.

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "proto/distlog/v1/cluster.grpc.pb.h"
#include "tests/e2e/fixture.h"
#include "tests/e2e/load.h"

namespace distlog {
namespace {

namespace fs = std::filesystem;

constexpr int kDamaged = 0;

class RepairTest : public EndToEnd {
 protected:
  // Three equal replicas with some sealed segments, the first of which is stopped.
  void Prepare() {
    StartCluster(3, {"--segment_bytes=65536", "--heartbeat_interval_ms=50"});
    if (HasFatalFailure()) return;
    Load::Options options;
    options.endpoints = cluster_->endpoints();
    options.producers = 8;
    options.outstanding = 2;
    options.max_bytes = 400;
    options.pause = absl::ZeroDuration();
    Load load(options);
    ASSERT_TRUE(Await([&] { return Segments().size() >= 5; }));
    load.Stop();
    const auto equal = cluster_->AwaitEqual();
    ASSERT_TRUE(equal.ok()) << equal.status();
    const auto truth = ReadLocal(cluster_->endpoint(1));
    ASSERT_TRUE(truth.ok()) << truth.status();
    truth_ = *truth;
    cluster_->Kill(kDamaged);
  }

  // The directories of the first replica's segments, by slots. All but the last two are sealed.
  std::vector<std::string> Segments() const {
    std::vector<std::string> dirs;
    std::error_code ignored;
    for (const auto& entry :
         fs::directory_iterator(cluster_->data_dir(kDamaged) + "/segments", ignored)) {
      dirs.push_back(entry.path());
    }
    std::sort(dirs.begin(), dirs.end());
    return dirs;
  }

  // Flips a bit in the middle of each file of `dir` that ends so.
  static void Damage(const std::string& dir, const std::string& ending) {
    for (const auto& entry : fs::directory_iterator(dir)) {
      const std::string path = entry.path();
      if (!path.ends_with(ending) || fs::file_size(path) == 0) continue;
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      const auto middle = static_cast<std::streamoff>(fs::file_size(path) / 2);
      file.seekg(middle);
      const int byte = file.get();
      file.seekp(middle);
      file.put(static_cast<char>(byte ^ 1));
    }
  }
  // Wherever LevelDB has them.
  static void DamageRecords(const std::string& dir) {
    Damage(dir, ".ldb");
    Damage(dir, ".log");
  }

  v1::ServerStatus Status() const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    v1::StatusRequest request;
    request.set_self_only(true);
    v1::StatusResponse response;
    const auto channel =
        grpc::CreateChannel(cluster_->endpoint(kDamaged), grpc::InsecureChannelCredentials());
    v1::Cluster::NewStub(channel)->Status(&context, request, &response);
    return response.self();
  }

  void AwaitRepaired(uint64_t segments) {
    EXPECT_TRUE(Await([&] { return Status().repaired_segments() >= segments; }))
        << Status().DebugString();
    EXPECT_EQ(Status().damaged_segments_size(), 0);
  }

  void ExpectWhole() {
    const auto log = ReadLocal(cluster_->endpoint(kDamaged));
    ASSERT_TRUE(log.ok()) << log.status();
    ASSERT_EQ(log->size(), truth_.size());
    for (size_t i = 0; i < truth_.size(); ++i) {
      ASSERT_EQ((*log)[i].position, truth_[i].position);
      ASSERT_TRUE((*log)[i].payload == truth_[i].payload) << "position " << truth_[i].position;
    }
  }

  std::vector<ReadEntry> truth_;
};

TEST_F(RepairTest, TheScrubRepairsWhatItFindsAndTheRepairLasts) {
  Prepare();
  if (HasFatalFailure()) return;
  const std::vector<std::string> segments = Segments();
  DamageRecords(segments[0]);
  fs::remove(segments[1] + "/index");
  Damage(segments[2], "checkpoint");
  const absl::Status started = cluster_->Start(kDamaged, {"--scrub_bytes_per_second=1073741824"});
  ASSERT_TRUE(started.ok()) << started;
  AwaitRepaired(3);
  EXPECT_TRUE(Await([&] { return Status().scrub_completed_age_ms() >= 0; }));
  ExpectWhole();

  // By itself, and from its own disk.
  cluster_->KillAll();
  ASSERT_TRUE(cluster_->Start(kDamaged, {"--scrub_bytes_per_second=1073741824"}).ok());
  EXPECT_TRUE(Await([&] { return Status().scrub_completed_age_ms() >= 0; }));
  EXPECT_EQ(Status().damaged_segments_size(), 0);
  const auto alone = ReadLocal(cluster_->endpoint(kDamaged));
  ASSERT_TRUE(alone.ok()) << alone.status();
  EXPECT_TRUE(std::equal(alone->begin(), alone->end(), truth_.begin(),
                         [](const ReadEntry& a, const ReadEntry& b) {
                           return a.position == b.position && a.payload == b.payload;
                         }));
}

TEST_F(RepairTest, WhatIsLostIsReadFromAnotherMemberUntilItIsRepaired) {
  Prepare();
  if (HasFatalFailure()) return;
  const std::string segment = Segments()[1];
  DamageRecords(segment);
  // No scrub, so that the reader finds it; and a file where the copy is to be, so that it stays.
  const absl::Status started = cluster_->Start(kDamaged, {"--scrub_bytes_per_second=0"});
  ASSERT_TRUE(started.ok()) << started;
  std::ofstream(segment + ".1") << "in the way";
  ASSERT_TRUE(Await([&] { return cluster_->LastPosition(kDamaged) >= truth_.size(); }));
  ExpectWhole();
  EXPECT_TRUE(Await([&] {
    const v1::ServerStatus status = Status();
    return status.damaged_segments_size() == 1 &&
           !status.damaged_segments(0).repair_error().empty();
  })) << Status().DebugString();
  ExpectWhole();

  // Nobody has it: said, and never left out.
  cluster_->Kill(1);
  cluster_->Kill(2);
  const auto lost = ReadLocal(cluster_->endpoint(kDamaged));
  EXPECT_TRUE(absl::IsDataLoss(lost.status())) << lost.status();
  ASSERT_TRUE(cluster_->Start(1).ok());
  ASSERT_TRUE(cluster_->Start(2).ok());

  fs::remove(segment + ".1");
  AwaitRepaired(1);
  ExpectWhole();
}

}  // namespace
}  // namespace distlog
