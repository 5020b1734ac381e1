// Membership with real replicas and what they apply, on a perfect network: that an operation is
// carried from phase to phase to its end by whoever leads, that the log tells of each term once,
// and what operators are answered.

#include "server/membership.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "paxos/test_cluster.h"
#include "wire/value.h"

namespace distlog {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr paxos::ReplicaId k4{4};
constexpr Membership::Clock::time_point kNow{};
constexpr Membership::Clock::time_point kLater = kNow + hours(1);

// What a request was answered.
struct Asked {
  std::optional<absl::StatusOr<uint64_t>> answer;

  bool is_open() const { return !answer.has_value(); }
  uint64_t id() const { return answer.has_value() && answer->ok() ? **answer : 0; }
  absl::Status status() const { return answer.has_value() ? answer->status() : absl::OkStatus(); }
};

class MembershipTest : public testing::Test {
 protected:
  MembershipTest() {
    for (int id : {1, 2, 3}) servers_[paxos::ReplicaId(id)];
    Pass(seconds(2));
  }

  void Start(paxos::ReplicaId id) {
    cluster_.Restart(id);
    servers_[id];
  }
  void Kill(paxos::ReplicaId id) {
    cluster_.Kill(id);
    servers_.erase(id);
  }
  // In steps shorter than a round of heartbeats, with what servers do after each.
  void Pass(paxos::Time duration) {
    for (paxos::Time passed{}; passed < duration; passed += milliseconds(10)) {
      cluster_.Pass(milliseconds(10));
      Turn();
    }
  }
  // As the event loop: until nobody has anything to do.
  void Turn() {
    for (int i = 0; i < 100; ++i) {
      bool moved = false;
      for (auto& [id, server] : servers_) moved |= TurnOf(id, &server);
      if (!moved) return;
    }
    FAIL() << "there is no end of values";
  }
  // The same, one value at a time, until the leader has applied that the operation is in this
  // phase.
  void TurnUntil(uint64_t id, OperationPhase phase) {
    for (int i = 0; i < 1000; ++i) {
      for (auto& [replica, server] : servers_) {
        if (Leader() != paxos::kNoReplica && State().operations().Find(id) != nullptr &&
            PhaseOf(Operation(id)) == phase) {
          return;
        }
        TurnOf(replica, &server);
      }
      cluster_.Pass(milliseconds(10));
    }
    ADD_FAILURE() << "it does not come to phase " << static_cast<int>(phase);
  }
  // What this replica would propose, without proposing it.
  std::optional<paxos::Value> NextOf(paxos::ReplicaId id) {
    Server& server = servers_.at(id);
    Apply(id, &server);
    AppendQueue::Making making;
    making.origin.set_replica(static_cast<uint64_t>(id));
    making.origin.set_start_nonce(static_cast<uint64_t>(id));
    making.origin.set_sequence(last_ticket_ + 1);
    making.timestamp_ms = 1'700'000'000'000;
    const auto value = server.membership.Next(cluster_.at(id), server.sequencer, making, &answers_);
    Answer();
    if (value.has_value()) ++last_ticket_;
    return value;
  }

  paxos::ReplicaId Leader() { return cluster_.Leader(); }
  paxos::ReplicaId Follower() {
    const paxos::ReplicaId leader = Leader();
    return paxos::ReplicaId(leader == paxos::ReplicaId(1) ? 2 : 1);
  }
  const Sequencer& State() { return servers_.at(Leader()).sequencer; }
  const v1::OperationState& Operation(uint64_t id) { return *State().operations().Find(id); }
  v1::OperationsResponse Describe(paxos::ReplicaId id) {
    const Server& server = servers_.at(id);
    return server.membership.Describe(cluster_.at(id), server.sequencer);
  }

