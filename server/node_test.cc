// A Node with the real Replica and Store: three of them in one process, joined by a network in
// memory.

#include "server/node.h"

#include <atomic>
#include <future>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "server/local_network.h"
#include "wire/status.h"

namespace distlog {
namespace {

using Clock = std::chrono::steady_clock;

Clock::time_point Soon() { return Clock::now() + std::chrono::seconds(60); }

v1::AppendRequest Request(const std::vector<std::string>& payloads) {
  v1::AppendRequest request;
  for (const std::string& payload : payloads) request.add_payloads(payload);
  return request;
}

v1::AppendRequest Request(const std::string& producer, uint64_t sequence,
                          const std::string& payload) {
  v1::AppendRequest request = Request({payload});
  request.set_producer(producer);
  request.set_sequence(sequence);
  return request;
}

using AppendResult = absl::StatusOr<v1::AppendResponse>;

std::future<AppendResult> StartAppend(Node& node, v1::AppendRequest request,
                                      Clock::time_point deadline = Soon()) {
  auto promise = std::make_shared<std::promise<AppendResult>>();
  node.Append(std::move(request), deadline,
              [promise](const AppendResult& result) { promise->set_value(result); });
  return promise->get_future();
}

AppendResult Append(Node& node, v1::AppendRequest request, Clock::time_point deadline = Soon()) {
  return StartAppend(node, std::move(request), deadline).get();
}

absl::StatusOr<Node::Bounds> Barrier(Node& node, Clock::time_point deadline = Soon()) {
  std::promise<absl::StatusOr<Node::Bounds>> promise;
  node.ReadBarrier(deadline,
                   [&](const absl::StatusOr<Node::Bounds>& bounds) { promise.set_value(bounds); });
  return promise.get_future().get();
}

std::vector<std::string> ReadAll(Node& node) {
  std::vector<std::string> payloads;
  const Node::Bounds bounds = node.LocalBounds();
  for (uint64_t next = bounds.first; next <= bounds.last;) {
    const auto entries = node.ReadEntries(next, bounds.last, 1 << 20);
    EXPECT_EQ(entries.status(), absl::OkStatus());
    if (!entries.ok()) break;
    for (const LogEntry& entry : *entries) {
      EXPECT_EQ(entry.position, next++);
      payloads.push_back(entry.payload);
    }
  }
  return payloads;
}

v1::ErrorDetail Detail(const absl::Status& status) {
  const std::optional<v1::ErrorDetail> detail = DetailOf(status);
  EXPECT_TRUE(detail.has_value()) << status;
  return detail.value_or(v1::ErrorDetail());
}

TEST(NodeTest, AppendsThroughTheLeaderAreReadFromEveryReplica) {
  LocalCluster cluster(3);
  cluster.Assign();
  Node& leader = cluster.node(cluster.Leader());
  const AppendResult first = Append(leader, Request({"a", "", "c"}));
  ASSERT_EQ(first.status(), absl::OkStatus());
  EXPECT_EQ(first->first_position(), 1u);
  EXPECT_EQ(first->count(), 3u);
  EXPECT_EQ(Append(leader, Request({"d"}))->first_position(), 4u);

  for (size_t i = 0; i < cluster.size(); ++i) {
    const auto bounds = Barrier(cluster.node(i));
    ASSERT_EQ(bounds.status(), absl::OkStatus());
    EXPECT_EQ(bounds->first, 1u);
    EXPECT_EQ(bounds->last, 4u);
    EXPECT_EQ(ReadAll(cluster.node(i)), (std::vector<std::string>{"a", "", "c", "d"}));
  }
}

// What waits while others are under way goes into one value; the order of arrival is that of the
// log.
TEST(NodeTest, ManyAppendsAtOnceKeepTheirOrder) {
  LocalCluster cluster(3);
  cluster.Assign();
  Node& leader = cluster.node(cluster.Leader());
  std::vector<std::future<AppendResult>> results;
  std::vector<std::string> payloads;
  for (int i = 0; i < 2000; ++i) {
    payloads.push_back("entry " + std::to_string(i));
    results.push_back(StartAppend(leader, Request({payloads.back()})));
  }
  for (size_t i = 0; i < results.size(); ++i) {
    const AppendResult result = results[i].get();
    ASSERT_EQ(result.status(), absl::OkStatus());
    EXPECT_EQ(result->first_position(), i + 1);
  }
  v1::ServerStatus status;
  leader.FillStatus(&status);
  EXPECT_LT(status.chosen_through(), 1000u);
  // Answered when a quorum's disks had it, the leader's own among them or not.
  ASSERT_EQ(Barrier(leader).status(), absl::OkStatus());
  EXPECT_EQ(ReadAll(leader), payloads);
}

TEST(NodeTest, AFollowerRefusesWithTheLeadersAddress) {
  LocalCluster cluster(3);
  cluster.Assign();
  const size_t leader = cluster.Leader();
  const size_t other = (leader + 1) % 3;
  LocalCluster::WaitFor([&] { return !cluster.node(other).leader().address.empty(); });
  const AppendResult result = Append(cluster.node(other), Request({"x"}));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  const v1::ErrorDetail detail = Detail(result.status());
  EXPECT_TRUE(detail.not_appended());
  EXPECT_EQ(detail.reason(), v1::ErrorDetail::REASON_NO_LEADER);
  EXPECT_EQ(detail.leader_address(), cluster.genesis().members[leader].address);
}

TEST(NodeTest, ARepeatedSequenceGetsTheFirstAnswerAndAGapIsRefused) {
  LocalCluster cluster(1);
  cluster.Assign();
  Node& node = cluster.node(cluster.Leader());
  ASSERT_EQ(Append(node, Request("p", 1, "one"))->first_position(), 1u);
  const AppendResult again = Append(node, Request("p", 1, "one"));
  ASSERT_EQ(again.status(), absl::OkStatus());
  EXPECT_TRUE(again->duplicate());
  EXPECT_EQ(again->first_position(), 1u);

  const AppendResult gap = Append(node, Request("p", 3, "three"));
  const v1::ErrorDetail detail = Detail(gap.status());
  EXPECT_EQ(detail.reason(), v1::ErrorDetail::REASON_SEQUENCE_GAP);
  EXPECT_TRUE(detail.not_appended());
  EXPECT_EQ(detail.expected(), 2u);
  EXPECT_EQ(ReadAll(node), std::vector<std::string>{"one"});
}

TEST(NodeTest, AnExpectedPositionThatDoesNotHoldIsRefused) {
  LocalCluster cluster(1);
  cluster.Assign();
  Node& node = cluster.node(cluster.Leader());
  v1::AppendRequest request = Request({"x"});
  request.set_expect_position(7);
  const v1::ErrorDetail detail = Detail(Append(node, request).status());
  EXPECT_EQ(detail.reason(), v1::ErrorDetail::REASON_POSITION);
  EXPECT_TRUE(detail.not_appended());
  EXPECT_EQ(detail.actual(), 1u);
}

TEST(NodeTest, OpenProducerStartsAnEpochThatFencesTheOneBefore) {
  LocalCluster cluster(1);
  cluster.Assign();
  Node& node = cluster.node(cluster.Leader());
  ASSERT_EQ(Append(node, Request("p", 1, "one")).status(), absl::OkStatus());
  v1::OpenProducerRequest open;
  open.set_name("p");
  open.set_nonce(99);
  std::promise<absl::StatusOr<v1::OpenProducerResponse>> promise;
  node.OpenProducer(open, Soon(), [&](const absl::StatusOr<v1::OpenProducerResponse>& response) {
    promise.set_value(response);
  });
  const auto opened = promise.get_future().get();
  ASSERT_EQ(opened.status(), absl::OkStatus());
  EXPECT_EQ(opened->epoch(), 1u);
  EXPECT_EQ(opened->next_sequence(), 2u);
  EXPECT_EQ(Detail(Append(node, Request("p", 2, "two")).status()).reason(),
            v1::ErrorDetail::REASON_EPOCH);
}

// Each row breaks one rule of a request; nothing is appended, and the answer says so.
TEST(NodeTest, RequestsThatBreakARuleAreRefused) {
  Node::Limits limits;
  limits.max_entry_bytes = 10;
  limits.max_request_bytes = 15;
  limits.max_payloads = 3;
  LocalCluster cluster(1, {}, limits);
  cluster.Assign();
  Node& node = cluster.node(cluster.Leader());
  std::vector<v1::AppendRequest> bad(10, Request({"x"}));
  bad[0].clear_payloads();
  bad[1] = Request({std::string(11, 'x')});
  bad[2] = Request({std::string(10, 'x'), std::string(10, 'y')});
  bad[3] = Request({"1", "2", "3", "4"});
  bad[4].set_sequence(1);
  bad[5].set_producer("p");
  bad[6].set_producer(std::string(129, 'p'));
  bad[7].set_fence(1);
  bad[8].set_cluster_id(std::string(32, 'c'));
  bad[9].set_log("other");
  for (size_t i = 0; i < bad.size(); ++i) {
    const AppendResult result = Append(node, bad[i]);
    EXPECT_FALSE(result.ok()) << i;
    EXPECT_TRUE(Detail(result.status()).not_appended()) << i;
  }
  EXPECT_EQ(Append(node, Request({std::string(10, 'x')}))->first_position(), 1u);
}

TEST(NodeTest, TooManyRequestsUnderWayAreRefusedAndThenTakenAgain) {
  Node::Limits limits;
  limits.max_inflight_requests = 3;
  LocalCluster cluster(3, {}, limits);
  cluster.Assign();
  const size_t leader = cluster.Leader();
  ASSERT_EQ(Append(cluster.node(leader), Request({"x"})).status(), absl::OkStatus());
  // Without followers nothing is chosen.
  for (size_t i = 0; i < 3; ++i) {
    if (i != leader) cluster.network().CutOff(LocalCluster::IdOf(i), true);
  }
  std::vector<std::future<AppendResult>> taken;
  for (int i = 0; i < 3; ++i) {
    taken.push_back(StartAppend(cluster.node(leader), Request({"y"})));
  }
  const AppendResult refused = Append(cluster.node(leader), Request({"z"}));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Detail(refused.status()).reason(), v1::ErrorDetail::REASON_BUSY);
  EXPECT_TRUE(Detail(refused.status()).not_appended());
  for (size_t i = 0; i < 3; ++i) cluster.network().CutOff(LocalCluster::IdOf(i), false);
  for (auto& result : taken) result.wait();
}

// A leader that is cut off cannot know what becomes of what it proposed: it must not say that it
// was not appended.
TEST(NodeTest, AnOpenOutcomeIsNotCalledNotAppended) {
  LocalCluster cluster(3);
  cluster.Assign();
  const size_t leader = cluster.Leader();
  ASSERT_EQ(Append(cluster.node(leader), Request({"x"})).status(), absl::OkStatus());
  cluster.network().CutOff(LocalCluster::IdOf(leader), true);
  const AppendResult result =
      Append(cluster.node(leader), Request({"y"}), Clock::now() + std::chrono::milliseconds(300));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(Detail(result.status()).not_appended());
}

TEST(NodeTest, ALinearizableReadFailsWithoutAQuorumWhileALocalOneServes) {
  LocalCluster cluster(3);
  cluster.Assign();
  const size_t leader = cluster.Leader();
  ASSERT_EQ(Append(cluster.node(leader), Request({"x"})).status(), absl::OkStatus());
  ASSERT_EQ(Barrier(cluster.node(leader)).status(), absl::OkStatus());
  cluster.network().CutOff(LocalCluster::IdOf(leader), true);
  const auto bounds = Barrier(cluster.node(leader), Clock::now() + std::chrono::milliseconds(200));
  EXPECT_EQ(bounds.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Detail(bounds.status()).reason(), v1::ErrorDetail::REASON_NO_LEADER);
  EXPECT_EQ(cluster.node(leader).LocalBounds().last, 1u);
}

TEST(NodeTest, WhoeverWaitsForMoreIsToldWhenItCanBeRead) {
  LocalCluster cluster(3);
  cluster.Assign();
  const size_t leader = cluster.Leader();
  Node& other = cluster.node((leader + 1) % 3);
  std::promise<Node::Bounds> seen;
  other.WaitBeyond(0, Soon(), [&](Node::Bounds bounds) { seen.set_value(bounds); });
  ASSERT_EQ(Append(cluster.node(leader), Request({"x"})).status(), absl::OkStatus());
  EXPECT_EQ(seen.get_future().get().last, 1u);
  EXPECT_EQ(ReadAll(other), std::vector<std::string>{"x"});

  std::promise<Node::Bounds> nothing;
  other.WaitBeyond(1, Clock::now() + std::chrono::milliseconds(20),
                   [&](Node::Bounds bounds) { nothing.set_value(bounds); });
  EXPECT_EQ(nothing.get_future().get().last, 1u);
}

// Whoever waits for new entries asks again as soon as it is answered: sent away because of others,
// who wait for a quorum, it would do so without end.
TEST(NodeTest, ReadsThatWaitForAQuorumDoNotTurnSubscribersAway) {
  Node::Limits limits;
  limits.max_waiting_reads = 1;
  LocalCluster cluster(3, {}, limits);
  cluster.network().Drop([](const paxos::Message&) { return true; });
  cluster.Assign();
  std::promise<void> barrier;
  cluster.node(0).ReadBarrier(Soon(),
                              [&](const absl::StatusOr<Node::Bounds>&) { barrier.set_value(); });
  EXPECT_EQ(Detail(Barrier(cluster.node(0)).status()).reason(), v1::ErrorDetail::REASON_BUSY);
  std::atomic<bool> answered{false};
  std::promise<void> waiter;
  cluster.node(0).WaitBeyond(0, Soon(), [&](Node::Bounds) {
    answered = true;
    waiter.set_value();
  });
  EXPECT_FALSE(answered);
  cluster.Stop(0, std::chrono::milliseconds(1));
  barrier.get_future().get();
  waiter.get_future().get();
}

// The others go on without a leader that is gone, and it catches up when it is back, with what it
// had.
TEST(NodeTest, AReplicaThatWasAwayCatchesUp) {
  LocalCluster cluster(3);
  cluster.Assign();
  const size_t first = cluster.Leader();
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(Append(cluster.node(first), Request({"before"})).status(), absl::OkStatus());
  }
  cluster.Stop(first, std::chrono::milliseconds(0));
  const size_t second = cluster.Leader();
  ASSERT_NE(first, second);
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(Append(cluster.node(second), Request({"meanwhile"})).status(), absl::OkStatus());
  }
  cluster.Restart(first);
  LocalCluster::WaitFor([&] { return cluster.node(first).LocalBounds().last == 20; });
  ASSERT_EQ(Barrier(cluster.node(second)).status(), absl::OkStatus());
  EXPECT_EQ(ReadAll(cluster.node(first)), ReadAll(cluster.node(second)));
  v1::ServerStatus one;
  v1::ServerStatus two;
  cluster.node(first).FillStatus(&one);
  cluster.node(second).FillStatus(&two);
  EXPECT_EQ(one.start_counter(), two.start_counter() + 1);
}

