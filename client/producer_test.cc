// The producer against a fake cluster with scripted and random faults: each entry is in the log
// once and in order, and what is told of each is true.

#include "client/producer.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/fake_server.h"
#include "client/verdict.h"
#include "gtest/gtest.h"

namespace distlog {
namespace {

using Strings = std::vector<std::string>;

class ProducerTest : public testing::Test {
 protected:
  void Connect(const Strings& endpoints, absl::Duration timeout = absl::Seconds(60)) {
    auto client = Client::Connect(
        {.endpoints = endpoints, .timeout = timeout, .attempt_timeout = absl::Milliseconds(200)});
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  // Collects every answer; one producer at a time.
  ProducerOptions Watched() {
    ProducerOptions options;
    options.answered = [this](const Answer& answer) {
      EXPECT_EQ(answer.first_entry, results_.size());
      for (uint32_t i = 0; i < answer.count; ++i) {
        results_.push_back(answer.result);
        if (answer.result.outcome == Outcome::kDone) results_.back().first_position += i;
      }
    };
    return options;
  }

  std::vector<Outcome> Outcomes() const {
    std::vector<Outcome> outcomes;
    for (const AppendResult& result : results_) outcomes.push_back(result.outcome);
    return outcomes;
  }

  std::unique_ptr<Client> client_;
  std::vector<AppendResult> results_;
};

Strings Numbered(int count) {
  Strings entries;
  for (int i = 0; i < count; ++i) entries.push_back(absl::StrCat("entry ", i));
  return entries;
}

TEST_F(ProducerTest, CoalescesManyEntriesIntoFewRequests) {
  FakeCluster cluster(1);
  Connect(cluster.endpoints());
  const Strings entries = Numbered(20000);
  Producer producer(client_.get(), Watched());
  for (const std::string& entry : entries) ASSERT_TRUE(producer.Append(entry).ok());
  EXPECT_TRUE(producer.Close().ok());
  EXPECT_EQ(cluster.entries(), entries);
  EXPECT_LT(cluster.appends_taken(), entries.size() / 4);
  ASSERT_EQ(results_.size(), entries.size());
  for (size_t i = 0; i < results_.size(); ++i) EXPECT_EQ(results_[i].first_position, i + 1);
}

TEST_F(ProducerTest, EachEntryIsInOnceWhateverHappensToStreamsAndLeaders) {
  const Fault kFaults[] = {Fault::kNone, Fault::kNone,      Fault::kNone, Fault::kRefuse,
                           Fault::kFail, Fault::kFailAfter, Fault::kMove, Fault::kHang};
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    FakeCluster cluster(3);
    Connect(cluster.endpoints());
    results_.clear();
    std::vector<Fault> script;
    for (int i = 0; i < 15; ++i) script.push_back(kFaults[random() % std::size(kFaults)]);
    cluster.Script(script);
    const Strings entries = Numbered(400);
    ProducerOptions options = Watched();
    options.max_request_entries = 1 + random() % 40;
    options.max_outstanding_entries = 1 + random() % 200;
    Producer producer(client_.get(), options);
    for (const std::string& entry : entries) ASSERT_TRUE(producer.Append(entry).ok());
    const absl::Status status = producer.Close();
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(cluster.entries(), entries);
    ASSERT_EQ(results_.size(), entries.size());
    for (size_t i = 0; i < results_.size(); ++i) ASSERT_EQ(results_[i].first_position, i + 1);
  }
}

TEST_F(ProducerTest, GoesOnWhenTheLeaderIsKilledAndAnotherOneLeads) {
  FakeCluster cluster(3);
  Connect(cluster.endpoints());
  Producer producer(client_.get(), Watched());
  for (int round = 1; round <= 3; ++round) {
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(producer.Append(absl::StrCat(round, " ", i)).ok());
    ASSERT_TRUE(producer.Flush().ok());
    const int old = cluster.leader();
    cluster.Stop(old);
    cluster.Move();
    ASSERT_TRUE(producer.Append("after").ok());
    ASSERT_TRUE(producer.Flush().ok());
    cluster.Start(old);
  }
  EXPECT_EQ(cluster.entries().size(), 153u);
  EXPECT_EQ(Outcomes(), std::vector<Outcome>(153, Outcome::kDone));
}

TEST_F(ProducerTest, CallbacksAreCalledPerEntryInOrder) {
  FakeCluster cluster(1);
  Connect(cluster.endpoints());
  std::vector<uint64_t> positions;
  Producer producer(client_.get(), {});
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(
        producer
            .Append("x",
                    [&](const AppendResult& result) { positions.push_back(result.first_position); })
            .ok());
  }
  ASSERT_TRUE(producer.Flush().ok());
  EXPECT_EQ(positions, (std::vector<uint64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

TEST_F(ProducerTest, AFencedProducerFailsForGoodAndNothingFollowsTheGap) {
  FakeCluster cluster(1);
  Connect(cluster.endpoints());
  Producer producer(client_.get(), Watched());
  ASSERT_TRUE(producer.Append("a").ok());
  ASSERT_TRUE(producer.Flush().ok());
  cluster.Fence("");
  for (int i = 0; i < 5; ++i) {
    if (!producer.Append("b").ok()) break;
  }
  EXPECT_EQ(ReasonOf(producer.Flush()), v1::ErrorDetail::REASON_EPOCH);
  EXPECT_EQ(ReasonOf(producer.Append("c")), v1::ErrorDetail::REASON_EPOCH);
  EXPECT_EQ(cluster.entries(), (Strings{"a"}));
  for (size_t i = 1; i < results_.size(); ++i) EXPECT_EQ(results_[i].outcome, Outcome::kNotDone);
}

TEST_F(ProducerTest, WithoutALeaderAllIsCertainlyNotDone) {
  FakeCluster cluster(3);
  cluster.SetLeader(0);
  Connect(cluster.endpoints(), absl::Milliseconds(300));
  Producer producer(client_.get(), Watched());
  ASSERT_TRUE(producer.Append("a").ok());
  EXPECT_EQ(producer.Close().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Outcomes(), (std::vector<Outcome>{Outcome::kNotDone}));
}

TEST_F(ProducerTest, WhatWasSentAndNeverAnsweredIsUnknownAndWhatWasNotSentIsNotDone) {
  FakeCluster cluster(1);
  Connect(cluster.endpoints(), absl::Milliseconds(500));
  ProducerOptions options = Watched();
  options.max_request_entries = 2;
  options.expect_position = 1;  // Holds the second request back until the first is in.
  Producer producer(client_.get(), options);
  cluster.Script(std::vector<Fault>(50, Fault::kHang));
  for (const char* entry : {"a", "b", "c"}) ASSERT_TRUE(producer.Append(entry).ok());
  EXPECT_FALSE(producer.Close().ok());
  // How many went with the first request is a matter of timing: one or two.
  ASSERT_EQ(results_.size(), 3u);
  EXPECT_EQ(results_[0].outcome, Outcome::kUnknown);
  EXPECT_EQ(results_[2].outcome, Outcome::kNotDone);
  const Strings in = cluster.entries();
  EXPECT_EQ(results_[1].outcome, in.size() == 2 ? Outcome::kUnknown : Outcome::kNotDone);
}

TEST_F(ProducerTest, AnExpectedPositionThatDoesNotHoldKeepsAllOut) {
  FakeCluster cluster(1);
  cluster.Put({"x"});
  Connect(cluster.endpoints());
  ProducerOptions options = Watched();
  options.expect_position = 1;
  options.max_request_entries = 1;
  Producer producer(client_.get(), options);
  for (int i = 0; i < 4; ++i) {
    if (!producer.Append("a").ok()) break;
  }
  EXPECT_EQ(ReasonOf(producer.Close()), v1::ErrorDetail::REASON_POSITION);
  EXPECT_EQ(cluster.entries(), (Strings{"x"}));
  for (const AppendResult& result : results_) EXPECT_EQ(result.outcome, Outcome::kNotDone);
}

TEST_F(ProducerTest, ARerunWithTheSameSequencesGetsTheOriginalPositions) {
  FakeCluster cluster(1);
  Connect(cluster.endpoints());
  const auto opened = client_->OpenProducer("p");
  ASSERT_TRUE(opened.ok());
  for (int run = 0; run < 2; ++run) {
    results_.clear();
    ProducerOptions options = Watched();
    options.name = "p";
    options.epoch = opened->epoch();
    options.max_request_entries = 1;
    Producer producer(client_.get(), options);
    for (const char* entry : {"a", "b", "c"}) ASSERT_TRUE(producer.Append(entry).ok());
    ASSERT_TRUE(producer.Close().ok());
    ASSERT_EQ(results_.size(), 3u);
    EXPECT_EQ(results_[2].first_position, 3u);
    EXPECT_EQ(results_[2].duplicate, run == 1);
  }
  EXPECT_EQ(cluster.entries(), (Strings{"a", "b", "c"}));
}

TEST_F(ProducerTest, RefusesWhenFullIfAskedTo) {
  FakeCluster cluster(1);
  Connect(cluster.endpoints(), absl::Milliseconds(500));
  cluster.Script(std::vector<Fault>(50, Fault::kHang));
  ProducerOptions options = Watched();
  options.max_outstanding_entries = 2;
  options.when_full = ProducerOptions::WhenFull::kRefuse;
  Producer producer(client_.get(), options);
  EXPECT_TRUE(producer.Append("a").ok());
  EXPECT_TRUE(producer.Append("b").ok());
  EXPECT_EQ(producer.Append("c").code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(ProducerTest, ADestroyedProducerTellsWhatBecameOfAll) {
  FakeCluster cluster(1);
  Connect(cluster.endpoints());
  cluster.Script(std::vector<Fault>(50, Fault::kHang));
  {
    Producer producer(client_.get(), Watched());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(producer.Append("a").ok());
  }
  EXPECT_EQ(results_.size(), 3u);
  for (const AppendResult& result : results_) EXPECT_NE(result.outcome, Outcome::kDone);
}

}  // namespace
}  // namespace distlog
