#include "tests/simulation/run.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "tests/simulation/log_disk.h"
#include "tests/simulation/store_disk.h"
#include "wire/status.h"

namespace distlog::simulation {

using paxos::ReplicaId;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

paxos::Configuration Genesis(size_t voters, size_t replicas) {
  paxos::Configuration genesis;
  genesis.version = 1;
  genesis.next_replica_id = replicas + 1;
  for (size_t i = 1; i <= replicas; ++i) {
    genesis.members.push_back({.id = ReplicaId{i},
                               .uuid = {0, i},
                               .address = "replica" + std::to_string(i) + ":1",
                               .voter = i <= voters});
  }
  return genesis;
}

}  // namespace

Run::Run(const Plan& plan, Tracing tracing, Judge judge)
    : plan_(plan),
      world_(plan.seed, tracing.on, tracing.print),
      genesis_(Genesis(plan_.replicas, plan_.replicas + plan_.learners)),
      checker_(genesis_, plan_.window, Verdicts(judge)),
      elections_(Verdicts(judge)),
      coverage_(&world_, genesis_),
      network_(&world_, plan_.encoded,
               [this](const paxos::Envelope& envelope) { Deliver(envelope); }) {
  network_.set_weather(plan_.weather());
  for (const paxos::Member& member : genesis_.members) {
    AddHost(member);
    machines_.push_back(hosts_.back().get());
  }
  for (size_t i = 0; i < plan_.clients; ++i) AddClient();
}

std::function<void(const std::string&)> Run::Verdicts(Judge judge) {
  if (judge == Judge::kCodeAlone) return [](const std::string&) {};
  return [this](const std::string& what) { world_.Fail(what); };
}

void Run::AddHost(const paxos::Member& member) {
  Host::Options options;
  options.protocol = plan_.protocol();
  options.protocol.self = member.id;
  options.address = member.address;
  options.clock.offset = world_.random.Between(Time(0), Time(seconds(1'000'000)));
  if (plan_.max_drift_ppm > 0) {
    options.clock.drift_ppm = static_cast<int64_t>(world_.random.Below(2 * plan_.max_drift_ppm)) -
                              static_cast<int64_t>(plan_.max_drift_ppm);
    ++world_.counters.clocks_that_drift;
  }
  options.max_sync = plan_.max_sync;
  options.limits.max_inflight_requests = plan_.inflight_requests;
  options.limits.max_batch_bytes = plan_.batch_bytes;
  options.supply_bytes = plan_.supply_bytes;
  options.boundary_crashes = plan_.boundary_crashes;
  options.crash_at = plan_.crash_at;
  options.failed_writes = plan_.failed_writes;
  const ReplicaId id = member.id;
  Host::Callbacks callbacks;
  callbacks.send = [this](const paxos::Envelope& envelope) { network_.Send(envelope); };
  callbacks.crash = [this, id] { Crash(host(id)); };
  callbacks.proposes = [this](const paxos::Configuration& next) { AddHostsOf(next); };
  callbacks.settled = [this](const paxos::Configuration& settled) { OnSettled(settled); };
  callbacks.pass_on = [this, id](const std::string& address, const v1::AppendRequest& request,
                                 AppendCallback done) {
    PassOn(host(id), address, request, std::move(done));
  };
  std::unique_ptr<LogDisk> disk;
  if (plan_.on_store) {
    disk = std::make_unique<StoreDisk>(genesis_, plan_.window, plan_.segment_bytes);
  } else {
    disk = std::make_unique<LogDisk>(genesis_);
  }
  hosts_.push_back(
      std::make_unique<Host>(&world_, Host::Watchers{&checker_, &elections_, &coverage_},
                             std::move(disk), std::move(options), std::move(callbacks)));
}

void Run::AddClient() {
  Client::Options options;
  options.name = "client" + std::to_string(clients_.size());
  options.is_producer = world_.random.Chance(0.7);
  options.opens = world_.random.Chance(0.5);
  options.append_share = static_cast<double>(world_.random.Between(3, 10)) / 10;
  options.conditional_share = world_.random.Chance(0.4) ? 0.3 : 0;
  options.pipeline = world_.random.Between(1, plan_.max_pipeline);
  options.max_think = plan_.max_think;
  options.timeout = plan_.client_timeout;
  options.max_payload = plan_.max_payload;
  options.loss = plan_.client_loss;
  clients_.push_back(std::make_unique<Client>(&world_, &history_, &machines_, options));
}