// Its age is known from the log itself, as nothing new is applied where there is no quorum.
TEST(NodeTest, TheAgeOfWhatWasAppliedLastIsKnownAfterARestart) {
  LocalCluster cluster(3);
  cluster.Assign();
  const auto age_ms = [&] {
    v1::ServerStatus status;
    cluster.node(0).FillStatus(&status);
    return status.last_applied_age_ms();
  };
  const auto begin = std::chrono::system_clock::now();
  ASSERT_EQ(Append(cluster.node(cluster.Leader()), Request({"x"})).status(), absl::OkStatus());
  LocalCluster::WaitFor([&] { return cluster.node(0).LocalBounds().last == 1; });
  for (size_t i = 0; i < 3; ++i) cluster.Stop(i, std::chrono::milliseconds(0));
  cluster.Restart(0);
  LocalCluster::WaitFor([&] { return cluster.node(0).LocalBounds().last == 1; });
  EXPECT_GE(age_ms(), 0);
  EXPECT_LE(age_ms(), std::chrono::duration_cast<std::chrono::milliseconds>(
                          std::chrono::system_clock::now() - begin)
                              .count() +
                          1);
}

TEST(NodeTest, NothingWasAppliedBeforeTheFirstEntry) {
  LocalCluster cluster(3);
  cluster.network().Drop([](const paxos::Message&) { return true; });
  cluster.Assign();
  v1::ServerStatus status;
  cluster.node(0).FillStatus(&status);
  EXPECT_EQ(status.last_applied_age_ms(), -1);
}

