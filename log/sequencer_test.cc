// The sequencer decides what every client is told. Each rule of docs/protocol.md, "Applying", has a
// case here: all replicas decide alike, a producer's sequence is applied once, and what was
// answered is answered again.

#include "log/sequencer.h"

#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "glog/logging.h"
#include "gtest/gtest.h"
#include "wire/value.h"

namespace distlog {

// For the messages of failures.
void PrintTo(const AppliedAppend& result, std::ostream* out) {
  *out << "{reason " << static_cast<int>(result.reason) << (result.duplicate ? ", duplicate" : "")
       << (result.not_appended ? ", not appended" : "") << ", " << result.first_position << "+"
       << result.count << ", expected " << result.expected << ", actual " << result.actual << "}";
}

namespace {

using Kind = paxos::Value::Kind;

paxos::Configuration Genesis() {
  std::vector<paxos::Member> members;
  for (uint64_t i = 1; i <= 3; ++i) {
    members.push_back({paxos::kNoReplica, paxos::Uuid{i, i}, "h:" + std::to_string(i), true});
  }
  return MakeGenesis(members).value();
}

// An append of `count` entries. Designated initializers below read like the request.
struct Append {
  uint32_t count = 1;
  std::string producer = "";
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  uint64_t expect_position = 0;
};

paxos::Value BatchOf(const std::vector<Append>& appends, uint64_t cluster_time_ms = 0) {
  v1::Batch batch;
  batch.mutable_origin()->set_replica(2);
  batch.mutable_origin()->set_start_nonce(77);
  batch.mutable_origin()->set_sequence(5);
  batch.set_cluster_time_ms(cluster_time_ms);
  for (const Append& append : appends) {
    v1::AppendRecord* record = batch.add_appends();
    for (uint32_t i = 0; i < append.count; ++i) record->add_payloads("x");
    record->set_producer(append.producer);
    record->set_epoch(append.epoch);
    record->set_sequence(append.sequence);
    record->set_expect_position(append.expect_position);
  }
  return MakeValue(batch);
}

paxos::Value Opening(const std::string& name, std::optional<uint64_t> after_epoch, uint64_t nonce) {
  v1::Command command;
  command.mutable_origin()->set_replica(3);
  command.mutable_open_producer()->set_name(name);
  if (after_epoch.has_value()) command.mutable_open_producer()->set_after_epoch(*after_epoch);
  command.mutable_open_producer()->set_nonce(nonce);
  return MakeValue(command);
}

paxos::Value RawValue(Kind kind, const std::string& payload) {
  paxos::Value value;
  value.kind = kind;
  value.payload = std::make_shared<const std::string>(payload);
  return value;
}

// A sequencer with the next slot at hand.
class Log {
 public:
  Log() : sequencer_(Genesis()) {}

  absl::StatusOr<Applied> TryApply(const paxos::Value& value, paxos::Ballot ballot = {1, {}}) {
    return sequencer_.Apply({sequencer_.applied_through() + 1, ballot, value});
  }
  Applied Apply(const paxos::Value& value, paxos::Ballot ballot = {1, {}}) {
    return TryApply(value, ballot).value();
  }
  AppliedAppend Append(const distlog::Append& append) {
    return Apply(BatchOf({append})).appends.at(0);
  }
  OpenProducerResult Open(const std::string& name, std::optional<uint64_t> after_epoch,
                          uint64_t nonce) {
    return Apply(Opening(name, after_epoch, nonce)).opened.value();
  }
  Sequencer& operator*() { return sequencer_; }
  Sequencer* operator->() { return &sequencer_; }

