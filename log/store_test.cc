// The store on a real file system: what is written is found again, in one segment and in many, and
// nothing but an own, whole, known store is opened.

#include "log/store.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "log/env.h"
#include "log/side_file.h"
#include "log/store_driver.h"
#include "wire/value.h"

namespace distlog {
namespace {

constexpr paxos::ReplicaId kSelf{1};

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    std::string name = testing::TempDir() + "/store_XXXXXX";
    root_ = mkdtemp(name.data());
    dir_ = root_ + "/data";
  }
  ~StoreTest() override { std::filesystem::remove_all(root_); }

  // Tiny segments: a handful of slots each.
  Store::Options Small() const {
    Store::Options options;
    options.segment_bytes = 2000;
    options.window = 4;
    options.open_segments = 2;
    return options;
  }

  static paxos::Record Accept(paxos::Slot slot, uint64_t round, const std::string& payload,
                              paxos::Slot chosen_through = 0) {
    return paxos::AcceptRecord{
        .accepted = {.slot = slot, .ballot = {round, kSelf}, .value = TestBatch({payload})},
        .chosen_through = chosen_through};
  }

  std::string root_;
  std::string dir_;
};

TEST_F(StoreTest, WhatIsWrittenIsFoundAgain) {
  StoreDriver driver({}, dir_);
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  const Identity before = driver.store()->identity();
  ASSERT_EQ(driver.Append(3), absl::OkStatus());
  ASSERT_EQ(driver.Append(40), absl::OkStatus());
  ASSERT_EQ(driver.CheckAll(43), absl::OkStatus());
  ASSERT_EQ(driver.Stop(), absl::OkStatus());

  ASSERT_EQ(driver.Start(), absl::OkStatus());
  EXPECT_EQ(driver.recovered().chosen_through, 43);
  EXPECT_TRUE(driver.recovered().accepted.empty());
  EXPECT_EQ(driver.recovered().promised, driver.ballot);
  EXPECT_EQ(driver.recovered().configuration, TestGenesis());
  EXPECT_TRUE(driver.store()->recovered().notes.empty());
  EXPECT_EQ(driver.CheckAll(43), absl::OkStatus());
  EXPECT_EQ(driver.store()->accepted_through(), 43);
  const Identity after = driver.store()->identity();
  EXPECT_EQ(after.uuid, before.uuid);
  EXPECT_EQ(after.cluster_id, ClusterId(TestGenesis()));
  EXPECT_EQ(after.start_counter, before.start_counter + 1);
  EXPECT_NE(after.start_nonce, before.start_nonce);
}

TEST_F(StoreTest, TheNewestRecordOfASlotCountsAndGapsAboveTheMarkAreKept) {
  // Slot 2 is accepted three times, twice in one group; slot 4 never.
  StoreDriver driver({}, dir_);
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  const std::vector<paxos::Record> first = {Accept(1, 1, "a"), Accept(2, 1, "b"), Accept(3, 1, "c"),
                                            Accept(5, 1, "e")};
  const std::vector<paxos::Record> second = {Accept(2, 2, "b"), Accept(2, 3, "B"),
                                             Accept(3, 3, "c", /*chosen_through=*/1)};
  ASSERT_EQ(driver.store()->Write(first), absl::OkStatus());
  ASSERT_EQ(driver.store()->Write(second), absl::OkStatus());
  driver.Drop();

  const auto store = Store::Open({}, dir_);
  ASSERT_EQ(store.status(), absl::OkStatus());
  const auto log = RecoverLog(store->get());
  ASSERT_EQ(log.status(), absl::OkStatus());
  EXPECT_EQ(log->state.chosen_through, 1);
  EXPECT_EQ(log->state.promised, (paxos::Ballot{3, kSelf}));
  ASSERT_EQ(log->state.accepted.size(), 3);
  EXPECT_EQ(log->state.accepted[0].slot, 2);
  EXPECT_EQ(log->state.accepted[0].ballot.round, 3);
  EXPECT_EQ(log->state.accepted[0].value, TestBatch({"B"}));
  EXPECT_EQ(log->state.accepted[1].slot, 3);
  EXPECT_EQ(log->state.accepted[2].slot, 5);
  EXPECT_TRUE(absl::IsDataLoss((*store)->ReadSlots(3, 5, 1000).status()));
}

