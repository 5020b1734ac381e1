// The scrub over a store whose files are damaged under it: it finds the damage by itself, repairs
// it, goes on trying what it cannot repair, and hinders no reader.

#include "server/scrubber.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "log/fault_env.h"
#include "log/store_driver.h"

namespace distlog {
namespace {

using std::chrono::milliseconds;

constexpr paxos::Slot kSlots = 60;

class ScrubberTest : public testing::Test {
 protected:
  ScrubberTest() {
    Store::Options options;
    options.env = &env_;
    options.segment_bytes = 1500;
    options.window = 3;
    options.open_segments = 1;
    driver_ = std::make_unique<StoreDriver>(options, "/store");
    EXPECT_EQ(driver_->Start(), absl::OkStatus());
    while (driver_->sequencer().applied_through() < kSlots) {
      EXPECT_EQ(driver_->Append(3), absl::OkStatus());
    }
    // In tables, and closed but for one: what is open does not show that a file has gone.
    EXPECT_EQ(driver_->CheckAll(kSlots), absl::OkStatus());
    sealed_ = driver_->store()->sealed_segments();
    EXPECT_GE(sealed_.size(), 4u);
  }
  ~ScrubberTest() override { scrubber_.reset(); }

  static Scrubber::Options Quick() {
    return {.bytes_per_second = uint64_t{1} << 40,
            .reserve_bytes = 0,
            .look_interval = milliseconds(1),
            .retry_interval = milliseconds(1),
            .max_retry_interval = milliseconds(4)};
  }

  void StartScrub(const Scrubber::Options& options) {
    scrubber_ = std::make_unique<Scrubber>(
        options,
        Scrubber::World{.store = driver_->store(),
                        .fetch = [this](paxos::Slot first,
                                        paxos::Slot through) { return Fetch(first, through); },
                        .turn_to_next = [this] { ++turns_; },
                        .run_on_storage =
                            [this](std::function<absl::Status(Store*)> task) {
                              return task(driver_->store());
                            }});
  }

  absl::StatusOr<std::vector<paxos::AcceptedValue>> Fetch(paxos::Slot first, paxos::Slot through) {
    ++fetches_;
    if (peers_are_gone_) return absl::UnavailableError("the peers are gone");
    std::vector<paxos::AcceptedValue> values;
    for (paxos::Slot slot = first; slot <= through && values.size() < 4; ++slot) {
      values.push_back(
          {.slot = slot, .ballot = driver_->ballot, .value = StoreDriver::ValueOf(slot)});
    }
    return values;
  }

  std::string FileOf(size_t segment, const std::string& name) const {
    const std::string digits = absl::StrCat(sealed_[segment].first);
    return absl::StrCat("/store/segments/", std::string(20 - digits.size(), '0'), digits, "/",
                        name);
  }

  v1::ServerStatus Status() const {
    v1::ServerStatus status;
    scrubber_->FillStatus(&status);
    return status;
  }

  // Polls until `condition` holds of the status.
  template <typename Condition>
  void Await(const Condition& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition(Status())) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << Status().DebugString();
      std::this_thread::sleep_for(milliseconds(1));
    }
  }

  FaultEnv env_;
  std::unique_ptr<StoreDriver> driver_;
  std::vector<Store::SealedSegment> sealed_;
  std::atomic<bool> peers_are_gone_ = false;
  std::atomic<int> fetches_ = 0;
  std::atomic<int> turns_ = 0;
  std::unique_ptr<Scrubber> scrubber_;
};

TEST_F(ScrubberTest, AWholeStoreIsVerifiedAndLeftAsItIs) {
  const std::vector<std::string> before = env_.Files();
  StartScrub(Quick());
  Await([](const v1::ServerStatus& status) { return status.scrub_completed_age_ms() >= 0; });
  EXPECT_EQ(Status().repaired_segments(), 0u);
  EXPECT_EQ(Status().damaged_segments_size(), 0);
  EXPECT_EQ(fetches_, 0);
}

TEST_F(ScrubberTest, DamageIsFoundAndRepairedBeforeAnybodyReadsIt) {
  env_.SetContents(FileOf(1, "CURRENT"), "no such file\n");
  env_.SetContents(FileOf(2, "checkpoint"), "damage");
  StartScrub(Quick());
  Await([](const v1::ServerStatus& status) { return status.repaired_segments() == 2; });
  Await([](const v1::ServerStatus& status) {
    return status.damaged_segments_size() == 0 && status.scrub_completed_age_ms() >= 0;
  });
  EXPECT_GT(fetches_, 0);
  EXPECT_EQ(driver_->CheckAll(kSlots), absl::OkStatus());
  scrubber_.reset();
  EXPECT_EQ(driver_->store()->RemoveReplaced(), absl::OkStatus());
  EXPECT_FALSE(env_.FileExists(FileOf(1, "CURRENT")));
}