 private:
  Sequencer sequencer_;
};

AppliedAppend InLog(uint64_t first_position, uint32_t count, bool duplicate = false) {
  AppliedAppend result;
  result.first_position = first_position;
  result.count = count;
  result.duplicate = duplicate;
  return result;
}

AppliedAppend Refusal(RefusalReason reason, uint64_t expected, uint64_t actual, bool not_appended,
                      bool duplicate = false) {
  AppliedAppend result;
  result.reason = reason;
  result.expected = expected;
  result.actual = actual;
  result.not_appended = not_appended;
  result.duplicate = duplicate;
  return result;
}

OpenProducerResult Opened(uint64_t epoch, uint64_t next_sequence) {
  OpenProducerResult result;
  result.epoch = epoch;
  result.next_sequence = next_sequence;
  return result;
}

TEST(SequencerTest, PositionsHaveNoGap) {
  Log log;
  EXPECT_EQ(log->first_position(), 1u);
  EXPECT_EQ(log->last_position(), 0u);
  const Applied first = log.Apply(BatchOf({{.count = 2}, {.count = 1}}));
  EXPECT_EQ(first.slot, 1u);
  EXPECT_EQ(first.first_position, 1u);
  EXPECT_EQ(first.entries, 3u);
  EXPECT_EQ(first.appends, (std::vector<AppliedAppend>{InLog(1, 2), InLog(3, 1)}));
  EXPECT_TRUE(first.skipped.empty());
  EXPECT_EQ(first.origin_replica, 2u);
  EXPECT_EQ(first.origin_start_nonce, 77u);
  EXPECT_EQ(first.origin_sequence, 5u);

  const Applied noop = log.Apply(paxos::Value{});
  EXPECT_EQ(noop.slot, 2u);
  EXPECT_EQ(noop.first_position, 4u);
  EXPECT_EQ(noop.entries, 0u);
  EXPECT_EQ(noop.origin_replica, 0u);

  EXPECT_EQ(log.Append({.count = 4}), InLog(4, 4));
  EXPECT_EQ(log->last_position(), 7u);
  EXPECT_EQ(log->applied_through(), 3u);
}

TEST(SequencerTest, SkippedNamesTheAppendsThatAppendedNothing) {
  Log log;
  const Applied applied = log.Apply(BatchOf({{.producer = "p", .sequence = 1},
                                             {.producer = "p", .sequence = 1},
                                             {.count = 3},
                                             {.expect_position = 1},
                                             {.count = 0},
                                             {.producer = "p", .sequence = 2}}));
  EXPECT_EQ(applied.skipped, (std::vector<uint32_t>{1, 3, 4}));
  EXPECT_EQ(applied.entries, 5u);
  EXPECT_EQ(applied.appends[5], InLog(5, 1));
}

TEST(SequencerTest, ExpectedPositionMustBeTheNextOne) {
  Log log;
  EXPECT_EQ(log.Append({.expect_position = 1}), InLog(1, 1));
  EXPECT_EQ(log.Append({.expect_position = 1}), Refusal(RefusalReason::kPosition, 1, 2, true));
  EXPECT_EQ(log.Append({.expect_position = 3}), Refusal(RefusalReason::kPosition, 3, 2, true));
  EXPECT_EQ(log.Append({.count = 2, .expect_position = 2}), InLog(2, 2));
}

TEST(SequencerTest, RepeatGetsTheOriginalAnswer) {
  Log log;
  log.Append({.count = 3});
  EXPECT_EQ(log.Append({.count = 2, .producer = "p", .sequence = 1}), InLog(4, 2));
  EXPECT_EQ(log.Append({.count = 1, .producer = "p", .sequence = 3}), InLog(6, 1));
  log.Append({.count = 10});
  EXPECT_EQ(log.Append({.count = 2, .producer = "p", .sequence = 1}), InLog(4, 2, true));
  EXPECT_EQ(log.Append({.count = 1, .producer = "p", .sequence = 3}), InLog(6, 1, true));
  EXPECT_EQ(log->last_position(), 16u);
  // What a repeat expects no longer matters: it was decided.
  EXPECT_EQ(log.Append({.count = 2, .producer = "p", .sequence = 1, .expect_position = 99}),
            InLog(4, 2, true));
}

// A late copy of a refused request must not succeed after its refusal was reported.
TEST(SequencerTest, RefusedPreconditionConsumesItsRangeAndIsRemembered) {
  Log log;
  const Append refused{.count = 2, .producer = "p", .sequence = 1, .expect_position = 2};
  EXPECT_EQ(log.Append(refused), Refusal(RefusalReason::kPosition, 2, 1, true));
  log.Append({});  // Now position 2 would be next.
  EXPECT_EQ(log.Append(refused), Refusal(RefusalReason::kPosition, 2, 1, true, true));
  EXPECT_EQ(log.Append({.count = 1, .producer = "p", .sequence = 3}), InLog(2, 1));
}

TEST(SequencerTest, GapConsumesNothing) {
  Log log;
  log.Append({.producer = "p", .sequence = 1});
  EXPECT_EQ(log.Append({.producer = "p", .sequence = 3}),
            Refusal(RefusalReason::kSequenceGap, 2, 3, true));
  EXPECT_EQ(log.Append({.producer = "p", .sequence = 2}), InLog(2, 1));
  EXPECT_EQ(log.Append({.producer = "p", .sequence = 3}), InLog(3, 1));
}

TEST(SequencerTest, OtherBoundariesAreRefusedAndConsumeNothing) {
  Log log;
  log.Append({.count = 3, .producer = "p", .sequence = 1});
  log.Append({.count = 3, .producer = "p", .sequence = 4});
  const struct {
    uint64_t sequence;
    uint32_t count;
  } kCases[] = {{1, 2}, {1, 4}, {2, 1}, {2, 2}, {3, 1}, {3, 3}, {4, 1},
                {4, 4}, {6, 2}, {0, 1}, {0, 3}, {0, 0}, {1, 0}, {6, 0}};
  for (const auto& c : kCases) {
    EXPECT_EQ(log.Append({.count = c.count, .producer = "p", .sequence = c.sequence}),
              Refusal(RefusalReason::kSequenceBoundaries, 7, c.sequence, false))
        << c.sequence << "+" << c.count;
  }
  EXPECT_EQ(log.Append({.count = 0, .producer = "p", .sequence = 7}),
            Refusal(RefusalReason::kSequenceBoundaries, 7, 7, true));
  EXPECT_EQ(log.Append({.producer = "p", .sequence = 7}), InLog(7, 1));
}

TEST(SequencerTest, AppendWithoutPayloadsIsRefused) {
  Log log;
  EXPECT_EQ(log.Append({.count = 0}), Refusal(RefusalReason::kSequenceBoundaries, 0, 0, true));
  EXPECT_EQ(log.Append({.count = 0, .producer = "p", .sequence = 1}),
            Refusal(RefusalReason::kSequenceBoundaries, 1, 1, true));
  EXPECT_EQ(log->producers(), 0u);
  EXPECT_EQ(log->last_position(), 0u);
}

TEST(SequencerTest, UnknownProducerBeginsOnlyAtEpoch0Sequence1) {
  Log log;
  const AppliedAppend unknown = Refusal(RefusalReason::kUnknownProducer, 0, 0, true);
  EXPECT_EQ(log.Append({.producer = "p", .sequence = 2}), unknown);
  EXPECT_EQ(log.Append({.producer = "p", .sequence = 0}), unknown);
  EXPECT_EQ(log.Append({.producer = "p", .epoch = 1, .sequence = 1}), unknown);
  EXPECT_EQ(log->producers(), 0u);
  EXPECT_EQ(log.Append({.producer = "p", .sequence = 1}), InLog(1, 1));
  EXPECT_EQ(log->producers(), 1u);
}

TEST(SequencerTest, RefusedFirstAppendCreatesItsProducer) {
  Log log;
  EXPECT_EQ(log.Append({.producer = "p", .sequence = 1, .expect_position = 9}).reason,
            RefusalReason::kPosition);
  EXPECT_EQ(log.Append({.producer = "p", .sequence = 2}), InLog(1, 1));
}

TEST(SequencerTest, OpeningFencesEveryEarlierEpoch) {
  Log log;
  log.Append({.count = 2, .producer = "p", .sequence = 1});
  EXPECT_EQ(log.Open("p", std::nullopt, 10), Opened(1, 3));
  // New, and as a copy of what epoch 0 did: only the first was certainly never appended.
  EXPECT_EQ(log.Append({.producer = "p", .sequence = 3}),
            Refusal(RefusalReason::kEpoch, 0, 1, true));
  EXPECT_EQ(log.Append({.count = 2, .producer = "p", .sequence = 1}),
            Refusal(RefusalReason::kEpoch, 0, 1, false));
  EXPECT_EQ(log.Append({.producer = "p", .epoch = 1, .sequence = 3}), InLog(3, 1));
  EXPECT_EQ(log.Open("p", 1, 11), Opened(2, 4));
  EXPECT_EQ(log.Append({.producer = "p", .epoch = 1, .sequence = 4}),
            Refusal(RefusalReason::kEpoch, 1, 2, true));
  EXPECT_EQ(log.Append({.producer = "p", .epoch = 3, .sequence = 4}),
            Refusal(RefusalReason::kEpoch, 3, 2, true));
  EXPECT_EQ(log.Append({.producer = "p", .epoch = 2, .sequence = 4}), InLog(4, 1));
}

// The new holder's entries may be others than the old one's: its request is no repeat, nor applied.
TEST(SequencerTest, SequencesOfAnEarlierEpochAreNoRepeats) {
  Log log;
  log.Append({.count = 2, .producer = "p", .sequence = 1});
  log.Open("p", 0, 10);
  const auto boundaries = [](uint64_t next, uint64_t sequence) {
    return Refusal(RefusalReason::kSequenceBoundaries, next, sequence, false);
  };
  EXPECT_EQ(log.Append({.count = 2, .producer = "p", .epoch = 1, .sequence = 1}), boundaries(3, 1));
  EXPECT_EQ(log.Append({.count = 3, .producer = "p", .epoch = 1, .sequence = 2}), boundaries(3, 2));
  EXPECT_EQ(log.Append({.producer = "p", .epoch = 1, .sequence = 3}), InLog(3, 1));
  EXPECT_EQ(log.Append({.count = 2, .producer = "p", .epoch = 1, .sequence = 1}), boundaries(4, 1));
  EXPECT_EQ(log.Append({.producer = "p", .epoch = 1, .sequence = 3}), InLog(3, 1, true));
}

TEST(SequencerTest, OpeningTakesEffectOnlyAfterTheGivenEpoch) {
  Log log;
  const auto refused = [](uint64_t expected, uint64_t actual) {
    OpenProducerResult result;
    result.reason = RefusalReason::kAfterEpoch;
    result.expected = expected;
    result.actual = actual;
    return result;
  };
  EXPECT_EQ(log.Open("p", 1, 10), refused(1, 0));
  EXPECT_EQ(log->producers(), 0u);
  EXPECT_EQ(log.Open("p", 0, 10), Opened(1, 1));
  EXPECT_EQ(log.Open("p", 0, 11), refused(0, 1));
  EXPECT_EQ(log.Open("p", 2, 11), refused(2, 1));
  EXPECT_EQ(log.Append({.producer = "p", .epoch = 1, .sequence = 1}), InLog(1, 1));
  EXPECT_EQ(log.Open("p", 1, 11), Opened(2, 2));
  EXPECT_EQ(log.Open("p", std::nullopt, 12), Opened(3, 2));
}

TEST(SequencerTest, RepeatedOpeningGetsTheSameAnswerWhileItIsCurrent) {
  Log log;
  EXPECT_EQ(log.Open("p", 0, 10), Opened(1, 1));
  log.Append({.count = 5, .producer = "p", .epoch = 1, .sequence = 1});
  // Not the next sequence of now: the answer that was lost.
  EXPECT_EQ(log.Open("p", 0, 10), Opened(1, 1));
  EXPECT_EQ(log.Open("p", std::nullopt, 10), Opened(1, 1));
  EXPECT_EQ(log.Open("p", 1, 11), Opened(2, 6));
  // Once it is not current, a late copy changes nothing.
  EXPECT_EQ(log.Open("p", 0, 10).reason, RefusalReason::kAfterEpoch);
  EXPECT_EQ(log.Open("p", 1, 11), Opened(2, 6));
}

TEST(SequencerTest, Epoch0IsRepeatedByNoNonce) {
  Log log;
  log.Append({.producer = "p", .sequence = 1});
  EXPECT_EQ(log.Open("p", 0, 0), Opened(1, 2));
}

TEST(SequencerTest, TheNewestResultsAreKept) {
  Log log;
  const uint64_t kept = Sequencer::kResultsKept;
  std::vector<Append> appends;
  for (uint64_t i = 0; i < kept; ++i) {
    appends.push_back({.count = 2, .producer = "p", .sequence = 2 * i + 1});
  }
  log.Apply(BatchOf(appends));
  EXPECT_EQ(log.Append({.count = 2, .producer = "p", .sequence = 1}), InLog(1, 2, true));
  log.Append({.count = 2, .producer = "p", .sequence = 2 * kept + 1});
  const AppliedAppend not_kept = Refusal(RefusalReason::kResultNotKept, 3, 1, false);
  EXPECT_EQ(log.Append({.count = 2, .producer = "p", .sequence = 1}), not_kept);
  EXPECT_EQ(log.Append({.count = 1, .producer = "p", .sequence = 1}), not_kept);
  // Reaching from what is not kept into what is: never a repeat.
  EXPECT_EQ(log.Append({.count = 3, .producer = "p", .sequence = 1}).reason,
            RefusalReason::kSequenceBoundaries);
  EXPECT_EQ(log.Append({.count = 2, .producer = "p", .sequence = 3}), InLog(3, 2, true));
  EXPECT_EQ(log->last_position(), 2 * kept + 2);
}

TEST(SequencerTest, ClusterTimeNeverFalls) {
  Log log;
  log.Apply(BatchOf({}, 50));
  log.Apply(BatchOf({}, 20));
  EXPECT_EQ(log->cluster_time_ms(), 50u);
  v1::Command command;
  command.set_cluster_time_ms(60);
  command.mutable_open_producer()->set_name("p");
  log.Apply(MakeValue(command));
  EXPECT_EQ(log->cluster_time_ms(), 60u);
}

TEST(SequencerTest, ConfigurationIsInForceFromTheNextSlotIfItTakesEffect) {
  Log log;
  paxos::Configuration next = Genesis();
  next.version = 2;
  next.members.pop_back();
  paxos::Configuration late = next;
  late.members.pop_back();  // Replaces version 1 as well, but comes second.
  const Applied applied = log.Apply(MakeValue(next));
  EXPECT_EQ(applied.entries, 0u);
  EXPECT_EQ(log->configuration(), next);
  EXPECT_EQ(log->configuration_slot(), 1u);
  log.Apply(MakeValue(late));
  EXPECT_EQ(log->configuration(), next);
  EXPECT_EQ(log->configuration_slot(), 1u);
}

TEST(SequencerTest, HighestBallotIsThatOfAnyValueApplied) {
  Log log;
  const paxos::Ballot high{5, paxos::ReplicaId{2}};
  log.Apply({}, high);
  log.Apply({}, {4, paxos::ReplicaId{3}});
  EXPECT_EQ(log->highest_ballot(), high);
}

TEST(SequencerTest, WhatIsNotUnderstoodStopsApplyAndChangesNothing) {
  v1::Batch fenced;
  fenced.set_cluster_time_ms(1000);
  fenced.add_appends()->add_payloads("applied only with the other");
  fenced.add_appends()->set_fence(1);
  const std::string field_99("\x98\x06\x01", 3);
  const std::string command = *Opening("q", 0, 1).payload;
  const struct {
    const char* what;
    paxos::Value value;
    absl::StatusCode code;
  } kCases[] = {
      {"unknown kind", RawValue(static_cast<Kind>(4), "x"), absl::StatusCode::kUnimplemented},
      {"highest kind", RawValue(static_cast<Kind>(255), "x"), absl::StatusCode::kUnimplemented},
      {"fence", MakeValue(fenced), absl::StatusCode::kUnimplemented},
      {"unknown field of a batch", RawValue(Kind::kBatch, *BatchOf({{}}).payload + field_99),
       absl::StatusCode::kUnimplemented},
      {"unknown field of an append", RawValue(Kind::kBatch, "\x22\x03" + field_99),
       absl::StatusCode::kUnimplemented},
      {"unknown command", RawValue(Kind::kCommand, field_99), absl::StatusCode::kUnimplemented},
      {"unknown field beside a command", RawValue(Kind::kCommand, command + field_99),
       absl::StatusCode::kUnimplemented},
      {"unknown field of an opening", RawValue(Kind::kCommand, "\x52\x03" + field_99),
       absl::StatusCode::kUnimplemented},
      {"unknown field of an origin", RawValue(Kind::kCommand, command + "\x0a\x03" + field_99),
       absl::StatusCode::kUnimplemented},
      {"no batch", RawValue(Kind::kBatch, "garbage"), absl::StatusCode::kDataLoss},
      {"no command", RawValue(Kind::kCommand, "garbage"), absl::StatusCode::kDataLoss},
      {"command without command", RawValue(Kind::kCommand, ""), absl::StatusCode::kDataLoss},
  };
  Log log;
  log.Append({.producer = "p", .sequence = 1});
  const std::string before = log->Snapshot();
  for (const auto& c : kCases) {
    const absl::Status status = log.TryApply(c.value, {9, {}}).status();
    EXPECT_EQ(status.code(), c.code) << c.what << ": " << status;
    EXPECT_NE(status.message().find("slot 2"), absl::string_view::npos) << status;
    EXPECT_EQ(log->Snapshot(), before) << c.what;
  }
}

TEST(SequencerDeathTest, SlotsAreAppliedInOrderOnce) {
  Sequencer sequencer(Genesis());
  EXPECT_DEATH(sequencer.Apply({2, {}, {}}).IgnoreError(), "slot");
  ASSERT_TRUE(sequencer.Apply({1, {}, {}}).ok());
  EXPECT_DEATH(sequencer.Apply({1, {}, {}}).IgnoreError(), "slot");
}

// ---- The digest. ----

TEST(SequencerDigestTest, KnowsTheHistoryAndNotTheBallots) {
  const std::vector<paxos::Value> history = {BatchOf({{.producer = "p", .sequence = 1}}),
                                             paxos::Value{}, Opening("p", 0, 7)};
  Log a, b;
  for (size_t i = 0; i < history.size(); ++i) {
    a.Apply(history[i], {1, {}});
    b.Apply(history[i], {2 + i, {}});
    EXPECT_EQ(a->digest(), b->digest());
  }
  Log other_value, other_order;
  other_value.Apply(BatchOf({{.count = 2, .producer = "p", .sequence = 1}}));
  other_value.Apply(history[1]);
  other_value.Apply(history[2]);
  other_order.Apply(history[1]);
  other_order.Apply(history[0]);
  other_order.Apply(history[2]);
  EXPECT_NE(a->digest(), other_value->digest());
  EXPECT_NE(a->digest(), other_order->digest());

  paxos::Configuration foreign = Genesis();
  foreign.members[0].uuid.low ^= 1;
  EXPECT_NE(Sequencer(Genesis()).digest(), Sequencer(foreign).digest());
}

// ---- Snapshots. ----

// A history that meets every kind of answer, for a few producers.
paxos::Value RandomValue(std::mt19937_64* random, uint64_t last_position) {
  const auto below = [random](uint64_t n) { return (*random)() % n; };
  static const char* const kNames[] = {"", "a", "b", "long name of a producer"};
  if (below(12) == 0) return paxos::Value{};
  if (below(6) == 0) {
    return Opening(kNames[1 + below(3)], below(2) == 0 ? std::nullopt : std::optional(below(4)),
                   1 + below(5));
  }
  if (below(20) == 0) {
    paxos::Configuration configuration = Genesis();
    configuration.version = 1 + below(4);
    return MakeValue(configuration);
  }
  std::vector<Append> appends;
  for (uint64_t i = below(5); i > 0; --i) {
    Append append{.count = static_cast<uint32_t>(below(3)), .producer = kNames[below(4)]};
    if (!append.producer.empty()) {
      append.epoch = below(4);
      append.sequence = below(10);
    }
    if (below(3) == 0) append.expect_position = last_position + below(3);
    appends.push_back(append);
  }
  return BatchOf(appends, below(1000));
}

// At every step: the state goes through its bytes, and what goes on from there is the same.
TEST(SequencerSnapshotTest, RestoredStateBehavesTheSameAtEveryStep) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    Sequencer original(Genesis());
    Sequencer relay(Genesis());
    for (paxos::Slot slot = 1; slot <= 150; ++slot) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", slot " << slot);
      const paxos::AcceptedValue value{
          slot, {random() % 9 + 1, {}}, RandomValue(&random, original.last_position())};
      const absl::StatusOr<Applied> expected = original.Apply(value);
      const absl::StatusOr<Applied> actual = relay.Apply(value);
      ASSERT_TRUE(expected.ok()) << expected.status();
      ASSERT_TRUE(actual.ok()) << actual.status();
      ASSERT_EQ(*actual, *expected);
      ASSERT_EQ(relay.digest(), original.digest());

