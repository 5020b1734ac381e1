// A sealed segment that is damaged is found by the scrub and rebuilt from what others have chosen,
// whatever the damage; a crash on the way leaves the old or the new; and what was not chosen is
// never taken for it.

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "log/fault_env.h"
#include "log/store_driver.h"

namespace distlog {
namespace {

using Files = std::map<std::string, std::string>;
using Unsynced = FaultEnv::Unsynced;

constexpr paxos::Slot kSlots = 60;
constexpr paxos::Ballot kPromised{50, paxos::ReplicaId{3}};

Store::Options Tiny(FaultEnv* env) {
  Store::Options options;
  options.env = env;
  options.segment_bytes = 1500;
  options.window = 3;
  options.open_segments = 1;
  return options;
}

// A stopped store of several sealed segments.
const Files& WholeStore() {
  static const Files* const files = [] {
    FaultEnv env;
    StoreDriver driver(Tiny(&env), "/store");
    EXPECT_EQ(driver.Start(), absl::OkStatus());
    while (driver.sequencer().applied_through() < kSlots) {
      EXPECT_EQ(driver.Append(3), absl::OkStatus());
    }
    EXPECT_EQ(driver.Promise(kPromised), absl::OkStatus());
    EXPECT_EQ(driver.Stop(), absl::OkStatus());
    // Opened again, each sealed segment has its records in a table, and not in LevelDB's log.
    EXPECT_EQ(driver.Start(), absl::OkStatus());
    EXPECT_EQ(driver.CheckAll(kSlots), absl::OkStatus());
    EXPECT_EQ(driver.Stop(), absl::OkStatus());
    auto* const files = new Files;
    for (const std::string& path : env.Files()) (*files)[path] = env.Contents(path);
    return files;
  }();
  return *files;
}

// The replica whose disk is damaged, and what it is offered.
struct Damaged {
  explicit Damaged(const Files& files) : driver(Tiny(&env), "/store") {
    for (const auto& [path, contents] : files) env.SetContents(path, contents);
  }

  absl::Status Start() {
    const absl::Status status = driver.Start();
    if (status.ok()) segments = driver.store()->sealed_segments();
    return status;
  }

  // What another replica has: the same values, at other ballots.
  absl::StatusOr<std::vector<paxos::AcceptedValue>> Fetch(paxos::Slot first, paxos::Slot through) {
    ++fetched;
    std::vector<paxos::AcceptedValue> values;
    for (paxos::Slot slot = first; slot <= through && values.size() < 4; ++slot) {
      values.push_back({.slot = slot, .ballot = ballot, .value = StoreDriver::ValueOf(slot)});
    }
    return values;
  }

  Store::FetchChosen Fetcher() {
    return [this](paxos::Slot first, paxos::Slot through) { return Fetch(first, through); };
  }

  std::vector<paxos::Slot> Scrub() {
    std::vector<paxos::Slot> damaged;
    for (const Store::SealedSegment& segment : segments) {
      const absl::Status status = driver.store()->CheckSealed(segment.first, nullptr);
      if (absl::IsDataLoss(status)) damaged.push_back(segment.first);
      if (!status.ok() && !absl::IsDataLoss(status)) trouble = status;
    }
    return damaged;
  }

  absl::Status Repair(paxos::Slot first) {
    const auto rebuilt = driver.store()->Rebuild(first, Fetcher(), /*reserve_bytes=*/0, nullptr);
    if (!rebuilt.ok()) return rebuilt.status();
    return driver.store()->Adopt(**rebuilt);
  }

  // Scrubs and repairs until nothing is damaged.
  absl::Status RepairAll() {
    for (const paxos::Slot first : Scrub()) {
      const absl::Status status = Repair(first);
      if (!status.ok()) return status;
    }
    if (!trouble.ok()) return trouble;
    return driver.store()->RemoveReplaced();
  }