// A leader that meets a promise which somebody left behind goes above it. What came in meanwhile is
// not sent away: it would come back at once.
TEST(NodeTest, AppendsWaitWhileTheirLeaderRenewsItsBallot) {
  paxos::Options protocol;
  protocol.progress_timeout = std::chrono::minutes(10);
  LocalCluster cluster(3, {}, {}, {}, protocol);
  cluster.Assign();
  const size_t index = cluster.Leader();
  Node& leader = cluster.node(index);
  ASSERT_EQ(Append(leader, Request({"before"})).status(), absl::OkStatus());
  // It is content, so that it may renew.
  LocalCluster::WaitFor([&] {
    v1::ServerStatus status;
    leader.FillStatus(&status);
    return status.heard_size() == 3 && status.content();
  });
  v1::ServerStatus status;
  leader.FillStatus(&status);
  cluster.network().Drop([](const paxos::Message& message) {
    return std::holds_alternative<paxos::Prepare>(message);
  });
  const paxos::ReplicaId other = LocalCluster::IdOf((index + 1) % 3);
  const paxos::Ballot ballot{status.ballot().round(), LocalCluster::IdOf(index)};
  const paxos::Ballot higher{ballot.round + 5, other};
  leader.OnReceive({paxos::Envelope{other, ballot.owner, paxos::Nack{ballot, higher}}});
  LocalCluster::WaitFor([&] { return !leader.leader().is_here; });
  std::future<AppendResult> append = StartAppend(leader, Request({"meanwhile"}));
  // The loop answers this one after it has looked at the append.
  std::promise<Node::Bounds> turn;
  leader.WaitBeyond(100, Clock::now(), [&](Node::Bounds bounds) { turn.set_value(bounds); });
  turn.get_future().get();
  cluster.network().Drop(nullptr);
  const AppendResult result = append.get();
  ASSERT_EQ(result.status(), absl::OkStatus());
  EXPECT_EQ(result->first_position(), 2u);
  EXPECT_TRUE(leader.leader().is_here);
}