      const std::string snapshot = original.Snapshot();
      ASSERT_EQ(relay.Snapshot(), snapshot);
      absl::StatusOr<Sequencer> restored = Sequencer::Restore(snapshot);
      ASSERT_TRUE(restored.ok()) << restored.status();
      ASSERT_EQ(restored->Snapshot(), snapshot);
      EXPECT_EQ(restored->configuration(), original.configuration());
      EXPECT_EQ(restored->highest_ballot(), original.highest_ballot());
      EXPECT_EQ(restored->producers(), original.producers());
      relay = *std::move(restored);
    }
  }
}

TEST(SequencerSnapshotTest, FullWindowOfResultsComesBack) {
  Log log;
  for (uint64_t i = 1; i <= Sequencer::kResultsKept + 5; ++i) {
    log.Append({.producer = "p", .sequence = i});
  }
  absl::StatusOr<Sequencer> restored = Sequencer::Restore(log->Snapshot());
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->Snapshot(), log->Snapshot());
}

// Producers in whatever order they came.
TEST(SequencerSnapshotTest, OrderOfProducersIsByName) {
  v1::AppliedState states[2];
  for (int i = 0; i < 2; ++i) {
    Log log;
    for (int j = 0; j < 100; ++j) {
      const int name = i == 0 ? j : 99 - j;
      log.Open("p" + std::to_string(name), 0, 1);
    }
    ASSERT_TRUE(states[i].ParseFromString(log->Snapshot()));
    states[i].clear_digest();  // The histories differ.
  }
  EXPECT_EQ(states[0].SerializeAsString(), states[1].SerializeAsString());
}

