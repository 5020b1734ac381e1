#include "tests/model/machine.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "paxos/break.h"

namespace distlog::model {

using paxos::AcceptedValue;
using paxos::Ballot;
using paxos::Break;
using paxos::Effects;
using paxos::Envelope;
using paxos::IsBroken;
using paxos::Record;
using paxos::ReplicaId;
using paxos::Slot;
using paxos::ToString;
using paxos::Value;
using Kind = Fact::Kind;

namespace {

// Another one for each replica, run, ballot and slot: equal values are never equal by accident, and
// a proposer that uses a ballot twice cannot hide it.
ValueId MakeId(ReplicaId replica, int run, uint64_t round, Slot slot) {
  return ((static_cast<uint64_t>(replica) * 16 + run) * 256 + round) * 16 + slot;
}
Value MakeClientValue(ValueId id) {
  return Value{.kind = Value::Kind::kBatch,
               .payload = std::make_shared<const std::string>("x"),
               .checksum = id,
               .configuration = nullptr};
}

}  // namespace

ValueId IdOf(const Value& value) { return value.checksum; }

Machine::Machine(ReplicaId self, std::shared_ptr<const Configurations> configurations, Slot window)
    : self_(self),
      configurations_(std::move(configurations)),
      window_(window),
      replica_(Recover()) {
  // As after every event, so that one that changes nothing leaves an equal machine.
  Happened nothing;
  Settle(&nothing);
}

paxos::Replica Machine::Recover() const {
  paxos::Options options;
  options.self = self_;
  options.seed = 1;
  options.window = window_;
  paxos::DurableState state;
  state.promised = DurablePromise();
  state.chosen_through = disk_.mark;
  state.configuration_slot = ConfigurationSlot(disk_.mark);
  const ValueId in_force =
      state.configuration_slot == 0 ? 0 : IdOf(disk_.accepted.at(state.configuration_slot).value);
  state.configuration = configurations_->at(ConfigurationIn(in_force));
  for (const auto& [slot, accepted] : disk_.accepted) {
    if (slot > disk_.mark) state.accepted.push_back(accepted);
  }
  return paxos::Replica(options, state, now_);
}

Slot Machine::ConfigurationSlot(Slot slot) const {
  Slot found = 0;
  uint64_t version = configurations_->front().version;
  for (const auto& [at, accepted] : disk_.accepted) {
    const size_t index = ConfigurationIn(IdOf(accepted.value));
    if (at > slot || index == 0 || configurations_->at(index).version != version + 1) continue;
    found = at;
    ++version;
  }
  return found;
}

size_t Machine::unsynced_records() const { return unsynced_; }

void Machine::Violate(const std::string& what, Happened* happened) const {
  if (happened->violation.empty())
    happened->violation = what + " (replica " + ToString(self_) + ")";
}

// ---- Events ------------------------------------------------------------------------------------

void Machine::Deliver(const Envelope& envelope, Happened* happened) {
  Step(paxos::Receive{envelope}, happened);
  Settle(happened);
}

void Machine::Stand(Happened* happened) {
  Effects effects;
  replica_.Stand(now_, &effects);
  Carry(std::move(effects), happened);
  Settle(happened);
}

void Machine::Supply(ReplicaId to, Happened* happened) {
  Deliver({to, self_, paxos::LearnRequest{1}}, happened);
}

void Machine::Settle(Happened* happened) {
  while (!to_itself_.empty()) {
    const Envelope envelope = std::move(to_itself_.front());
    to_itself_.pop_front();
    Step(paxos::Receive{envelope}, happened);
  }
  for (const ReplicaId other : Others()) Step(paxos::PeerLost{other}, happened);
  SaySettled(happened);
}

std::vector<ReplicaId> Machine::Others() const {
  std::vector<ReplicaId> others;
  for (const paxos::Configuration& configuration : *configurations_) {
    for (const paxos::Member& member : configuration.members) {
      const bool is_known = std::find(others.begin(), others.end(), member.id) != others.end();
      if (member.id != self_ && !is_known) others.push_back(member.id);
    }
  }
  return others;
}

Slot Machine::NextSlot() const {
  paxos::Replica trial = replica_;
  Effects effects;
  trial.Step(now_, paxos::Propose{paxos::Ticket{1}, MakeClientValue(1)}, &effects);
  return std::get<paxos::AcceptRecord>(effects.write.at(0)).accepted.slot;
}

void Machine::Propose(Slot last, Happened* happened) {
  if (!replica_.CanPropose(1)) return;
  const Slot slot = NextSlot();
  if (slot > last) return;
  const Value value = MakeClientValue(MakeId(self_, run_, replica_.claimed()->round, slot));
  Step(paxos::Propose{paxos::Ticket{IdOf(value)}, value}, happened);
  Settle(happened);
}

void Machine::Change(size_t configuration, Slot last, Happened* happened) {
  if (!replica_.CanPropose(1)) return;
  const Slot slot = NextSlot();
  if (slot > last) return;
  const Machine before = *this;
  const auto next =
      std::make_shared<const paxos::Configuration>(configurations_->at(configuration));
  const std::vector<ReplicaId> others = Others();
  for (const ReplicaId other : others) Step(paxos::PeerConnected{other}, happened);
  now_ += paxos::Options{}.heartbeat_interval;
  const uint64_t round = EndRound(happened);
  for (const ReplicaId other : others) {
    paxos::HeartbeatReply reply;
    reply.round = round;
    reply.followed = *replica_.claimed();
    Step(paxos::Receive{{other, self_, reply}}, happened);
  }
  now_ += paxos::Options{}.heartbeat_interval;
  EndRound(happened);
  if (replica_.CanReconfigure(*next) != paxos::Replica::Reconfiguration::kAllowed) {
    *this = before;
    *happened = {};
    return;
  }
  happened->left.clear();  // What the round said again is lost: it was said before.
  const ValueId id = static_cast<ValueId>(configuration) << 56 |
                     MakeId(self_, run_, replica_.claimed()->round, slot);
  Value value = MakeClientValue(id);
  value.kind = Value::Kind::kConfiguration;
  value.configuration = next;
  Step(paxos::Propose{paxos::Ticket{id}, value}, happened);
  Settle(happened);
}

uint64_t Machine::EndRound(Happened* happened) {
  Effects effects;
  replica_.Step(now_, paxos::Tick{}, &effects);
  uint64_t round = 0;
  for (const Envelope& envelope : effects.send) {
    const auto* heartbeat = std::get_if<paxos::Heartbeat>(&envelope.message);
    if (heartbeat != nullptr) round = heartbeat->round;
  }
  Carry(std::move(effects), happened);
  return round;
}

void Machine::HearMarks(const std::vector<ReplicaId>& holders, Happened* happened) {
  const uint64_t version = replica_.configuration().version;
  const Slot mark = replica_.configuration_slot();
  for (const ReplicaId holder : holders) {
    paxos::Heartbeat heartbeat;
    heartbeat.configuration_version = version;
    heartbeat.chosen_through = mark;
    Step(paxos::Receive{{holder, self_, heartbeat}}, happened);
  }
  Settle(happened);
}

void Machine::Sync(Happened* happened) {
  while (!pending_.empty()) {
    const Write write = std::move(pending_.front());
    pending_.pop_front();
    for (const Record& record : write.records) Store(record, happened);
    unsynced_ -= write.records.size();
    for (const Envelope& envelope : write.after_write) Leave(envelope, happened);
    if (!write.records.empty()) Step(paxos::WriteFinished{write.last_record}, happened);
    Settle(happened);
  }
}

void Machine::SaveMark(Happened* happened) {
  disk_.mark = std::max(disk_.mark, replica_.stored_through());
  happened->facts.push_back({.kind = Kind::kThrough, .replica = self_, .slot = disk_.mark});
  Step(paxos::MarkSaved{disk_.mark}, happened);
  Settle(happened);
}

void Machine::Crash(size_t kept, Happened* happened) {
  for (const Write& write : std::exchange(pending_, {})) {
    for (const Record& record : write.records) {
      if (kept == 0) break;
      --kept;
      Store(record, happened);
    }
  }
  unsynced_ = 0;
  disk_.side_promised = {};
  ++run_;
  now_ = {};
  replica_ = Recover();
  Settle(happened);
  given_ = disk_.mark;
  happened->facts.push_back({.kind = Kind::kThrough, .replica = self_, .slot = given_});
}

// ---- Effects -----------------------------------------------------------------------------------

void Machine::Step(const paxos::Event& event, Happened* happened) {
  Effects effects;
  replica_.Step(now_, event, &effects);
  Carry(std::move(effects), happened);
}

void Machine::SaySettled(Happened* happened) {
  // One who has left says it by his silence.
  if (settled_ == replica_.configuration_slot()) return;
  if (!replica_.is_settled() && !replica_.has_left()) return;
  settled_ = replica_.configuration_slot();
  happened->facts.push_back({.kind = Kind::kSettled, .replica = self_, .slot = settled_});
}

void Machine::Carry(Effects effects, Happened* happened) {
  replica_.CheckInvariants();
  for (const AcceptedValue& chosen : effects.chosen) {
    if (chosen.slot != given_ + 1) Violate("P6: applied with a hole before it", happened);
    given_ = chosen.slot;
    happened->facts.push_back({.kind = Kind::kIsChosen,
                               .replica = self_,
                               .slot = chosen.slot,
                               .value = IdOf(chosen.value)});
  }
  for (const Envelope& envelope : effects.send) Leave(envelope, happened);
  for (const paxos::Supply& supply : effects.supply) Answer(supply, happened);
  const bool leaves_now =
      (effects.write.empty() && pending_.empty()) || IsBroken(Break::kSendBeforeDurable);
  if (leaves_now) {
    for (const Envelope& envelope : std::exchange(effects.after_write, {})) {
      Leave(envelope, happened);
    }
  }
  if (effects.write.empty() && effects.after_write.empty()) return;
  unsynced_ += effects.write.size();
  pending_.push_back(
      {std::move(effects.write), effects.last_record, std::move(effects.after_write)});
}

void Machine::Store(const Record& record, Happened* happened) {
  if (const auto* promise = std::get_if<paxos::PromiseRecord>(&record)) {
    Ballot& held = IsBroken(Break::kPromiseOnlyInSideFile) ? disk_.side_promised : disk_.promised;
    held = std::max(held, promise->promised);
    return;
  }
  if (const auto* mark = std::get_if<paxos::MarkRecord>(&record)) {
    disk_.mark = std::max(disk_.mark, mark->chosen_through);
    happened->facts.push_back({.kind = Kind::kThrough, .replica = self_, .slot = disk_.mark});
    return;
  }
  const auto& accept = std::get<paxos::AcceptRecord>(record);
  const AcceptedValue& accepted = accept.accepted;
  const auto held = disk_.accepted.find(accepted.slot);
  if (held != disk_.accepted.end() && held->second.ballot > accepted.ballot) {
    Violate("P3: the ballot of slot " + std::to_string(accepted.slot) + " falls from " +
                ToString(held->second.ballot) + " to " + ToString(accepted.ballot),
            happened);
  }
  // Below the promise only what is chosen may be written: it was learned.
  const ValueId value = IdOf(accepted.value);
  if (accepted.ballot < DurablePromise()) {
    happened->facts.push_back(
        {.kind = Kind::kIsChosen, .replica = self_, .slot = accepted.slot, .value = value});
  }
  disk_.promised = std::max(disk_.promised, accepted.ballot);
  disk_.mark = std::max(disk_.mark, accept.chosen_through);
  disk_.accepted[accepted.slot] = accepted;
  happened->facts.push_back({.kind = Kind::kStored,
                             .replica = self_,
                             .slot = accepted.slot,
                             .ballot = accepted.ballot,
                             .value = value});
  happened->facts.push_back(
      {.kind = Kind::kThrough, .replica = self_, .slot = accept.chosen_through});
}

void Machine::Answer(const paxos::Supply& supply, Happened* happened) {
  paxos::LearnReply reply;
  reply.chosen_through = supply.through;
  for (Slot slot = supply.first; slot <= supply.through; ++slot) {
    const auto held = disk_.accepted.find(slot);
    if (held == disk_.accepted.end()) {
      Violate("P4: supplies slot " + std::to_string(slot) + ", which is not durable", happened);
      return;
    }
    reply.chosen.push_back(held->second);
  }
  Leave({self_, supply.to, std::move(reply)}, happened);
}

bool Machine::IsDead(const paxos::Message& message) const {
  const std::optional<Ballot> claimed = replica_.claimed();
  const auto is_over = [&](const Ballot& ballot) { return !claimed || *claimed > ballot; };
  if (const auto* promise = std::get_if<paxos::Promise>(&message)) return is_over(promise->ballot);
  if (const auto* accepted = std::get_if<paxos::Accepted>(&message)) {
    return is_over(accepted->ballot);
  }
  const auto* announce = std::get_if<paxos::Announce>(&message);
  return announce != nullptr && announce->pair.chosen_through <= replica_.chosen_through() &&
         announce->pair.ballot.round <= replica_.promised().round;
}

// ---- What leaves -------------------------------------------------------------------------------

void Machine::Leave(const Envelope& envelope, Happened* happened) {
  // These do nothing but make a replica ask for what it lacks, for which Supply stands, or know of
  // marks, for which HearMarks does.
  if (std::holds_alternative<paxos::LearnRequest>(envelope.message)) return;
  if (std::holds_alternative<paxos::Progress>(envelope.message)) return;
  if (std::holds_alternative<paxos::Stale>(envelope.message)) return;
  if (std::holds_alternative<paxos::Heartbeat>(envelope.message)) return;
  if (std::holds_alternative<paxos::HeartbeatReply>(envelope.message)) return;
  if (envelope.to == self_) {
    to_itself_.push_back(envelope);
  } else {
    happened->left.push_back(envelope);
  }
  const auto through = [&](Slot slot) {
    happened->facts.push_back({.kind = Kind::kThrough, .replica = self_, .slot = slot});
  };
  const auto use = [&](const Ballot& ballot) {
    if (ballot.owner != self_) Violate("P8: proposes at another's ballot", happened);
    happened->facts.push_back(
        {.kind = Kind::kUsed, .replica = self_, .ballot = ballot, .run = run_});
  };
  const auto say = [&](const Ballot& ballot, const char* what) {
    const std::string said = std::string(what) + " " + ToString(ballot);
    if (ballot > DurablePromise()) Violate("P4: " + said + " before it is durable", happened);
    if (ballot < said_) Violate("P3: " + said + " after promising " + ToString(said_), happened);
    said_ = std::max(said_, ballot);
  };
  if (const auto* prepare = std::get_if<paxos::Prepare>(&envelope.message)) {
    use(prepare->ballot);
    if (prepare->ballot > DurablePromise()) {
      Violate("P4: prepares " + ToString(prepare->ballot) + " before its own promise is durable",
              happened);
    }
    JudgeMark(prepare->from - 1, happened);
  } else if (const auto* promise = std::get_if<paxos::Promise>(&envelope.message)) {
    say(promise->ballot, "promises");
    through(promise->chosen_through);
    JudgePromise(*promise, happened);
    JudgeMark(promise->chosen_through, happened);
  } else if (const auto* accept = std::get_if<paxos::Accept>(&envelope.message)) {
    use(accept->ballot);
    through(accept->chosen_through);
    for (size_t i = 0; i < accept->values.size(); ++i) {
      happened->facts.push_back({.kind = Kind::kProposed,
                                 .replica = self_,
                                 .slot = accept->first + i,
                                 .ballot = accept->ballot,
                                 .value = IdOf(accept->values[i])});
    }
  } else if (const auto* accepted = std::get_if<paxos::Accepted>(&envelope.message)) {
    say(accepted->ballot, "accepts at");
    for (Slot slot = accepted->first; slot <= accepted->last; ++slot) {
      const auto held = disk_.accepted.find(slot);
      if (held == disk_.accepted.end() || held->second.ballot != accepted->ballot) {
        Violate("P4: says accepted slot " + std::to_string(slot) + " before it is durable",
                happened);
      }
    }
  } else if (const auto* announce = std::get_if<paxos::Announce>(&envelope.message)) {
    through(announce->pair.chosen_through);
  } else if (const auto* reply = std::get_if<paxos::LearnReply>(&envelope.message)) {
    through(reply->chosen_through);
    for (const AcceptedValue& value : reply->chosen) {
      happened->facts.push_back({.kind = Kind::kIsChosen,
                                 .replica = self_,
                                 .slot = value.slot,
                                 .value = IdOf(value.value)});
    }
  }
}

void Machine::JudgeMark(Slot slot, Happened* happened) const {
  const Slot configuration_slot = ConfigurationSlot(slot);
  if (disk_.mark >= configuration_slot) return;
  Violate("B5: acts above the configuration in slot " + std::to_string(configuration_slot) +
              " with the mark " + std::to_string(disk_.mark) + " on disk",
          happened);
}

// It lists what the disk holds, no more and no less.
void Machine::JudgePromise(const paxos::Promise& promise, Happened* happened) const {
  std::map<Slot, AcceptedValue> listed;
  for (const AcceptedValue& accepted : promise.accepted) listed[accepted.slot] = accepted;
  for (const auto& [slot, accepted] : listed) {
    const auto held = disk_.accepted.find(slot);
    if (held == disk_.accepted.end() || held->second != accepted) {
      Violate("P4: promises with slot " + std::to_string(slot) + " before it is durable", happened);
    }
  }
  for (const auto& [slot, held] : disk_.accepted) {
    const bool is_covered = slot >= promise.first && slot > promise.chosen_through &&
                            (promise.is_final || slot <= promise.last);
    if (is_covered && !listed.contains(slot)) {
      Violate("P5: promises and leaves out slot " + std::to_string(slot), happened);
    }
  }
}

}  // namespace distlog::model
