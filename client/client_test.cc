// The client against a fake cluster with scripted faults: which outcome it tells for every kind of
// failure, how it finds and follows the leader, and that reads go on where they broke.

#include "client/client.h"

#include <memory>
#include <string>
#include <vector>

#include "client/fake_server.h"
#include "client/verdict.h"
#include "gtest/gtest.h"
#include "wire/status.h"

namespace distlog {
namespace {

using Strings = std::vector<std::string>;

std::unique_ptr<Client> ClientOf(const Strings& endpoints,
                                 absl::Duration timeout = absl::Seconds(30)) {
  auto client = Client::Connect(
      {.endpoints = endpoints, .timeout = timeout, .attempt_timeout = absl::Milliseconds(300)});
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

Strings Payloads(const std::vector<v1::Entry>& entries) {
  Strings payloads;
  for (const v1::Entry& entry : entries) payloads.push_back(entry.payload());
  return payloads;
}

absl::Status ReadAll(Client* client, const ReadRange& range, Strings* read) {
  return client->Read(range, [read](std::vector<v1::Entry>* entries) {
    for (std::string& payload : Payloads(*entries)) read->push_back(std::move(payload));
    return true;
  });
}

// Subscribes from the first position until there have been so many entries.
Strings Follow(Client* client, size_t count) {
  Strings read;
  const absl::Status status = client->Subscribe({.from = 1}, [&](std::vector<v1::Entry>* entries) {
    for (std::string& payload : Payloads(*entries)) read.push_back(std::move(payload));
    return read.size() < count;
  });
  EXPECT_TRUE(status.ok()) << status;
  return read;
}

TEST(ClientTest, RefusesEndpointsThatAreNoAddress) {
  for (const char* endpoint : {"", "localhost", "localhost:", ":4600", "a:b", "a:0", "a:65536"}) {
    EXPECT_EQ(Client::Connect({.endpoints = {endpoint}}).status().code(),
              absl::StatusCode::kInvalidArgument)
        << endpoint;
  }
  EXPECT_FALSE(Client::Connect({}).ok());
}

TEST(ClientTest, FindsTheLeaderFromAnyMember) {
  FakeCluster cluster(3);
  cluster.SetLeader(3);
  const auto client = ClientOf({cluster.endpoint(1)});
  const AppendResult result = client->Append({"a", "b"});
  EXPECT_EQ(result.outcome, Outcome::kDone) << result.status;
  EXPECT_EQ(result.first_position, 1u);
  EXPECT_EQ(result.count, 2u);
}

TEST(ClientTest, FollowsTheLeaderAndSkipsDeadEndpoints) {
  FakeCluster cluster(3);
  const auto client = ClientOf(cluster.endpoints());
  EXPECT_EQ(client->Append({"a"}).outcome, Outcome::kDone);
  cluster.Stop(1);
  cluster.SetLeader(2);
  AppendResult result = client->Append({"b"});
  // The connection to the dead one may break only when the request has gone there.
  if (result.outcome == Outcome::kUnknown) result = client->Append({"b"});
  EXPECT_EQ(result.outcome, Outcome::kDone) << result.status;
  EXPECT_EQ(cluster.entries(), (Strings{"a", "b"}));
}

TEST(ClientTest, APlainAppendIsRepeatedOnlyAfterProofThatNothingHappened) {
  FakeCluster cluster(1);
  const auto client = ClientOf(cluster.endpoints());
  cluster.Script({Fault::kRefuse, Fault::kRefuse});
  EXPECT_EQ(client->Append({"a"}).outcome, Outcome::kDone);
  cluster.Script({Fault::kFailAfter});
  EXPECT_EQ(client->Append({"b"}).outcome, Outcome::kUnknown);
  cluster.Script({Fault::kFail});
  EXPECT_EQ(client->Append({"c"}).outcome, Outcome::kUnknown);
  EXPECT_EQ(cluster.entries(), (Strings{"a", "b"}));
}

// As a leader that was stopped does. What gRPC has to say of it helps nobody.
TEST(ClientTest, ASilentServerIsNamedInPlainWords) {
  FakeCluster cluster(1);
  const auto client = ClientOf(cluster.endpoints(), absl::Seconds(2));
  cluster.Script({Fault::kHang});
  const AppendResult silent = client->Append({"a"});
  EXPECT_EQ(silent.outcome, Outcome::kUnknown);
  EXPECT_EQ(silent.status, absl::DeadlineExceededError("the server at " + cluster.endpoint(1) +
                                                       " did not answer in time"));
  EXPECT_EQ(
      StatusFrom({grpc::UNAVAILABLE, "keepalive watchdog timeout"}, "a:1"),
      absl::UnavailableError("the connection to the server at a:1 failed before it answered"));
  // What a server says of itself stays.
  const grpc::Status said(grpc::FAILED_PRECONDITION, "no");
  EXPECT_EQ(StatusFrom(said, "a:1"), absl::FailedPreconditionError("no"));
}

TEST(ClientTest, AProducersAppendIsRepeatedUntilItIsAnswered) {
  FakeCluster cluster(3);
  const auto client = ClientOf(cluster.endpoints());
  const auto opened = client->OpenProducer("p");
  ASSERT_TRUE(opened.ok()) << opened.status();
  cluster.Script({Fault::kFail, Fault::kFailAfter, Fault::kRefuse, Fault::kMove, Fault::kHang});
  const AppendResult result = client->Append(
      {"a", "b"}, {.producer = "p", .epoch = opened->epoch(), .sequence = opened->next_sequence()});
  EXPECT_EQ(result.outcome, Outcome::kDone) << result.status;
  EXPECT_TRUE(result.duplicate);
  EXPECT_EQ(cluster.entries(), (Strings{"a", "b"}));
}

TEST(ClientTest, ARefusalAfterAnUnknownAttemptLeavesItUnknown) {
  // The first copy is lost; the second finds the producer fenced. The first may still be applied.
  FakeCluster cluster(1);
  const auto client = ClientOf(cluster.endpoints());
  const auto opened = client->OpenProducer("p");
  ASSERT_TRUE(opened.ok());
  Attempts attempts(/*has_producer=*/true);
  EXPECT_TRUE(attempts.Again(absl::UnavailableError("cut")));
  v1::ErrorDetail fenced;
  fenced.set_not_appended(true);
  fenced.set_reason(v1::ErrorDetail::REASON_EPOCH);
  EXPECT_FALSE(attempts.Again(RefusalError(fenced)));
  EXPECT_EQ(attempts.outcome(), Outcome::kUnknown);

  // But a refused position is remembered with the sequence, and so holds for the first copy too.
  v1::ErrorDetail position = fenced;
  position.set_reason(v1::ErrorDetail::REASON_POSITION);
  EXPECT_FALSE(attempts.Again(RefusalError(position)));
  EXPECT_EQ(attempts.outcome(), Outcome::kNotDone);
}

TEST(ClientTest, OnlyTheTypedDetailProvesThatNothingHappened) {
  for (int code = 1; code <= 16; ++code) {
    Attempts attempts(/*has_producer=*/false);
    EXPECT_FALSE(attempts.Again(absl::Status(static_cast<absl::StatusCode>(code), "x")));
    EXPECT_EQ(attempts.outcome(), Outcome::kUnknown) << code;
  }
  v1::ErrorDetail not_kept;
  not_kept.set_not_appended(true);
  not_kept.set_reason(v1::ErrorDetail::REASON_RESULT_NOT_KEPT);
  Attempts attempts(/*has_producer=*/true);
  EXPECT_FALSE(attempts.Again(RefusalError(not_kept)));
  EXPECT_EQ(attempts.outcome(), Outcome::kUnknown);
}

TEST(ClientTest, AnExpectedPositionThatDoesNotHoldIsCertainlyNotDone) {
  FakeCluster cluster(1);
  cluster.Put({"x"});
  const auto client = ClientOf(cluster.endpoints());
  const AppendResult result = client->Append({"a"}, {.expect_position = 7});
  EXPECT_EQ(result.outcome, Outcome::kNotDone);
  EXPECT_EQ(DetailOf(result.status)->actual(), 2u);
}

TEST(ClientTest, WithoutALeaderNothingHappensUntilTheTimeout) {
  FakeCluster cluster(3);
  cluster.SetLeader(0);
  const auto client = ClientOf(cluster.endpoints(), absl::Milliseconds(300));
  const AppendResult result = client->Append({"a"});
  EXPECT_EQ(result.outcome, Outcome::kNotDone);
  EXPECT_EQ(result.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(client->End().ok());
  EXPECT_TRUE(client->Status().ok());
}

TEST(ClientTest, WithNobodyThereNothingHappensUntilTheTimeout) {
  FakeCluster cluster(1);
  cluster.Stop(1);
  const auto client = ClientOf(cluster.endpoints(), absl::Milliseconds(300));
  EXPECT_EQ(client->Append({"a"}).outcome, Outcome::kNotDone);
  EXPECT_EQ(client->Init({cluster.endpoint(1)}).outcome, Outcome::kNotDone);
  EXPECT_EQ(client->Status().status().code(), absl::StatusCode::kUnavailable);
}

TEST(ClientTest, AnEmptyServerIsToldApartFromASilentOne) {
  FakeCluster cluster(1, /*assigned=*/false);
  const auto client = ClientOf(cluster.endpoints());
  const AppendResult result = client->Append({"a"});
  EXPECT_EQ(result.outcome, Outcome::kNotDone);
  EXPECT_EQ(ReasonOf(result.status), v1::ErrorDetail::REASON_UNASSIGNED);
  EXPECT_EQ(client->Init(cluster.endpoints()).outcome, Outcome::kDone);
  EXPECT_EQ(client->Append({"a"}).outcome, Outcome::kDone);
  EXPECT_EQ(client->Init(cluster.endpoints()).status.code(), absl::StatusCode::kFailedPrecondition);
}

TEST(ClientTest, AServerOfAnotherClusterAmongTheEndpointsIsPassedOver) {
  FakeCluster ours(3), other(1, /*assigned=*/true, 'x');
  // Whoever answers first: the other one leads its cluster, and says so at once.
  for (int i = 0; i < 20; ++i) {
    const auto client = ClientOf({other.endpoint(1), ours.endpoint(2), ours.endpoint(3)});
    const AppendResult result = client->Append({"a"});
    ASSERT_EQ(result.outcome, Outcome::kDone) << result.status;
    const auto status = client->Status();
    ASSERT_TRUE(status.ok()) << status.status();
    EXPECT_EQ(status->members_size(), 3);
  }
  EXPECT_EQ(ours.entries().size(), 20u);
  EXPECT_TRUE(other.entries().empty());
}

TEST(ClientTest, AsManyEndpointsOfOneClusterAsOfAnotherAreRefusedByName) {
  FakeCluster ours(3), other(1, /*assigned=*/true, 'x');
  for (int i = 0; i < 20; ++i) {
    const auto client = ClientOf({ours.endpoint(1), other.endpoint(1)});
    const AppendResult result = client->Append({"a"});
    EXPECT_EQ(result.outcome, Outcome::kNotDone);
    for (const absl::Status& status : {result.status, client->Status().status()}) {
      EXPECT_EQ(ReasonOf(status), v1::ErrorDetail::REASON_WRONG_CLUSTER) << status;
      const std::string message(status.message());
      EXPECT_NE(message.find(ours.endpoint(1)), std::string::npos) << message;
      EXPECT_NE(message.find(other.endpoint(1)), std::string::npos) << message;
    }
  }
  EXPECT_TRUE(ours.entries().empty());
  EXPECT_TRUE(other.entries().empty());
}

TEST(ClientTest, AClientStaysWithItsClusterWhenOnlyAnotherOneAnswers) {
  FakeCluster ours(3), other(1, /*assigned=*/true, 'x');
  const auto client = ClientOf({ours.endpoint(1), ours.endpoint(2), other.endpoint(1)},
                               /*timeout=*/absl::Seconds(1));
  ASSERT_EQ(client->Append({"a"}).outcome, Outcome::kDone);
  for (int id = 1; id <= 3; ++id) ours.Stop(id);
  const AppendResult result = client->Append({"b"});
  EXPECT_EQ(ReasonOf(result.status), v1::ErrorDetail::REASON_NO_LEADER) << result.status;
  EXPECT_TRUE(other.entries().empty());
}

TEST(ClientTest, AReadGoesOnWhereItBroke) {
  FakeCluster cluster(3);
  const Strings all = {"a", "b", "c", "d", "e", "f", "g", "h"};
  cluster.Put(all);
  const auto client = ClientOf(cluster.endpoints());
  cluster.Script({Fault::kNone, Fault::kFail, Fault::kFail, Fault::kNone, Fault::kFail});
  Strings read;
  const absl::Status status = ReadAll(client.get(), {}, &read);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(read, all);
}

// An entry once chosen is the same on every replica: what one disk has lost, another serves.
TEST(ClientTest, AReadGoesOnElsewhereWhereADiskIsDamaged) {
  FakeCluster cluster(3);
  const Strings all = {"a", "b", "c", "d", "e", "f"};
  cluster.Put(all);
  const auto client = ClientOf(cluster.endpoints());
  cluster.Script({Fault::kNone, Fault::kDamaged, Fault::kDamaged});
  Strings read;
  const absl::Status status = ReadAll(client.get(), {}, &read);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(read, all);
}

TEST(ClientTest, AReadOfWhatEveryMemberHasLostSaysSo) {
  FakeCluster cluster(3);
  cluster.Put({"a", "b"});
  const auto client = ClientOf(cluster.endpoints());
  cluster.Script({Fault::kDamaged, Fault::kDamaged, Fault::kDamaged});
  Strings read;
  EXPECT_TRUE(absl::IsDataLoss(ReadAll(client.get(), {}, &read)));
  EXPECT_TRUE(read.empty());
}

TEST(ClientTest, AReadIsBoundedByCountAndEnd) {
  FakeCluster cluster(1);
  cluster.Put({"a", "b", "c", "d", "e", "f"});
  const auto client = ClientOf(cluster.endpoints());
  Strings read;
  cluster.Script({Fault::kNone, Fault::kFail});
  EXPECT_TRUE(ReadAll(client.get(), {.from = 2, .count = 4}, &read).ok());
  EXPECT_EQ(read, (Strings{"b", "c", "d", "e"}));
  read.clear();
  EXPECT_TRUE(ReadAll(client.get(), {.from = 5, .to = 100}, &read).ok());
  EXPECT_EQ(read, (Strings{"e", "f"}));
}

TEST(ClientTest, ALocalReadAsksTheFirstEndpointAndNobodyElse) {
  FakeCluster cluster(2);
  cluster.Put({"a"});
  cluster.SetLeader(0);
  Strings read;
  const auto client = ClientOf(cluster.endpoints());
  EXPECT_TRUE(ReadAll(client.get(), {.local = true}, &read).ok());
  EXPECT_EQ(read, (Strings{"a"}));
  cluster.Script({Fault::kFail});
  EXPECT_FALSE(ReadAll(client.get(), {.local = true}, &read).ok());
}

TEST(ClientTest, ASubscriptionGoesOnElsewhereWithoutAGapOrARepeat) {
  FakeCluster cluster(3);
  cluster.Put({"a", "b", "c", "d", "e"});
  const auto client = ClientOf(cluster.endpoints());
  cluster.Script({Fault::kNone, Fault::kFail, Fault::kFail});
  Strings read;
  const absl::Status status = client->Subscribe({.last = 4}, [&](std::vector<v1::Entry>* entries) {
    for (std::string& payload : Payloads(*entries)) read.push_back(std::move(payload));
    if (read.size() == 4) {
      cluster.SetLeader(2);
      cluster.Stop(1);
      cluster.Put({"f", "g"});
    }
    return read.size() < 6;
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(read, (Strings{"b", "c", "d", "e", "f", "g"}));
}

// Servers say something about once a second: less is no time to give up after.
TEST(ClientTest, ASubscriptionWaitsOnAnIdleLogLongerThanAShortTimeout) {
  FakeCluster cluster(1);
  cluster.Put({"a"});
  cluster.PutWhenIdle({"b"});
  const auto client = ClientOf(cluster.endpoints(), /*timeout=*/FakeCluster::kIdle / 2);
  EXPECT_EQ(Follow(client.get(), 2), (Strings{"a", "b"}));
}

// Nothing was wrong before the stream broke: the timeout begins there.
TEST(ClientTest, ASubscriptionGoesOnAfterALongerSilenceThanItsTimeout) {
  FakeCluster cluster(1);
  cluster.Put({"a"});
  cluster.PutWhenIdle({"b"});
  cluster.Script({Fault::kNone, Fault::kFail});
  const auto client = ClientOf(cluster.endpoints(), /*timeout=*/FakeCluster::kIdle / 2);
  EXPECT_EQ(Follow(client.get(), 2), (Strings{"a", "b"}));
}

}  // namespace
}  // namespace distlog
