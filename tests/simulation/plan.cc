#include "tests/simulation/plan.h"

#include <sstream>

namespace distlog::simulation {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

Plan MakePlan(Random* random) {
  Plan plan;
  constexpr size_t kReplicas[] = {1, 3, 3, 3, 3, 3, 4, 5, 5, 5, 7};
  plan.replicas = kReplicas[random->Below(std::size(kReplicas))];
  plan.protocol.window = random->Between(4, 16);
  plan.protocol.window_bytes = random->Chance(0.5) ? random->Between(100, 2000) : 1 << 20;
  if (plan.protocol.window_bytes <= 2000) {
    plan.protocol.unwritten_bytes = 3 * plan.protocol.window_bytes;
  }
  plan.protocol.message_bytes = random->Chance(0.5) ? random->Between(1, 1000) : 1 << 16;
  plan.duration = random->Between(Time(seconds(5)), Time(seconds(25)));
  plan.clients = random->Between(1, 5);
  plan.max_think = random->Between(Time(milliseconds(5)), Time(milliseconds(150)));
  plan.max_pipeline = random->Between(1, 4);
  plan.max_payload = random->Between(0, 300);
  plan.healing = static_cast<Plan::Healing>(random->Below(5));
  if (plan.replicas == 1) plan.healing = Plan::Healing::kAll;

  plan.has_faults = !random->Chance(0.04);
  if (!plan.has_faults) {
    plan.healing = Plan::Healing::kAll;
    return plan;
  }
  // Swarm: each fault is on in some of the seeds only, and then at a rate of its own.
  const auto rate = [&](double highest) {
    return random->Chance(0.5) ? 0.0 : highest * static_cast<double>(random->Between(1, 100)) / 100;
  };
  plan.weather.loss = rate(0.2);
  plan.weather.duplication = rate(0.2);
  plan.weather.in_order = random->Chance(0.5);
  if (random->Chance(0.5)) {
    plan.weather.max_delay = random->Between(Time(milliseconds(1)), Time(milliseconds(300)));
  }
  if (plan.weather.max_delay < milliseconds(5)) {
    // More elections in the same time.
    plan.protocol.heartbeat_interval = milliseconds(random->Chance(0.5) ? 20 : 100);
  }
  plan.client_loss = rate(0.2);
  plan.messages_outlive_processes = random->Chance(0.5);
  plan.crashes = rate(0.5);
  plan.crashes_of_all = rate(0.2);
  plan.pauses = rate(0.3);
  plan.resets = rate(1);
  plan.link_cuts = rate(0.5);
  plan.partitions = rate(0.4);
  plan.leader_cuts = rate(2);
  plan.disk_stalls = rate(0.3);
  plan.slow_disks = rate(0.3);
  plan.transfers = rate(0.3);
  plan.mark_saves = rate(5);
  plan.crash_in_effects = rate(0.003);
  plan.max_drift_ppm = random->Chance(0.5) ? 0 : random->Between(1, 100'000);
  return plan;
}

std::string ToString(const Plan& plan) {
  constexpr const char* kHealing[] = {"all", "quorum-only", "star", "chain", "one-way"};
  std::ostringstream out;
  out << plan.replicas << " replicas, window " << plan.protocol.window << " slots "
      << plan.protocol.window_bytes << " bytes, " << plan.protocol.unwritten_bytes
      << " bytes unwritten, messages of " << plan.protocol.message_bytes << " bytes, "
      << plan.duration / milliseconds(1) << " ms, " << plan.clients << " clients, heartbeats every "
      << plan.protocol.heartbeat_interval / milliseconds(1) << " ms";
  if (!plan.has_faults) {
    out << ", no faults";
    return out.str();
  }
  out << ", loss " << plan.weather.loss << ", duplication " << plan.weather.duplication
      << (plan.weather.in_order ? ", in order" : ", reordered") << ", delay up to "
      << plan.weather.max_delay / microseconds(1) << " us, client loss " << plan.client_loss
      << (plan.messages_outlive_processes ? ", messages outlive processes" : "") << ", crashes "
      << plan.crashes << ", of all " << plan.crashes_of_all << ", in effects "
      << plan.crash_in_effects << ", pauses " << plan.pauses << ", resets " << plan.resets
      << ", link cuts " << plan.link_cuts << ", partitions " << plan.partitions << ", leader cuts "
      << plan.leader_cuts << ", disk stalls " << plan.disk_stalls << ", slow disks "
      << plan.slow_disks << ", transfers " << plan.transfers << ", mark saves " << plan.mark_saves
      << ", drift " << plan.max_drift_ppm << " ppm, healing "
      << kHealing[static_cast<int>(plan.healing)];
  return out.str();
}

}  // namespace distlog::simulation
