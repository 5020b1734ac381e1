// Who is told what, and when, of those that wait to read.

#include "server/read_queue.h"

#include <chrono>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace distlog {
namespace {

using paxos::Ticket;

class ReadQueueTest : public testing::Test {
 protected:
  using Clock = ReadQueue::Clock;

  ReadQueue::Barrier Barrier(const std::string& name,
                             Clock::time_point deadline = Clock::time_point::max()) {
    return {
        deadline, [this, name](const absl::StatusOr<Node::Bounds>& bounds) {
          told_.push_back(name + (bounds.ok() ? " " + std::to_string(bounds->last) : " failed"));
        }};
  }
  ReadQueue::Waiter Waiter(uint64_t last, Clock::time_point deadline = Clock::time_point::max()) {
    return {last, deadline, [this](Node::Bounds bounds) {
              told_.push_back("more " + std::to_string(bounds.last));
            }};
  }
  std::vector<std::string> Told() {
    for (const auto& answer : std::exchange(answers_, {})) answer();
    return std::exchange(told_, {});
  }

  ReadQueue queue_;
  Answers answers_;
  std::vector<std::string> told_;
};

TEST_F(ReadQueueTest, ABarrierWaitsForItsMarkAndUntilThatCanBeReadHere) {
  queue_.AddBarriers(Ticket{1}, {Barrier("a"), Barrier("b")});
  queue_.SetReadable(5, {1, 50}, &answers_);
  EXPECT_TRUE(Told().empty());
  queue_.OnReadable(Ticket{1}, 7, &answers_);
  EXPECT_TRUE(Told().empty());
  queue_.SetReadable(6, {1, 60}, &answers_);
  EXPECT_TRUE(Told().empty());
  queue_.SetReadable(7, {1, 70}, &answers_);
  EXPECT_EQ(Told(), (std::vector<std::string>{"a 70", "b 70"}));
  queue_.AddBarriers(Ticket{2}, {Barrier("c")});
  queue_.OnReadable(Ticket{2}, 7, &answers_);
  EXPECT_EQ(Told(), std::vector<std::string>{"c 70"});
}

TEST_F(ReadQueueTest, AReadThatNobodyWaitsForIsCancelled) {
  const Clock::time_point now = Clock::now();
  queue_.AddBarriers(Ticket{1}, {Barrier("a", now), Barrier("b", now + std::chrono::hours(1))});
  queue_.AddBarriers(Ticket{2}, {Barrier("c", now)});
  EXPECT_EQ(queue_.Expire(now, &answers_), std::vector<Ticket>{Ticket{2}});
  EXPECT_EQ(Told(), (std::vector<std::string>{"a failed", "c failed"}));
  queue_.OnReadable(Ticket{1}, 0, &answers_);
  EXPECT_EQ(Told(), std::vector<std::string>{"b 0"});
}

TEST_F(ReadQueueTest, ABarrierWithAMarkFailsToo) {
  const Clock::time_point now = Clock::now();
  queue_.AddBarriers(Ticket{1}, {Barrier("a", now)});
  queue_.OnReadable(Ticket{1}, 9, &answers_);
  EXPECT_TRUE(queue_.Expire(now, &answers_).empty());
  EXPECT_EQ(Told(), std::vector<std::string>{"a failed"});
}

TEST_F(ReadQueueTest, AWaiterIsToldOfMoreOrAtItsDeadlineOfWhatThereIs) {
  const Clock::time_point now = Clock::now();
  queue_.SetReadable(1, {1, 10}, &answers_);
  queue_.AddWaiter(Waiter(9), &answers_);
  EXPECT_EQ(Told(), std::vector<std::string>{"more 10"});
  queue_.AddWaiter(Waiter(10), &answers_);
  queue_.AddWaiter(Waiter(12, now), &answers_);
  queue_.SetReadable(2, {1, 11}, &answers_);
  EXPECT_EQ(Told(), std::vector<std::string>{"more 11"});
  queue_.Expire(now, &answers_);
  EXPECT_EQ(Told(), std::vector<std::string>{"more 11"});
}

TEST_F(ReadQueueTest, AtTheEndEverybodyIsAnswered) {
  queue_.AddBarriers(Ticket{1}, {Barrier("a")});
  queue_.AddBarriers(Ticket{2}, {Barrier("b")});
  queue_.OnReadable(Ticket{2}, 3, &answers_);
  queue_.AddWaiter(Waiter(0), &answers_);
  queue_.FailAll(absl::UnavailableError("stopping"), &answers_);
  EXPECT_EQ(Told(), (std::vector<std::string>{"a failed", "b failed", "more 0"}));
}

}  // namespace
}  // namespace distlog
