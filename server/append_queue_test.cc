// What goes into a value together, and what is said when something becomes of it.

#include "server/append_queue.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/distlog/v1/record.pb.h"
#include "server/request.h"
#include "wire/status.h"

namespace distlog {
namespace {

class AppendQueueTest : public testing::Test {
 protected:
  using Clock = AppendQueue::Clock;

  void Add(size_t bytes, Clock::time_point deadline = Clock::time_point::max()) {
    auto request = std::make_unique<AppendQueue::Request>();
    request->append.add_payloads(std::string(bytes, 'x'));
    request->bytes = request->append.ByteSizeLong();
    request->deadline = deadline;
    request->on_append = [this](const absl::StatusOr<v1::AppendResponse>& answer) {
      answered_.push_back(answer);
    };
    ASSERT_TRUE(admission_.Enter(request->bytes));
    queue_.Add(std::move(request));
  }

  void AddOpening() {
    auto request = std::make_unique<AppendQueue::Request>();
    request->open.set_name("p");
    request->deadline = Clock::time_point::max();
    request->on_open = [](const absl::StatusOr<v1::OpenProducerResponse>&) {};
    ASSERT_TRUE(admission_.Enter(0));
    queue_.Add(std::move(request));
  }

  // The number of appends in the next value, which must be no larger than announced; 0 for a
  // command.
  int Take(uint64_t sequence) {
    const std::optional<size_t> bytes = queue_.NextBytes();
    EXPECT_TRUE(bytes.has_value());
    AppendQueue::Making making;
    making.origin.set_sequence(sequence);
    making.cluster_time_ms = UINT64_MAX;
    making.timestamp_ms = -1;
    const paxos::Value value = queue_.TakeNext(making);
    EXPECT_LE(value.size(), bytes.value_or(0));
    if (value.kind == paxos::Value::Kind::kCommand) return 0;
    v1::Batch batch;
    EXPECT_TRUE(batch.ParseFromString(*value.payload));
    return batch.appends_size();
  }

  Applied AppliedOf(uint64_t sequence, size_t appends) {
    Applied applied;
    applied.origin_sequence = sequence;
    for (size_t i = 0; i < appends; ++i) {
      applied.appends.push_back({.first_position = i + 1, .count = 1});
    }
    return applied;
  }

  void Answer() {
    for (const auto& answer : answers_) answer();
    answers_.clear();
  }

