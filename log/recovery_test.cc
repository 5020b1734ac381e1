// What is left of a log without its quorum goes on as another cluster's: everything that the
// surviving directories hold is there, what can be lost is said, and a crash at any moment leaves
// the old directory or the new one.

#include "log/recovery.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "log/fault_env.h"
#include "wire/value.h"

namespace distlog {
namespace {

using Unsynced = FaultEnv::Unsynced;
using paxos::Ballot;
using paxos::ReplicaId;
using paxos::Slot;

Store::Options Tiny(FaultEnv* env) {
  Store::Options options;
  options.env = env;
  options.segment_bytes = 1500;
  options.window = 3;
  options.open_segments = 1;
  return options;
}

paxos::Value Entry(const std::string& payload) {
  v1::Batch batch;
  batch.mutable_origin()->set_replica(1);
  batch.add_appends()->add_payloads(payload);
  return MakeValue(batch);
}

paxos::Value EntryOf(Slot slot) { return Entry(absl::StrCat("entry of slot ", slot)); }

// One replica's directory, written to as by a server.
class Replica {
 public:
  Replica(FaultEnv* env, std::string dir) : env_(env), dir_(std::move(dir)) {}

  void Format() {
    ASSERT_EQ(Store::Format(Tiny(env_), dir_), absl::OkStatus());
    Open();
  }
  void Open() {
    auto store = Store::Open(Tiny(env_), dir_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  // Also what a server does when it starts.
  absl::Status Recover() {
    auto log = RecoverLog(store_.get());
    if (!log.ok()) return log.status();
    state_ = std::move(log->state);
    sequencer_ = std::move(log->sequencer);
    checkpoint_at_ = store_->waiting_checkpoint();
    values_.clear();
    for (const paxos::AcceptedValue& value : state_.accepted) values_[value.slot] = value;
    return absl::OkStatus();
  }
  void Close() {
    if (store_ != nullptr && sequencer_.has_value()) {
      EXPECT_EQ(store_->SaveMark(sequencer_->applied_through()), absl::OkStatus());
    }
    store_.reset();
    sequencer_.reset();
  }

  // One write, at one ballot; what is chosen then is applied.
  void Accept(const Ballot& ballot, const std::vector<std::pair<Slot, paxos::Value>>& values,
              Slot chosen_through) {
    std::vector<paxos::Record> records;
    for (const auto& [slot, value] : values) {
      const paxos::AcceptedValue accepted = {.slot = slot, .ballot = ballot, .value = value};
      values_[slot] = accepted;
      records.push_back(
          paxos::AcceptRecord{.accepted = accepted, .chosen_through = chosen_through});
    }
    if (const auto cut = store_->CutBefore(records); cut.has_value()) checkpoint_at_ = cut;
    ASSERT_EQ(store_->Write(records), absl::OkStatus());
    Checkpoint();
    while (sequencer_->applied_through() < chosen_through) {
      const auto applied = sequencer_->Apply(values_.at(sequencer_->applied_through() + 1));
      ASSERT_TRUE(applied.ok()) << applied.status();
      store_->NoteApplied(*applied);
      Checkpoint();
    }
  }

  const std::string& dir() const { return dir_; }
  Store* store() { return store_.get(); }
  const paxos::DurableState& state() const { return state_; }
  const Sequencer& sequencer() const { return *sequencer_; }

  std::vector<std::string> Entries() const {
    std::vector<std::string> payloads;
    while (payloads.size() < sequencer_->last_position()) {
      const auto entries =
          store_->ReadEntries(payloads.size() + 1, sequencer_->last_position(), 1000);
      EXPECT_TRUE(entries.ok()) << entries.status();
      if (!entries.ok()) break;
      for (const LogEntry& entry : *entries) payloads.push_back(entry.payload);
    }
    return payloads;
  }

 private:
  void Checkpoint() {
    if (checkpoint_at_ != sequencer_->applied_through() + 1) return;
    EXPECT_EQ(store_->SaveCheckpoint(*checkpoint_at_, sequencer_->Snapshot()), absl::OkStatus());
    checkpoint_at_.reset();
  }

  FaultEnv* const env_;
  const std::string dir_;
  std::unique_ptr<Store> store_;
  std::optional<Sequencer> sequencer_;
  std::optional<Slot> checkpoint_at_;
  std::map<Slot, paxos::AcceptedValue> values_;
  paxos::DurableState state_;
};

const Ballot kOld{1, ReplicaId{1}};

class RecoveryTest : public testing::Test {
 protected:
  // A cluster of so many, without an entry.
  void Form(size_t size) {
    std::vector<paxos::Member> members;
    for (size_t i = 0; i < size; ++i) {
      replicas_.push_back(std::make_unique<Replica>(&env_, absl::StrCat("/", i + 1)));
      replicas_.back()->Format();
      if (HasFatalFailure()) return;
      members.push_back({.id = {},
                         .uuid = replicas_.back()->store()->identity().uuid,
                         .address = absl::StrCat("host:", i + 1),
                         .voter = true});
    }
    genesis_ = MakeGenesis(members).value();
    for (const auto& replica : replicas_) {
      ASSERT_EQ(replica->store()->Assign(genesis_, ClusterId(genesis_)), absl::OkStatus());
      ASSERT_EQ(replica->Recover(), absl::OkStatus());
    }
  }

  Replica& replica(size_t number) { return *replicas_[number - 1]; }

  void CloseAll() {
    for (const auto& replica : replicas_) replica->Close();
  }

  absl::StatusOr<std::unique_ptr<Recovery>> Plan(const std::vector<std::string>& dirs,
                                                 const std::string& address = "") {
    return Recovery::Open({.store = Tiny(&env_), .address = address}, dirs);
  }

  // The sentence with which these are refused.
  std::string Refusal(const std::vector<std::string>& dirs) {
    const auto recovery = Plan(dirs);
    if (recovery.ok()) return (*recovery)->plan().refusal;
    EXPECT_TRUE(absl::IsFailedPrecondition(recovery.status())) << recovery.status();
    return std::string(recovery.status().message());
  }

  static bool Has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
  static bool Has(const RecoveryPlan& plan, const std::string& part) {
    return std::any_of(plan.report.begin(), plan.report.end(),
                       [&](const std::string& sentence) { return Has(sentence, part); });
  }

  FaultEnv env_;
  std::vector<std::unique_ptr<Replica>> replicas_;
  paxos::Configuration genesis_;
};

TEST_F(RecoveryTest, TheOnlyOneLeftGoesOnWithAllThatItHas) {
  Form(3);
  if (HasFatalFailure()) return;
  replica(2).Accept(kOld, {{1, EntryOf(1)}, {2, EntryOf(2)}, {3, EntryOf(3)}}, 2);
  replica(2).Accept({4, ReplicaId{3}}, {{4, EntryOf(4)}, {6, EntryOf(6)}}, 2);
  CloseAll();

  auto recovery = Plan({"/2"});
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  const RecoveryPlan plan = (*recovery)->plan();
  EXPECT_EQ(plan.refusal, "");
  EXPECT_EQ(plan.shared_slot, 2u);
  EXPECT_EQ(plan.shared_position, 2u);
  EXPECT_EQ(plan.last_slot, 6u);
  EXPECT_EQ(plan.last_position, 5u);
  EXPECT_EQ(plan.holes, std::vector<Slot>{5});
  EXPECT_TRUE(plan.can_lose);
  ASSERT_EQ(plan.missing.size(), 2u);
  EXPECT_EQ(plan.missing[0].address, "host:1");
  EXPECT_TRUE(Has(plan, "certainly kept: positions 1 to 2")) << plan.report[0];
  EXPECT_TRUE(Has(plan, "positions 3 to 5, in slots 3 to 6")) << plan.report[1];
  EXPECT_TRUE(Has(plan, "filled with nothing: slot 5")) << plan.report[2];
  EXPECT_TRUE(Has(plan, "1 (host:1), 3 (host:3)), are lost")) << plan.report[3];

  const auto made = (*recovery)->Apply(/*now_ms=*/77);
  ASSERT_TRUE(made.ok()) << made.status();
  recovery->reset();
  replica(2).Open();
  if (HasFatalFailure()) return;
  const Identity identity = replica(2).store()->identity();
  EXPECT_EQ(identity.cluster_id, made->cluster_id);
  EXPECT_EQ(identity.genesis, genesis_);
  EXPECT_NE(identity.uuid, genesis_.members[1].uuid);
  ASSERT_EQ(identity.recovered.size(), 1u);
  EXPECT_EQ(identity.recovered[0].parent_cluster_id(), ClusterId(genesis_));
  EXPECT_EQ(identity.recovered[0].slot(), 6u);
  EXPECT_EQ(identity.recovered[0].shared_slot(), 2u);
  EXPECT_EQ(identity.recovered[0].shared_position(), 2u);
  EXPECT_EQ(identity.recovered[0].configuration_version(), 2u);
  EXPECT_EQ(ClusterId(genesis_, identity.recovered), made->cluster_id);
  EXPECT_EQ(CheckRecovered(genesis_, identity.recovered), absl::OkStatus());

  ASSERT_EQ(replica(2).Recover(), absl::OkStatus());
  const paxos::DurableState& state = replica(2).state();
  EXPECT_EQ(state.chosen_through, 8u);
  EXPECT_EQ(state.configuration_slot, 7u);
  EXPECT_TRUE(state.accepted.empty());
  EXPECT_EQ(state.promised, (Ballot{5, ReplicaId{4}}));
  EXPECT_EQ(state.configuration.version, 2u);
  EXPECT_EQ(state.configuration.next_replica_id, 5u);
  EXPECT_EQ(state.configuration.members,
            (std::vector<paxos::Member>{{ReplicaId{4}, identity.uuid, "host:2", true}}));
  EXPECT_EQ(replica(2).Entries(),
            (std::vector<std::string>{"entry of slot 1", "entry of slot 2", "entry of slot 3",
                                      "entry of slot 4", "entry of slot 6"}));
  const auto last = replica(2).store()->ReadSlots(8, 8, 1000);
  ASSERT_TRUE(last.ok()) << last.status();
  v1::Command command;
  ASSERT_TRUE(command.ParseFromString(*last->front().value.payload));
  EXPECT_EQ(command.recovery().parent_cluster_id(), ClusterId(genesis_));
  EXPECT_EQ(command.recovery().divergence_position(), 2u);
  EXPECT_EQ(command.timestamp_ms(), 77);
  EXPECT_TRUE(Has(command.recovery().report(), "slot 5"));
}

TEST_F(RecoveryTest, ANewcomerLearnsTheRecoveredLogFromItsFirstSlot) {
  Form(3);
  if (HasFatalFailure()) return;
  replica(2).Accept(kOld, {{1, EntryOf(1)}, {2, EntryOf(2)}, {3, EntryOf(3)}}, 2);
  CloseAll();
  ASSERT_TRUE((*Plan({"/2"}))->Apply(1).ok());
  replica(2).Open();
  ASSERT_EQ(replica(2).Recover(), absl::OkStatus());
  const Identity identity = replica(2).store()->identity();

  Replica newcomer(&env_, "/new");
  newcomer.Format();
  paxos::Configuration grown = replica(2).state().configuration;
  const paxos::Uuid uuid = newcomer.store()->identity().uuid;
  grown.members.push_back({ReplicaId{5}, uuid, "host:9", true});
  ASSERT_EQ(newcomer.store()->Assign(genesis_, identity.cluster_id, grown, identity.recovered),
            absl::OkStatus());
  ASSERT_EQ(newcomer.Recover(), absl::OkStatus());
  const auto values = replica(2).store()->ReadSlots(1, 5, 1 << 20);
  ASSERT_TRUE(values.ok()) << values.status();
  ASSERT_EQ(values->size(), 5u);
  for (const paxos::AcceptedValue& value : *values) {
    newcomer.Accept(value.ballot, {{value.slot, value.value}}, value.slot);
  }
  // With marks and without: its own evidence counts.
  for (int start = 0; start < 2; ++start) {
    newcomer.Close();
    newcomer.Open();
    ASSERT_EQ(newcomer.Recover(), absl::OkStatus());
    EXPECT_EQ(newcomer.store()->identity().replica, ReplicaId{5});
    EXPECT_EQ(newcomer.store()->identity().recovered.size(), 1u);
    EXPECT_EQ(newcomer.state().chosen_through, 5u);
    EXPECT_EQ(newcomer.sequencer().digest(), replica(2).sequencer().digest());
    EXPECT_EQ(newcomer.Entries(), replica(2).Entries());
  }
}

TEST_F(RecoveryTest, OfSeveralTheHighestBallotCountsAndTheHighestMarkGoesOn) {
  Form(5);
  if (HasFatalFailure()) return;
  replica(1).Accept(kOld, {{1, EntryOf(1)}, {2, Entry("low")}, {3, Entry("alone")}}, 1);
  replica(4).Accept(kOld, {{1, EntryOf(1)}}, 1);
  replica(4).Accept({3, ReplicaId{5}}, {{2, Entry("high")}}, 2);
  replica(4).Accept({2, ReplicaId{2}}, {{3, Entry("higher")}, {4, Entry("last")}}, 2);
  CloseAll();
  auto recovery = Plan({"/1", "/4"});
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  EXPECT_EQ((*recovery)->plan().base, 1u);
  EXPECT_EQ((*recovery)->plan().shared_slot, 2u);
  EXPECT_TRUE((*recovery)->plan().can_lose);
  ASSERT_TRUE((*recovery)->Apply(1).ok());
  recovery->reset();
  replica(4).Open();
  ASSERT_EQ(replica(4).Recover(), absl::OkStatus());
  EXPECT_EQ(replica(4).Entries(),
            (std::vector<std::string>{"entry of slot 1", "high", "higher", "last"}));
  // The other is what it was.
  replica(1).Open();
  EXPECT_EQ(replica(1).store()->identity().cluster_id, ClusterId(genesis_));
  ASSERT_EQ(replica(1).Recover(), absl::OkStatus());
  EXPECT_EQ(replica(1).state().configuration, genesis_);
  EXPECT_EQ(replica(1).state().chosen_through, 1u);
}

TEST_F(RecoveryTest, NothingAcknowledgedIsLostIfEachQuorumHasASurvivor) {
  Form(4);
  if (HasFatalFailure()) return;
  replica(1).Accept(kOld, {{1, EntryOf(1)}, {2, EntryOf(2)}}, 1);
  CloseAll();
  auto recovery = Plan({"/1", "/3"});
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  EXPECT_EQ((*recovery)->plan().refusal, "");
  EXPECT_FALSE((*recovery)->plan().can_lose);
  EXPECT_TRUE(Has((*recovery)->plan(), "nothing that was acknowledged is lost"));
}

TEST_F(RecoveryTest, WhatCannotBeRecoveredIsRefusedWithASentence) {
  Form(3);
  if (HasFatalFailure()) return;
  replica(1).Accept(kOld, {{1, EntryOf(1)}}, 1);
  EXPECT_TRUE(Has(Refusal({"/1"}), "/1 is in use"));
  CloseAll();
  EXPECT_TRUE(Has(Refusal({"/1", "/1/"}), "/1/ is given twice"));
  EXPECT_TRUE(Has(Refusal({"/nowhere"}), "/nowhere is not a distlog store"));
  EXPECT_TRUE(Has(Refusal({"/1", "/2"}), "quorum of configuration 1: start their servers"));

  Replica unassigned(&env_, "/unassigned");
  unassigned.Format();
  unassigned.Close();
  EXPECT_TRUE(Has(Refusal({"/1", "/unassigned"}), "/unassigned belongs to no cluster"));
  unassigned.Open();
  const paxos::Uuid uuid = unassigned.store()->identity().uuid;
  const auto other = MakeGenesis({{.id = {}, .uuid = uuid, .address = "host:9", .voter = true}});
  ASSERT_EQ(unassigned.store()->Assign(*other, ClusterId(*other)), absl::OkStatus());
  unassigned.Close();
  EXPECT_TRUE(Has(Refusal({"/1", "/unassigned"}), "/1 to " + HexString(ClusterId(genesis_))));

  for (const std::string& path : env_.Files()) {
    if (path.starts_with("/2/")) env_.SetContents("/copy" + path.substr(2), env_.Contents(path));
  }
  EXPECT_TRUE(Has(Refusal({"/2", "/copy"}), "/copy and /2 are copies"));
  env_.SetContents("/2/REGRESSED", "why");
  EXPECT_TRUE(Has(Refusal({"/2"}), "older copy of itself"));

  env_.SetContents("/3/side.0", "nothing");
  env_.SetContents("/3/side.1", "nothing");
  EXPECT_TRUE(absl::IsDataLoss(Plan({"/3"}).status()));
}

TEST_F(RecoveryTest, TheMemberThatIsLeftOfALaterConfigurationCounts) {
  Form(3);
  if (HasFatalFailure()) return;
  // {1, 2, 3} to {1, 4, 5}, accepted here and not known chosen.
  paxos::Configuration next = genesis_;
  next.version = 2;
  next.members = {genesis_.members[0],
                  {ReplicaId{4}, {4, 4}, "host:4", true},
                  {ReplicaId{5}, {5, 5}, "host:5", true}};
  next.next_replica_id = 6;
  for (size_t number : {1, 2, 3}) {
    replica(number).Accept(kOld, {{1, EntryOf(1)}, {2, MakeValue(next)}}, 1);
  }
  CloseAll();
  {
    // A quorum of the old ones, none of the new.
    auto recovery = Plan({"/2", "/3"});
    ASSERT_TRUE(recovery.ok()) << recovery.status();
    EXPECT_TRUE((*recovery)->plan().can_lose);
    EXPECT_TRUE(Has((*recovery)->plan().refusal, "--address"));
  }
  auto recovery = Plan({"/2", "/3"}, "host:2");
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  const auto made = (*recovery)->Apply(1);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->member.id, ReplicaId{6});
  EXPECT_EQ(made->member.address, "host:2");
  EXPECT_EQ(made->configuration_version, 3u);
}

// A member with sealed segments, two that are not, and more accepted than is known chosen.
class LongRecoveryTest : public RecoveryTest {
 protected:
  static constexpr Slot kChosen = 40;
  static constexpr Slot kLast = 61;