TEST_F(ScrubberTest, DamageIsFoundAgainInALaterRound) {
  Scrubber::Options options = Quick();
  options.round_interval = milliseconds(1);
  StartScrub(options);
  Await([](const v1::ServerStatus& status) { return status.scrub_completed_age_ms() >= 0; });
  env_.SetContents(FileOf(1, "index"), "damage");
  Await([](const v1::ServerStatus& status) { return status.repaired_segments() == 1; });
}

TEST_F(ScrubberTest, WithoutARateOnlyWhatReadersFindIsRepaired) {
  Scrubber::Options options = Quick();
  options.bytes_per_second = 0;
  env_.SetContents(FileOf(1, "CURRENT"), "no such file\n");
  env_.SetContents(FileOf(2, "CURRENT"), "no such file\n");
  StartScrub(options);
  EXPECT_TRUE(absl::IsDataLoss(
      driver_->store()->ReadSlots(sealed_[1].first, sealed_[1].first, 1).status()));
  Await([](const v1::ServerStatus& status) { return status.repaired_segments() == 1; });
  EXPECT_EQ(Status().scrub_completed_age_ms(), -1);
  EXPECT_EQ(driver_->store()->ReadSlots(sealed_[1].first, sealed_[1].first, 1).status(),
            absl::OkStatus());
  EXPECT_TRUE(absl::IsDataLoss(
      driver_->store()->ReadSlots(sealed_[2].first, sealed_[2].first, 1).status()));
}

TEST_F(ScrubberTest, WhatCannotBeRepairedIsToldAndTriedAgainElsewhere) {
  peers_are_gone_ = true;
  env_.SetContents(FileOf(1, "CURRENT"), "no such file\n");
  StartScrub(Quick());
  Await([this](const v1::ServerStatus&) { return turns_ > 3; });
  const v1::ServerStatus status = Status();
  ASSERT_EQ(status.damaged_segments_size(), 1);
  EXPECT_EQ(status.damaged_segments(0).first_slot(), sealed_[1].first);
  EXPECT_EQ(status.damaged_segments(0).last_slot(), sealed_[1].last);
  EXPECT_NE(status.damaged_segments(0).damage().find(FileOf(1, "")), std::string::npos)
      << status.damaged_segments(0).damage();
  EXPECT_EQ(status.damaged_segments(0).repair_error(), "the peers are gone");
  peers_are_gone_ = false;
  Await([](const v1::ServerStatus& status) { return status.repaired_segments() == 1; });
  EXPECT_EQ(Status().damaged_segments_size(), 0);
}

TEST_F(ScrubberTest, ReadersReadOnWhileSegmentsAreVerifiedAndReplaced) {
  Scrubber::Options options = Quick();
  options.round_interval = milliseconds(0);
  StartScrub(options);
  std::atomic<bool> stop = false;
  std::atomic<int> reads = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const absl::Status status = driver_->CheckAll(kSlots);
        // An index may be damaged at the moment; but nothing is ever read wrong.
        EXPECT_TRUE(status.ok() || absl::IsDataLoss(status)) << status;
        if (status.ok()) ++reads;
      }
    });
  }
  for (uint64_t repair = 1; repair <= 10; ++repair) {
    const std::string dir = FileOf(1, "");
    const std::string copy =
        repair == 1 ? dir : absl::StrCat(dir.substr(0, dir.size() - 1), ".", repair - 1, "/");
    env_.SetContents(copy + "index", "damage");
    Await([&](const v1::ServerStatus& status) { return status.repaired_segments() == repair; });
  }
  const int before = reads;
  Await([&](const v1::ServerStatus&) { return reads > before; });
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

TEST_F(ScrubberTest, StopsInTheMiddleOfASlowRound) {
  Scrubber::Options options = Quick();
  options.bytes_per_second = 1;
  env_.SetContents(FileOf(1, "CURRENT"), "no such file\n");
  StartScrub(options);
  Await([this](const v1::ServerStatus&) { return fetches_ > 0; });
  scrubber_->Stop();
  EXPECT_EQ(Status().repaired_segments(), 0u);
}

}  // namespace
}  // namespace distlog
