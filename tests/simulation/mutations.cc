#include "tests/simulation/mutations.h"

#include <algorithm>
#include <deque>
#include <memory>

#include "glog/logging.h"
#include "paxos/invariant.h"
#include "tests/simulation/forked.h"
#include "tests/simulation/simulation.h"

namespace distlog::simulation {

const std::vector<Mutation>& AllMutations() {
  using paxos::Break;
  static const std::string kManyChanges =
      "has_faults=1 changes=2 spares=16 change_crashes=0.3 healing=all";
  static const std::vector<Mutation> all = [] {
    std::vector<Mutation> made;
    const auto add = [&](Break mistake, uint64_t seeds, const std::string& plan = "") {
      for (const paxos::BreakDescription& each : paxos::AllBreaks()) {
        if (each.mistake == mistake) made.push_back({mistake, std::string(each.name), seeds, plan});
      }
    };
    for (const paxos::BreakDescription& each : paxos::AllBreaks()) {
      switch (each.mistake) {
        case Break::kNoBarrier:
        case Break::kOldQuorumAboveConfiguration:
        case Break::kConfigurationMarkIsHint:
        case Break::kReadAcrossConfiguration:
        case Break::kLearnedConfigurationIgnored:
        case Break::kSettledWhenChosen:
        case Break::kLeaverStopsEarly:
          add(each.mistake, 100, kManyChanges);
          break;
        case Break::kCancelRacesConfiguration:
        case Break::kOperationForgotten:
        case Break::kAdvanceBeforeSettled:
          add(each.mistake, 100, kManyChanges + " operations=1 window_bytes=1048576");
          break;
        // A leader has to be cut off with a configuration of its own above many slots, while
        // clients wait for it and leave its successor with few, and to be heard of again after
        // another one was chosen below.
        case Break::kAnyConfigurationTakesEffect:
          add(each.mistake, 200,
              kManyChanges +
                  " operations=0 liveness=0 replicas=5 learners=0 changes=6 leader_cuts=4 loss=0 "
                  "clients=6 max_pipeline=4 max_think_ns=5000000 client_timeout_ns=3000000000 "
                  "heartbeat_interval_ns=20000000 max_delay_ns=3000000 window=16 "
                  "window_bytes=1048576 batch_bytes=200 inflight_requests=1000");
          break;
        // A Nack tells a leader with something to say as much, and a new leader has: it must be
        // idle since then, and the promise have been left behind by one that others do not follow.
        case Break::kNoRenewalOnReport:
          add(each.mistake, 100,
              "has_faults=1 liveness=0 replicas=5 learners=0 changes=0 clients=1 max_pipeline=1 "
              "max_think_ns=12000000000 heartbeat_interval_ns=20000000 max_delay_ns=3000000 "
              "loss=0 pauses=2 leader_cuts=0 link_cuts=0 partitions=0 resets=0 crashes=0 "
              "crashes_of_all=0");
          break;
        // Rare: most gaps are filled by what clients say next.
        case Break::kGapsLeftOpen:
          add(each.mistake, 800);
          break;
        // A leader has to lose the lead with a read under way, and to have it back before that
        // read's time is over.
        case Break::kReadNotedAcrossBallots:
          add(each.mistake, 100,
              "has_faults=1 replicas=3 learners=0 clients=6 pauses=3 leader_cuts=3 "
              "heartbeat_interval_ns=20000000 client_timeout_ns=1200000000");
          break;
        // Two ballots have to meet in one slot, the lower one reported first.
        case Break::kIgnoreHigherAccepted:
          add(each.mistake, 100,
              "has_faults=1 replicas=5 learners=0 clients=5 heartbeat_interval_ns=20000000 "
              "loss=0.05 leader_cuts=4 crashes=0.3");
          break;
        // An answer has to outlive a renewal, and to be needed for the quorum.
        case Break::kCountStaleAccepted:
          add(each.mistake, 200,
              "has_faults=1 liveness=0 replicas=5 learners=0 changes=0 clients=6 "
              "max_think_ns=5000000 message_bytes=1000 window=16 window_bytes=1048576 "
              "heartbeat_interval_ns=20000000 in_order=0 max_delay_ns=200000000 duplication=0.3 "
              "loss=0.1 leader_cuts=6 link_cuts=1 crashes=0 crashes_of_all=0 pauses=0 "
              "disk_stalls=0 slow_disks=0 full_disks=0");
          break;
        default:
          add(each.mistake, 400);
      }
    }
    return made;
  }();
  return all;
}

Plan PlanFor(const Mutation& mutation, uint64_t seed) {
  Plan plan = MakePlan(seed);
  CHECK_EQ(ApplyTo(&plan, mutation.plan), "");
  return plan;
}

namespace {

// In a process of its own, as is the next.
std::string RunBroken(paxos::Break mistake, const Plan& plan) {
  paxos::SetBreak(mistake);
  paxos::SetInvariantsFatal(false);
  return Simulate(plan, {}).violation.value_or("");
}

// Notes where the CHECK stands that ends the process.
class LastWords : public google::LogSink {
 public:
  void send(google::LogSeverity severity, const char*, const char* file, int line,
            const google::LogMessageTime&, const char*, size_t) override {
    if (severity == google::GLOG_FATAL) where_ = std::string(file) + ":" + std::to_string(line);
  }
  const std::string& where() const { return where_; }