  void Prepare() {
    Form(3);
    if (HasFatalFailure()) return;
    for (Slot slot = 1; slot <= kChosen; slot += 3) {
      replica(1).Accept(
          kOld,
          {{slot, EntryOf(slot)}, {slot + 1, EntryOf(slot + 1)}, {slot + 2, EntryOf(slot + 2)}},
          std::min(slot + 2, kChosen));
    }
    for (Slot slot = kChosen + 3; slot <= kLast; slot += 2) {
      replica(1).Accept({2, ReplicaId{2}}, {{slot, EntryOf(slot)}}, kChosen);
    }
    EXPECT_GE(replica(1).store()->sealed_segments().size(), 2u);
    EXPECT_EQ(replica(1).store()->segments(), replica(1).store()->sealed_segments().size() + 2);
    CloseAll();
    for (const std::string& path : env_.Files()) files_[path] = env_.Contents(path);
    auto recovery = Plan({"/1"});
    ASSERT_TRUE(recovery.ok()) << recovery.status();
    const RecoveryPlan& plan = (*recovery)->plan();
    EXPECT_EQ(plan.shared_slot, kChosen);
    EXPECT_EQ(plan.last_slot, kLast);
    positions_ = plan.last_position;
    holes_ = plan.holes;
  }

  void ExpectRecovered(const std::string& when) {
    SCOPED_TRACE(when);
    replica(1).Open();
    if (HasFatalFailure()) return;
    ASSERT_EQ(replica(1).Recover(), absl::OkStatus());
    EXPECT_EQ(replica(1).state().chosen_through, kLast + 2);
    EXPECT_EQ(replica(1).state().configuration.version, 2u);
    std::vector<std::string> expected;
    for (Slot slot = 1; slot <= kLast; ++slot) {
      if (std::find(holes_.begin(), holes_.end(), slot) != holes_.end()) continue;
      expected.push_back(absl::StrCat("entry of slot ", slot));
    }
    EXPECT_EQ(expected.size(), positions_);
    EXPECT_EQ(replica(1).Entries(), expected);
    for (const Store::SealedSegment& segment : replica(1).store()->sealed_segments()) {
      EXPECT_EQ(replica(1).store()->CheckSealed(segment.first, nullptr), absl::OkStatus());
    }
  }

