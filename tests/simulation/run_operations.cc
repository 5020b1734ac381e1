// Operators that begin and cancel operations, which whoever leads carries on.

#include <algorithm>
#include <utility>

#include "tests/simulation/run.h"
#include "wire/value.h"

namespace distlog::simulation {

using paxos::Configuration;
using paxos::Member;
using paxos::ReplicaId;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr size_t kMaxVoters = 7;
constexpr size_t kMaxMembers = 10;
constexpr uint64_t kMaxNewcomers = 4;  // Of one operation.

v1::MemberMessage MessageOf(const Member& member) {
  v1::MemberMessage message;
  message.set_id(static_cast<uint64_t>(member.id));
  message.set_uuid(ToBytes(member.uuid));
  message.set_address(member.address);
  message.set_voter(member.voter);
  return message;
}

size_t CountVoters(const v1::BeginOperationCommand& begin) {
  return std::count_if(begin.goal().begin(), begin.goal().end(),
                       [](const v1::MemberMessage& member) { return member.voter(); });
}

// Whether those who are there now suffice to decide: without learning first, newcomers have
// nothing.
bool KeepsQuorum(const v1::BeginOperationCommand& begin) {
  const size_t kept = std::count_if(
      begin.goal().begin(), begin.goal().end(),
      [](const v1::MemberMessage& member) { return member.voter() && member.id() != 0; });
  return 2 * kept > CountVoters(begin);
}

void Remove(size_t index, v1::BeginOperationCommand* begin) {
  begin->mutable_goal()->DeleteSubrange(static_cast<int>(index), 1);
}

}  // namespace

// ---- What an operator wants. -------------------------------------------------------------------

void Run::AskForOperation() {
  Random& random = world_.random;
  Host* asked = WhoIsAsked();
  if (!asked->is_up()) return;
  const Configuration current = asked->replica()->configuration();
  const v1::BeginOperationCommand begin = NextOperation(current, asked->id());
  Begin(asked, begin);
  // Another operator wants something else, or this one asks once more.
  if (random.Chance(0.2)) {
    Begin(random.Chance(0.5) ? asked : AnyHost(),
          random.Chance(0.5) ? begin : NextOperation(current, asked->id()));
  }
  if (random.Chance(0.2)) {
    Later(random.LongTail(milliseconds(1), seconds(3)),
          [this, begin] { Begin(WhoIsAsked(), begin); });
  }
  if (random.Chance(0.4)) {
    Later(random.LongTail(std::chrono::microseconds(50), seconds(2)),
          [this] { CancelOperation(); });
  }
  // Whoever leads then: in any of the phases.
  if (random.Chance(plan_.change_crashes)) {
    Later(random.LongTail(std::chrono::microseconds(50), seconds(3)),
          [this] { Crash(WhoIsAsked()); });
  }
}

// Mostly whoever leads.
Host* Run::WhoIsAsked() {
  Host* leader = LeadingHost();
  return leader == nullptr || world_.random.Chance(0.1) ? AnyHost() : leader;
}

void Run::Begin(Host* host, const v1::BeginOperationCommand& begin) {
  if (!host->is_up()) return;
  if (world_.trace.on()) {
    world_.trace.Add(world_.now(),
                     paxos::ToString(host->id()) + "   asked to begin " + begin.ShortDebugString());
  }
  ++world_.counters.operations_asked;
  checker_.BeginAsked(begin.nonce());
  Membership::Request request;
  request.begin = std::make_unique<v1::BeginOperationCommand>(begin);
  const auto was_begun = [this, nonce = begin.nonce()] {
    const auto& all = checker_.operations().all();
    return std::any_of(all.begin(), all.end(),
                       [&](const auto& each) { return each.begun.nonce() == nonce; });
  };
  request.done = [this, nonce = begin.nonce(),
                  is_copy = was_begun()](const absl::StatusOr<uint64_t>& answer) {
    Counters& counters = world_.counters;
    if (answer.ok() && is_copy) ++counters.operations_repeated;
    if (answer.status().code() == absl::StatusCode::kAborted) ++counters.operations_refused_version;
    if (answer.status().code() == absl::StatusCode::kFailedPrecondition) {
      ++(checker_.operations().running() == nullptr ? counters.operations_refused_goal
                                                    : counters.operations_refused_busy);
    }
    checker_.BeginAnswered(nonce, answer);
  };
  host->Operate(std::move(request), plan_.client_timeout);
}

// The running one, and at times another; at times two operators at once.
void Run::CancelOperation() {
  const OperationTable& operations = checker_.operations();
  const uint64_t newest = operations.all().size();
  const uint64_t id = newest + (world_.random.Chance(0.05) ? 1 : 0);
  for (uint64_t count = world_.random.Chance(0.2) ? 2 : 1; count > 0; --count) {
    Host* host = WhoIsAsked();
    if (!host->is_up()) continue;
    if (world_.trace.on()) {
      world_.trace.Add(world_.now(),
                       paxos::ToString(host->id()) + "   asked to cancel " + std::to_string(id));
    }
    checker_.CancelAsked(id);
    Membership::Request request;
    request.cancel = id;
    request.done = [this, id](const absl::StatusOr<uint64_t>& answer) {
      if (answer.status().code() == absl::StatusCode::kFailedPrecondition) {
        ++world_.counters.cancels_refused_late;
      }
      checker_.CancelAnswered(id, answer);
    };
    host->Operate(std::move(request), plan_.client_timeout);
  }
}

