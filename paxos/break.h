// Deliberate mistakes, so that tests can show that they would find them. The library that ships has
// none of them: there IsBroken is false at compile time. `//paxos:breakable` (and the twins of what
// depends on it) is the same code with a switch.

#ifndef DISTLOG_PAXOS_BREAK_H_
#define DISTLOG_PAXOS_BREAK_H_

#ifdef DISTLOG_BREAKABLE
#include <atomic>
#include <optional>
#include <span>
#include <string_view>
#endif

namespace distlog::paxos {

// Every mistake: enumerator, name, what is done wrong. Those of a host are carried out by whoever
// carries out Effects; the core only names them.
#define DISTLOG_BREAKS(X)                                                                        \
  /* The host's duties (paxos/step.h). */                                                        \
  X(kSendBeforeDurable, "send_before_durable", "host: after_write is sent at once")              \
  X(kPromiseOnlyInSideFile, "promise_only_in_side_file",                                         \
    "host: a PromiseRecord is not synced with the log, and may be lost at a crash")              \
  /* What must be durable first. */                                                              \
  X(kPrepareBeforeDurable, "prepare_before_durable",                                             \
    "Prepare leaves before its proposer's own promise is durable")                               \
  X(kPromiseBeforeDurable, "promise_before_durable",                                             \
    "Promise leaves before the promise is durable")                                              \
  X(kAcceptedBeforeDurable, "accepted_before_durable",                                           \
    "Accepted leaves before the value is durable")                                               \
  X(kOwnVoteBeforeDurable, "own_vote_before_durable",                                            \
    "a leader counts itself before its own disk holds the value")                                \
  X(kMarkReportedBeforeDurable, "mark_reported_before_durable",                                  \
    "heartbeats report a chosen_through that is not durable")                                    \
  X(kMarkCoversOwnSlot, "mark_covers_own_slot",                                                  \
    "an accepted value's record counts its own slot into chosen_through")                        \
  /* Restart. */                                                                                 \
  X(kForgetPromiseOnRestart, "forget_promise_on_restart",                                        \
    "only the accepted ballots are recovered, not the promise")                                  \
  X(kForgetAcceptedOnRestart, "forget_accepted_on_restart",                                      \
    "what was accepted above the mark is not recovered")                                         \
  X(kReuseBallotAfterRestart, "reuse_ballot_after_restart",                                      \
    "the first ballot after a restart may be the last one before it")                            \
  /* Acceptor. */                                                                                \
  X(kAcceptBelowPromise, "accept_below_promise", "an Accept below the promise is accepted")      \
  X(kAcceptBeyondWindow, "accept_beyond_window",                                                 \
    "an Accept more than two windows above chosen_through is accepted")                          \
  X(kConfirmBelowPromise, "confirm_below_promise",                                               \
    "a read confirmation is given to a ballot below the promise")                                \
  /* Quorums. */                                                                                 \
  X(kQuorumOfHalf, "quorum_of_half", "half of the voters, rounded down, is a quorum")            \
  X(kCountStranger, "count_stranger", "learners and strangers are asked and counted")            \
  /* Phase 1. */                                                                                 \
  X(kIgnoreHigherAccepted, "ignore_higher_accepted",                                             \
    "the value reported first is proposed again, whatever the ballots")                          \
  X(kLowestBallotWins, "lowest_ballot_wins",                                                     \
    "the value of the lowest reported ballot is proposed again")                                 \
  X(kPartOfPromiseCounts, "part_of_promise_counts", "a promise counts with its first part")      \
  X(kLeadBeforeCaughtUp, "lead_before_caught_up",                                                \
    "Phase 2 begins without what those who promised know chosen")                                \
  X(kGapsLeftOpen, "gaps_left_open", "gaps below accepted slots are not filled with no-ops")     \
  X(kBallotNotAboveAllSeen, "ballot_not_above_all_seen",                                         \
    "a new ballot is above this replica's own promise only")                                     \
  X(kValueInTwoSlots, "value_in_two_slots",                                                      \
    "a renewal proposes what it carries in later slots too")                                     \
  X(kNoRenewalOnReport, "no_renewal_on_report",                                                  \
    "a leader ignores a reported promise above its ballot")                                      \
  /* Phase 2 and learning. */                                                                    \
  X(kChosenWithHoles, "chosen_with_holes",                                                       \
    "a slot accepted by a quorum makes all below it chosen")                                     \
  X(kCountStaleAccepted, "count_stale_accepted",                                                 \
    "Accepted of an earlier ballot of the same owner counts for this one")                       \
  X(kMarkOfAnyBallot, "mark_of_any_ballot",                                                      \
    "a pair's chosen_through makes chosen what was accepted at another ballot")                  \
  X(kApplyOutOfOrder, "apply_out_of_order", "what one step chooses is applied in reverse order") \
  /* Reads. */                                                                                   \
  X(kReadWithoutConfirmation, "read_without_confirmation",                                       \
    "a linearizable read is granted without a round")                                            \
  X(kReadJoinsRunningRound, "read_joins_running_round",                                          \
    "a read joins the round that runs when it is noted")                                         \
  X(kReadBeforeRecoveryChosen, "read_before_recovery_chosen",                                    \
    "a leader grants reads before what Phase 1 saw accepted is chosen")                          \
  X(kReadNotedAcrossBallots, "read_noted_across_ballots",                                        \
    "what was noted at one ballot is confirmed at the next")                                     \
  X(kAnyConfirmationCounts, "any_confirmation_counts",                                           \
    "a confirmation of an earlier round counts for this one")                                    \
  X(kAnyReadReplyCounts, "any_read_reply_counts",                                                \
    "a follower takes an answer to an earlier request for this one's")                           \
  /* Reconfiguration: one or more for each of B1 to B9. */                                       \
  X(kNoBarrier, "b1_no_barrier", "proposals go on above a configuration in flight")              \
  X(kAnyConfigurationTakesEffect, "b2_any_takes_effect",                                         \
    "a configuration takes effect whatever it replaces")                                         \
  X(kOldQuorumAboveConfiguration, "b3_old_phase1_above",                                         \
    "Phase 1 does not begin again above a configuration")                                        \
  X(kLearnKeepsLowBallot, "b4_learn_keeps_low_ballot",                                           \
    "learning neither raises the ballot held nor promises")                                      \
  X(kConfigurationMarkIsHint, "b5_mark_is_hint",                                                 \
    "the mark of a configuration's slot is not written")                                         \
  X(kSettledWhenChosen, "b5_settled_when_chosen",                                                \
    "a change counts as settled before a quorum of the new voters has its mark")                 \
  X(kReadAcrossConfiguration, "b6_read_across",                                                  \
    "reads are noted and confirmed while a configuration is in flight")                          \
  X(kLearnedConfigurationIgnored, "b7_learned_elsewhere",                                        \
    "a candidate that learns a configuration goes on with its promises")                         \
  X(kNoYield, "b8_no_yield", "a proposer goes on when its replica promises a higher ballot")     \
  X(kLeaverStopsEarly, "leaver_stops_early",                                                     \
    "B9: who has left falls silent before the change is settled")                                \
  /* The sequencer. */                                                                           \
  X(kDedupeOffByOne, "dedupe_off_by_one",                                                        \
    "a repeat of a producer's newest append is appended again")                                  \
  X(kDuplicateGetsNewPosition, "duplicate_gets_new_position",                                    \
    "a repeat is answered with the end of the log")                                              \
  X(kRefusalNotRemembered, "refusal_not_remembered",                                             \
    "a refused precondition does not consume the producer's sequence")                           \
  /* The changes of members. */                                                                  \
  X(kCancelRacesConfiguration, "cancel_races_configuration",                                     \
    "a configuration is proposed while another value of its operation is under way")             \
  X(kOperationForgotten, "operation_forgotten_by_next_leader",                                   \
    "a leader carries on only what was begun in its own term")                                   \
  X(kAdvanceBeforeSettled, "advance_before_settled",                                             \
    "an operation is called done as soon as its goal is in force")

enum class Break {
  kNone,
#define DISTLOG_BREAK_ENUMERATOR(enumerator, name, what) enumerator,
  DISTLOG_BREAKS(DISTLOG_BREAK_ENUMERATOR)
#undef DISTLOG_BREAK_ENUMERATOR
};

#ifndef DISTLOG_BREAKABLE

constexpr bool IsBroken(Break) { return false; }

#else

inline std::atomic<Break> current_break{Break::kNone};

inline bool IsBroken(Break mistake) {
  return current_break.load(std::memory_order_relaxed) == mistake;
}

// Makes this one mistake from now on, in the whole process; kNone: none.
void SetBreak(Break mistake);

struct BreakDescription {
  Break mistake = Break::kNone;
  std::string_view name;
  std::string_view what;
};
// All but kNone.
std::span<const BreakDescription> AllBreaks();
// Empty if there is none of that name.
std::optional<Break> BreakNamed(std::string_view name);

#endif

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_BREAK_H_