  // It seals what was written before and after the recovery, and finds it again.
  void ExpectGoesOn() {
    const uint64_t before = replica(1).sequencer().last_position();
    for (Slot slot = kLast + 3; slot < kLast + 33; ++slot) {
      replica(1).Accept({9, ReplicaId{4}}, {{slot, EntryOf(slot)}}, slot);
    }
    for (int start = 0; start < 2; ++start) {
      replica(1).Close();
      replica(1).Open();
      if (HasFatalFailure()) return;
      ASSERT_EQ(replica(1).Recover(), absl::OkStatus());
      EXPECT_EQ(replica(1).Entries().size(), before + 30);
      EXPECT_GE(replica(1).store()->sealed_segments().size(), 5u);
      for (const Store::SealedSegment& segment : replica(1).store()->sealed_segments()) {
        EXPECT_EQ(replica(1).store()->CheckSealed(segment.first, nullptr), absl::OkStatus());
      }
    }
    replica(1).Close();
  }

  std::map<std::string, std::string> files_;
  uint64_t positions_ = 0;
  std::vector<Slot> holes_;
};

TEST_F(LongRecoveryTest, SealedAndUnsealedSegmentsGoOnTogether) {
  Prepare();
  if (HasFatalFailure()) return;
  {
    auto recovery = Plan({"/1"});
    ASSERT_TRUE(recovery.ok()) << recovery.status();
    const auto made = (*recovery)->Apply(1);
    ASSERT_TRUE(made.ok()) << made.status();
  }
  ExpectRecovered("at once");
  ExpectGoesOn();
  EXPECT_TRUE(Has(Refusal({"/1"}), "quorum of configuration 2: start their servers"));
}

TEST_F(LongRecoveryTest, ACrashAtAnyMomentLeavesTheOldDirectoryOrTheNewOne) {
  Prepare();
  if (HasFatalFailure()) return;
  int old_ones = 0;
  int new_ones = 0;
  for (const Unsynced unsynced : {Unsynced::kDropped, Unsynced::kTorn, Unsynced::kKept}) {
    for (uint64_t call = 1;; ++call) {
      const std::string when = absl::StrCat("power cut at call ", call);
      env_.CutPower(Unsynced::kKept);
      for (const std::string& path : env_.Files()) env_.RemoveFile(path);
      for (const auto& [path, contents] : files_) env_.SetContents(path, contents);
      auto recovery = Plan({"/1"});
      ASSERT_TRUE(recovery.ok()) << recovery.status();
      const uint64_t before = env_.calls();
      env_.FailFrom(before + call);
      const auto made = (*recovery)->Apply(1);
      recovery->reset();
      const bool is_through = env_.calls() < before + call;
      env_.CutPower(unsynced);
      replica(1).Open();
      ASSERT_FALSE(HasFailure()) << when << made.status();
      const bool is_new = !replica(1).store()->identity().recovered.empty();
      replica(1).Close();
      // What was said to be done is; what was said not to be is not.
      if (made.ok()) {
        EXPECT_TRUE(is_new) << when;
      } else if (!absl::IsUnknown(made.status())) {
        EXPECT_FALSE(is_new) << when << made.status();
      }
      (is_new ? new_ones : old_ones)++;
      if (!is_new) {
        recovery = Plan({"/1"});
        ASSERT_TRUE(recovery.ok()) << when << recovery.status();
        ASSERT_TRUE((*recovery)->Apply(1).ok()) << when;
        recovery->reset();
      }
      ExpectRecovered(when);
      if (is_through) ExpectGoesOn();
      replica(1).Close();
      ASSERT_FALSE(HasFailure()) << when;
      if (is_through) break;
    }
  }
  EXPECT_GT(old_ones, 30);
  EXPECT_GT(new_ones, 3);
}

TEST_F(LongRecoveryTest, WhatIsLostAfterwardsIsFound) {
  // The evidence of before is of other files: a new one stands for it until a mark is written.
  Prepare();
  if (HasFatalFailure()) return;
  {
    auto recovery = Plan({"/1"});
    ASSERT_TRUE(recovery.ok()) << recovery.status();
    ASSERT_TRUE((*recovery)->Apply(1).ok());
  }
  int damaged = 0;
  const std::vector<std::string> files = env_.Files();
  for (const std::string& path : files) {
    const std::string contents = env_.Contents(path);
    const bool is_log =
        path.find(".1/") != std::string::npos && (path.ends_with(".log") || path.ends_with(".ldb"));
    if (!is_log || contents.empty()) continue;
    std::map<std::string, std::string> whole;
    for (const std::string& other : env_.Files()) whole[other] = env_.Contents(other);
    env_.SetContents(path, contents.substr(0, contents.size() / 2));
    EXPECT_TRUE(absl::IsDataLoss(Store::Open(Tiny(&env_), "/1").status())) << path;
    ++damaged;
    for (const std::string& other : env_.Files()) env_.RemoveFile(other);
    for (const auto& [other, bytes] : whole) env_.SetContents(other, bytes);
  }
  EXPECT_GE(damaged, 2);
  ExpectRecovered("whole again");
}

TEST_F(LongRecoveryTest, ItCanBeRecoveredAgain) {
  Prepare();
  if (HasFatalFailure()) return;
  {
    auto recovery = Plan({"/1"});
    ASSERT_TRUE(recovery.ok()) << recovery.status();
    ASSERT_TRUE((*recovery)->Apply(1).ok());
  }
  // It grows to three, and loses two again.
  replica(1).Open();
  ASSERT_EQ(replica(1).Recover(), absl::OkStatus());
  paxos::Configuration grown = replica(1).state().configuration;
  grown.version = 3;
  grown.members.push_back({ReplicaId{5}, {5, 5}, "host:5", true});
  grown.members.push_back({ReplicaId{6}, {6, 6}, "host:6", true});
  grown.next_replica_id = 7;
  replica(1).Accept({9, ReplicaId{4}}, {{kLast + 3, MakeValue(grown)}}, kLast + 3);
  replica(1).Accept({9, ReplicaId{4}}, {{kLast + 4, Entry("again")}}, kLast + 3);
  replica(1).Close();
  auto recovery = Plan({"/1"});
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  EXPECT_EQ((*recovery)->plan().missing.size(), 2u);
  const auto made = (*recovery)->Apply(1);
  ASSERT_TRUE(made.ok()) << made.status();
  recovery->reset();
  EXPECT_EQ(made->member.id, ReplicaId{7});
  replica(1).Open();
  ASSERT_EQ(replica(1).Recover(), absl::OkStatus());
  const Identity identity = replica(1).store()->identity();
  EXPECT_EQ(identity.recovered.size(), 2u);
  EXPECT_EQ(CheckRecovered(genesis_, identity.recovered), absl::OkStatus());
  EXPECT_EQ(ClusterId(genesis_, identity.recovered), made->cluster_id);
  EXPECT_EQ(replica(1).Entries().size(), positions_ + 1);
  EXPECT_EQ(replica(1).Entries().back(), "again");
}

}  // namespace
}  // namespace distlog