 private:
  std::string where_;
};
LastWords last_words;

[[noreturn]] void TellCheck() {
  const std::string& rule = paxos::CountedInvariants().first;
  Forked::End(rule.empty() ? last_words.where() : rule);
}

// Which CHECK ends the run, in words for a table; empty: none.
std::string RunUnwatched(paxos::Break mistake, const Plan& plan) {
  google::AddLogSink(&last_words);
  google::InstallFailureFunction(&TellCheck);
  paxos::SetBreak(mistake);
  Simulate(plan, {}, Judge::kCodeAlone);
  return "";
}

std::optional<Finding> FindingOf(paxos::Break mistake, const Plan& plan,
                                 const std::optional<std::string>& violation) {
  // Without an answer the code noticed by itself: that does not count.
  if (violation.value_or("").empty()) return std::nullopt;
  Forked unwatched([&] { return RunUnwatched(mistake, plan); }, /*quiet=*/true);
  return Finding{plan.seed, *violation, unwatched.Get().value_or("a crash")};
}

}  // namespace

std::optional<Finding> TryBroken(paxos::Break mistake, const Plan& plan) {
  Forked run([&] { return RunBroken(mistake, plan); }, /*quiet=*/true);
  return FindingOf(mistake, plan, run.Get());
}

std::optional<Finding> Find(const Mutation& mutation, uint64_t jobs) {
  std::deque<std::pair<uint64_t, std::unique_ptr<Forked>>> runs;  // By seed.
  uint64_t next = 1;
  while (next <= mutation.seeds || !runs.empty()) {
    while (next <= mutation.seeds && runs.size() < jobs) {
      const Plan plan = PlanFor(mutation, next);
      runs.emplace_back(next, std::make_unique<Forked>(
                                  [&mutation, plan] { return RunBroken(mutation.mistake, plan); },
                                  /*quiet=*/true));
      ++next;
    }
    const auto [seed, run] = std::move(runs.front());
    runs.pop_front();
    std::optional<Finding> finding =
        FindingOf(mutation.mistake, PlanFor(mutation, seed), run->Get());
    if (finding.has_value()) return finding;
  }
  return std::nullopt;
}

std::string Row(const Mutation& mutation, const std::optional<Finding>& finding) {
  if (!finding.has_value()) {
    return "| " + mutation.name + " | NOT FOUND | " + std::to_string(mutation.seeds) + " | |";
  }
  return "| " + mutation.name + " | " +
         finding->violation.substr(0, finding->violation.find('\n')) + " | " +
         std::to_string(finding->seed) + " | " +
         (finding->first_check.empty() ? "none" : finding->first_check) + " |";
}

}  // namespace distlog::simulation