// ---- Goals. ------------------------------------------------------------------------------------

void Run::AddNewcomer(bool voter, const Configuration& current, v1::BeginOperationCommand* begin) {
  const uint64_t newcomers =
      std::count_if(begin->goal().begin(), begin->goal().end(),
                    [](const v1::MemberMessage& member) { return member.id() == 0; });
  const uint64_t ids = plan_.replicas + plan_.learners + plan_.spares;
  if (newcomers == kMaxNewcomers || current.next_replica_id + newcomers > ids) return;
  if (begin->goal_size() == static_cast<int>(kMaxMembers)) return;
  const uint64_t number = ++newcomers_;
  v1::MemberMessage* member = begin->add_goal();
  member->set_uuid(ToBytes(paxos::Uuid{1, number}));
  member->set_address("newcomer" + std::to_string(number) + ":1");
  member->set_voter(voter && CountVoters(*begin) < kMaxVoters);
}

// What each of the five verbs makes of the members.
v1::BeginOperationCommand Run::NextOperation(const Configuration& current, ReplicaId leader) {
  Random& random = world_.random;
  v1::BeginOperationCommand begin;
  for (const Member& member : current.members) *begin.add_goal() = MessageOf(member);
  const auto any = [&]() -> size_t {
    for (int i = 0; i < begin.goal_size(); ++i) {
      if (ReplicaId{begin.goal(i).id()} == leader && random.Chance(0.3)) return i;
    }
    return random.Below(begin.goal_size());
  };
  const uint64_t wish = random.Below(10);
  if (wish < 2) {
    begin.set_verb(1);  // Operation.Verb: add,
    AddNewcomer(random.Chance(0.7), current, &begin);
  } else if (wish < 3) {
    begin.set_verb(2);  // remove,
    Remove(any(), &begin);
  } else if (wish < 5) {
    begin.set_verb(3);  // replace,
    const size_t index = any();
    const bool voter = begin.goal(static_cast<int>(index)).voter();
    Remove(index, &begin);
    AddNewcomer(voter, current, &begin);
  } else if (wish < 6) {
    begin.set_verb(4);  // promote,
    for (v1::MemberMessage& member : *begin.mutable_goal()) {
      if (CountVoters(begin) < kMaxVoters && random.Chance(0.7)) member.set_voter(true);
    }
  } else {
    begin.set_verb(5);  // set.
    const uint64_t kept = random.Below(begin.goal_size() + 1);
    while (begin.goal_size() > static_cast<int>(kept)) Remove(any(), &begin);
    for (uint64_t count = random.Between(kept == 0 ? 1 : 0, kMaxNewcomers); count > 0; --count) {
      AddNewcomer(true, current, &begin);
    }
    for (v1::MemberMessage& member : *begin.mutable_goal()) {
      member.set_voter(member.voter() || CountVoters(begin) < kMaxVoters);
    }
  }
  if (random.Chance(0.03)) {  // Nobody would vote.
    for (v1::MemberMessage& member : *begin.mutable_goal()) member.set_voter(false);
  }
  begin.set_learn_first(random.Chance(0.7) || !KeepsQuorum(begin));
  begin.set_base_version(current.version);
  if (random.Chance(0.1)) begin.set_base_version(current.version + 2 * random.Below(2) - 1);
  begin.set_nonce(random.Next() | 1);
  return begin;
}

// ---- Machines come. ----------------------------------------------------------------------------

// Those that a configuration names first; they start when it is chosen (WatchChanges).
void Run::AddHostsOf(const Configuration& configuration) {
  for (const Member& member : configuration.members) {
    if (static_cast<uint64_t>(member.id) > hosts_.size()) AddHost(member);
  }
}

// ---- What is counted. --------------------------------------------------------------------------

void Run::CountOperations() {
  Counters& counters = world_.counters;
  const OperationTable::Met& met = checker_.operations().met();
  const auto lost_in = [&met](OperationPhase phase) {
    return met.leaders_lost[static_cast<size_t>(phase)];
  };
  counters.terms_begun = met.terms;
  counters.operations_begun = met.begun;
  counters.operations_done = met.done;
  counters.operations_cancelled = met.cancelled;
  counters.operations_failed = met.failed;
  counters.operations_carried_on = met.carried_on;
  counters.leaders_lost_learning = lost_in(OperationPhase::kLearning);
  counters.leaders_lost_changing = lost_in(OperationPhase::kChanging);
  counters.leaders_lost_settling = lost_in(OperationPhase::kSettling);
  counters.leaders_lost_cancelling = lost_in(OperationPhase::kCancelling);
}

}  // namespace distlog::simulation