  void ExpectWhole(const std::string& what) {
    SCOPED_TRACE(what);
    EXPECT_EQ(Scrub(), std::vector<paxos::Slot>());
    for (const Store::SealedSegment& segment : driver.store()->sealed_segments()) {
      EXPECT_EQ(segment.damage, "");
    }
    EXPECT_EQ(driver.CheckAll(kSlots), absl::OkStatus());
  }

  // And the next run finds it so.
  void ExpectWholeAfterRestart(const std::string& what) {
    SCOPED_TRACE(what);
    driver.Drop();
    ASSERT_EQ(Start(), absl::OkStatus());
    EXPECT_EQ(driver.recovered().promised, kPromised);
    EXPECT_EQ(driver.recovered().chosen_through, kSlots);
    ExpectWhole(what);
    std::vector<std::string> dirs;
    EXPECT_TRUE(env.GetChildren("/store/segments", &dirs).ok());
    EXPECT_EQ(
        std::count_if(dirs.begin(), dirs.end(), [](const auto& dir) { return dir[0] != '.'; }),
        static_cast<int>(driver.store()->segments()));
  }

  FaultEnv env;
  StoreDriver driver;
  std::vector<Store::SealedSegment> segments;
  paxos::Ballot ballot{1, paxos::ReplicaId{1}};
  int fetched = 0;
  absl::Status trouble;  // Of a scrub that could not read.
};

std::string DirOf(paxos::Slot first) {
  const std::string digits = absl::StrCat(first);
  return absl::StrCat("/store/segments/", std::string(20 - digits.size(), '0'), digits);
}

// The sealed segments of the whole store, by their first slots.
std::vector<paxos::Slot> Sealed() {
  Damaged whole(WholeStore());
  EXPECT_EQ(whole.Start(), absl::OkStatus());
  std::vector<paxos::Slot> firsts;
  for (const Store::SealedSegment& segment : whole.segments) firsts.push_back(segment.first);
  EXPECT_GE(firsts.size(), 4u);
  return firsts;
}

// Of the segment that begins at `first`.
std::string FileOf(paxos::Slot first, const std::string& ending) {
  for (const auto& [path, contents] : WholeStore()) {
    if (path.starts_with(DirOf(first) + "/") && path.ends_with(ending) && !contents.empty()) {
      return path;
    }
  }
  ADD_FAILURE() << "no file " << ending << " in " << DirOf(first);
  return "";
}

Files With(const std::string& path, const std::function<void(std::string*)>& change) {
  Files files = WholeStore();
  change(&files.at(path));
  return files;
}

// The middle of the file with the records.
Files WithDamagedRecords(paxos::Slot first) {
  return With(FileOf(first, ".ldb"), [](std::string* bytes) { (*bytes)[bytes->size() / 2] ^= 1; });
}

void ExpectRepaired(const Files& files, const std::string& what, int* repaired) {
  SCOPED_TRACE(what);
  Damaged replica(files);
  ASSERT_EQ(replica.Start(), absl::OkStatus());
  const std::vector<paxos::Slot> damaged = replica.Scrub();
  *repaired += static_cast<int>(damaged.size());
  ASSERT_EQ(replica.RepairAll(), absl::OkStatus());
  replica.ExpectWhole(what);
  replica.ExpectWholeAfterRestart(what + ", restarted");
}

TEST(StoreRepairTest, AWholeStoreIsFoundWholeAndFetchesNothing) {
  Damaged replica(WholeStore());
  ASSERT_EQ(replica.Start(), absl::OkStatus());
  replica.ExpectWhole("whole");
  EXPECT_EQ(replica.fetched, 0);
}

TEST(StoreRepairTest, AnyMissingFileOfASealedSegmentIsHarmlessOrRepaired) {
  int repaired = 0;
  for (const paxos::Slot first : Sealed()) {
    for (const auto& [path, contents] : WholeStore()) {
      if (!path.starts_with(DirOf(first) + "/")) continue;
      Files files = WholeStore();
      files.erase(path);
      ExpectRepaired(files, path + " removed", &repaired);
      if (HasFailure()) return;
    }
  }
  EXPECT_GE(repaired, 12);
}

TEST(StoreRepairTest, AnyFlippedBitOrCutInASealedSegmentIsHarmlessOrRepaired) {
  int repaired = 0;
  for (const paxos::Slot first : Sealed()) {
    for (const auto& [path, contents] : WholeStore()) {
      if (!path.starts_with(DirOf(first) + "/") || contents.empty()) continue;
      for (size_t i = 0; i < 8; ++i) {
        const size_t at = i * 2654435761u % contents.size();
        ExpectRepaired(With(path, [&](std::string* bytes) { (*bytes)[at] ^= 1 << i; }),
                       absl::StrCat(path, ": bit ", i, " of byte ", at), &repaired);
        const size_t size = contents.size() - 1 - i * (contents.size() - 1) / 7;
        ExpectRepaired(With(path, [&](std::string* bytes) { bytes->resize(size); }),
                       absl::StrCat(path, ": cut to ", size), &repaired);
        if (HasFailure()) return;
      }
    }
  }
  EXPECT_GT(repaired, 100);
}

TEST(StoreRepairTest, DamageIsToldFromWhenItIsReadUntilItIsRepaired) {
  const paxos::Slot first = Sealed()[1];
  Damaged replica(WithDamagedRecords(first));
  ASSERT_EQ(replica.Start(), absl::OkStatus());
  EXPECT_EQ(replica.segments[1].damage, "");
  for (int i = 0; i < 2; ++i) {
    const absl::Status read = replica.driver.store()->ReadSlots(first, first, 1).status();
    EXPECT_TRUE(absl::IsDataLoss(read)) << read;
    EXPECT_NE(read.message().find(DirOf(first)), absl::string_view::npos) << read;
    EXPECT_EQ(replica.driver.store()->sealed_segments()[1].damage, read.message());
  }
  ASSERT_EQ(replica.Repair(first), absl::OkStatus());
  EXPECT_EQ(replica.driver.store()->sealed_segments()[1].damage, "");
  EXPECT_EQ(replica.driver.CheckAll(kSlots), absl::OkStatus());
}

TEST(StoreRepairTest, ABadIndexOrCheckpointIsRepairedFromItsOwnRecords) {
  const paxos::Slot first = Sealed()[2];
  for (const std::string name : {"/index", "/checkpoint"}) {
    Damaged replica(With(DirOf(first) + name, [](std::string* bytes) { bytes->back() ^= 1; }));
    ASSERT_EQ(replica.Start(), absl::OkStatus());
    EXPECT_EQ(replica.Scrub(), std::vector<paxos::Slot>{first}) << name;
    ASSERT_EQ(replica.RepairAll(), absl::OkStatus()) << name;
    EXPECT_EQ(replica.fetched, 0) << name;
    replica.ExpectWholeAfterRestart(name);
  }
}

TEST(StoreRepairTest, ABadCheckpointHindersNoReader) {
  const paxos::Slot first = Sealed()[2];
  Damaged replica(
      With(DirOf(first) + "/checkpoint", [](std::string* bytes) { bytes->back() ^= 1; }));
  ASSERT_EQ(replica.Start(), absl::OkStatus());
  EXPECT_EQ(replica.Scrub(), std::vector<paxos::Slot>{first});
  EXPECT_EQ(replica.driver.CheckAll(kSlots), absl::OkStatus());
}

TEST(StoreRepairTest, ARunOfDamagedSegmentsIsRepairedTogether) {
  // Without the checkpoint between them neither can be told right from wrong by itself.
  const std::vector<paxos::Slot> sealed = Sealed();
  Files files = WholeStore();
  for (const paxos::Slot first : {sealed[1], sealed[2]}) {
    for (const std::string ending : {".ldb", "/checkpoint", "/index"}) {
      std::string& bytes = files.at(FileOf(first, ending));
      bytes[bytes.size() / 2] ^= 1;
    }
  }
  Damaged replica(files);
  ASSERT_EQ(replica.Start(), absl::OkStatus());
  EXPECT_EQ(replica.Scrub(), (std::vector<paxos::Slot>{sealed[1], sealed[2]}));
  ASSERT_EQ(replica.Repair(sealed[2]), absl::OkStatus());
  replica.ExpectWhole("both");
  ASSERT_EQ(replica.driver.store()->RemoveReplaced(), absl::OkStatus());
  replica.ExpectWholeAfterRestart("both");
}

TEST(StoreRepairTest, ASegmentCanBeRepairedAgain) {
  const paxos::Slot first = Sealed()[1];
  Damaged replica(WithDamagedRecords(first));
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(replica.Start(), absl::OkStatus());
    ASSERT_EQ(replica.Repair(first), absl::OkStatus());
    ASSERT_EQ(replica.driver.store()->RemoveReplaced(), absl::OkStatus());
    replica.ExpectWholeAfterRestart(absl::StrCat("repair ", i + 1));
    replica.driver.Drop();
    const std::string path = absl::StrCat(DirOf(first), ".", i + 1, "/index");
    replica.env.SetContents(path, "damage");
  }
}

TEST(StoreRepairTest, WhatWasNotChosenIsNotTaken) {
  const paxos::Slot first = Sealed()[1];
  const Files files = WithDamagedRecords(first);
  const auto expect_refused = [&](const std::string& what, const Store::FetchChosen& fetch,
                                  absl::StatusCode code) {
    Damaged replica(files);
    ASSERT_EQ(replica.Start(), absl::OkStatus());
    const absl::Status status = replica.driver.store()->Rebuild(first, fetch, 0, nullptr).status();
    EXPECT_EQ(status.code(), code) << what << ": " << status;
    for (const std::string& path : replica.env.Files()) {
      EXPECT_EQ(path.find(DirOf(first) + "."), std::string::npos) << what << " leaves " << path;
    }
    EXPECT_EQ(replica.Scrub(), std::vector<paxos::Slot>{first}) << what;
  };
  Damaged peer(files);
  expect_refused(
      "another value",
      [&](paxos::Slot from, paxos::Slot through) {
        auto values = peer.Fetch(from, through);
        if (from == first) values->back().value = TestBatch({"never proposed", "too"});
        return values;
      },
      absl::StatusCode::kDataLoss);
  expect_refused(
      "a value that leads to as many entries",
      [&](paxos::Slot from, paxos::Slot through) {
        auto values = peer.Fetch(from, through);
        for (auto& value : *values) {
          if (value.slot % 7 != 0 && value.slot % 5 != 0) value.value = TestBatch({"two", "more"});
        }
        return values;
      },
      absl::StatusCode::kDataLoss);
  expect_refused(
      "a slot left out",
      [&](paxos::Slot from, paxos::Slot through) { return peer.Fetch(from + 1, through); },
      absl::StatusCode::kDataLoss);
  expect_refused(
      "nothing", [&](paxos::Slot, paxos::Slot) { return std::vector<paxos::AcceptedValue>(); },
      absl::StatusCode::kDataLoss);
  expect_refused(
      "more than was asked for",
      [&](paxos::Slot from, paxos::Slot through) { return peer.Fetch(from, through + 4); },
      absl::StatusCode::kDataLoss);
  expect_refused(
      "an error",
      [&](paxos::Slot, paxos::Slot) -> absl::StatusOr<std::vector<paxos::AcceptedValue>> {
        return absl::UnavailableError("gone");
      },
      absl::StatusCode::kUnavailable);
}

TEST(StoreRepairTest, NothingIsStoredAboveThePromise) {
  // The peer learned the slots again at a ballot that this replica never promised.
  const paxos::Slot first = Sealed()[1];
  Damaged replica(WithDamagedRecords(first));
  replica.ballot = {99, paxos::ReplicaId{2}};
  ASSERT_EQ(replica.Start(), absl::OkStatus());
  ASSERT_EQ(replica.Repair(first), absl::OkStatus());
  const auto values = replica.driver.store()->ReadSlots(first, first + 1, 1 << 20);
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ(values->front().ballot, kPromised);
  EXPECT_GT(replica.fetched, 0);
  ASSERT_EQ(replica.driver.store()->RemoveReplaced(), absl::OkStatus());
  replica.ExpectWholeAfterRestart("a higher ballot");
}

TEST(StoreRepairTest, AFullDiskGetsNoCopy) {
  const paxos::Slot first = Sealed()[1];
  Damaged replica(WithDamagedRecords(first));
  ASSERT_EQ(replica.Start(), absl::OkStatus());
  const auto rebuild = [&](uint64_t reserve) {
    return replica.driver.store()->Rebuild(first, replica.Fetcher(), reserve, nullptr).status();
  };
  replica.env.SetCapacity(1 << 20);
  const absl::Status full = rebuild(1 << 20);
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_EQ(rebuild(1 << 19), absl::OkStatus());
}

TEST(StoreRepairTest, BothScrubAndRepairCanBeGivenUp) {
  const paxos::Slot first = Sealed()[1];
  Damaged replica(WithDamagedRecords(first));
  ASSERT_EQ(replica.Start(), absl::OkStatus());
  const absl::Status status =
      replica.driver.store()
          ->Rebuild(first, replica.Fetcher(), 0, [](size_t) { return false; })
          .status();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(replica.Repair(first), absl::OkStatus());
}

TEST(StoreRepairTest, WhatWasReplacedIsRemoved) {
  const paxos::Slot first = Sealed()[1];
  Damaged replica(With(DirOf(first) + "/index", [](std::string* bytes) { bytes->back() ^= 1; }));
  ASSERT_EQ(replica.Start(), absl::OkStatus());
  ASSERT_EQ(replica.Repair(first), absl::OkStatus());
  const auto is_there = [&] { return replica.env.FileExists(DirOf(first) + "/index"); };
  EXPECT_TRUE(is_there());
  ASSERT_EQ(replica.driver.store()->RemoveReplaced(), absl::OkStatus());
  EXPECT_FALSE(is_there());
}

// What a repair does after the damage was found.
absl::Status RunRepair(Damaged* replica) {
  absl::Status status = replica->Start();
  if (status.ok()) status = replica->RepairAll();
  if (status.ok()) status = replica->driver.Stop();
  return status;
}

void CutPowerAtEachCall(const Files& files, Unsynced unsynced) {
  for (uint64_t call = 1;; ++call) {
    SCOPED_TRACE(absl::StrCat("power cut at call ", call));
    Damaged replica(files);
    replica.env.FailFrom(call);
    RunRepair(&replica).IgnoreError();
    replica.driver.Drop();
    replica.trouble = absl::OkStatus();
    const bool is_through = replica.env.calls() < call;
    replica.env.CutPower(unsynced);
    ASSERT_EQ(RunRepair(&replica), absl::OkStatus());
    ASSERT_EQ(replica.Start(), absl::OkStatus());
    replica.ExpectWholeAfterRestart("after the second repair");
    if (testing::Test::HasFailure() || is_through) {
      EXPECT_GT(call, 50u) << "the repair is too short to say anything";
      return;
    }
  }
}

TEST(StoreRepairTest, APowerCutAtAnyCallOfARepairLeavesTheOldOrTheNewIfUnsyncedBytesAreLost) {
  CutPowerAtEachCall(WithDamagedRecords(Sealed()[1]), Unsynced::kDropped);
}

TEST(StoreRepairTest, APowerCutAtAnyCallOfARepairLeavesTheOldOrTheNewIfUnsyncedBytesAreTorn) {
  CutPowerAtEachCall(WithDamagedRecords(Sealed()[1]), Unsynced::kTorn);
}

TEST(StoreRepairTest, AKillAtAnyCallOfARepairLeavesTheOldOrTheNew) {
  Files files = WithDamagedRecords(Sealed()[1]);
  files.at(DirOf(Sealed()[2]) + "/checkpoint")[0] ^= 1;
  CutPowerAtEachCall(files, Unsynced::kKept);
}

}  // namespace
}  // namespace distlog
