#include "tests/simulation/simulation.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "glog/logging.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/client.h"
#include "tests/simulation/history.h"
#include "tests/simulation/host.h"
#include "tests/simulation/network.h"
#include "tests/simulation/plan.h"

namespace distlog::simulation {
namespace {

using paxos::ReplicaId;
using std::chrono::milliseconds;
using std::chrono::seconds;

paxos::Configuration Genesis(size_t replicas) {
  paxos::Configuration genesis;
  genesis.version = 1;
  genesis.next_replica_id = replicas + 1;
  for (size_t i = 1; i <= replicas; ++i) {
    genesis.members.push_back({.id = ReplicaId{i},
                               .uuid = {0, i},
                               .address = "replica" + std::to_string(i) + ":1",
                               .voter = true});
  }
  return genesis;
}

class Simulation {
 public:
  Simulation(uint64_t seed, Tracing tracing);
  Result Run();
  Result MakeResult();

 private:
  // ---- Faults. ----
  void MakeTrouble();
  // With this probability in each step of trouble.
  bool Happens(double per_second);
  void Crash(Host* host);
  void Restart(Host* host);
  void Reset(ReplicaId from, ReplicaId to, bool is_lost);
  void Cut(ReplicaId from, ReplicaId to, Time duration);
  void Partition();
  void CutLeader();
  Host* AnyHost();

  // ---- After them. ----
  void Heal();
  void CutForGood();
  void Connect(ReplicaId a, ReplicaId b);
  const Host* Leader() const;
  std::string State() const;

  void RunUntil(Time time);
  void Deliver(const paxos::Envelope& envelope);
  void SaveMarks(Time interval);
  void CheckLiveness();
  void CheckEnd();

  static constexpr Time kTroubleStep = milliseconds(10);

