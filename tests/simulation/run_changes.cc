// Changes of configuration in a run: who asks for which, which machines come and go.

#include <algorithm>
#include <utility>

#include "tests/simulation/run.h"

namespace distlog::simulation {

using paxos::Configuration;
using paxos::Member;
using paxos::ReplicaId;
using std::chrono::milliseconds;

namespace {

constexpr size_t kMaxVoters = 7;
constexpr size_t kMaxMembers = 10;

size_t CountVoters(const Configuration& configuration) {
  return std::count_if(configuration.members.begin(), configuration.members.end(),
                       [](const Member& member) { return member.voter; });
}

bool IsVoterIn(const Configuration& configuration, const Member& member) {
  return configuration.IsVoter(member.id);
}

}  // namespace

// ---- What an operator wants. -------------------------------------------------------------------

void Run::AskForChange() {
  Random& random = world_.random;
  Host* leader = LeadingHost();
  if (leader == nullptr || random.Chance(0.1)) leader = AnyHost();
  if (!leader->is_up()) return;
  // Where it will be alone with it: another leader may come to another one before anybody hears.
  if (plan_.leader_cuts > 0 && random.Chance(0.2)) {
    CutLeader();
    Later(random.LongTail(milliseconds(1), milliseconds(100)), [this, leader] {
      if (!leader->is_up()) return;
      leader->Reconfigure(NextAfter(leader->replica()->configuration(), leader->id()));
    });
    Later(random.LongTail(milliseconds(100), std::chrono::seconds(2)), [this] { AskForChange(); });
    return;
  }
  const Configuration current = leader->replica()->configuration();
  leader->Reconfigure(NextAfter(current, leader->id()));
  // Another operator wants something else, here or at who led before.
  if (random.Chance(0.2)) {
    (random.Chance(0.5) ? leader : AnyHost())->Reconfigure(NextAfter(current, leader->id()));
  }
  if (random.Chance(plan_.change_crashes)) {
    Later(random.LongTail(std::chrono::microseconds(50), milliseconds(50)),
          [this, leader] { Crash(leader); });
  }
}

void Run::AddMember(bool voter, Configuration* next) {
  const uint64_t id = next->next_replica_id;
  if (id > plan_.replicas + plan_.learners + plan_.spares) return;
  if (next->members.size() >= kMaxMembers) return;
  next->members.push_back({.id = ReplicaId{id},
                           .uuid = {0, id},
                           .address = "replica" + std::to_string(id) + ":1",
                           .voter = voter && CountVoters(*next) < kMaxVoters});
  ++next->next_replica_id;
  if (id <= hosts_.size()) return;
  AddHost(next->members.back());
  // It may be there, as a stranger, before anybody has chosen it.
  if (world_.random.Chance(0.5)) {
    Later(world_.random.LongTail(milliseconds(1), milliseconds(500)),
          [this, id] { StartMachine(ReplicaId{id}); });
  }
}

void Run::RemoveMember(size_t index, Configuration* next) {
  next->members.erase(next->members.begin() + static_cast<ptrdiff_t>(index));
}

Configuration Run::NextAfter(const Configuration& current, ReplicaId leader) {
  Random& random = world_.random;
  Configuration next = current;
  next.version = current.version + (random.Chance(0.05) ? 2 * random.Below(2) : 1);
  const auto any = [&]() -> size_t {
    for (size_t i = 0; i < next.members.size(); ++i) {
      if (next.members[i].id == leader && random.Chance(0.4)) return i;
    }
    return random.Below(next.members.size());
  };
  const bool has_learners = CountVoters(current) < current.members.size();
  const uint64_t wish = random.Below(12);
  if (wish < 3 ||
      (wish < 9 && wish >= 6 && !has_learners)) {  // Learners, who may come to replace all.
    for (uint64_t count = random.Between(1, 4); count > 0; --count) AddMember(false, &next);
  } else if (wish < 4) {
    AddMember(true, &next);
  } else if (wish < 5) {
    RemoveMember(any(), &next);
  } else if (wish < 6) {
    RemoveMember(any(), &next);
    AddMember(true, &next);
  } else if (wish >= 6 && wish < 9) {  // Other voters altogether.
    std::erase_if(next.members, [](const Member& member) { return member.voter; });
    for (Member& member : next.members) member.voter = true;
  } else if (wish < 10) {
    for (Member& member : next.members) member.voter = member.voter || random.Chance(0.7);
  } else if (wish < 11) {
    Member& member = next.members[any()];
    member.voter = !member.voter;
  } else {  // Another size.
    const uint64_t size = random.Between(1, kMaxVoters);
    while (next.members.size() > size) RemoveMember(any(), &next);
    for (Member& member : next.members) member.voter = true;
    for (uint64_t i = next.members.size(); i < size; ++i) AddMember(true, &next);
  }
  // Without a voter it would be refused: that is worth only so many attempts.
  if (CountVoters(next) == 0 && !random.Chance(0.1)) {
    if (next.members.empty()) next.members.push_back(current.members.front());
    next.members.front().voter = true;
  }
  while (CountVoters(next) > kMaxVoters) RemoveMember(0, &next);
  return next;
}

// ---- Machines come. ----------------------------------------------------------------------------

void Run::StartMachine(ReplicaId id) {
  Host* machine = host(id);
  if (machine->has_started()) return;
  machines_.push_back(machine);
  if (healed_) {
    core_.insert(id);
    machine->Mend();
  }
  Restart(machine);
}

void Run::WatchChanges() {
  const std::vector<Decisions::Electorate>& all = checker_.decisions().electorates();
  for (; watched_version_ < all.size(); ++watched_version_) {
    CountChange(all[watched_version_ - 1], all[watched_version_]);
    AddHostsOf(all[watched_version_].configuration);
    for (const Member& member : all[watched_version_].configuration.members) {
      host(member.id)->set_address(member.address);
      world_.scheduler.After(world_.random.LongTail(milliseconds(1), milliseconds(300)),
                             [this, id = member.id] { StartMachine(id); });
    }
  }
  world_.scheduler.After(kTroubleStep, [this] { WatchChanges(); });
}

void Run::CountChange(const Decisions::Electorate& before, const Decisions::Electorate& after) {
  Counters& counters = world_.counters;
  if ((before.voters & after.voters) == 0) ++counters.disjoint_sets;
  if (after.configuration.Find(after.since.owner) == nullptr) ++counters.leaders_removed;
  if (after.first_proposed.owner != after.since.owner) ++counters.leaders_lost_in_change;
  for (const Member& member : before.configuration.members) {
    if (!member.voter && IsVoterIn(after.configuration, member)) ++counters.learners_promoted;
  }
}

// ---- Machines go. ------------------------------------------------------------------------------

// The operator is told; in the same instant, all that may happen then does.
void Run::OnSettled(const Configuration& configuration) {
  if (configuration.version <= settled_version_) return;
  settled_version_ = configuration.version;
  ++world_.counters.changes_settled;
  if (healed_) return;
  world_.scheduler.After(Time(0), [this, configuration] {
    if (world_.random.Chance(plan_.change_power_cuts)) {
      ++world_.counters.power_cuts_of_the_new;
      for (const Member& member : configuration.members) {
        if (member.voter) Crash(host(member.id));
      }
    }
    const std::vector<Host*> machines = machines_;
    for (Host* machine : machines) {
      const bool has_left = static_cast<uint64_t>(machine->id()) < configuration.next_replica_id &&
                            configuration.Find(machine->id()) == nullptr;
      if (!has_left || !world_.random.Chance(plan_.change_destroys)) continue;
      ++world_.counters.leavers_destroyed;
      Crash(machine);
      std::erase(machines_, machine);
      machine->Destroy();
    }
  });
}

// ---- After the faults. -------------------------------------------------------------------------

bool Run::IsChanging() const {
  // One that is proposed in the moment in which members are lost for good may need just those.
  return checker_.settled_version() < checker_.decisions().newest_version() ||
         checker_.decisions().HasPendingConfiguration() ||
         checker_.operations().running() != nullptr ||
         (plan_.operations > 0 && checker_.HasPendingCommand()) ||
         std::any_of(hosts_.begin(), hosts_.end(),
                     [](const auto& host) { return host->has_changes_waiting(); });
}

void Run::CheckChangesEnd(const Host& leader) {
  if (leader.replica()->configuration() != InForce().configuration ||
      !leader.replica()->is_settled()) {
    world_.Fail("configuration " + std::to_string(InForce().configuration.version) +
                " is not settled 100 heartbeat rounds after the last fault" + State());
  }
  if (const OperationTable::Operation* running = checker_.operations().running()) {
    world_.Fail("operation " + std::to_string(running->id) + " is still in phase " +
                std::to_string(static_cast<uint32_t>(running->phase)) +
                " 100 heartbeat rounds after the last fault" + State());
  }
}

}  // namespace distlog::simulation