TEST_F(StoreTest, PromisesMarksAndPeersSurviveWithoutAnyAccept) {
  StoreDriver driver({}, dir_);
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  const std::vector<paxos::Record> records = {
      Accept(1, 1, "a"), Accept(2, 1, "b"), paxos::PromiseRecord{{7, kSelf}}, paxos::MarkRecord{2}};
  ASSERT_EQ(driver.store()->Write(records), absl::OkStatus());
  const std::vector<paxos::Record> lower = {paxos::PromiseRecord{{6, kSelf}}};
  ASSERT_EQ(driver.store()->Write(lower), absl::OkStatus());
  ASSERT_EQ(driver.store()->RememberPeer({5, 6}, {3, 33}), absl::OkStatus());
  ASSERT_EQ(driver.store()->RememberPeer({5, 6}, {2, 22}), absl::OkStatus());
  driver.Drop();
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  EXPECT_EQ(driver.recovered().promised, (paxos::Ballot{7, kSelf}));
  EXPECT_EQ(driver.recovered().chosen_through, 2);
  EXPECT_EQ(driver.store()->RememberedPeer({5, 6}).start_counter, 3);
  EXPECT_EQ(driver.store()->RememberedPeer({5, 6}).start_nonce, 33);
  EXPECT_EQ(driver.store()->RememberedPeer({6, 5}).start_counter, 0);
}

TEST_F(StoreTest, AMarkAboveWhatIsStoredIsRefusedAndEndsAllWriting) {
  StoreDriver driver({}, dir_);
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  ASSERT_EQ(driver.Append(2), absl::OkStatus());
  EXPECT_FALSE(driver.store()->SaveMark(3).ok());
  EXPECT_FALSE(driver.Append(1).ok());
}

TEST_F(StoreTest, SegmentsAreCutAndSealedAndReadThroughManyReopenings) {
  StoreDriver driver(Small(), dir_);
  paxos::Slot written = 0;
  for (int run = 0; run < 4; ++run) {
    ASSERT_EQ(driver.Start(), absl::OkStatus()) << "run " << run;
    ASSERT_EQ(driver.sequencer().applied_through(), written);
    for (int i = 0; i < 25; ++i) {
      const size_t slots = 1 + (i * 7 + run) % 11;
      ASSERT_EQ(driver.Append(slots), absl::OkStatus());
      written += slots;
    }
    ASSERT_EQ(driver.CheckAll(written), absl::OkStatus()) << "run " << run;
    if (run % 2 == 0) {
      ASSERT_EQ(driver.Stop(), absl::OkStatus());
    } else {
      driver.Drop();
    }
  }
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  EXPECT_GT(driver.store()->segments(), 20u);
  EXPECT_EQ(driver.CheckAll(written), absl::OkStatus());
}

TEST_F(StoreTest, ACheckpointOwedByTheRunBeforeIsSavedByRecoveryOrAskedFor) {
  // The run ends after the cut, before everything below the new segment is known chosen.
  StoreDriver driver(Small(), dir_);
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  ASSERT_EQ(driver.Append(20), absl::OkStatus());
  const std::vector<paxos::Record> more = {Accept(21, 1, "x", 20), Accept(22, 1, "y", 20)};
  ASSERT_EQ(driver.store()->CutBefore(more), 21);
  ASSERT_EQ(driver.store()->waiting_checkpoint(), 21);
  ASSERT_EQ(driver.store()->Write(more), absl::OkStatus());
  EXPECT_EQ(driver.store()->segments(), 2u);
  EXPECT_EQ(driver.store()->waiting_checkpoint(), 21);
  driver.Drop();

  ASSERT_EQ(driver.Start(), absl::OkStatus());
  EXPECT_EQ(driver.store()->waiting_checkpoint(), std::nullopt);
  EXPECT_FALSE(driver.store()->recovered().checkpoint.size());
  driver.Drop();
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  EXPECT_TRUE(driver.store()->recovered().checkpoint.size());
  EXPECT_EQ(driver.recovered().chosen_through, 20);
  EXPECT_EQ(driver.recovered().accepted.size(), 2u);
}

TEST_F(StoreTest, AGroupThatTouchesBothUnsealedSegmentsIsWrittenToBoth) {
  StoreDriver driver(Small(), dir_);
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  ASSERT_EQ(driver.Append(20), absl::OkStatus());
  const std::vector<paxos::Record> cut = {Accept(22, 2, "y", 19)};
  ASSERT_EQ(driver.store()->CutBefore(cut), 21);
  ASSERT_EQ(driver.store()->Write(cut), absl::OkStatus());
  const std::vector<paxos::Record> both = {Accept(23, 3, "z", 19), Accept(20, 3, "twenty", 19),
                                           Accept(21, 3, "x", 19)};
  EXPECT_EQ(driver.store()->CutBefore(both), std::nullopt);
  ASSERT_EQ(driver.store()->Write(both), absl::OkStatus());
  driver.Drop();
  const auto store = Store::Open(Small(), dir_);
  ASSERT_EQ(store.status(), absl::OkStatus());
  const auto values = (*store)->ReadSlots(20, 23, 1 << 20);
  ASSERT_EQ(values.status(), absl::OkStatus());
  ASSERT_EQ(values->size(), 4);
  EXPECT_EQ((*values)[0].value, TestBatch({"twenty"}));
  EXPECT_EQ((*values)[3].value, TestBatch({"z"}));
}

