#include "tests/simulation/plan.h"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <system_error>

namespace distlog::simulation {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

paxos::Options Plan::protocol() const {
  paxos::Options options;
  options.heartbeat_interval = heartbeat_interval;
  options.window = window;
  options.window_bytes = window_bytes;
  // A small window comes with a small bound on what waits for the disk.
  if (window_bytes <= 2000) options.unwritten_bytes = 3 * window_bytes;
  options.message_bytes = message_bytes;
  return options;
}

Network::Weather Plan::weather() const {
  Network::Weather weather;
  weather.loss = loss;
  weather.duplication = duplication;
  weather.in_order = in_order;
  weather.max_delay = max_delay;
  return weather;
}

namespace {

// Swarm: each fault is on in some of the seeds only, and then at a rate of its own.
void AddFaults(Random* random, double hostility, Plan* plan) {
  const auto share = [&](double highest) {
    return random->Chance(0.5) ? 0.0 : highest * static_cast<double>(random->Between(1, 100)) / 100;
  };
  const auto rate = [&](double highest) { return hostility * share(highest); };
  plan->loss = std::min(0.3, rate(0.1));
  plan->duplication = share(0.2);
  plan->in_order = random->Chance(0.5);
  if (random->Chance(0.4)) {
    plan->max_delay = random->Between(Time(milliseconds(1)), Time(milliseconds(300)));
  }
  if (plan->max_delay < milliseconds(5)) {
    // More elections in the same time.
    plan->heartbeat_interval = milliseconds(random->Chance(0.5) ? 20 : 100);
  }
  plan->client_loss = std::min(0.3, rate(0.1));
  plan->messages_outlive_processes = random->Chance(0.5);
  plan->crashes = rate(0.25);
  plan->crashes_of_all = rate(0.1);
  plan->pauses = rate(0.15);
  plan->resets = rate(2);
  plan->link_cuts = rate(0.4);
  plan->partitions = rate(0.25);
  plan->leader_cuts = rate(1.5);
  plan->disk_stalls = rate(0.15);
  plan->slow_disks = rate(0.15);
  plan->full_disks = rate(0.15);
  plan->clock_speeds = rate(0.2);
  plan->wall_jumps = share(1);
  plan->transfers = rate(0.3);
  plan->mark_saves = share(10);
  plan->boundary_crashes = rate(0.0005);
  plan->failed_writes = rate(0.001);
  plan->max_drift_ppm = random->Chance(0.5) ? 0 : random->Between(1, 100'000);
}

// In a part of the seeds. Which machines are left to heal is another matter then.
void AddChanges(Random* random, Plan* plan) {
  if (!random->Chance(0.4)) return;
  plan->changes = static_cast<double>(random->Between(2, 30)) / 10;
  plan->spares = random->Between(2, 20);
  plan->change_crashes = random->Chance(0.5) ? 0.3 : 0;
  plan->change_destroys = random->Chance(0.8) ? 0.7 : 0;
  plan->change_power_cuts = random->Chance(0.5) ? 0.3 : 0;
  if (plan->healing != Plan::Healing::kQuorumOnly) plan->healing = Plan::Healing::kAll;
  const uint64_t way = random->Below(3);
  plan->operations = way == 0 ? 0 : way == 1 ? 1 : 0.5;
  // A command is given room for its largest size, whatever it is.
  if (plan->operations > 0) plan->window_bytes = 1 << 20;
}

}  // namespace

Plan MakePlan(uint64_t seed) {
  Random chance(seed ^ 0x706c616e);
  Random* random = &chance;
  Plan plan;
  plan.seed = seed;
  constexpr size_t kReplicas[] = {1, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 7};
  plan.replicas = kReplicas[random->Below(std::size(kReplicas))];
  plan.window = random->Between(4, 16);
  plan.window_bytes = random->Chance(0.5) ? random->Between(100, 2000) : 1 << 20;
  plan.message_bytes = random->Chance(0.5) ? random->Between(1, 1000) : 1 << 16;
  plan.batch_bytes = random->Chance(0.5) ? random->Between(200, 1000) : 1 << 14;
  plan.duration = random->Between(Time(seconds(8)), Time(seconds(20)));
  plan.encoded = random->Chance(0.1);
  plan.on_store = random->Chance(1.0 / 16);
  if (plan.on_store) plan.segment_bytes = random->Between(2000, 40'000);
  plan.max_sync = random->Between(Time(milliseconds(1)), Time(milliseconds(10)));

  // Clients either fill every window, or leave pauses in which an idle log must be learned too.
  plan.clients = random->Between(1, 6);
  plan.max_pipeline = random->Between(1, 6);
  plan.max_think = random->Between(Time(milliseconds(2)), Time(milliseconds(80)));
  if (random->Chance(0.15)) plan.max_think = milliseconds(600);
  plan.max_payload = random->Between(0, 300);
  plan.client_timeout = random->Between(Time(milliseconds(300)), Time(milliseconds(1500)));
  if (random->Chance(0.3)) {  // Overload.
    plan.inflight_requests = random->Between(1, 8);
    plan.max_pipeline = random->Between(3, 10);
  }
  plan.healing = static_cast<Plan::Healing>(random->Below(5));
  if (plan.replicas >= 3 && plan.replicas <= 5 && random->Chance(0.12)) {
    plan.learners = random->Between(1, 2);
  }
  if (plan.replicas == 1 || plan.learners > 0) plan.healing = Plan::Healing::kAll;

  const uint64_t regime = random->Below(25);
  if (regime == 0) {
    plan.has_faults = false;
    plan.healing = Plan::Healing::kAll;
  } else {
    AddFaults(random, regime < 7 ? 0.3 : regime < 20 ? 1.0 : 2.0, &plan);
    AddChanges(random, &plan);
  }
  return plan;
}

// ---- As text. ----------------------------------------------------------------------------------

const std::vector<PlanField>& PlanFields() {
  using P = Plan;
  static const std::vector<PlanField> fields = {
      {"seed", &P::seed},
      {"replicas", &P::replicas},
      {"learners", &P::learners},
      {"liveness", &P::liveness},
      {"duration_ns", &P::duration},
      {"has_faults", &P::has_faults},
      {"window", &P::window},
      {"window_bytes", &P::window_bytes},
      {"message_bytes", &P::message_bytes},
      {"batch_bytes", &P::batch_bytes},
      {"inflight_requests", &P::inflight_requests},
      {"supply_bytes", &P::supply_bytes},
      {"heartbeat_interval_ns", &P::heartbeat_interval},
      {"loss", &P::loss},
      {"duplication", &P::duplication},
      {"in_order", &P::in_order},
      {"max_delay_ns", &P::max_delay},
      {"encoded", &P::encoded},
      {"messages_outlive_processes", &P::messages_outlive_processes},
      {"crashes", &P::crashes},
      {"crashes_of_all", &P::crashes_of_all},
      {"pauses", &P::pauses},
      {"resets", &P::resets},
      {"link_cuts", &P::link_cuts},
      {"partitions", &P::partitions},
      {"leader_cuts", &P::leader_cuts},
      {"disk_stalls", &P::disk_stalls},
      {"slow_disks", &P::slow_disks},
      {"full_disks", &P::full_disks},
      {"clock_speeds", &P::clock_speeds},
      {"wall_jumps", &P::wall_jumps},
      {"transfers", &P::transfers},
      {"mark_saves", &P::mark_saves},
      {"boundary_crashes", &P::boundary_crashes},
      {"failed_writes", &P::failed_writes},
      {"crash_at", &P::crash_at},
      {"max_drift_ppm", &P::max_drift_ppm},
      {"on_store", &P::on_store},
      {"segment_bytes", &P::segment_bytes},
      {"max_sync_ns", &P::max_sync},
      {"clients", &P::clients},
      {"max_think_ns", &P::max_think},
      {"max_pipeline", &P::max_pipeline},
      {"max_payload", &P::max_payload},
      {"client_loss", &P::client_loss},
      {"client_timeout_ns", &P::client_timeout},
      {"changes", &P::changes},
      {"spares", &P::spares},
      {"operations", &P::operations},
      {"change_crashes", &P::change_crashes},
      {"change_destroys", &P::change_destroys},
      {"change_power_cuts", &P::change_power_cuts},
      {"healing", &P::healing},
  };
  return fields;
}

namespace {

constexpr const char* kHealing[] = {"all", "quorum-only", "star", "chain", "one-way"};

struct Print {
  const Plan& plan;
  std::string operator()(uint64_t Plan::*field) const { return std::to_string(plan.*field); }
  std::string operator()(double Plan::*field) const {  // The shortest that reads back the same.
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, plan.*field).ptr};
  }
  std::string operator()(bool Plan::*field) const { return plan.*field ? "1" : "0"; }
  std::string operator()(Time Plan::*field) const { return std::to_string((plan.*field).count()); }
  std::string operator()(Plan::Healing Plan::*field) const {
    return kHealing[static_cast<size_t>(plan.*field)];
  }
};

struct Read {
  Plan* plan;
  const std::string& text;
  template <typename Number>
  bool Parse(Number* number) const {
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, *number);
    return error == std::errc() && rest == end;
  }
  bool operator()(uint64_t Plan::*field) const { return Parse(&(plan->*field)); }
  bool operator()(double Plan::*field) const { return Parse(&(plan->*field)); }
  bool operator()(bool Plan::*field) const {
    plan->*field = text == "1";
    return text == "0" || text == "1";
  }
  bool operator()(Time Plan::*field) const {
    int64_t count = 0;
    if (!Parse(&count) || count < 0) return false;
    plan->*field = Time(count);
    return true;
  }
  bool operator()(Plan::Healing Plan::*field) const {
    const auto* found = std::find(std::begin(kHealing), std::end(kHealing), text);
    if (found == std::end(kHealing)) return false;
    plan->*field = static_cast<Plan::Healing>(found - std::begin(kHealing));
    return true;
  }
};

}  // namespace