  // These are to be the voters. Whoever is none yet is a newcomer.
  v1::BeginOperationCommand Goal(const std::set<uint64_t>& voters, bool learn_first) {
    v1::BeginOperationCommand begin;
    begin.set_verb(v1::Operation::VERB_SET);
    begin.set_base_version(State().configuration().version);
    begin.set_learn_first(learn_first);
    begin.set_request("make it so");
    for (const uint64_t id : voters) {
      v1::MemberMessage* member = begin.add_goal();
      const bool is_member = State().configuration().Find(paxos::ReplicaId{id}) != nullptr;
      member->set_id(is_member ? id : 0);
      member->set_uuid(ToBytes(paxos::Uuid{0, id}));
      member->set_address("host:" + std::to_string(id));
      member->set_voter(true);
    }
    return begin;
  }
  std::shared_ptr<Asked> Ask(Membership::Request request) {
    auto asked = std::make_shared<Asked>();
    request.done = [asked](const absl::StatusOr<uint64_t>& answer) {
      EXPECT_TRUE(asked->is_open()) << "answered twice";
      asked->answer = answer;
    };
    servers_.at(Leader()).membership.Add(std::move(request), &answers_);
    return asked;
  }
  std::shared_ptr<Asked> Begin(const v1::BeginOperationCommand& command) {
    return Ask({.begin = std::make_unique<v1::BeginOperationCommand>(command),
                .cancel = 0,
                .deadline = kLater,
                .done = nullptr});
  }
  std::shared_ptr<Asked> Cancel(uint64_t id) {
    return Ask({.begin = nullptr, .cancel = id, .deadline = kLater, .done = nullptr});
  }
  Membership& membership() { return servers_.at(Leader()).membership; }
  void Answer() {
    for (const auto& answer : std::exchange(answers_, {})) answer();
  }

  // Lets it come to its end. The phases that the leader has applied, each once.
  std::vector<OperationPhase> PhasesUntilTheEnd(uint64_t id) {
    for (int i = 0; i < 1000; ++i) {
      if (Leader() != paxos::kNoReplica && IsFinished(Operation(id))) {
        return servers_.at(Leader()).phases[id];
      }
      Pass(milliseconds(10));
    }
    ADD_FAILURE() << "it does not come to its end";
    return {OperationPhase::kFailed};
  }
  std::vector<uint64_t> Voters() {
    std::vector<uint64_t> voters;
    for (const paxos::Member& member : State().configuration().members) {
      if (member.voter) voters.push_back(static_cast<uint64_t>(member.id));
    }
    return voters;
  }

  paxos::TestCluster cluster_{3};
  Answers answers_;

 private:
  struct Server {
    Sequencer sequencer{paxos::VotersOnly(3)};
    Membership membership;
    size_t outcomes = 0;                                     // Taken.
    std::map<uint64_t, std::vector<OperationPhase>> phases;  // As applied, by operation.
  };

  void Apply(paxos::ReplicaId id, Server* server) {
    const std::vector<paxos::Value>& log = cluster_.log(id);
    while (server->sequencer.applied_through() < log.size()) {
      const paxos::Slot slot = server->sequencer.applied_through() + 1;
      const auto applied = server->sequencer.Apply(
          {.slot = slot, .ballot = {1, paxos::ReplicaId{1}}, .value = log[slot - 1]});
      ASSERT_TRUE(applied.ok()) << applied.status();
      if (applied->origin_replica == static_cast<uint64_t>(id)) {
        server->membership.OnApplied(*applied, &answers_);
      }
      if (server->sequencer.operations().all().empty()) continue;
      const v1::OperationState& newest = server->sequencer.operations().all().back();
      std::vector<OperationPhase>& phases = server->phases[newest.id()];
      if (phases.empty() || phases.back() != PhaseOf(newest)) phases.push_back(PhaseOf(newest));
    }
    const std::vector<paxos::Outcome>& outcomes = cluster_.outcomes(id);
    for (; server->outcomes < outcomes.size(); ++server->outcomes) {
      const paxos::Outcome& outcome = outcomes[server->outcomes];
      const auto ticket = static_cast<uint64_t>(outcome.ticket);
      if (outcome.result == paxos::Outcome::Result::kChosen) {
        server->membership.OnChosen(ticket);
      } else {
        server->membership.OnNotChosen(ticket, absl::UnavailableError("not chosen"), &answers_);
      }
    }
    Answer();
  }
  bool TurnOf(paxos::ReplicaId id, Server* server) {
    const std::optional<paxos::Value> value = NextOf(id);
    if (!value.has_value()) return false;
    cluster_.Do(id, paxos::Propose{paxos::Ticket{last_ticket_}, *value});
    Apply(id, server);
    return true;
  }