void Run::Deliver(const paxos::Envelope& envelope) {
  host(envelope.to)->Post(paxos::Receive{envelope});
}

// What servers do for each other's clients: over the same links, and as lossy.
void Run::PassOn(Host* from, const std::string& address, const v1::AppendRequest& request,
                 AppendCallback done) {
  Host* to = nullptr;
  for (const auto& each : hosts_) {
    if (each->address() == address) to = each.get();
  }
  if (to == nullptr) return;  // It is not known yet who has that address.
  const auto way = [this](Host* a, Host* b, std::function<void()> arrive) {
    if (network_.IsCut(a->id(), b->id()) || world_.random.Chance(network_.weather().loss)) return;
    const Network::Weather& weather = network_.weather();
    world_.scheduler.After(world_.random.LongTail(weather.min_delay, weather.max_delay),
                           std::move(arrive));
  };
  way(from, to, [this, from, to, way, request, done = std::move(done)] {
    if (!to->is_up()) {
      way(to, from, [done] { done(absl::UnavailableError("connection refused")); });
      return;
    }
    to->Append(request, plan_.client_timeout, /*passed_on=*/true,
               [from, to, way, done](const absl::StatusOr<v1::AppendResponse>& answer) {
                 way(to, from, [done, answer] { done(answer); });
               });
  });
}

Host* Run::LeadingHost() const {
  Host* leader = nullptr;
  for (const auto& each : hosts_) {
    if (!each->is_up() || !each->replica()->is_leading()) continue;
    if (leader == nullptr || leader->replica()->claimed() < each->replica()->claimed()) {
      leader = each.get();
    }
  }
  return leader;
}

void Run::SaveMarks(Time interval) {
  world_.scheduler.After(interval, [this, interval] {
    AnyHost()->SaveMark();
    SaveMarks(interval);
  });
}

void Run::RunUntil(Time time) {
  while (!world_.violation.has_value() && world_.scheduler.RunNext(time)) {
  }
}

Result Run::Execute() {
  ++world_.counters.runs;
  if (plan_.on_store) ++world_.counters.runs_on_the_store;
  if (!plan_.has_faults) ++world_.counters.runs_calm;
  if (plan_.changes > 0) ++world_.counters.runs_with_changes;
  if (plan_.changes > 0 && plan_.operations > 0) ++world_.counters.runs_with_operations;
  for (const auto& host : hosts_) {
    world_.scheduler.After(world_.random.Between(Time(0), Time(milliseconds(100))),
                           [this, h = host.get()] { Restart(h); });
  }
  for (const auto& client : clients_) client->Start();
  if (plan_.mark_saves > 0) SaveMarks(Time(static_cast<int64_t>(1e9 / plan_.mark_saves)));
  if (plan_.changes > 0) WatchChanges();
  if (plan_.has_faults) MakeTrouble();
  RunUntil(plan_.duration);
  if (!plan_.has_faults && plan_.changes == 0 && !world_.violation.has_value()) {
    // Nothing went wrong, so nobody had a reason to stand but once.
    if (world_.counters.takeovers + world_.counters.renewals > 1) {
      world_.Fail("without any fault, leadership changed");
    }
  }
  if (!plan_.liveness) return MakeResult();
  if (!world_.violation.has_value()) Heal();
  if (!world_.violation.has_value()) CheckLiveness();
  if (!world_.violation.has_value()) CheckEnd();
  return MakeResult();
}

Result Run::MakeResult() {
  world_.counters.slots_chosen = checker_.chosen_through();
  world_.counters.configurations_chosen = checker_.decisions().electorates().size() - 1;
  world_.counters.configurations_without_effect = checker_.decisions().without_effect();
  CountOperations();
  world_.counters.virtual_ms = world_.now() / milliseconds(1);
  return {.plan = plan_,
          .violation = world_.violation,
          .last_lines = world_.trace.last_lines(),
          .trace_hash = world_.trace.hash(),
          .trace_lines = world_.trace.lines(),
          .boundaries = world_.boundaries,
          .counters = world_.counters};
}