std::string Difference(const Plan& plan, const Plan& base) {
  std::string text;
  for (const PlanField& field : PlanFields()) {
    const std::string value = std::visit(Print{plan}, field.value);
    if (value == std::visit(Print{base}, field.value)) continue;
    text += (text.empty() ? "" : " ") + std::string(field.name) + "=" + value;
  }
  return text;
}

std::string ToString(const Plan& plan) {
  std::string text;
  for (const PlanField& field : PlanFields()) {
    text += (text.empty() ? "" : " ") + std::string(field.name) + "=" +
            std::visit(Print{plan}, field.value);
  }
  return text;
}

std::string ApplyTo(Plan* plan, const std::string& text) {
  std::istringstream words(text);
  std::string word;
  while (words >> word) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const auto field = std::find_if(PlanFields().begin(), PlanFields().end(),
                                    [&](const PlanField& each) { return each.name == name; });
    if (equals == std::string::npos || field == PlanFields().end()) {
      return "a plan has no field \"" + word + "\"";
    }
    const std::string value = word.substr(equals + 1);
    if (!std::visit(Read{plan, value}, field->value)) {
      return "\"" + value + "\" is no value of a plan's " + name;
    }
  }
  if (plan->replicas < 1 || plan->replicas + plan->learners > 7 || plan->window < 1) {
    return "a plan has 1 to 7 replicas, learners included, and a window of at least 1 slot";
  }
  if (plan->learners > 0 && plan->changes == 0 && plan->healing != Plan::Healing::kAll) {
    return "a plan with learners heals all";
  }
  if (plan->spares > 20) return "a plan has at most 20 spare machines";
  if (plan->operations > 0 && plan->window_bytes < 1 << 20) {
    return "a plan with operations has a window of 1048576 bytes at least";
  }
  if (plan->changes > 0 && plan->healing != Plan::Healing::kAll &&
      plan->healing != Plan::Healing::kQuorumOnly) {
    return "a plan with changes heals all, or a quorum";
  }
  return "";
}

}  // namespace distlog::simulation
