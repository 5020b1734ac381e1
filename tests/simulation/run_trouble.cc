// What goes wrong in a run.

#include <algorithm>
#include <utility>

#include "tests/simulation/run.h"

namespace distlog::simulation {

using paxos::ReplicaId;
using std::chrono::milliseconds;
using std::chrono::seconds;

bool Run::Happens(double per_second) {
  if (per_second == 0) return false;
  return world_.random.Chance(per_second * static_cast<double>(kTroubleStep.count()) / 1e9);
}

void Run::Later(Time delay, std::function<void()> action) {
  world_.scheduler.After(delay, [this, action = std::move(action)] {
    if (!healed_) action();
  });
}

void Run::MakeTrouble() {
  if (healed_) return;
  for (Host* machine : machines_) TroubleHost(machine);
  if (Happens(plan_.crashes_of_all)) {
    ++world_.counters.crashes_of_all;
    for (Host* machine : machines_) Crash(machine);
  }
  if (machines_.size() > 1) {
    if (Happens(plan_.resets)) ResetAny();
    if (Happens(plan_.link_cuts)) {
      Host* from = AnyHost();
      Host* to = AnyHost();
      if (from != to) {
        ++world_.counters.one_way_cuts;
        Cut(from->id(), to->id(), world_.random.LongTail(milliseconds(50), seconds(5)));
      }
    }
    if (Happens(plan_.partitions)) Partition();
    if (Happens(plan_.leader_cuts)) CutLeader();
  }
  if (Happens(plan_.changes)) {
    if (plan_.operations > 0 && world_.random.Chance(plan_.operations)) {
      AskForOperation();
    } else {
      AskForChange();
    }
  }
  world_.scheduler.After(kTroubleStep, [this] { MakeTrouble(); });
}

void Run::TroubleHost(Host* host) {
  Counters& counters = world_.counters;
  Random& random = world_.random;
  if (Happens(plan_.crashes)) Crash(host);
  if (Happens(plan_.pauses) && host->is_up()) {
    const Time pause = random.LongTail(milliseconds(10), seconds(6));
    if (pause > seconds(1)) ++counters.long_pauses;
    host->Pause();
    world_.scheduler.After(pause, [host] { host->Continue(); });
  }
  if (Happens(plan_.disk_stalls)) {
    ++counters.disk_stalls;
    host->StallDisk(world_.now() + random.LongTail(milliseconds(20), seconds(5)));
  }
  if (Happens(plan_.slow_disks)) {
    ++counters.slow_disks;
    host->set_sync_time(milliseconds(5), milliseconds(300));
    Later(random.Between(Time(seconds(1)), Time(seconds(4))),
          [this, host] { host->set_sync_time(std::chrono::microseconds(100), plan_.max_sync); });
  }
  if (Happens(plan_.full_disks)) {
    ++counters.full_disks;
    host->set_disk_full(true);
    Later(random.Between(Time(milliseconds(100)), Time(seconds(2))),
          [host] { host->set_disk_full(false); });
  }
  if (Happens(plan_.clock_speeds)) ChangeClockSpeed(host);
  if (Happens(plan_.wall_jumps)) {
    ++counters.wall_clock_jumps;
    host->JumpWallClock(random.Between(Time(seconds(0)), Time(seconds(1'000'000))) -
                        seconds(500'000));
  }
  if (Happens(plan_.transfers)) {
    const ReplicaId to = random.Chance(0.5) ? paxos::kNoReplica : AnyHost()->id();
    host->Post(paxos::TransferLeadership{to});
  }
}

// From five times as slow to five times as fast.
void Run::ChangeClockSpeed(Host* host) {
  ++world_.counters.clocks_fast_or_slow;
  host->SetDrift(world_.random.Chance(0.5) ? static_cast<int64_t>(world_.random.Below(4'000'000))
                                           : -static_cast<int64_t>(world_.random.Below(800'000)));
  Later(world_.random.LongTail(milliseconds(50), seconds(4)), [host] { host->SetDrift(0); });
}

void Run::Crash(Host* host) {
  if (!host->is_up()) return;
  host->Crash();
  for (Host* peer : machines_) {
    if (peer == host) continue;
    if (!plan_.messages_outlive_processes) {
      network_.Reset(host->id(), peer->id());
      network_.Reset(peer->id(), host->id());
    }
    // A process that dies resets its connections; a machine that dies does not.
    if (network_.IsCut(host->id(), peer->id()) || world_.random.Chance(0.3)) continue;
    world_.scheduler.After(world_.random.LongTail(std::chrono::microseconds(100), milliseconds(20)),
                           [peer, host] {
                             if (!host->is_up()) peer->Post(paxos::PeerLost{host->id()});
                           });
  }
  if (!healed_) {
    world_.scheduler.After(world_.random.LongTail(milliseconds(1), seconds(5)),
                           [this, host] { Restart(host); });
  }
}

void Run::Restart(Host* host) {
  if (host->is_up() || host->is_destroyed() || (healed_ && !core_.contains(host->id()))) return;
  host->Start();
  if (world_.violation.has_value()) return;
  for (Host* peer : machines_) {
    if (peer != host && peer->is_up()) Connect(host->id(), peer->id());
  }
}

void Run::Connect(ReplicaId a, ReplicaId b) {
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
    if (network_.IsCut(from, to)) continue;
    Host* end = host(from);
    world_.scheduler.After(world_.random.LongTail(std::chrono::microseconds(100), milliseconds(50)),
                           [end, to = to] { end->Post(paxos::PeerConnected{to}); });
  }
}

void Run::Reset(ReplicaId from, ReplicaId to, bool is_lost) {
  if (world_.trace.on()) {
    world_.trace.Add(world_.now(), paxos::ToString(from) + ">" + paxos::ToString(to) + " reset");
  }
  ++world_.counters.resets;
  if (network_.Reset(from, to) > 0) ++world_.counters.resets_with_messages;
  Host* end = host(from);
  if (is_lost) end->Post(paxos::PeerLost{to});
  world_.scheduler.After(world_.random.LongTail(milliseconds(1), milliseconds(500)),
                         [end, to] { end->Post(paxos::PeerConnected{to}); });
}

// Of the leader's as often as of all others': there something is always under way.
void Run::ResetAny() {
  Host* from = world_.random.Chance(0.5) ? LeadingHost() : nullptr;
  if (from == nullptr) from = AnyHost();
  Host* to = AnyHost();
  if (from == to) return;
  const bool outward = world_.random.Chance(0.5);
  Reset((outward ? from : to)->id(), (outward ? to : from)->id(), world_.random.Chance(0.7));
}

void Run::Cut(ReplicaId from, ReplicaId to, Time duration) {
  if (world_.trace.on()) {
    world_.trace.Add(world_.now(), paxos::ToString(from) + ">" + paxos::ToString(to) + " cut");
  }
  ++world_.counters.links_cut;
  network_.Cut(from, to);
  Later(duration, [this, from, to] {
    if (world_.trace.on()) {
      world_.trace.Add(world_.now(), paxos::ToString(from) + ">" + paxos::ToString(to) + " mended");
    }
    network_.Mend(from, to);
    if (world_.random.Chance(0.5)) host(from)->Post(paxos::PeerConnected{to});
  });
}

void Run::Partition() {
  const Time duration = world_.random.LongTail(milliseconds(300), seconds(8));
  const size_t n = machines_.size();
  const size_t shift = world_.random.Below(n);
  const size_t shape = world_.random.Below(5);
  ++(shape < 2 ? world_.counters.partitions_full : world_.counters.partitions_partial);
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
      if (cut) Cut(machines_[(a + shift) % n]->id(), machines_[(b + shift) % n]->id(), duration);
    }
  }
}

// What it has in flight reaches some and not others, and it may die of it.
void Run::CutLeader() {
  Host* leader = LeadingHost();
  if (leader == nullptr) return;
  ++world_.counters.leaders_cut_off;
  const Time duration = world_.random.LongTail(milliseconds(100), seconds(2));
  for (Host* peer : machines_) {
    if (peer == leader) continue;
    if (world_.random.Chance(0.7)) Cut(leader->id(), peer->id(), duration);
    if (world_.random.Chance(0.5)) Cut(peer->id(), leader->id(), duration);
  }
  if (world_.random.Chance(0.3)) {
    Later(world_.random.LongTail(milliseconds(1), milliseconds(200)),
          [this, leader] { Crash(leader); });
  }
}

}  // namespace distlog::simulation