  uint64_t seed_;
  World world_;
  Plan plan_;
  paxos::Configuration genesis_;
  Checker checker_;
  Network network_;
  History history_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<std::unique_ptr<Client>> clients_;
  bool healed_ = false;
  std::set<ReplicaId> core_;  // After healing: those that can reach a quorum's hub, and are up.
};

Simulation* running = nullptr;

Simulation::Simulation(uint64_t seed, Tracing tracing)
    : seed_(seed),
      world_(seed, tracing.on, tracing.print),
      plan_(MakePlan(&world_.random)),
      genesis_(Genesis(plan_.replicas)),
      checker_(genesis_, plan_.protocol.window,
               [this](const std::string& what) { world_.Fail(what); }),
      network_(&world_, [this](const paxos::Envelope& envelope) { Deliver(envelope); }) {
  network_.set_weather(plan_.weather);
  for (const paxos::Member& member : genesis_.members) {
    Host::Options options;
    options.protocol = plan_.protocol;
    options.protocol.self = member.id;
    options.genesis = genesis_;
    options.clock.offset = world_.random.Between(Time(0), Time(seconds(1'000'000)));
    if (plan_.max_drift_ppm > 0) {
      options.clock.drift_ppm =
          static_cast<int64_t>(world_.random.Between(0, 2 * plan_.max_drift_ppm)) -
          plan_.max_drift_ppm;
    }
    options.crash_in_effects = plan_.crash_in_effects;
    const size_t index = hosts_.size();
    hosts_.push_back(std::make_unique<Host>(
        &world_, &checker_, options,
        Host::Callbacks{[this](const paxos::Envelope& envelope) { network_.Send(envelope); },
                        [this, index] { Crash(hosts_[index].get()); }}));
  }
  std::vector<Host*> hosts;
  for (const auto& host : hosts_) hosts.push_back(host.get());
  for (size_t i = 0; i < plan_.clients; ++i) {
    Client::Options options;
    options.name = "client" + std::to_string(i);
    options.is_producer = world_.random.Chance(0.7);
    options.append_share = static_cast<double>(world_.random.Between(1, 10)) / 10;
    options.conditional_share = world_.random.Chance(0.5) ? 0.5 : 0;
    options.pipeline = world_.random.Between(1, plan_.max_pipeline);
    options.max_think = plan_.max_think;
    options.max_payload = plan_.max_payload;
    options.loss = plan_.client_loss;
    clients_.push_back(std::make_unique<Client>(&world_, &history_, hosts, options));
  }
}

void Simulation::Deliver(const paxos::Envelope& envelope) {
  hosts_[static_cast<uint64_t>(envelope.to) - 1]->Post(paxos::Receive{envelope});
}

// ---- Faults. -----------------------------------------------------------------------------------

bool Simulation::Happens(double per_second) {
  if (per_second == 0) return false;
  return world_.random.Chance(per_second * static_cast<double>(kTroubleStep.count()) / 1e9);
}

Host* Simulation::AnyHost() { return hosts_[world_.random.Below(hosts_.size())].get(); }

void Simulation::MakeTrouble() {
  if (healed_) return;
  for (const auto& host : hosts_) {
    if (Happens(plan_.crashes)) Crash(host.get());
    if (Happens(plan_.pauses)) {
      host->Pause();
      world_.scheduler.After(world_.random.LongTail(milliseconds(10), seconds(4)),
                             [h = host.get()] { h->Continue(); });
    }
    if (Happens(plan_.disk_stalls)) {
      host->StallDisk(world_.now() + world_.random.LongTail(milliseconds(20), seconds(5)));
    }
    if (Happens(plan_.slow_disks)) {
      host->set_sync_time(milliseconds(5), milliseconds(300));
      world_.scheduler.After(
          world_.random.Between(Time(seconds(1)), Time(seconds(4))),
          [h = host.get()] { h->set_sync_time(std::chrono::microseconds(100), milliseconds(5)); });
    }
    if (Happens(plan_.transfers)) {
      const ReplicaId to = world_.random.Chance(0.5) ? paxos::kNoReplica : AnyHost()->id();
      if (host->replica() != nullptr && host->replica()->is_leading()) {
        ++world_.counters["transfers asked for"];
      }
      host->Post(paxos::TransferLeadership{to});
    }
  }
  if (Happens(plan_.crashes_of_all)) {
    for (const auto& host : hosts_) Crash(host.get());
  }
  if (hosts_.size() > 1) {
    if (Happens(plan_.resets)) {
      Host* from = AnyHost();
      Host* to = AnyHost();
      if (from != to) Reset(from->id(), to->id(), world_.random.Chance(0.7));
    }
    if (Happens(plan_.link_cuts)) {
      Host* from = AnyHost();
      Host* to = AnyHost();
      if (from != to)
        Cut(from->id(), to->id(), world_.random.LongTail(milliseconds(50), seconds(5)));
    }
    if (Happens(plan_.partitions)) Partition();
    if (Happens(plan_.leader_cuts)) CutLeader();
  }
  world_.scheduler.After(kTroubleStep, [this] { MakeTrouble(); });
}

void Simulation::Crash(Host* host) {
  if (!host->is_up()) return;
  host->Crash();
  for (const auto& peer : hosts_) {
    if (peer.get() == host) continue;
    if (!plan_.messages_outlive_processes) {
      network_.Reset(host->id(), peer->id());
      network_.Reset(peer->id(), host->id());
    }
    // A process that dies resets its connections; a machine that dies does not.
    if (network_.IsCut(host->id(), peer->id()) || world_.random.Chance(0.3)) continue;
    world_.scheduler.After(world_.random.LongTail(std::chrono::microseconds(100), milliseconds(20)),
                           [p = peer.get(), host] {
                             if (!host->is_up()) p->Post(paxos::PeerLost{host->id()});
                           });
  }
  if (!healed_) {
    world_.scheduler.After(world_.random.LongTail(milliseconds(1), seconds(5)),
                           [this, host] { Restart(host); });
  }
}

void Simulation::Restart(Host* host) {
  if (host->is_up() || (healed_ && !core_.contains(host->id()))) return;
  host->Start();
  if (world_.violation.has_value()) return;
  for (const auto& peer : hosts_) {
    if (peer.get() != host && peer->is_up()) Connect(host->id(), peer->id());
  }
}

void Simulation::Connect(ReplicaId a, ReplicaId b) {
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
    if (network_.IsCut(from, to)) continue;
    Host* host = hosts_[static_cast<uint64_t>(from) - 1].get();
    world_.scheduler.After(world_.random.LongTail(std::chrono::microseconds(100), milliseconds(50)),
                           [host, to = to] { host->Post(paxos::PeerConnected{to}); });
  }
}

void Simulation::Reset(ReplicaId from, ReplicaId to, bool is_lost) {
  if (world_.trace.on()) {
    world_.trace.Add(world_.now(), paxos::ToString(from) + ">" + paxos::ToString(to) + " reset");
  }
  network_.Reset(from, to);
  Host* host = hosts_[static_cast<uint64_t>(from) - 1].get();
  if (is_lost) host->Post(paxos::PeerLost{to});
  world_.scheduler.After(world_.random.LongTail(milliseconds(1), milliseconds(500)),
                         [host, to] { host->Post(paxos::PeerConnected{to}); });
}

void Simulation::Cut(ReplicaId from, ReplicaId to, Time duration) {
  if (world_.trace.on()) {
    world_.trace.Add(world_.now(), paxos::ToString(from) + ">" + paxos::ToString(to) + " cut");
  }
  ++world_.counters["links cut"];
  network_.Cut(from, to);
  world_.scheduler.After(duration, [this, from, to] {
    if (healed_) return;
    if (world_.trace.on()) {
      world_.trace.Add(world_.now(), paxos::ToString(from) + ">" + paxos::ToString(to) + " mended");
    }
    network_.Mend(from, to);
    if (world_.random.Chance(0.5)) {
      hosts_[static_cast<uint64_t>(from) - 1]->Post(paxos::PeerConnected{to});
    }
  });
}

void Simulation::Partition() {
  ++world_.counters["partitions"];
  const Time duration = world_.random.LongTail(milliseconds(300), seconds(8));
  const size_t n = hosts_.size();
  const size_t shift = world_.random.Below(n);
  const size_t shape = world_.random.Below(5);
  for (size_t a = 0; a < n; ++a) {
    for (size_t b = 0; b < n; ++b) {
      if (a == b) continue;
      const bool left_a = a < n / 2;
      const bool left_b = b < n / 2;
      const size_t distance = std::min((a + n - b) % n, (b + n - a) % n);
      bool cut = false;
      switch (shape) {
        case 0:  // Halves.
          cut = left_a != left_b;
          break;
        case 1:  // One alone.
          cut = a == 0 || b == 0;
          break;
        case 2:  // Halves, with a bridge between them.
          cut = left_a != left_b && a != 0 && b != 0;
          break;
        case 3:  // A ring: each reaches its nearest.
          cut = distance > std::max<size_t>(1, n / 4);
          break;
        case 4:  // A star.
          cut = a != 0 && b != 0;
          break;
      }
      if (cut) Cut(hosts_[(a + shift) % n]->id(), hosts_[(b + shift) % n]->id(), duration);
    }
  }
}

// What it has in flight reaches some and not others, and it may die of it.
void Simulation::CutLeader() {
  for (const auto& leader : hosts_) {
    if (!leader->is_up() || !leader->replica()->is_leading()) continue;
    ++world_.counters["leaders cut off"];
    const Time duration = world_.random.LongTail(milliseconds(100), seconds(2));
    for (const auto& peer : hosts_) {
      if (peer == leader) continue;
      if (world_.random.Chance(0.7)) Cut(leader->id(), peer->id(), duration);
      if (world_.random.Chance(0.5)) Cut(peer->id(), leader->id(), duration);
    }
    if (world_.random.Chance(0.3)) {
      world_.scheduler.After(world_.random.LongTail(milliseconds(1), milliseconds(200)),
                             [this, h = leader.get()] {
                               if (!healed_) Crash(h);
                             });
    }
    return;
  }
}

// ---- After them. -------------------------------------------------------------------------------

// Faults stop. What stays broken leaves one replica connected to a quorum, both ways.
void Simulation::Heal() {
  healed_ = true;
  if (world_.trace.on()) world_.trace.Add(world_.now(), "faults stop");
  Network::Weather fine;
  fine.max_delay = milliseconds(5);
  network_.set_weather(fine);
  for (const auto& client : clients_) client->set_loss(0);
  for (const auto& a : hosts_) {
    a->Mend();
    for (const auto& b : hosts_) {
      if (a != b) network_.Mend(a->id(), b->id());
    }
  }
  for (const auto& host : hosts_) core_.insert(host->id());
  CutForGood();
  for (const auto& host : hosts_) {
    if (!core_.contains(host->id())) {
      if (plan_.healing == Plan::Healing::kQuorumOnly) Crash(host.get());
      continue;
    }
    if (!host->is_up()) Restart(host.get());
  }
  for (const auto& a : hosts_) {
    for (const auto& b : hosts_) {
      if (a->id() < b->id() && a->is_up() && b->is_up()) Connect(a->id(), b->id());
    }
  }
}

void Simulation::CutForGood() {
  const size_t n = hosts_.size();
  std::vector<ReplicaId> order;
  for (const auto& host : hosts_) order.push_back(host->id());
  for (size_t i = n; i > 1; --i) std::swap(order[i - 1], order[world_.random.Below(i)]);
  const size_t quorum = n / 2 + 1;
  const auto cut_both = [&](size_t a, size_t b) {
    network_.Cut(order[a], order[b]);
    network_.Cut(order[b], order[a]);
  };
  switch (plan_.healing) {
    case Plan::Healing::kAll:
      break;
    case Plan::Healing::kQuorumOnly:
      core_ = {order.begin(), order.begin() + quorum};
      break;
    case Plan::Healing::kStar:  // Quorum loss: only the hub hears more than itself and one.
      for (size_t a = 1; a < n; ++a) {
        for (size_t b = a + 1; b < n; ++b) cut_both(a, b);
      }
      break;
    case Plan::Healing::kChain:  // All see all, but for the two ends of each other.
      if (n >= 3) cut_both(0, n - 1);
      break;
    case Plan::Healing::kOneWay:  // A minority that hears everything and is not heard.
      for (size_t a = quorum; a < n; ++a) {
        core_.erase(order[a]);
        for (size_t b = 0; b < n; ++b) {
          if (b != a) network_.Cut(order[a], order[b]);
        }
      }
      break;
  }
}

const Host* Simulation::Leader() const {
  const Host* leader = nullptr;
  for (const auto& host : hosts_) {
    if (!host->is_up() || host->is_paused() || !host->replica()->is_recovered()) continue;
    if (leader == nullptr || leader->replica()->claimed() < host->replica()->claimed()) {
      leader = host.get();
    }
  }
  return leader;
}

std::string Simulation::State() const {
  std::ostringstream out;
  for (const auto& host : hosts_) {
    out << "\n  replica " << host->id() << ": ";
    if (!host->is_up()) {
      out << "down";
      continue;
    }
    const paxos::Replica& replica = *host->replica();
    out << "promised " << replica.promised() << " followed " << replica.followed() << " claimed "
        << replica.claimed().value_or(paxos::Ballot{}) << (replica.is_content() ? " content" : "")
        << (replica.is_leading() ? " leading" : "") << (replica.is_recovered() ? " recovered" : "")
        << " chosen_through " << replica.chosen_through() << " stored_through "
        << replica.stored_through();
  }
  return out.str();
}

void Simulation::SaveMarks(Time interval) {
  world_.scheduler.After(interval, [this, interval] {
    AnyHost()->SaveMark();
    SaveMarks(interval);
  });
}

void Simulation::RunUntil(Time time) {
  while (!world_.violation.has_value() && world_.scheduler.RunNext(time)) {
  }
}

void Simulation::CheckLiveness() {
  const Time round = milliseconds(100);  // Of the default; clients' patience does not shrink.
  std::vector<std::vector<History::Id>> pending;
  for (const auto& client : clients_) pending.push_back(client->OperationsUnderWay());

  RunUntil(world_.now() + 60 * round);
  if (world_.violation.has_value()) return;
  const Host* leader = Leader();
  if (leader == nullptr) {
    world_.Fail("no leader 60 heartbeat rounds after the last fault" + State());
    return;
  }
  world_.counters["seeds that had to find a leader after faults"] += 1;
  const auto highest_promise = [&] {
    paxos::Ballot highest;
    for (const auto& host : hosts_) {
      if (host->is_up()) highest = std::max(highest, host->replica()->promised());
    }
    return highest;
  };
  const paxos::Ballot before = highest_promise();
  uint64_t done_before = 0;
  for (const auto& client : clients_) done_before += client->done();

  RunUntil(world_.now() + 40 * round);
  if (world_.violation.has_value()) return;
  if (highest_promise() != before) {
    world_.Fail("ballots still rise 60 heartbeat rounds after the last fault: from " +
                paxos::ToString(before) + " to " + paxos::ToString(highest_promise()) + State());
  }
  uint64_t done = 0;
  for (size_t i = 0; i < clients_.size(); ++i) {
    done += clients_[i]->done();
    for (const History::Id id : pending[i]) {
      if (clients_[i]->HasUnderWay(id)) {
        world_.Fail("operation " + std::to_string(id) + " of client" + std::to_string(i) +
                    " is still under way 100 heartbeat rounds after the last fault" + State());
      }
    }
  }
  if (done == done_before) {
    world_.Fail("no operation ended well in 40 heartbeat rounds without faults" + State());
  }
}

void Simulation::CheckEnd() {
  for (const auto& client : clients_) client->Stop();
  RunUntil(world_.now() + seconds(8));
  if (world_.violation.has_value()) return;
  for (const auto& client : clients_) {
    if (client->under_way() > 0) world_.Fail("operations never end" + State());
  }
  // An idle log is learned to its end by all who can hear of it.
  for (const auto& host : hosts_) {
    if (!core_.contains(host->id()) || !host->is_up()) continue;
    if (plan_.healing == Plan::Healing::kStar || plan_.healing == Plan::Healing::kChain) continue;
    if (host->replica()->chosen_through() != checker_.chosen_through()) {
      world_.Fail("replica " + paxos::ToString(host->id()) +
                  " does not learn the end of the log, " +
                  std::to_string(checker_.chosen_through()) + State());
    }
  }
  checker_.CheckDisks();
  if (auto wrong = history_.Check(checker_.log())) world_.Fail(*wrong);
}

Result Simulation::Run() {
  running = this;
  if (world_.trace.on()) world_.trace.Add(Time(0), "plan: " + ToString(plan_));
  for (const auto& host : hosts_) {
    world_.scheduler.After(world_.random.Between(Time(0), Time(milliseconds(100))),
                           [this, h = host.get()] { Restart(h); });
  }
  for (const auto& client : clients_) client->Start();
  if (plan_.mark_saves > 0) SaveMarks(Time(static_cast<int64_t>(1e9 / plan_.mark_saves)));
  if (plan_.has_faults) MakeTrouble();
  RunUntil(plan_.duration);
  if (!plan_.has_faults && !world_.violation.has_value()) {
    // Nothing went wrong, so nobody had a reason to stand but once.
    if (world_.counters["takeovers"] + world_.counters["renewals"] > 1) {
      world_.Fail("without any fault, leadership changed");
    }
  }
  if (!world_.violation.has_value()) Heal();
  if (!world_.violation.has_value()) CheckLiveness();
  if (!world_.violation.has_value()) CheckEnd();
  running = nullptr;
  return MakeResult();
}

Result Simulation::MakeResult() {
  world_.counters["values proposed again at another ballot"] = checker_.proposed_again();
  world_.counters["slots chosen"] = checker_.chosen_through();
  world_.counters["entries"] = checker_.log().size();
  world_.counters["client operations"] = history_.size();
  return {.seed = seed_,
          .plan = ToString(plan_),
          .violation = world_.violation,
          .last_lines = world_.trace.last_lines(),
          .trace_hash = world_.trace.hash(),
          .virtual_time = world_.now(),
          .counters = world_.counters};
}

uint64_t running_seed = 0;
bool reporting = false;

[[noreturn]] void OnCheckFailure() {
  // The run is deterministic: once more, now with its trace, it fails at the same place.
  if (!std::exchange(reporting, true)) Simulate(running_seed, {.on = true, .print = false});
  Result result;
  result.seed = running_seed;
  if (running != nullptr) result = running->MakeResult();
  result.violation = "a CHECK failed (its message is above)";
  std::fputs(Report(result).c_str(), stderr);
  std::abort();
}

}  // namespace

Result Simulate(uint64_t seed, Tracing tracing) {
  running_seed = seed;
  return Simulation(seed, tracing).Run();
}

void ReportSeedOnCheckFailure() { google::InstallFailureFunction(&OnCheckFailure); }

std::string Report(const Counters& counters) {
  std::ostringstream out;
  for (const auto& [name, count] : counters) out << "  " << name << ": " << count << "\n";
  return out.str();
}

std::string Report(const Result& result) {
  std::ostringstream out;
  for (const std::string& line : result.last_lines) out << line << "\n";
  out << "seed " << result.seed << ": " << result.violation.value_or("clean")
      << "\n  plan: " << result.plan
      << "\n  again: bazel run //tests/simulation:simulate -- --seed=" << result.seed
      << " --trace\n";
  return out.str();
}

}  // namespace distlog::simulation