  std::map<paxos::ReplicaId, Server> servers_;
  uint64_t last_ticket_ = 0;
};

TEST_F(MembershipTest, ATermIsBegunOncePerLeaderAndNotByARenewal) {
  const paxos::ReplicaId first = Leader();
  ASSERT_EQ(State().terms().size(), 1u);
  EXPECT_EQ(FromProto(State().terms()[0].ballot()), cluster_.at(first).leadership());
  EXPECT_EQ(State().terms()[0].previous_end(), v1::TERM_END_UNKNOWN);

  // As if the third had stood, asked one replica, and died: the leader renews its ballot.
  const paxos::ReplicaId other = Follower();
  const paxos::ReplicaId ghost{6 - static_cast<uint64_t>(first) - static_cast<uint64_t>(other)};
  const paxos::Ballot left{100, ghost};
  cluster_.Do(other, paxos::Receive{{ghost, other, paxos::Prepare{left, 1, 1}}});
  Pass(milliseconds(500));
  ASSERT_EQ(Leader(), first);
  ASSERT_GT(*cluster_.at(first).claimed(), left) << "it was not renewed";
  EXPECT_EQ(State().terms().size(), 1u);

  cluster_.Do(first, paxos::TransferLeadership{other});
  Pass(seconds(1));
  ASSERT_EQ(Leader(), other);
  ASSERT_EQ(State().terms().size(), 2u);
  EXPECT_EQ(FromProto(State().terms()[1].ballot()).owner, other);
  EXPECT_EQ(State().terms()[1].previous_end(), v1::TERM_END_TRANSFER);

  Kill(other);
  Pass(seconds(2));
  ASSERT_EQ(State().terms().size(), 3u);
  EXPECT_EQ(State().terms()[2].previous_end(), v1::TERM_END_CONNECTION_LOST);
}

TEST_F(MembershipTest, AFollowerHasNothingToPropose) {
  EXPECT_FALSE(NextOf(Follower()).has_value());
  EXPECT_TRUE(Describe(Leader()).from_leader());
  EXPECT_FALSE(Describe(Follower()).from_leader());
}

TEST_F(MembershipTest, ANewcomerLearnsThenVotes) {
  Start(k4);
  const auto asked = Begin(Goal({1, 2, 3, 4}, /*learn_first=*/true));
  Turn();
  ASSERT_EQ(asked->id(), 1u) << asked->status();
  EXPECT_THAT(PhasesUntilTheEnd(1),
              ElementsAre(OperationPhase::kLearning, OperationPhase::kChanging,
                          OperationPhase::kSettling, OperationPhase::kDone));
  EXPECT_THAT(Voters(), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(State().configuration().version, 3u) << "as a learner, then as a voter";
  EXPECT_THAT(Operation(1).added(), ElementsAre(4));
  EXPECT_EQ(State().configuration().next_replica_id, 5u);
  Pass(seconds(1));
  EXPECT_EQ(cluster_.log(k4), cluster_.log(Leader()));
}

// For so many rounds in a row, not in all.
TEST_F(MembershipTest, ANewcomerThatCannotKeepUpStaysALearner) {
  const auto asked = Begin(Goal({1, 2, 3, 4}, /*learn_first=*/true));
  Turn();
  Pass(seconds(5));
  EXPECT_EQ(PhaseOf(Operation(1)), OperationPhase::kLearning);
  const v1::Operation told = Describe(Leader()).operations(0);
  EXPECT_EQ(told.phase(), v1::Operation::PHASE_LEARNING);
  EXPECT_THAT(told.cause(), HasSubstr("member 4 (host:4) is not reachable"));
  ASSERT_EQ(told.progress_size(), 1);
  EXPECT_EQ(told.progress(0).id(), 4u);
  EXPECT_FALSE(told.progress(0).is_reachable());

  Start(k4);
  Pass(milliseconds(900));  // Fewer rounds than it takes.
  EXPECT_EQ(PhaseOf(Operation(1)), OperationPhase::kLearning);
  EXPECT_THAT(Describe(Leader()).operations(0).cause(), HasSubstr("has kept up for"));
  Kill(k4);
  Pass(seconds(2));
  EXPECT_EQ(PhaseOf(Operation(1)), OperationPhase::kLearning);
  Start(k4);
  Pass(milliseconds(900));
  EXPECT_EQ(PhaseOf(Operation(1)), OperationPhase::kLearning) << "it was gone in between";
  EXPECT_THAT(Voters(), ElementsAre(1, 2, 3));
}

TEST_F(MembershipTest, ADeadMemberIsReplacedInOneConfiguration) {
  const paxos::ReplicaId leader = Leader();
  const paxos::ReplicaId dead{leader == paxos::ReplicaId(3) ? 2u : 3u};
  Kill(dead);
  Pass(seconds(1));
  Start(k4);
  std::set<uint64_t> voters{1, 2, 3, 4};
  voters.erase(static_cast<uint64_t>(dead));
  const auto asked = Begin(Goal(voters, /*learn_first=*/false));
  Turn();
  ASSERT_EQ(asked->id(), 1u) << asked->status();
  const std::vector<OperationPhase> phases = PhasesUntilTheEnd(1);
  EXPECT_EQ(phases.back(), OperationPhase::kDone);
  EXPECT_EQ(std::count(phases.begin(), phases.end(), OperationPhase::kLearning), 0);
  EXPECT_EQ(State().configuration().version, 2u);
  EXPECT_THAT(Voters(), testing::ElementsAreArray(voters));
}

// It goes on from the applied state alone: the next leader knows nothing else.
class LeaderLostTest : public MembershipTest, public testing::WithParamInterface<OperationPhase> {};

TEST_P(LeaderLostTest, TheNextOneCarriesTheOperationToItsEnd) {
  const bool is_cancelled = GetParam() == OperationPhase::kCancelling;
  Start(k4);
  Begin(Goal({1, 2, 3, 4}, /*learn_first=*/true));
  TurnUntil(1, OperationPhase::kLearning);
  if (is_cancelled) {
    Turn();
    Cancel(1);
  }
  TurnUntil(1, GetParam());
  const paxos::ReplicaId first = Leader();
  Kill(first);
  Pass(seconds(2));
  ASSERT_NE(Leader(), paxos::kNoReplica);
  ASSERT_NE(Leader(), first);
  EXPECT_EQ(PhasesUntilTheEnd(1).back(),
            is_cancelled ? OperationPhase::kCancelled : OperationPhase::kDone);
  EXPECT_EQ(Voters().size(), is_cancelled ? 3u : 4u);
  EXPECT_EQ(State().configuration().members.size(), is_cancelled ? 3u : 4u);
}

INSTANTIATE_TEST_SUITE_P(InEachPhase, LeaderLostTest,
                         testing::Values(OperationPhase::kLearning, OperationPhase::kChanging,
                                         OperationPhase::kSettling, OperationPhase::kCancelling));

TEST_F(MembershipTest, ALeaderThatRemovesItselfCarriesItToTheEndAndLeaves) {
  const paxos::ReplicaId leader = Leader();
  std::set<uint64_t> others{1, 2, 3};
  others.erase(static_cast<uint64_t>(leader));
  const auto asked = Begin(Goal(others, /*learn_first=*/false));
  Turn();
  ASSERT_EQ(asked->id(), 1u) << asked->status();
  Pass(seconds(3));
  ASSERT_NE(Leader(), paxos::kNoReplica);
  ASSERT_NE(Leader(), leader);
  EXPECT_EQ(PhaseOf(Operation(1)), OperationPhase::kDone);
  EXPECT_THAT(Voters(), testing::ElementsAreArray(others));
  EXPECT_TRUE(cluster_.at(leader).has_left());
  EXPECT_FALSE(NextOf(leader).has_value());
  EXPECT_EQ(State().terms().back().previous_end(), v1::TERM_END_REMOVED);
}

TEST_F(MembershipTest, CancelledBeforeItsGoalIsInForceItRemovesWhatItAdded) {
  Begin(Goal({1, 2, 3, 4}, /*learn_first=*/true));
  Turn();
  Pass(milliseconds(500));
  ASSERT_EQ(State().configuration().members.size(), 4u) << "nobody is there: a learner for ever";
  const auto cancelled = Cancel(1);
  Turn();
  EXPECT_EQ(cancelled->id(), 1u) << cancelled->status();
  EXPECT_EQ(PhasesUntilTheEnd(1).back(), OperationPhase::kCancelled);
  EXPECT_EQ(State().configuration().members.size(), 3u);
  EXPECT_EQ(State().configuration().next_replica_id, 5u) << "an id is never given again";
  // Once more is the same.
  const auto again = Cancel(1);
  Turn();
  EXPECT_EQ(again->id(), 1u) << again->status();
}

// Both are asked for before anything is under way.
TEST_F(MembershipTest, ACancelThatWaitsComesBeforeTheConfiguration) {
  const auto begun = Begin(Goal({1, 2}, /*learn_first=*/false));
  const auto cancelled = Cancel(1);
  Turn();
  EXPECT_EQ(begun->id(), 1u) << begun->status();
  EXPECT_EQ(cancelled->id(), 1u) << cancelled->status();
  EXPECT_EQ(PhaseOf(Operation(1)), OperationPhase::kCancelled);
  EXPECT_THAT(Voters(), ElementsAre(1, 2, 3));

  Begin(Goal({1, 2}, /*learn_first=*/false));
  Turn();
  EXPECT_EQ(PhasesUntilTheEnd(2).back(), OperationPhase::kDone);
  const auto late = Cancel(2);
  Turn();
  EXPECT_EQ(late->status().code(), absl::StatusCode::kFailedPrecondition) << late->status();
  EXPECT_THAT(Voters(), ElementsAre(1, 2));
}

// Otherwise the goal could come into force after the answer that it was cancelled.
TEST_F(MembershipTest, NoConfigurationIsProposedWhileACancelIsUnderWay) {
  const paxos::ReplicaId leader = Leader();
  Begin(Goal({1, 2}, /*learn_first=*/false));
  TurnUntil(1, OperationPhase::kChanging);
  for (int id : {1, 2, 3}) {
    if (paxos::ReplicaId(id) != leader) cluster_.Cut(leader, paxos::ReplicaId(id));
  }
  const auto cancelled = Cancel(1);
  Turn();
  ASSERT_TRUE(cancelled->is_open()) << "it is chosen already";
  EXPECT_FALSE(NextOf(leader).has_value());
  cluster_.Heal();
  Pass(seconds(2));
  EXPECT_EQ(cancelled->id(), 1u) << cancelled->status();
  EXPECT_EQ(PhaseOf(Operation(1)), OperationPhase::kCancelled);
  EXPECT_THAT(Voters(), ElementsAre(1, 2, 3));
}

TEST_F(MembershipTest, ASecondOperationIsRefusedAsLongAsOneRuns) {
  const auto first = Begin(Goal({1, 2, 3, 4}, /*learn_first=*/true));
  const auto second = Begin(Goal({1, 2, 3, 5}, /*learn_first=*/true));
  Turn();
  EXPECT_EQ(first->id(), 1u) << first->status();
  EXPECT_EQ(second->status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second->status().message()), HasSubstr("operation 1 is running"));
  EXPECT_EQ(Cancel(9)->is_open(), true);
  const uint64_t chosen = cluster_.at(Leader()).chosen_through();
  Turn();
  EXPECT_EQ(cluster_.at(Leader()).chosen_through(), chosen) << "what is refused is not in the log";
}

TEST_F(MembershipTest, WithoutAQuorumOfTheNewVotersTheGoalIsNotProposed) {
  Begin(Goal({1, 4, 5}, /*learn_first=*/false));
  Turn();
  Pass(seconds(2));
  EXPECT_EQ(PhaseOf(Operation(1)), OperationPhase::kChanging);
  EXPECT_EQ(State().configuration().version, 1u);
  EXPECT_THAT(Describe(Leader()).operations(0).cause(),
              HasSubstr("no quorum of the voters that are to be"));
  const auto unknown = Cancel(7);
  Cancel(1);
  Turn();
  EXPECT_EQ(unknown->status().code(), absl::StatusCode::kNotFound) << unknown->status();
  EXPECT_EQ(PhaseOf(Operation(1)), OperationPhase::kCancelled);
}

TEST_F(MembershipTest, ARequestAgainstAnotherVersionIsRefusedAndACopyIsAnsweredTheSame) {
  v1::BeginOperationCommand begin = Goal({1, 2, 3, 4}, /*learn_first=*/true);
  begin.set_nonce(77);
  const auto first = Begin(begin);
  const auto copy = Begin(begin);
  begin.set_nonce(78);
  begin.set_base_version(9);
  Turn();
  EXPECT_EQ(first->id(), 1u);
  EXPECT_EQ(copy->id(), 1u);
  Cancel(1);
  Pass(seconds(1));
  const auto stale = Begin(begin);
  Turn();
  EXPECT_EQ(stale->status().code(), absl::StatusCode::kAborted) << stale->status();
}

TEST_F(MembershipTest, RequestsAreAnsweredAtTheirDeadline) {
  const paxos::ReplicaId leader = Leader();
  for (int id : {1, 2, 3}) {
    if (paxos::ReplicaId(id) != leader) cluster_.Cut(leader, paxos::ReplicaId(id));
  }
  const auto under_way = Begin(Goal({1, 2}, /*learn_first=*/false));
  Turn();
  const auto waiting = Cancel(1);
  Turn();
  membership().Expire(kLater - seconds(1), &answers_);
  Answer();
  EXPECT_TRUE(under_way->is_open());
  EXPECT_TRUE(waiting->is_open());
  membership().Expire(kLater, &answers_);
  Answer();
  EXPECT_EQ(under_way->status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(under_way->status().message()), HasSubstr("under way"));
  EXPECT_EQ(waiting->status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(waiting->status().message()), HasSubstr("before the request could be"));
  // It has its effect all the same once the others hear of it.
  cluster_.Heal();
  Pass(seconds(3));
  ASSERT_NE(Leader(), paxos::kNoReplica);
  EXPECT_EQ(State().operations().all().size(), 1u);
}

TEST_F(MembershipTest, OnlySoManyRequestsWait) {
  std::vector<std::shared_ptr<Asked>> asked;
  for (size_t i = 0; i <= Membership::kMaxRequests; ++i) asked.push_back(Cancel(1));
  Answer();
  EXPECT_EQ(asked.back()->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(asked.front()->is_open());
  membership().FailAll(absl::UnavailableError("waiting"), absl::UnavailableError("open"),
                       &answers_);
  Answer();
  EXPECT_EQ(asked.front()->status(), absl::UnavailableError("waiting"));
  EXPECT_FALSE(membership().has_waiting());
}

}  // namespace
}  // namespace distlog