v1::AppliedState SomeState() {
  Log log;
  log.Append({.count = 2, .producer = "a", .sequence = 1});
  log.Append({.producer = "a", .sequence = 3, .expect_position = 99});
  log.Open("b", 0, 7);
  v1::AppliedState state;
  CHECK(state.ParseFromString(log->Snapshot()));
  return state;
}

TEST(SequencerSnapshotTest, ContradictionsAreDataLoss) {
  using Change = void (*)(v1::AppliedState*);
  const struct {
    const char* what;
    Change change;
  } kCases[] = {
      {"no format", [](auto* s) { s->clear_format(); }},
      {"first position 0", [](auto* s) { s->set_first_position(0); }},
      {"first above last", [](auto* s) { s->set_first_position(4); }},
      {"configuration from the future", [](auto* s) { s->set_configuration_slot(4); }},
      {"no configuration", [](auto* s) { s->clear_configuration(); }},
      {"producers not in order", [](auto* s) { s->mutable_producers()->SwapElements(0, 1); }},
      {"producer twice", [](auto* s) { *s->add_producers() = s->producers(1); }},
      {"opened in the future",
       [](auto* s) { s->mutable_producers(0)->set_opened_next_sequence(5); }},
      {"never opened", [](auto* s) { s->mutable_producers(0)->set_opened_next_sequence(0); }},
      {"results missing", [](auto* s) { s->mutable_producers(0)->clear_results(); }},
      {"newest result missing",
       [](auto* s) { s->mutable_producers(0)->mutable_results()->RemoveLast(); }},
      {"gap between results",
       [](auto* s) { s->mutable_producers(0)->mutable_results(0)->set_count(1); }},
      {"results overlap",
       [](auto* s) { s->mutable_producers(0)->mutable_results(1)->set_first_sequence(2); }},
      {"empty result", [](auto* s) { s->mutable_producers(0)->mutable_results(1)->set_count(0); }},
      {"sequence 0",
       [](auto* s) { s->mutable_producers(0)->mutable_results(0)->set_first_sequence(0); }},
      {"position beyond the end",
       [](auto* s) { s->mutable_producers(0)->mutable_results(0)->set_first_position(2); }},
      {"neither appended nor refused",
       [](auto* s) { s->mutable_producers(0)->mutable_results(0)->set_first_position(0); }},
      {"appended and refused",
       [](auto* s) { s->mutable_producers(0)->mutable_results(1)->set_first_position(1); }},
      {"refusal that is never remembered",
       [](auto* s) { s->mutable_producers(0)->mutable_results(1)->set_reason(6); }},
      {"result of a later epoch",
       [](auto* s) { s->mutable_producers(0)->mutable_results(1)->set_epoch(1); }},
  };
  ASSERT_TRUE(Sequencer::Restore(SomeState().SerializeAsString()).ok());
  for (const auto& c : kCases) {
    v1::AppliedState state = SomeState();
    c.change(&state);
    EXPECT_EQ(Sequencer::Restore(state.SerializeAsString()).status().code(),
              absl::StatusCode::kDataLoss)
        << c.what;
  }
  for (const std::string& bytes : {std::string(), std::string("garbage"), std::string("\xff")}) {
    EXPECT_EQ(Sequencer::Restore(bytes).status().code(), absl::StatusCode::kDataLoss);
  }
}