// ---- After the faults. -------------------------------------------------------------------------

// Faults stop. What stays broken leaves one replica connected to a quorum, both ways.
void Run::Heal() {
  healed_ = true;
  if (world_.trace.on()) world_.trace.Add(world_.now(), "faults stop");
  Network::Weather fine;
  fine.max_delay = milliseconds(5);
  network_.set_weather(fine);
  for (const auto& client : clients_) client->set_loss(0);
  for (Host* a : machines_) {
    a->Mend();
    for (Host* b : machines_) {
      if (a != b) network_.Mend(a->id(), b->id());
    }
  }
  for (Host* machine : machines_) core_.insert(machine->id());
  CutForGood();
  for (Host* machine : machines_) {
    if (!core_.contains(machine->id())) {
      if (plan_.healing == Plan::Healing::kQuorumOnly) Crash(machine);
      continue;
    }
    if (!machine->is_up()) Restart(machine);
  }
  for (Host* a : machines_) {
    for (Host* b : machines_) {
      if (a->id() < b->id() && a->is_up() && b->is_up()) Connect(a->id(), b->id());
    }
  }
}

void Run::CutForGood() {
  if (IsChanging()) return;
  std::vector<ReplicaId> order;
  for (const paxos::Member& member : InForce().configuration.members) {
    if (member.voter || plan_.changes == 0) order.push_back(member.id);
  }
  const size_t n = order.size();
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

const Host* Run::RecoveredLeader() const {
  const Host* leader = nullptr;
  for (const Host* host : machines_) {
    if (!host->is_up() || host->is_paused() || !host->replica()->is_recovered()) continue;
    if (leader == nullptr || leader->replica()->claimed() < host->replica()->claimed()) {
      leader = host;
    }
  }
  return leader;
}

std::string Run::State() const {
  std::ostringstream out;
  out << "; configuration " << InForce().configuration.version << " of slot " << InForce().after
      << " is in force";
  for (const Host* host : machines_) {
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
        << replica.stored_through() << " configuration " << replica.configuration().version
        << (replica.is_settled() ? " settled" : "") << (replica.has_left() ? " left" : "");
  }
  return out.str();
}

void Run::CheckLiveness() {
  const Time round = milliseconds(100);  // Of the default; clients' patience does not shrink.
  std::vector<std::vector<History::Id>> pending;
  for (const auto& client : clients_) pending.push_back(client->OperationsUnderWay());

  RunUntil(world_.now() + 60 * round);
  if (world_.violation.has_value()) return;
  const Host* leader = RecoveredLeader();
  if (leader == nullptr) {
    world_.Fail("no leader 60 heartbeat rounds after the last fault" + State());
    return;
  }
  ++world_.counters.runs_healed;
  const auto highest_promise = [&] {
    paxos::Ballot highest;
    for (const Host* host : machines_) {
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
  CheckChangesEnd(*leader);
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

void Run::CheckEnd() {
  for (const auto& client : clients_) client->Stop();
  RunUntil(world_.now() + seconds(8));
  if (world_.violation.has_value()) return;
  for (const auto& client : clients_) {
    if (client->under_way() > 0) world_.Fail("operations never end" + State());
  }
  // An idle log is learned to its end by all who can hear of it.
  for (const Host* host : machines_) {
    if (!core_.contains(host->id()) || !host->is_up()) continue;
    if (InForce().configuration.Find(host->id()) == nullptr) continue;
    if (plan_.healing == Plan::Healing::kStar || plan_.healing == Plan::Healing::kChain) continue;
    if (host->replica()->chosen_through() != checker_.chosen_through()) {
      world_.Fail("replica " + paxos::ToString(host->id()) +
                  " does not learn the end of the log, " +
                  std::to_string(checker_.chosen_through()) + State());
    }
  }
  checker_.CheckDisks();
  checker_.CheckRefusals();
  if (auto wrong = history_.Check(checker_.log())) world_.Fail(*wrong);
}

}  // namespace distlog::simulation
