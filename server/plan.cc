#include "server/plan.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/peer_registry.h"
#include "server/plan_steps.h"
#include "server/server_options.h"
#include "wire/status.h"
#include "wire/value.h"

namespace distlog {
namespace {

constexpr size_t kMaxMembers = 15;
constexpr int64_t kMaxClockOffsetMs = 5'000;
constexpr uint64_t kMinFreeBytes = 256 << 20;

absl::Status Refuse(const std::string& sentence) { return absl::FailedPreconditionError(sentence); }

const paxos::Member* FindAddress(const paxos::Configuration& configuration,
                                 const std::string& address) {
  for (const paxos::Member& member : configuration.members) {
    if (member.address == address) return &member;
  }
  return nullptr;
}

std::string InWords(const Change& change) {
  const std::string address = change.addresses.empty() ? "" : change.addresses.front();
  switch (change.verb) {
    case v1::Operation::VERB_ADD:
      return absl::StrCat("add ", address, change.learner ? " as a learner" : "");
    case v1::Operation::VERB_REMOVE:
      return absl::StrCat("remove replica ", change.id);
    case v1::Operation::VERB_REPLACE:
      return absl::StrCat("replace replica ", change.id, " by ", address);
    case v1::Operation::VERB_PROMOTE:
      return absl::StrCat("promote replica ", change.id);
    default:
      return absl::StrCat("set ", absl::StrJoin(change.addresses, " "));
  }
}

absl::Status CheckState(const Change& change, const ClusterView& view) {
  const uint64_t expected = change.options.expect_version();
  if (expected != 0 && expected != view.configuration.version) {
    v1::ErrorDetail detail;
    detail.set_not_appended(true);
    detail.set_reason(v1::ErrorDetail::REASON_CONFIGURATION);
    detail.set_expected(expected);
    detail.set_actual(view.configuration.version);
    return MakeError(absl::StatusCode::kAborted,
                     absl::StrCat("the configuration in force has version ",
                                  view.configuration.version, ", not ", expected,
                                  ": look at what has changed (distlog member list), then decide "
                                  "again"),
                     detail);
  }
  if (view.running_id != 0) {
    return Refuse(absl::StrCat("operation ", view.running_id, " (", view.running,
                               ") is running: wait for its end (distlog member ops), or cancel it "
                               "(distlog member cancel ",
                               view.running_id, ")"));
  }
  return absl::OkStatus();
}

absl::StatusOr<paxos::Member> MemberOf(uint64_t id, const paxos::Configuration& in_force) {
  if (const paxos::Member* member = in_force.Find(paxos::ReplicaId{id})) return *member;
  std::vector<std::string> ids;
  for (const paxos::Member& member : in_force.members) ids.push_back(paxos::ToString(member.id));
  return Refuse(absl::StrCat("no member has id ", id, " (the members are ",
                             absl::StrJoin(ids, ", "), "): see `distlog member list`"));
}

absl::Status IsMemberAlready(const paxos::Member& member) {
  return Refuse(absl::StrCat("the server at ", member.address, " is a member already: replica ",
                             paxos::ToString(member.id)));
}

// ---- Newcomers ---------------------------------------------------------------------------------

// Another directory than the member's, at the member's address: its disk was lost.
bool IsWiped(const paxos::Member& member, const Newcomer& newcomer) {
  return newcomer.answer.ok() && newcomer.answer->cluster_id().empty() &&
         UuidFromBytes(newcomer.answer->uuid()) != member.uuid;
}

absl::Status CheckEmpty(const std::string& address, const v1::ProbeResponse& answer,
                        const ClusterView& view) {
  const paxos::ReplicaId seat = view.configuration.SeatOf(UuidFromBytes(answer.uuid()));
  if (seat != paxos::kNoReplica) return IsMemberAlready(*view.configuration.Find(seat));
  if (answer.cluster_id().empty()) return absl::OkStatus();
  if (answer.cluster_id() == view.cluster_id) {
    return Refuse(absl::StrCat("the server at ", address,
                               " was a member of this cluster once and was removed: start it with "
                               "an empty data directory to add it again"));
  }
  return Refuse(absl::StrCat("the server at ", address, " belongs to another cluster (",
                             HexString(answer.cluster_id().substr(0, 32)),
                             "): name another one, or start it with an empty data directory"));
}

absl::Status CheckHealth(const std::string& address, const Newcomer& newcomer, bool force,
                         v1::Plan* plan) {
  const v1::ProbeResponse& answer = *newcomer.answer;
  if (answer.disk_free_bytes() < kMinFreeBytes) {
    return Refuse(absl::StrCat("the disk of the server at ", address, " has only ",
                               answer.disk_free_bytes() >> 20, " MiB left, and at least ",
                               kMinFreeBytes >> 20, " MiB are wanted: make space there first"));
  }
  if (!answer.trouble().empty()) {
    plan->add_warnings(absl::StrCat("the server at ", address,
                                    " says: ", absl::CEscape(answer.trouble().substr(0, 500))));
  }
  if (std::abs(newcomer.clock_ahead_ms) <= kMaxClockOffsetMs) return absl::OkStatus();
  const std::string clock = absl::StrCat(
      "the clock of the server at ", address, " is ", std::abs(newcomer.clock_ahead_ms) / 1000,
      " s ", newcomer.clock_ahead_ms > 0 ? "ahead of" : "behind", " the leader's");
  if (force) {
    plan->add_warnings(clock);
    return absl::OkStatus();
  }
  return Refuse(absl::StrCat(clock, ": set it first, or go on all the same with --force"));
}

absl::Status CheckNewcomer(const std::string& address, const Newcomer& newcomer,
                           const ClusterView& view, bool force, v1::Plan* plan) {
  if (!newcomer.answer.ok()) {
    return Refuse(absl::StrCat(std::string(newcomer.answer.status().message()),
                               "; it has to run, with an empty data directory, to be added"));
  }
  const v1::ProbeResponse& answer = *newcomer.answer;
  if (answer.wire_version_min() > kWireVersionMax || answer.wire_version_max() < kWireVersionMin) {
    return Refuse(absl::StrCat("the server at ", address, " speaks wire versions ",
                               answer.wire_version_min(), " to ", answer.wire_version_max(),
                               ", the leader ", kWireVersionMin, " to ", kWireVersionMax,
                               ": upgrade the older one"));
  }
  if (absl::Status status = CheckEmpty(address, answer, view); !status.ok()) return status;
  if (answer.address() != address) {
    return Refuse(absl::StrCat("the server at ", address, " advertises ",
                               absl::CEscape(answer.address().substr(0, 300)),
                               ": name it so, or start it with --advertise=", address));
  }
  for (const auto& [id, reason] : newcomer.unreached_from) {
    const paxos::Member* voter = view.configuration.Find(id);
    return Refuse(absl::StrCat("the server at ", address, " cannot be reached from replica ",
                               paxos::ToString(id), " at ", voter == nullptr ? "?" : voter->address,
                               " (", reason, "): every voter has to reach it"));
  }
  return CheckHealth(address, newcomer, force, plan);
}

// ---- The goal ----------------------------------------------------------------------------------

// The members as they are to be; newcomers have id 0. Their UUIDs are those that were found.
struct Goal {
  std::vector<paxos::Member> members;
  std::string last_step;  // In words.
};

paxos::Member MakeNewcomer(const std::string& address, bool voter,
                           const std::map<std::string, Newcomer>& newcomers) {
  paxos::Member member{.id = {}, .uuid = {}, .address = address, .voter = voter};
  const auto found = newcomers.find(address);
  if (found != newcomers.end() && found->second.answer.ok()) {
    member.uuid = UuidFromBytes(found->second.answer->uuid());
  }
  return member;
}

absl::StatusOr<Goal> GoalOfAdd(const Change& change, const ClusterView& view,
                               const std::map<std::string, Newcomer>& newcomers) {
  const std::string& address = change.addresses.front();
  if (const paxos::Member* member = FindAddress(view.configuration, address)) {
    const auto found = newcomers.find(address);
    if (found == newcomers.end() || !IsWiped(*member, found->second)) {
      return IsMemberAlready(*member);
    }
    return Refuse(absl::StrCat("replica ", paxos::ToString(member->id), " has the address ",
                               address,
                               ", but an empty data directory is served there: run "
                               "`distlog member replace ",
                               paxos::ToString(member->id), " ", address, "`"));
  }
  Goal goal{.members = view.configuration.members,
            .last_step = absl::StrCat(change.learner ? "add " : "make ", address,
                                      change.learner ? " as a learner" : " a voter")};
  goal.members.push_back(MakeNewcomer(address, !change.learner, newcomers));
  return goal;
}

absl::StatusOr<Goal> GoalOfRemove(const Change& change, const ClusterView& view) {
  const absl::StatusOr<paxos::Member> member = MemberOf(change.id, view.configuration);
  if (!member.ok()) return member.status();
  Goal goal{.members = view.configuration.members, .last_step = InWords(change)};
  std::erase(goal.members, *member);
  return goal;
}

absl::StatusOr<Goal> GoalOfReplace(const Change& change, const ClusterView& view,
                                   const std::map<std::string, Newcomer>& newcomers) {
  const absl::StatusOr<paxos::Member> member = MemberOf(change.id, view.configuration);
  if (!member.ok()) return member.status();
  const std::string& address = change.addresses.front();
  const paxos::Member* other = FindAddress(view.configuration, address);
  if (other != nullptr && other->id != member->id) return IsMemberAlready(*other);
  Goal goal{.members = view.configuration.members, .last_step = InWords(change)};
  std::erase(goal.members, *member);
  goal.members.push_back(MakeNewcomer(address, member->voter, newcomers));
  return goal;
}

absl::StatusOr<Goal> GoalOfPromote(const Change& change, const ClusterView& view) {
  const absl::StatusOr<paxos::Member> member = MemberOf(change.id, view.configuration);
  if (!member.ok()) return member.status();
  if (member->voter) {
    return Refuse(
        absl::StrCat("replica ", change.id, " is a voter: only a learner can be promoted"));
  }
  if (!view.caught_up.contains(member->id) && !change.options.force()) {
    return Refuse(absl::StrCat(
        "replica ", change.id, " at ", member->address,
        view.heard.contains(member->id) ? " has not caught up yet" : " cannot be reached",
        ": wait until it keeps up (distlog status), or go on all the same "
        "with --force"));
  }
  Goal goal{.members = view.configuration.members, .last_step = InWords(change)};
  for (paxos::Member& one : goal.members) one.voter = one.voter || one.id == member->id;
  return goal;
}

Goal GoalOfSet(const Change& change, const ClusterView& view,
               const std::map<std::string, Newcomer>& newcomers) {
  Goal goal{.members = {}, .last_step = InWords(change)};
  for (const std::string& address : change.addresses) {
    const paxos::Member* member = FindAddress(view.configuration, address);
    goal.members.push_back(member == nullptr ? MakeNewcomer(address, /*voter=*/true, newcomers)
                                             : *member);
    goal.members.back().voter = true;
  }
  // Those that are there by id, then the newcomers as they were named.
  std::stable_sort(goal.members.begin(), goal.members.end(), [](const auto& a, const auto& b) {
    return static_cast<uint64_t>(a.id) - 1 < static_cast<uint64_t>(b.id) - 1;
  });
  return goal;
}

absl::StatusOr<Goal> MakeGoal(const Change& change, const ClusterView& view,
                              const std::map<std::string, Newcomer>& newcomers) {
  switch (change.verb) {
    case v1::Operation::VERB_ADD:
      return GoalOfAdd(change, view, newcomers);
    case v1::Operation::VERB_REMOVE:
      return GoalOfRemove(change, view);
    case v1::Operation::VERB_REPLACE:
      return GoalOfReplace(change, view, newcomers);
    case v1::Operation::VERB_PROMOTE:
      return GoalOfPromote(change, view);
    default:
      return GoalOfSet(change, view, newcomers);
  }
}

// ---- Whether it can be -------------------------------------------------------------------------

// The voters of the goal that vote as soon as it is in force: members that are heard and have
// caught up, and newcomers if they learn first.
size_t Ready(const std::vector<paxos::Member>& goal, const ClusterView& view, bool learn_first) {
  return std::count_if(goal.begin(), goal.end(), [&](const paxos::Member& member) {
    return member.voter &&
           (member.id == paxos::kNoReplica ? learn_first : view.caught_up.contains(member.id));
  });
}

// A living member is not exchanged for an empty one: newcomers learn first. Not if they take the
// places of the dead, and the others can go on without them: then each step more is one more with
// less than could be.
bool MustLearnFirst(const std::vector<paxos::Member>& goal, const ClusterView& view) {
  size_t newcomers = 0;
  size_t dead = 0;
  bool shares_address = false;
  for (const paxos::Member& member : goal) {
    if (member.id != paxos::kNoReplica) continue;
    newcomers += member.voter ? 1 : 0;
    // Two members cannot have one address, so that there is no step between. Nor would it help:
    // whom the newcomer replaces is not served there any more.
    shares_address |= FindAddress(view.configuration, member.address) != nullptr;
  }
  if (newcomers == 0 || shares_address) return false;
  for (const paxos::Member& member : view.configuration.members) {
    const bool stays = std::any_of(goal.begin(), goal.end(), [&](const paxos::Member& other) {
      return other.id == member.id && other.voter;
    });
    if (member.voter && !stays && !view.heard.contains(member.id)) ++dead;
  }
  return newcomers > dead || Ready(goal, view, false) < QuorumOf(goal);
}

absl::Status CheckGoal(const std::vector<paxos::Member>& goal, const ClusterView& view,
                       bool learn_first) {
  const size_t voters = VotersOf(goal);
  if (voters == 0) {
    return Refuse("it would leave no voter, and so no cluster: add another one first");
  }
  if (goal.size() > kMaxMembers) {
    return Refuse(absl::StrCat("it would make ", goal.size(),
                               " members, and a cluster has at most ", kMaxMembers,
                               ": remove one first"));
  }
  const size_t ready = Ready(goal, view, learn_first);
  if (ready >= QuorumOf(goal)) return absl::OkStatus();
  std::vector<std::string> missing;
  for (const paxos::Member& member : goal) {
    if (!member.voter || view.caught_up.contains(member.id)) continue;
    if (member.id == paxos::kNoReplica) {
      if (!learn_first) missing.push_back(absl::StrCat(member.address, " is empty"));
    } else {
      missing.push_back(absl::StrCat(
          NameOf(member), view.heard.contains(member.id) ? " is behind" : " cannot be reached"));
    }
  }
  return Refuse(absl::StrCat("it would leave ", voters, voters == 1 ? " voter" : " voters",
                             ", of which ", QuorumOf(goal), " are needed and only ", ready,
                             " could vote (", absl::StrJoin(missing, ", "),
                             "): bring them back first, or replace or remove those that are gone"));
}

void FillCommand(const Change& change, const std::vector<paxos::Member>& goal, bool learn_first,
                 uint64_t base_version, v1::BeginOperationCommand* command) {
  command->set_verb(change.verb);
  command->set_base_version(base_version);
  for (const paxos::Member& member : goal) *command->add_goal() = MessageOf(member);
  command->set_learn_first(learn_first);
  command->set_request(InWords(change));
  command->set_nonce(change.options.nonce());
}

absl::Status Plan(const Change& change, const ClusterView& view,
                  const std::map<std::string, Newcomer>& newcomers, Planned* planned) {
  v1::Plan* plan = &planned->plan;
  if (absl::Status status = CheckState(change, view); !status.ok()) return status;
  const absl::StatusOr<Goal> goal = MakeGoal(change, view, newcomers);
  if (!goal.ok()) return goal.status();
  planned->has_effect = goal->members != view.configuration.members;
  if (!planned->has_effect) return absl::OkStatus();
  const bool learn_first = MustLearnFirst(goal->members, view);
  AddSteps(goal->members, goal->last_step, learn_first, view, plan);
  for (const std::string& address : NewcomersOf(change, view.configuration)) {
    const auto found = newcomers.find(address);
    const absl::Status status =
        CheckNewcomer(address, found == newcomers.end() ? Newcomer() : found->second, view,
                      change.options.force(), plan);
    if (!status.ok()) return status;
  }
  if (absl::Status status = CheckGoal(goal->members, view, learn_first); !status.ok()) {
    return status;
  }
  AddWarnings(goal->members, view, plan);
  FillCommand(change, goal->members, learn_first, view.configuration.version, &planned->command);
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckChange(const Change& change) {
  std::set<std::string> seen;
  for (const std::string& address : change.addresses) {
    const absl::StatusOr<HostPort> parsed = ParseHostPort(address);
    if (!parsed.ok()) return parsed.status();
    if (parsed->port == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the address ", absl::CEscape(address), " has no port"));
    }
    if (!seen.insert(address).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("the address ", absl::CEscape(address), " is given twice"));
    }
  }
  return absl::OkStatus();
}

std::vector<std::string> NewcomersOf(const Change& change, const paxos::Configuration& in_force) {
  std::vector<std::string> newcomers = change.addresses;
  if (change.verb == v1::Operation::VERB_SET) {
    std::erase_if(newcomers, [&](const std::string& address) {
      return FindAddress(in_force, address) != nullptr;
    });
  }
  return newcomers;
}

Planned PlanChange(const Change& change, const ClusterView& view,
                   const std::map<std::string, Newcomer>& newcomers) {
  Planned planned;
  planned.plan.set_base_version(view.configuration.version);
  AddStep("now", view.configuration.members, view, &planned.plan);
  planned.refusal = Plan(change, view, newcomers, &planned);
  planned.plan.set_refusal(std::string(planned.refusal.message()));
  return planned;
}

}  // namespace distlog
