#include "server/plan_steps.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "wire/value.h"

namespace distlog {
namespace {

bool IsReachable(const paxos::Member& member, const ClusterView& view) {
  return member.id == paxos::kNoReplica || view.heard.contains(member.id);
}

// What the death of `member` would mean with these members.
std::string EffectOfDeath(const paxos::Member& member, int can_lose, const ClusterView& view) {
  if (!member.voter) return "none on the others: learners are not counted";
  if (!IsReachable(member, view)) return "none: it cannot be reached as it is";
  if (can_lose <= 0) return "no quorum: nothing can be appended until a voter is back";
  std::string effect = member.id == view.leader ? "another takes the lead, and the cluster goes on"
                                                : "the cluster goes on";
  if (can_lose == 1) return effect + "; one more death would stop it";
  return absl::StrCat(effect, "; it can lose ", can_lose - 1, " more");
}

bool IsAmong(const paxos::Member& member, const std::vector<paxos::Member>& members) {
  return std::any_of(members.begin(), members.end(),
                     [&](const paxos::Member& other) { return other.id == member.id; });
}

}  // namespace

size_t VotersOf(const std::vector<paxos::Member>& members) {
  return std::count_if(members.begin(), members.end(),
                       [](const paxos::Member& member) { return member.voter; });
}

size_t QuorumOf(const std::vector<paxos::Member>& members) { return VotersOf(members) / 2 + 1; }

std::string NameOf(const paxos::Member& member) {
  if (member.id == paxos::kNoReplica) return member.address;
  return absl::StrCat("replica ", paxos::ToString(member.id), " at ", member.address);
}

v1::MemberMessage MessageOf(const paxos::Member& member) {
  v1::MemberMessage message;
  message.set_id(static_cast<uint64_t>(member.id));
  message.set_uuid(ToBytes(member.uuid));
  message.set_address(member.address);
  message.set_voter(member.voter);
  return message;
}

void AddStep(const std::string& what, const std::vector<paxos::Member>& members,
             const ClusterView& view, v1::Plan* plan) {
  v1::PlanStep* step = plan->add_steps();
  step->set_what(what);
  step->set_voters(VotersOf(members));
  step->set_quorum(QuorumOf(members));
  const int reachable = std::count_if(members.begin(), members.end(), [&](const auto& member) {
    return member.voter && IsReachable(member, view);
  });
  const int can_lose = std::max(reachable - static_cast<int>(step->quorum()), -1);
  step->set_can_lose(can_lose);
  for (const paxos::Member& member : members) {
    *step->add_members() = MessageOf(member);
    v1::DeathEffect* death = step->add_deaths();
    death->set_id(static_cast<uint64_t>(member.id));
    death->set_address(member.address);
    death->set_effect(EffectOfDeath(member, can_lose, view));
  }
}

void AddSteps(const std::vector<paxos::Member>& goal, const std::string& last_step,
              bool learn_first, const ClusterView& view, v1::Plan* plan) {
  if (learn_first) {
    std::vector<paxos::Member> members = view.configuration.members;
    std::vector<std::string> learners;
    for (const paxos::Member& member : goal) {
      if (member.id != paxos::kNoReplica) continue;
      members.push_back(member);
      members.back().voter = false;
      learners.push_back(member.address);
    }
    AddStep(absl::StrCat("add ", absl::StrJoin(learners, ", "),
                         learners.size() == 1 ? " as a learner" : " as learners",
                         ", and wait until it is up to date"),
            members, view, plan);
  }
  AddStep(last_step, goal, view, plan);
}

void AddWarnings(const std::vector<paxos::Member>& goal, const ClusterView& view, v1::Plan* plan) {
  const v1::PlanStep& before = plan->steps(0);
  const v1::PlanStep& after = plan->steps(plan->steps_size() - 1);
  if (after.can_lose() == 0 && before.can_lose() > 0) {
    plan->add_warnings("afterwards no voter can fail: the death of one would stop the cluster");
  }
  if (after.voters() % 2 == 0 && before.voters() != after.voters()) {
    plan->add_warnings(absl::StrCat("with ", after.voters(),
                                    " voters the cluster can lose no more of them than with ",
                                    after.voters() - 1));
  }
  for (const paxos::Member& member : goal) {
    if (!IsReachable(member, view)) {
      plan->add_warnings(absl::StrCat(NameOf(member), " cannot be reached at the moment"));
    }
  }
  const paxos::Member* leader = view.configuration.Find(view.leader);
  if (leader != nullptr && !IsAmong(*leader, goal)) {
    plan->add_warnings(absl::StrCat(NameOf(*leader), " leads: the lead goes to another"));
  }
}

}  // namespace distlog