TEST(SequencerSnapshotTest, NewerFormatsAreUnimplemented) {
  v1::AppliedState state = SomeState();
  state.set_format(2);
  EXPECT_EQ(Sequencer::Restore(state.SerializeAsString()).status().code(),
            absl::StatusCode::kUnimplemented);
  const std::string field_99("\x98\x06\x01", 3);
  EXPECT_EQ(Sequencer::Restore(SomeState().SerializeAsString() + field_99).status().code(),
            absl::StatusCode::kUnimplemented);
  state = SomeState();
  ASSERT_TRUE(state.mutable_producers(0)->mutable_results(0)->MergeFromString(field_99));
  EXPECT_EQ(Sequencer::Restore(state.SerializeAsString()).status().code(),
            absl::StatusCode::kUnimplemented);
}

// Damage is refused, or gives a state that is sound: it goes on, and through its bytes again.
TEST(SequencerSnapshotTest, DamagedBytesNeverGiveAnUnsoundState) {
  const std::string good = SomeState().SerializeAsString();
  for (uint64_t seed = 0; seed < 10000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    std::string bytes = good;
    if (random() % 3 == 0) bytes.resize(random() % (bytes.size() + 1));
    for (uint64_t flips = 1 + random() % 3; flips > 0 && !bytes.empty(); --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    absl::StatusOr<Sequencer> sequencer = Sequencer::Restore(bytes);
    if (!sequencer.ok()) continue;
    for (int i = 0; i < 5; ++i) {
      const absl::StatusOr<Applied> applied =
          sequencer->Apply({sequencer->applied_through() + 1, {}, RandomValue(&random, 3)});
      ASSERT_TRUE(applied.ok()) << applied.status();
    }
    const absl::StatusOr<Sequencer> again = Sequencer::Restore(sequencer->Snapshot());
    ASSERT_TRUE(again.ok()) << again.status();
  }
}

// Random bytes as values: an error, or applied; never a crash.
TEST(SequencerTest, RandomBytesAsValuesAreRefusedOrApplied) {
  Log log;
  const std::string batch = *BatchOf({{.producer = "p", .sequence = 1}, {.count = 2}}).payload;
  const std::string command = *Opening("p", 0, 3).payload;
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    std::mt19937_64 random(seed);
    const bool is_batch = random() % 2 == 0;
    std::string bytes = is_batch ? batch : command;
    if (random() % 3 == 0) bytes.resize(random() % (bytes.size() + 1));
    for (uint64_t flips = random() % 4; flips > 0 && !bytes.empty(); --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const std::string before = seed % 100 == 0 ? log->Snapshot() : "";
    const absl::StatusOr<Applied> applied =
        log.TryApply(RawValue(is_batch ? Kind::kBatch : Kind::kCommand, bytes));
    if (applied.ok() || before.empty()) continue;
    EXPECT_EQ(log->Snapshot(), before) << "seed " << seed;
  }
}

}  // namespace
}  // namespace distlog