  Admission admission_{100, 1 << 20};
  AppendQueue queue_{{.max_batch_bytes = 1000, .max_small_values = 2}, &admission_};
  Answers answers_;
  std::vector<absl::StatusOr<v1::AppendResponse>> answered_;
};

TEST_F(AppendQueueTest, WhatWaitsGoesIntoOneValueUpToTheBound) {
  for (int i = 0; i < 5; ++i) Add(300);
  EXPECT_EQ(Take(1), 2);
  EXPECT_EQ(Take(2), 2);
  EXPECT_EQ(Take(3), 1);
  EXPECT_FALSE(queue_.NextBytes().has_value());
}

TEST_F(AppendQueueTest, ALargeRequestGoesAlone) {
  Add(10);
  Add(5000);
  Add(10);
  EXPECT_EQ(Take(1), 1);
  EXPECT_EQ(Take(2), 1);
  EXPECT_EQ(Take(3), 1);
}

// Few small values at once: the next one collects until one of them is done.
TEST_F(AppendQueueTest, SmallValuesUnderWayHoldBackTheNext) {
  Add(10);
  EXPECT_EQ(Take(1), 1);
  Add(10);
  EXPECT_EQ(Take(2), 1);
  for (int i = 0; i < 3; ++i) Add(10);
  EXPECT_FALSE(queue_.NextBytes().has_value());
  queue_.OnApplied(AppliedOf(1, 1), &answers_);
  EXPECT_EQ(Take(3), 3);
  // A full one does not wait.
  for (int i = 0; i < 4; ++i) Add(300);
  EXPECT_EQ(Take(4), 2);
}

TEST_F(AppendQueueTest, AnOpeningGoesAloneAndInItsPlace) {
  Add(10);
  AddOpening();
  Add(10);
  EXPECT_EQ(Take(1), 1);
  EXPECT_EQ(Take(2), 0);
  queue_.OnApplied(AppliedOf(1, 1), &answers_);
  EXPECT_EQ(Take(3), 1);
}

TEST_F(AppendQueueTest, AnswersGoToTheirRequestsAndMakeRoom) {
  Add(10);
  Add(10);
  Take(7);
  EXPECT_EQ(admission_.requests(), 2u);
  Applied applied = AppliedOf(7, 2);
  applied.appends[1] = {.reason = RefusalReason::kResultNotKept};
  queue_.OnApplied(applied, &answers_);
  Answer();
  ASSERT_EQ(answered_.size(), 2u);
  EXPECT_EQ(answered_[0]->first_position(), 1u);
  // Decided long ago, perhaps as appended: that may not be denied.
  EXPECT_FALSE(DetailOf(answered_[1].status())->not_appended());
  EXPECT_EQ(admission_.requests(), 0u);
  queue_.OnApplied(applied, &answers_);
  EXPECT_TRUE(answers_.empty());
}

TEST_F(AppendQueueTest, OnlyWhatWasNeverProposedIsCertainWhenTheTimeIsOver) {
  const Clock::time_point now = Clock::now();
  Add(10, now);
  Take(1);
  Add(10, now);
  Add(10, now + std::chrono::hours(1));
  EXPECT_LE(queue_.next_deadline(), now);
  queue_.Expire(now, &answers_);
  Answer();
  ASSERT_EQ(answered_.size(), 2u);
  EXPECT_TRUE(DetailOf(answered_[0].status())->not_appended());
  EXPECT_FALSE(DetailOf(answered_[1].status())->not_appended());
  // What becomes of it later is nobody's business any more, and the third is still there.
  queue_.OnApplied(AppliedOf(1, 1), &answers_);
  EXPECT_TRUE(answers_.empty());
  EXPECT_EQ(Take(2), 1);
}

TEST_F(AppendQueueTest, AtTheEndWhatWaitsAndWhatIsOpenAreToldApart) {
  Add(10);
  Take(1);
  Add(10);
  queue_.FailAll(absl::UnavailableError("waiting"), absl::UnknownError("open"), &answers_);
  Answer();
  ASSERT_EQ(answered_.size(), 2u);
  EXPECT_EQ(answered_[0].status().message(), "waiting");
  EXPECT_EQ(answered_[1].status().message(), "open");
  EXPECT_EQ(admission_.requests(), 0u);
}

TEST(AdmissionTest, BoundsRequestsAndBytesButTakesOneOfAnySize) {
  Admission admission(2, 100);
  EXPECT_TRUE(admission.Enter(500));
  EXPECT_FALSE(admission.Enter(1));
  admission.Leave(500);
  EXPECT_TRUE(admission.Enter(50));
  EXPECT_TRUE(admission.Enter(50));
  EXPECT_FALSE(admission.Enter(0));
  admission.Leave(50);
  EXPECT_FALSE(admission.Enter(51));
  EXPECT_TRUE(admission.Enter(50));
}

// An epoch that has moved on says nothing of a copy that was applied before it did.
TEST(AppendQueueAnswerTest, ARefusalProvesOnlyWhatApplyKnows) {
  AppliedAppend result;
  result.reason = RefusalReason::kEpoch;
  for (const bool known : {true, false}) {
    result.not_appended = known;
    const auto answer = ToResponse(result);
    ASSERT_FALSE(answer.ok());
    const auto detail = DetailOf(answer.status());
    ASSERT_TRUE(detail.has_value());
    EXPECT_EQ(detail->not_appended(), known);
    EXPECT_EQ(detail->reason(), v1::ErrorDetail::REASON_EPOCH);
  }
}

}  // namespace
}  // namespace distlog
