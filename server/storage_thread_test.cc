// Group commit over a real Store: nothing is told before it is durable, and in the order submitted.

#include "server/storage_thread.h"

#include <unistd.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "log/store.h"
#include "wire/value.h"

namespace distlog {
namespace {

constexpr paxos::ReplicaId kSelf{1};
constexpr paxos::Ballot kBallot{1, kSelf};

class StorageThreadTest : public testing::Test {
 protected:
  struct Told {
    std::vector<paxos::Envelope> after_write;
    uint64_t last_record = 0;
    paxos::Slot accepted_through = 0;  // What the store held then, durably.
  };

  void SetUp() override {
    dir_ = testing::TempDir() + "/storage_thread" + std::to_string(getpid()) + "_" +
           testing::UnitTest::GetInstance()->current_test_info()->name();
    ASSERT_EQ(Store::Format({}, dir_), absl::OkStatus());
    store_ = Store::Open({}, dir_).value();
    const paxos::Configuration genesis =
        MakeGenesis({{{}, store_->identity().uuid, "127.0.0.1:1", true}}).value();
    ASSERT_EQ(store_->Assign(genesis, ClusterId(genesis)), absl::OkStatus());
  }

  std::unique_ptr<StorageThread> Start(StorageThread::Options options = {}) {
    return std::make_unique<StorageThread>(
        options, store_.get(),
        [this](std::vector<paxos::Envelope> after_write, uint64_t last_record) {
          told_.push_back({std::move(after_write), last_record, store_->accepted_through()});
        },
        [this](paxos::Slot through) { marks_.push_back(through); });
  }

  static StorageThread::Group Accept(paxos::Slot slot, size_t bytes = 10) {
    v1::Batch batch;
    batch.mutable_origin()->set_sequence(slot);
    batch.add_appends()->add_payloads(std::string(bytes, 'x'));
    StorageThread::Group group;
    group.records.push_back(paxos::AcceptRecord{{slot, kBallot, MakeValue(batch)}, slot - 1});
    group.after_write.push_back({kSelf, paxos::ReplicaId{2}, paxos::Accepted{kBallot, slot, slot}});
    group.last_record = slot;
    return group;
  }

  // Keeps the thread busy until the returned promise is set.
  static std::promise<void> Block(StorageThread* thread) {
    std::promise<void> gate;
    thread->Run([opened = gate.get_future().share()] { opened.wait(); });
    return gate;
  }

  std::string dir_;
  std::unique_ptr<Store> store_;
  std::vector<Told> told_;  // On the storage thread, until it is stopped.
  std::vector<paxos::Slot> marks_;
};

TEST_F(StorageThreadTest, GroupsThatWaitAreJoinedInOneWriteAndToldWhenItIsDurable) {
  auto thread = Start();
  std::promise<void> gate = Block(thread.get());
  for (paxos::Slot slot = 1; slot <= 5; ++slot) thread->Submit(Accept(slot));
  gate.set_value();
  thread->Stop();
  ASSERT_LE(told_.size(), 2u);  // The gate may be taken alone or with the groups.
  EXPECT_EQ(told_.back().last_record, 5u);
  EXPECT_EQ(told_.back().accepted_through, 5u);
  EXPECT_EQ(told_.back().after_write.size(), 5u);
}

TEST_F(StorageThreadTest, AWriteIsBoundedInBytes) {
  auto thread = Start({.max_write_bytes = 1000});
  std::promise<void> gate = Block(thread.get());
  for (paxos::Slot slot = 1; slot <= 4; ++slot) thread->Submit(Accept(slot, 800));
  gate.set_value();
  thread->Stop();
  ASSERT_EQ(told_.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(told_[i].last_record, i + 1);
    EXPECT_EQ(told_[i].accepted_through, i + 1);
  }
}

// "What I said is durable" must wait for every write before it, even without a record of its own.
TEST_F(StorageThreadTest, AMessageWithoutRecordsWaitsForTheWritesBeforeIt) {
  auto thread = Start({.max_write_bytes = 1});
  std::promise<void> gate = Block(thread.get());
  thread->Submit(Accept(1));
  StorageThread::Group message;
  message.after_write.push_back({kSelf, paxos::ReplicaId{2}, paxos::Accepted{kBallot, 1, 1}});
  thread->Submit(std::move(message));
  gate.set_value();
  thread->Stop();
  for (const Told& told : told_) EXPECT_EQ(told.accepted_through, 1u);
  EXPECT_EQ(told_.back().after_write.back().to, paxos::ReplicaId{2});
}

TEST_F(StorageThreadTest, StopFinishesWhatWasSubmittedAndSavesTheMark) {
  auto thread = Start();
  for (paxos::Slot slot = 1; slot <= 3; ++slot) thread->Submit(Accept(slot));
  // After the writes: a mark is never above what is stored.
  thread->Run([storage = thread.get()] { storage->SetMark(3); });
  thread->Stop();
  ASSERT_FALSE(marks_.empty());
  EXPECT_EQ(marks_.back(), 3u);
  thread.reset();
  store_.reset();
  store_ = Store::Open({}, dir_).value();
  EXPECT_EQ(store_->recovered().chosen_through, 3u);
}

TEST_F(StorageThreadTest, ATaskAfterStopIsDestroyedUnrun) {
  auto thread = Start();
  thread->Stop();
  auto held = std::make_shared<int>(0);
  thread->Run([held] { *held = 1; });
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(*held, 0);
}

}  // namespace
}  // namespace distlog