TEST_F(StoreTest, ThePromiseOfARecordOutlivesTheSealingOfItsSegment) {
  // Slot 20 was accepted again at ballot 9; what was applied there had ballot 1.
  StoreDriver driver(Small(), dir_);
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  ASSERT_EQ(driver.Append(20), absl::OkStatus());
  const std::vector<paxos::Record> again = {Accept(20, 9, "twenty", 19)};
  EXPECT_EQ(driver.store()->CutBefore(again), std::nullopt);
  ASSERT_EQ(driver.store()->Write(again), absl::OkStatus());
  const std::vector<paxos::Record> cut = {Accept(21, 1, "x", 20)};
  ASSERT_EQ(driver.store()->CutBefore(cut), 21);
  ASSERT_EQ(driver.store()->Write(cut), absl::OkStatus());
  ASSERT_EQ(driver.store()->SaveCheckpoint(21, driver.sequencer().Snapshot()), absl::OkStatus());
  driver.Drop();
  const auto store = Store::Open(Small(), dir_);
  ASSERT_EQ(store.status(), absl::OkStatus());
  EXPECT_EQ((*store)->recovered().promised, (paxos::Ballot{9, kSelf}));
}

TEST_F(StoreTest, ASegmentIsNotCutBeforeItIsLongerThanTwoWindows) {
  Store::Options options = Small();
  options.window = 100;
  StoreDriver driver(options, dir_);
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  for (int i = 0; i < 20; ++i) ASSERT_EQ(driver.Append(10), absl::OkStatus());
  EXPECT_EQ(driver.store()->segments(), 1u);
  ASSERT_EQ(driver.Append(1), absl::OkStatus());
  ASSERT_EQ(driver.Append(1), absl::OkStatus());
  EXPECT_EQ(driver.store()->segments(), 2u);
}

TEST_F(StoreTest, ReadersMayRunWhileOthersWriteAndSegmentsCloseUnderThem) {
  StoreDriver driver(Small(), dir_);
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  for (int i = 0; i < 30; ++i) ASSERT_EQ(driver.Append(10), absl::OkStatus());
  Store* const store = driver.store();
  const uint64_t last = driver.sequencer().last_position();
  std::vector<std::thread> readers;
  for (uint64_t reader = 0; reader < 3; ++reader) {
    readers.emplace_back([store, last, reader] {
      for (uint64_t i = 0; i < 60; ++i) {
        const uint64_t from = 1 + (i * 37 + reader * 101) % last;
        const auto entries = store->ReadEntries(from, last, 500);
        ASSERT_EQ(entries.status(), absl::OkStatus());
        ASSERT_EQ(entries->front().position, from);
      }
    });
  }
  for (int i = 0; i < 30; ++i) EXPECT_EQ(driver.Append(10), absl::OkStatus());
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(driver.CheckAll(600), absl::OkStatus());
}

