// Each task of docs/operations.md that changes members, with a kill -9 of whoever leads at each
// phase that the operation goes through: in the moment when that leader has said, in its log, that
// it has applied the phase. The next value is on its way then. Under a load of appends and
// linearizable reads; the command itself goes on to its end.

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/e2e/member_fixture.h"

namespace distlog {
namespace {

enum class Task { kGrow, kReplaceDead, kReplaceLiving, kMove, kRemoveLeader };

struct Case {
  Task task;
  std::string name;
  // As server/phase_log.h has it.
  std::string phase;
  int version;  // Of the configuration in force then.
};

// gtest prints it.
std::ostream& operator<<(std::ostream& out, const Case& one) { return out << one.name; }

// Newcomers that learn first are in force as learners in configuration 2.
std::vector<Case> Cases() {
  std::vector<Case> cases;
  const auto add = [&](Task task, const std::string& name, bool learns) {
    if (learns) {
      cases.push_back({task, absl::StrCat(name, "Begun"), "learning", 1});
      cases.push_back({task, absl::StrCat(name, "Learning"), "learning", 2});
    }
    const int before = learns ? 2 : 1;
    cases.push_back({task, absl::StrCat(name, "Changing"), "changing", before});
    cases.push_back({task, absl::StrCat(name, "Settling"), "settling", before + 1});
  };
  add(Task::kGrow, "ThreeGrowToFive", true);
  add(Task::kReplaceDead, "ADeadMachineIsReplaced", false);
  add(Task::kReplaceLiving, "ALivingMachineIsReplaced", true);
  add(Task::kMove, "TheWholeClusterMoves", true);
  add(Task::kRemoveLeader, "TheLeaderIsRemoved", false);
  return cases;
}

class MemberPhasesTest : public ChangingMembers, public testing::WithParamInterface<Case> {
 protected:
  // What the task is, as arguments of `distlog member`, and who are the members afterwards.
  struct Wanted {
    std::vector<std::string> arguments;
    std::vector<int> members;
  };

  Wanted Prepare(Task task) {
    switch (task) {
      case Task::kGrow:
        return Set({0, 1, 2, 3, 4});
      case Task::kReplaceDead:
        return ReplaceDead();
      case Task::kReplaceLiving:
        StartServer(3);
        return {{"replace", IdOf(1), cluster_->endpoint(3)}, {0, 2, 3}};
      case Task::kMove:
        return Set({3, 4, 5});
      case Task::kRemoveLeader:
        break;
    }
    const int leader = Leader();
    return {{"remove", IdOf(leader)}, {(leader + 1) % 3, (leader + 2) % 3}};
  }

  Wanted Set(const std::vector<int>& servers) {
    Wanted wanted{{"set"}, servers};
    for (const int server : servers) {
      if (server >= 3) StartServer(server);
      wanted.arguments.push_back(cluster_->endpoint(server));
    }
    return wanted;
  }

  Wanted ReplaceDead() {
    const int dead = (Leader() + 1) % 3;
    StartServer(3);
    const Wanted wanted{{"replace", IdOf(dead), cluster_->endpoint(3)},
                        {(dead + 1) % 3, (dead + 2) % 3, 3}};
    cluster_->Destroy(dead);
    // Until the leader takes it for dead, it would have the newcomer learn first.
    std::vector<std::string> plan = wanted.arguments;
    plan.insert(plan.begin(), "member");
    plan.push_back("--dry_run");
    EXPECT_TRUE(Await([&] {
      const Finished planned = cluster_->Distlog(plan);
      return planned.status == 0 && !absl::StrContains(planned.out, "learner");
    }));
    return wanted;
  }

  // Which server says first that it has applied this phase; -1 if none does. No longer than the
  // moment that it takes to look: a phase may last for a millisecond.
  int AwaitPhase(const Case& one) {
    const std::string said = absl::StrCat("): ", one.phase, ", with configuration ", one.version);
    const absl::Time end = absl::Now() + kPatience;
    while (absl::Now() < end) {
      for (int server = 0; server < cluster_->size(); ++server) {
        if (absl::StrContains(cluster_->server_log(server), said)) return server;
      }
      absl::SleepFor(absl::Microseconds(200));
    }
    return -1;
  }
};

TEST_P(MemberPhasesTest, GoesOnThoughItsLeaderIsKilled) {
  Begin();
  if (HasFatalFailure()) return;
  const Wanted wanted = Prepare(GetParam().task);
  if (HasFailure()) return;
  const auto change = StartChange(wanted.arguments);
  const int leader = AwaitPhase(GetParam());
  ASSERT_GE(leader, 0) << change->output() << change->error();
  KillAndStart(leader);
  ExpectDone(change.get());
  if (HasFatalFailure()) return;
  ExpectWholeOn(wanted.members);
}

INSTANTIATE_TEST_SUITE_P(Each, MemberPhasesTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace distlog
