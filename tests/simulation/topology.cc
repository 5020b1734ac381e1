#include "tests/simulation/topology.h"

#include <algorithm>
#include <sstream>
#include <utility>

namespace distlog::simulation {

using paxos::Ballot;
using paxos::ReplicaId;
using std::chrono::milliseconds;

namespace {

constexpr Time kBetweenAppends = milliseconds(20);
constexpr Time kPatience = std::chrono::hours(1);  // Of an append.

paxos::Configuration Genesis(size_t replicas) {
  paxos::Configuration genesis;
  genesis.version = 1;
  genesis.next_replica_id = replicas + 1;
  for (size_t i = 1; i <= replicas; ++i) {
    genesis.members.push_back({ReplicaId{i}, {0, i}, "replica" + std::to_string(i) + ":1", true});
  }
  return genesis;
}

}  // namespace

Topology::Topology(size_t replicas, uint64_t seed)
    : world_(seed, false, false),
      genesis_(Genesis(replicas)),
      checker_(genesis_, paxos::kWindow, [this](const std::string& what) { world_.Fail(what); }),
      elections_([this](const std::string& what) { world_.Fail(what); }),
      coverage_(&world_, genesis_),
      network_(&world_, /*encoded=*/false,
               [this](const paxos::Envelope& envelope) { Deliver(envelope); }) {
  Network::Weather weather;
  weather.max_delay = milliseconds(5);
  network_.set_weather(weather);
  for (const paxos::Member& member : genesis_.members) {
    AddHost(member);
    world_.scheduler.After(world_.random.Between(Time(0), kRound),
                           [host = hosts_.back().get()] { host->Start(); });
  }
  Run(2 * kRound);
  MendAll();
  AppendOne();
  Run(30 * kRound);
}

void Topology::AddHost(const paxos::Member& member) {
  Host::Options options;
  options.protocol.self = member.id;
  options.address = member.address;
  options.clock.offset = world_.random.Between(Time(0), Time(std::chrono::hours(24)));
  Host::Callbacks callbacks;
  callbacks.send = [this](const paxos::Envelope& envelope) {
    if (!is_lost_ || !is_lost_(envelope)) network_.Send(envelope);
  };
  callbacks.crash = [] {};
  callbacks.settled = [this](const paxos::Configuration& settled) { OnSettled(settled); };
  callbacks.pass_on = [](const std::string&, const v1::AppendRequest&, AppendCallback) {};
  hosts_.push_back(std::make_unique<Host>(
      &world_, Host::Watchers{&checker_, &elections_, &coverage_},
      std::make_unique<LogDisk>(genesis_), std::move(options), std::move(callbacks)));
}

void Topology::Deliver(const paxos::Envelope& envelope) {
  const auto to = static_cast<uint64_t>(envelope.to);
  if (to <= size()) host(to)->Post(paxos::Receive{envelope});  // Strangers have no host.
}

void Topology::AppendOne() {
  if (const size_t leader = Leader(); leader != 0) {
    const uint64_t number = ++appends_;
    under_way_.insert(number);
    v1::AppendRequest request;
    request.add_payloads(std::to_string(number));
    host(leader)->Append(request, kPatience, /*passed_on=*/true,
                         [this, number](const absl::StatusOr<v1::AppendResponse>& answer) {
                           under_way_.erase(number);
                           if (answer.ok()) ++appended_;
                         });
  }
  world_.scheduler.After(kBetweenAppends, [this] { AppendOne(); });
}

// ---- What happens. -----------------------------------------------------------------------------

void Topology::Run(Time duration) {
  const Time until = world_.now() + duration;
  while (!world_.violation.has_value() && world_.scheduler.RunNext(until)) {
  }
}

void Topology::Cut(size_t from, size_t to) { network_.Cut(ReplicaId{from}, ReplicaId{to}); }

void Topology::Mend(size_t from, size_t to) {
  network_.Mend(ReplicaId{from}, ReplicaId{to});
  host(from)->Post(paxos::PeerConnected{ReplicaId{to}});
}

void Topology::CutBoth(size_t a, size_t b) {
  Cut(a, b);
  Cut(b, a);
}

void Topology::MendBoth(size_t a, size_t b) {
  Mend(a, b);
  Mend(b, a);
}

void Topology::Isolate(size_t number) {
  for (size_t other = 1; other <= size(); ++other) {
    if (other != number) CutBoth(number, other);
  }
}

void Topology::KeepOnly(const std::vector<std::pair<size_t, size_t>>& links) {
  for (size_t a = 1; a <= size(); ++a) {
    for (size_t b = a + 1; b <= size(); ++b) {
      const bool is_kept = std::any_of(links.begin(), links.end(), [&](const auto& link) {
        return link == std::pair(a, b) || link == std::pair(b, a);
      });
      if (is_kept && network_.IsCut(ReplicaId{a}, ReplicaId{b})) MendBoth(a, b);
      if (!is_kept) CutBoth(a, b);
    }
  }
}

void Topology::MendAll() {
  for (size_t a = 1; a <= size(); ++a) {
    for (size_t b = a + 1; b <= size(); ++b) MendBoth(a, b);
  }
}

void Topology::Kill(size_t number) { host(number)->Crash(); }

void Topology::Restart(size_t number) {
  host(number)->Start();
  for (size_t other = 1; other <= size(); ++other) {
    if (other != number) MendBoth(other, number);
  }
}

void Topology::Destroy(size_t number) { host(number)->Destroy(); }

size_t Topology::AddMachine() {
  const size_t number = size() + 1;
  AddHost({ReplicaId{number}, {0, number}, "replica" + std::to_string(number) + ":1", true});
  Restart(number);
  return number;
}

bool Topology::Change(const std::set<size_t>& voters, const std::set<size_t>& learners,
                      const std::function<void()>& settled) {
  const paxos::Configuration& current = checker_.decisions().electorates().back().configuration;
  paxos::Configuration next = current;
  ++next.version;
  next.members.clear();
  for (size_t number = 1; number <= size(); ++number) {
    if (!voters.contains(number) && !learners.contains(number)) continue;
    next.members.push_back(
        {ReplicaId{number}, {0, number}, host(number)->address(), voters.contains(number)});
    next.next_replica_id = std::max<uint64_t>(next.next_replica_id, number + 1);
  }
  awaited_version_ = next.version;
  settled_ = settled;
  host(Leader())->Reconfigure(next);
  for (int round = 0; round < 50 && awaited_version_ != 0; ++round) Run(kRound);
  return awaited_version_ == 0;
}

void Topology::OnSettled(const paxos::Configuration& configuration) {
  if (configuration.version != awaited_version_) return;
  awaited_version_ = 0;
  if (settled_) world_.scheduler.After(Time(0), std::exchange(settled_, nullptr));
}

void Topology::Campaign(size_t from, size_t to, uint64_t round) {
  const paxos::Replica& candidate = *host(from)->replica();
  const paxos::Prepare prepare{
      {round, ReplicaId{from}}, candidate.chosen_through() + 1, candidate.configuration().version};
  Deliver({ReplicaId{from}, ReplicaId{to}, prepare});
}

void Topology::LeavePromise(size_t from, size_t to, uint64_t round) {
  const paxos::Prepare prepare{{round, ReplicaId{from}}, checker_.chosen_through() + 1, 1};
  Deliver({ReplicaId{from}, ReplicaId{to}, prepare});
}

// ---- What is so. -------------------------------------------------------------------------------

size_t Topology::Leader() const {
  const Host* leader = nullptr;
  for (const auto& each : hosts_) {
    if (!each->is_up() || !each->replica()->is_recovered()) continue;
    if (leader == nullptr || leader->replica()->claimed() < each->replica()->claimed()) {
      leader = each.get();
    }
  }
  return leader == nullptr ? 0 : static_cast<uint64_t>(leader->id());
}

size_t Topology::Follower(size_t index) const {
  const size_t leader = Leader();
  return index + 1 < leader || leader == 0 ? index + 1 : index + 2;
}

Ballot Topology::HighestBallot() const {
  Ballot highest;
  for (const auto& each : hosts_) {
    if (!each->is_up()) continue;
    highest = std::max(highest, each->replica()->promised());
    highest = std::max(highest, each->replica()->claimed().value_or(Ballot()));
  }
  return highest;
}

std::string Topology::State() const {
  std::ostringstream out;
  for (const auto& each : hosts_) {
    out << "\n  replica " << each->id() << ": ";
    if (!each->is_up()) {
      out << "down";
      continue;
    }
    const paxos::Replica& replica = *each->replica();
    out << "promised " << replica.promised() << " followed " << replica.followed() << " claimed "
        << replica.claimed().value_or(Ballot()) << (replica.is_content() ? " content" : "")
        << (replica.is_leading() ? " leading" : "") << " chosen_through "
        << replica.chosen_through();
  }
  return out.str();
}

// ---- Judging. ----------------------------------------------------------------------------------

Topology::Verdict Topology::Settle(const std::function<void(int round)>& each_round) {
  constexpr int kRounds = 200;
  Verdict verdict;
  Ballot highest = HighestBallot();
  uint64_t appended_before = 0;
  uint64_t first_append = 0;
  uint64_t last_append = 0;
  for (int round = 1; round <= kRounds && !violation().has_value(); ++round) {
    if (round == kRounds - 40) {
      appended_before = appended_;
      first_append = appends_ + 1;
    }
    if (round == kRounds - 10) last_append = appends_;
    if (each_round) each_round(round);
    Run(kRound);
    if (const Ballot now = HighestBallot(); now != highest) {
      highest = now;
      verdict.rounds = round;
      ++verdict.rises;
    }
  }
  verdict.leader = Leader();
  verdict.appended = appended_ - appended_before;
  verdict.lost_appends = static_cast<uint64_t>(
      std::distance(under_way_.lower_bound(first_append), under_way_.upper_bound(last_append)));
  verdict.state = State();
  checker_.CheckDisks();
  return verdict;
}

}  // namespace distlog::simulation