TEST_F(StoreTest, PositionsOutsideTheLogAreErrorsThatSaySo) {
  StoreDriver driver({}, dir_);
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  ASSERT_EQ(driver.Append(1), absl::OkStatus());
  EXPECT_TRUE(absl::IsOutOfRange(driver.store()->ReadEntries(0, 1, 10).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(driver.store()->ReadEntries(3, 3, 10).status()));
  const auto entries = driver.store()->ReadEntries(1, 2, 1);
  ASSERT_EQ(entries.status(), absl::OkStatus());
  EXPECT_EQ(entries->size(), 1u);
}

TEST_F(StoreTest, ADirectoryIsOpenedByOneAtATime) {
  StoreDriver driver({}, dir_);
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  const absl::Status second = Store::Open({}, dir_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(second)) << second;
  driver.Drop();
  EXPECT_EQ(Store::Open({}, dir_).status(), absl::OkStatus());
}

TEST_F(StoreTest, OnlyAnEmptyDirectoryIsFormattedAndOnlyAStoreIsOpened) {
  std::filesystem::create_directories(dir_ + "/lost+found");
  EXPECT_TRUE(absl::IsFailedPrecondition(Store::Open({}, dir_).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Store::Open({}, dir_ + "/missing").status()));
  EXPECT_TRUE(absl::IsNotFound(Store::Format({}, dir_ + "/missing/too")));
  EXPECT_TRUE(*Store::IsEmpty({}, dir_));
  EXPECT_EQ(Store::Format({}, dir_), absl::OkStatus());
  EXPECT_FALSE(*Store::IsEmpty({}, dir_));
  EXPECT_TRUE(absl::IsFailedPrecondition(Store::Format({}, dir_)));
  EXPECT_EQ(Store::Open({}, dir_).status(), absl::OkStatus());
}

TEST_F(StoreTest, ItIsAssignedOnceAndHoldsNothingBefore) {
  ASSERT_EQ(Store::Format({}, dir_), absl::OkStatus());
  auto store = *Store::Open({}, dir_);
  EXPECT_TRUE(absl::IsFailedPrecondition(RecoverLog(store.get()).status()));
  const std::string id = ClusterId(TestGenesis());
  EXPECT_EQ(store->Assign(TestGenesis(), id), absl::OkStatus());
  EXPECT_EQ(store->Assign(TestGenesis(), id), absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(store->Assign(TestGenesis(), std::string(32, 'x'))));
  store.reset();
  store = *Store::Open({}, dir_);
  EXPECT_EQ(store->identity().cluster_id, id);
  EXPECT_EQ(store->identity().genesis, TestGenesis());
  EXPECT_TRUE(absl::IsFailedPrecondition(store->Assign(TestGenesis(), std::string(32, 'x'))));
}

// A server that a running cluster adds: its seat is in a later configuration, of which the genesis
// knows nothing. Whoever comes later with another one changes nothing.
TEST_F(StoreTest, TheSeatOfANewcomerIsThatOfTheConfigurationItJoinedBy) {
  ASSERT_EQ(Store::Format({}, dir_), absl::OkStatus());
  auto store = *Store::Open({}, dir_);
  EXPECT_EQ(store->identity().replica, paxos::kNoReplica);
  paxos::Configuration joined = TestGenesis();
  joined.version = 5;
  joined.next_replica_id = 8;
  joined.members.push_back(
      {paxos::ReplicaId{7}, store->identity().uuid, "localhost:7", /*voter=*/false});
  const std::string id = ClusterId(TestGenesis());
  ASSERT_EQ(store->Assign(TestGenesis(), id, joined), absl::OkStatus());
  joined.version = 6;
  EXPECT_EQ(store->Assign(TestGenesis(), id, joined), absl::OkStatus());
  store.reset();
  const Identity identity = (*Store::Open({}, dir_))->identity();
  EXPECT_EQ(identity.replica, paxos::ReplicaId{7});
  EXPECT_EQ(identity.genesis, TestGenesis());
  ASSERT_TRUE(identity.joined.has_value());
  EXPECT_EQ(identity.joined->version, 5);
}

// A directory of before seats were stored: a founder's seat is in its genesis.
TEST_F(StoreTest, TheSeatOfAFounderIsThatOfItsGenesis) {
  ASSERT_EQ(Store::Format({}, dir_), absl::OkStatus());
  auto store = *Store::Open({}, dir_);
  const paxos::Configuration genesis = *MakeGenesis(
      {{.uuid = {1, 2}, .address = "a:1"}, {.uuid = store->identity().uuid, .address = "b:1"}});
  ASSERT_EQ(store->Assign(genesis, ClusterId(genesis)), absl::OkStatus());
  EXPECT_EQ(store->identity().replica, paxos::ReplicaId{2});
  store.reset();
  std::vector<std::string> notes;
  auto side = SideFile::Open(PosixEnv(), dir_, /*sync=*/false, &notes);
  ASSERT_EQ(side.status(), absl::OkStatus());
  side->contents.clear_replica_id();
  ASSERT_EQ(side->Save(), absl::OkStatus());
  EXPECT_EQ((*Store::Open({}, dir_))->identity().replica, paxos::ReplicaId{2});
}

TEST_F(StoreTest, FilesAndDirectoriesAreForTheirOwnerAloneWhateverTheUmask) {
  const mode_t umask_before = umask(0);
  StoreDriver driver(Small(), dir_);
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  for (int i = 0; i < 10; ++i) ASSERT_EQ(driver.Append(10), absl::OkStatus());
  umask(umask_before);
  for (const auto& file : std::filesystem::recursive_directory_iterator(root_)) {
    struct stat stats;
    ASSERT_EQ(stat(file.path().c_str(), &stats), 0);
    EXPECT_EQ(stats.st_mode & 0777, file.is_directory() ? 0700 : 0600) << file.path();
  }
}

}  // namespace
}  // namespace distlog