// More than one segment, so that cuts and checkpoints are made on the way; then everything from
// disk.
TEST(NodeTest, EverythingIsThereAfterAllWereStoppedAcrossSegments) {
  Store::Options options;
  options.segment_bytes = 64 << 10;
  options.unsafe_no_sync = true;  // No power is cut here.
  LocalCluster cluster(3, options);
  cluster.Assign();
  std::vector<std::string> payloads;
  const size_t leader = cluster.Leader();
  for (int i = 0; i < 1500; ++i) {
    payloads.push_back(std::string(200, static_cast<char>('a' + i % 26)));
    ASSERT_EQ(Append(cluster.node(leader), Request({payloads.back()})).status(), absl::OkStatus());
  }
  LocalCluster::WaitFor([&] {
    v1::ServerStatus status;
    cluster.node(leader).FillStatus(&status);
    return status.segments() > 1;
  });
  for (size_t i = 0; i < 3; ++i) cluster.Stop(i, std::chrono::milliseconds(100));
  for (size_t i = 0; i < 3; ++i) cluster.Restart(i);
  const size_t next = cluster.Leader();
  ASSERT_EQ(Barrier(cluster.node(next)).status(), absl::OkStatus());
  EXPECT_EQ(ReadAll(cluster.node(next)), payloads);
}

