// The store when the power is cut, or a call of the file system fails, at each call that a history
// makes: what Write said is durable is there afterwards, and promises never fall.

#include <string>

#include "gtest/gtest.h"
#include "log/fault_env.h"
#include "log/store_driver.h"

namespace distlog {
namespace {

using Unsynced = FaultEnv::Unsynced;

// The longer histories are cut at every so many calls. An odd number, so that both kinds of cuts
// come up. Under a sanitizer a history takes many times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kStride = 15;
#else
constexpr uint64_t kStride = 3;
#endif

Store::Options Tiny(FaultEnv* env) {
  Store::Options options;
  options.env = env;
  options.segment_bytes = 1500;
  options.window = 3;
  options.open_segments = 1;
  return options;
}

// Formats, writes through three segments with marks, promises and peers, stops, and comes back.
absl::Status RunHistory(StoreDriver* driver) {
  absl::Status status = driver->Start();
  const auto then = [&status](const absl::Status& next) {
    if (status.ok()) status = next;
  };
  for (uint64_t round = 1; round <= 2 && status.ok(); ++round) {
    driver->ballot.round = 2 * round;
    then(driver->Promise({2 * round, paxos::ReplicaId{1}}));
    for (size_t i = 0; i < 6 && status.ok(); ++i) {
      then(driver->Append(1 + i % 4));
      if (status.ok() && i == 2) {
        then(driver->store()->SaveMark(driver->sequencer().applied_through()));
      }
      if (status.ok() && i == 4) then(driver->Promise({2 * round + 1, paxos::ReplicaId{2}}));
    }
    if (status.ok()) then(driver->store()->RememberPeer({round, round}, {round, round}));
    if (status.ok()) then(driver->Stop());
    if (status.ok()) then(driver->Start());
  }
  return status;
}

void ExpectWhole(StoreDriver* driver, const std::string& when) {
  SCOPED_TRACE(when);
  const paxos::Slot written = driver->written_through();
  const paxos::Ballot promised = driver->promised();
  const absl::Status started = driver->Start();
  ASSERT_EQ(started, absl::OkStatus());
  EXPECT_EQ(driver->CheckAll(written), absl::OkStatus());
  EXPECT_GE(driver->recovered().promised, promised);
  // And it goes on.
  driver->ballot.round = 100;
  EXPECT_EQ(driver->Append(20), absl::OkStatus());
  EXPECT_EQ(driver->Append(1), absl::OkStatus());
  EXPECT_EQ(driver->Stop(), absl::OkStatus());
  EXPECT_EQ(driver->Start(), absl::OkStatus());
  EXPECT_EQ(driver->CheckAll(written + 21), absl::OkStatus());
}

void CutPowerAtEachCall(Unsynced unsynced) {
  for (uint64_t call = 1;; ++call) {
    FaultEnv env;
    StoreDriver driver(Tiny(&env), "/store");
    env.FailFrom(call);
    const absl::Status status = RunHistory(&driver);
    driver.Drop();
    const bool is_through = env.calls() < call;
    env.CutPower(unsynced);
    ExpectWhole(&driver, "power cut at call " + std::to_string(call) + ": " + status.ToString());
    if (testing::Test::HasFailure() || is_through) {
      EXPECT_GT(call, 100u) << "the history is too short to say anything";
      return;
    }
  }
}

TEST(StoreCrashTest, APowerCutAtAnyCallLosesNothingDurableIfAllUnsyncedBytesAreLost) {
  CutPowerAtEachCall(Unsynced::kDropped);
}

TEST(StoreCrashTest, APowerCutAtAnyCallLosesNothingDurableIfUnsyncedBytesAreTorn) {
  CutPowerAtEachCall(Unsynced::kTorn);
}

TEST(StoreCrashTest, AKilledProcessLosesNothingDurable) { CutPowerAtEachCall(Unsynced::kKept); }

TEST(StoreCrashTest, APowerCutWhileLevelDbMovesRecordsToTablesLosesNothing) {
  // The smallest memtable that LevelDB takes is full after some 300 slots.
  for (uint64_t call = 1;; call += kStride) {
    FaultEnv env;
    Store::Options options;
    options.env = &env;
    options.segment_bytes = 200'000;
    options.memtable_bytes = 64 << 10;
    StoreDriver driver(options, "/store");
    ASSERT_EQ(driver.Start(), absl::OkStatus());
    const uint64_t before = env.calls();
    env.FailFrom(before + call);
    absl::Status status;
    for (int i = 0; i < 25 && status.ok(); ++i) status = driver.Append(60);
    driver.Drop();
    const bool is_through = env.calls() < before + call;
    env.CutPower(call % 2 == 0 ? Unsynced::kTorn : Unsynced::kDropped);
    ExpectWhole(&driver, "power cut at call " + std::to_string(call));
    if (HasFailure() || is_through) return;
  }
}

TEST(StoreCrashTest, APowerCutDuringRecoveryAfterAPowerCutLosesNothing) {
  uint64_t pairs = 0;
  for (uint64_t first = 1;; first += kStride) {
    for (uint64_t second = 1;; ++second) {
      FaultEnv env;
      StoreDriver driver(Tiny(&env), "/store");
      env.FailFrom(first);
      RunHistory(&driver).IgnoreError();
      driver.Drop();
      if (env.calls() < first) {
        EXPECT_GT(pairs, 3000 / kStride);
        return;
      }
      env.CutPower(Unsynced::kTorn);
      const uint64_t before = env.calls();
      env.FailFrom(before + second);
      driver.Start().IgnoreError();
      driver.Drop();
      if (env.calls() < before + second) break;
      env.CutPower(Unsynced::kTorn);
      ExpectWhole(&driver, "power cuts at call " + std::to_string(first) + " and at call " +
                               std::to_string(second) + " of recovery");
      if (HasFailure()) return;
      ++pairs;
    }
  }
}

TEST(StoreCrashTest, AfterAFailedWriteNothingIsAcknowledgedAnyMore) {
  // One call fails and the disk is well again at once: LevelDB would go on over the hole.
  int failures = 0;
  for (uint64_t call = 1;; ++call) {
    FaultEnv env;
    StoreDriver driver(Tiny(&env), "/store");
    ASSERT_EQ(driver.Start(), absl::OkStatus());
    const uint64_t before = env.calls();
    env.FailOnce(before + call);
    absl::Status status;
    for (int i = 0; i < 12 && status.ok(); ++i) status = driver.Append(3);
    if (!status.ok()) {
      ++failures;
      EXPECT_FALSE(driver.Append(1).ok()) << "call " << call;
      EXPECT_FALSE(driver.Promise({9, paxos::ReplicaId{1}}).ok()) << "call " << call;
      EXPECT_FALSE(driver.store()->SaveMark(1).ok()) << "call " << call;
    }
    driver.Drop();
    const bool is_through = env.calls() < before + call;
    env.CutPower(Unsynced::kDropped);
    ExpectWhole(&driver, "one failure at call " + std::to_string(call));
    if (testing::Test::HasFailure() || is_through) break;
  }
  EXPECT_GT(failures, 20);
}

TEST(StoreCrashTest, AFullDiskIsSaidAndLosesNothing) {
  FaultEnv env;
  StoreDriver driver(Tiny(&env), "/store");
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  ASSERT_EQ(driver.Append(4), absl::OkStatus());
  uint64_t free = 0;
  env.SetCapacity(1 << 20);
  ASSERT_TRUE(env.FreeBytes("/store", &free).ok());
  env.SetCapacity((1 << 20) - free + 3000);
  EXPECT_EQ(*driver.store()->FreeBytes(), 3000u);
  absl::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) status = driver.Append(3);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  env.SetCapacity(~uint64_t{0});
  EXPECT_FALSE(driver.Append(1).ok());
  driver.Drop();
  env.CutPower(Unsynced::kDropped);
  ExpectWhole(&driver, "full disk");
}

TEST(StoreCrashTest, WithoutSyncingAPowerCutIsFoundOut) {
  // The tests above could fail: a store that does not sync loses what it acknowledged.
  FaultEnv env;
  Store::Options options = Tiny(&env);
  options.unsafe_no_sync = true;
  StoreDriver driver(options, "/store");
  ASSERT_EQ(RunHistory(&driver), absl::OkStatus());
  const paxos::Slot written = driver.written_through();
  driver.Drop();
  env.CutPower(Unsynced::kDropped);
  EXPECT_FALSE(driver.Start().ok() && driver.CheckAll(written).ok());
}

}  // namespace
}  // namespace distlog