TEST(NodeTest, AStoppingLeaderHandsOverAndRefusesNewRequests) {
  LocalCluster cluster(3);
  cluster.Assign();
  const size_t leader = cluster.Leader();
  Node& node = cluster.node(leader);
  ASSERT_EQ(Append(node, Request({"x"})).status(), absl::OkStatus());
  node.Stop(std::chrono::seconds(10));
  const AppendResult refused = Append(node, Request({"y"}));
  EXPECT_EQ(Detail(refused.status()).reason(), v1::ErrorDetail::REASON_STOPPING);
  EXPECT_TRUE(Detail(refused.status()).not_appended());
  EXPECT_EQ(Detail(Barrier(node).status()).reason(), v1::ErrorDetail::REASON_STOPPING);
  cluster.Stop(leader, std::chrono::milliseconds(0));
  EXPECT_EQ(Append(cluster.node(cluster.Leader()), Request({"z"}))->first_position(), 2u);
}

TEST(NodeTest, AnUnassignedServerTakesNothingAndRefusesAnotherGenesisLater) {
  LocalCluster cluster(1);
  Node& node = cluster.node(0);
  EXPECT_EQ(Detail(Append(node, Request({"x"})).status()).reason(),
            v1::ErrorDetail::REASON_UNASSIGNED);
  EXPECT_EQ(Detail(Barrier(node).status()).reason(), v1::ErrorDetail::REASON_UNASSIGNED);
  cluster.Assign();
  EXPECT_EQ(node.Assign(cluster.genesis(), ClusterId(cluster.genesis())), absl::OkStatus());
  const paxos::Configuration other =
      MakeGenesis({{{}, node.identity().uuid, "127.0.0.1:9", true}}).value();
  EXPECT_EQ(node.Assign(other, ClusterId(other)).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(NodeTest, AppendsAreRefusedWhileTheDiskIsNearlyFull) {
  Node::Limits limits;
  limits.disk_reserve_bytes = UINT64_MAX / 4;  // No disk has that.
  LocalCluster cluster(1, {}, limits);
  cluster.Assign();
  cluster.Leader();
  const AppendResult refused = Append(cluster.node(0), Request({"x"}));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Detail(refused.status()).reason(), v1::ErrorDetail::REASON_DISK_FULL);
  EXPECT_TRUE(Detail(refused.status()).not_appended());
  v1::ServerStatus status;
  cluster.node(0).FillStatus(&status);
  EXPECT_NE(status.last_error().find("nearly full"), std::string::npos);
}

TEST(NodeTest, StatusTellsWhoLeadsAndWhoIsHeard) {
  LocalCluster cluster(3);
  cluster.Assign();
  const size_t leader = cluster.Leader();
  ASSERT_EQ(Append(cluster.node(leader), Request({"x"})).status(), absl::OkStatus());
  ASSERT_EQ(Barrier(cluster.node(leader)).status(), absl::OkStatus());
  v1::ServerStatus status;
  LocalCluster::WaitFor([&] {
    status.Clear();
    cluster.node(leader).FillStatus(&status);
    return status.heard_size() == 3;
  });
  EXPECT_TRUE(status.assigned());
  EXPECT_TRUE(status.is_leader());
  EXPECT_TRUE(status.quorum_connected());
  EXPECT_EQ(status.leader_id(), leader + 1);
  EXPECT_EQ(status.replica_id(), leader + 1);
  EXPECT_EQ(status.last_position(), 1u);
  EXPECT_EQ(status.configuration().members_size(), 3);
  EXPECT_EQ(cluster.network().members_set(leader), 1u);
  EXPECT_EQ(status.last_error(), "");
}

}  // namespace
}  // namespace distlog
