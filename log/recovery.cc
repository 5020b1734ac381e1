#include "log/recovery.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "paxos/quorum.h"
#include "wire/value.h"

namespace distlog {
namespace {

// Of the holes, and of the damaged segments, that the report names.
constexpr size_t kShown = 20;

absl::Status Refused(const std::string& sentence) {
  return absl::FailedPreconditionError(sentence);
}

std::string Named(const paxos::Member& member) {
  return absl::StrCat(paxos::ToString(member.id), " (", member.address, ")");
}

std::string Range(const std::string& noun, uint64_t first, uint64_t last) {
  if (first == last) return absl::StrCat(noun, " ", first);
  return absl::StrCat(noun, "s ", first, " to ", last);
}

std::string Shown(const std::vector<paxos::Slot>& slots) {
  if (slots.size() <= kShown) return absl::StrJoin(slots, ", ");
  const std::vector<paxos::Slot> first(slots.begin(), slots.begin() + kShown);
  return absl::StrCat(absl::StrJoin(first, ", "), " and ", slots.size() - kShown, " more");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Recovery>> Recovery::Open(const Options& options,
                                                         const std::vector<std::string>& dirs) {
  std::unique_ptr<Recovery> recovery(new Recovery(options));
  absl::Status status = recovery->OpenAll(dirs);
  if (status.ok()) status = recovery->CollectValues();
  if (status.ok()) status = recovery->ApplyAccepted();
  if (status.ok()) status = recovery->FindDamage();
  if (!status.ok()) return status;
  recovery->NoteMembers();
  recovery->Judge();
  recovery->Report();
  return recovery;
}

absl::Status Recovery::OpenAll(const std::vector<std::string>& dirs) {
  if (dirs.empty()) return absl::InvalidArgumentError("no data directory was given");
  std::set<std::string> paths;
  for (const std::string& dir : dirs) {
    std::error_code ignored;
    const std::string path = std::filesystem::weakly_canonical(dir + "/.", ignored);
    if (!paths.insert(path).second) return Refused(absl::StrCat(dir, " is given twice"));
    const absl::Status status = OpenOne(dir);
    if (!status.ok()) return status;
  }
  for (size_t i = 1; i < stores_.size(); ++i) {
    if (plan_.directories[i].chosen_through > plan_.directories[plan_.base].chosen_through) {
      plan_.base = i;
    }
  }
  plan_.shared_slot = plan_.directories[plan_.base].chosen_through;
  return absl::OkStatus();
}

absl::Status Recovery::OpenOne(const std::string& dir) {
  Env* const env = options_.store.env != nullptr ? options_.store.env : PosixEnv();
  if (env->FileExists(absl::StrCat(dir, "/", kRegressedFile))) {
    return Refused(absl::StrCat(
        dir, " is an older copy of itself, as the file ", kRegressedFile,
        " in it says: what it acknowledged since is not there. If nothing newer is left, remove "
        "that file and count what was acknowledged since the copy was made as lost"));
  }
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(options_.store, dir);
  if (!store.ok()) return store.status();
  const Identity identity = (*store)->identity();
  if (identity.cluster_id.empty()) {
    return Refused(absl::StrCat(dir, " belongs to no cluster: there is nothing to recover in it"));
  }
  if (plan_.directories.empty()) plan_.cluster_id = identity.cluster_id;
  if (identity.cluster_id != plan_.cluster_id) {
    return Refused(absl::StrCat(dir, " belongs to cluster ", HexString(identity.cluster_id), ", ",
                                plan_.directories.front().dir, " to ", HexString(plan_.cluster_id),
                                ": give directories of one cluster"));
  }
  for (const SurvivingDirectory& other : plan_.directories) {
    if (other.uuid != identity.uuid) continue;
    return Refused(
        absl::StrCat(dir, " and ", other.dir, " are copies of one directory: give the newer one"));
  }
  const Recovered& recovered = (*store)->recovered();
  highest_ballot_ = std::max(highest_ballot_, recovered.promised);
  plan_.directories.push_back(
      {.dir = dir,
       .uuid = identity.uuid,
       .replica = paxos::kNoReplica,
       .address = "",
       .is_voter = false,
       .chosen_through = recovered.chosen_through,
       .accepted_through = std::max(recovered.chosen_through, (*store)->accepted_through())});
  stores_.push_back(*std::move(store));
  return absl::OkStatus();
}

// Phase 1, over those that are left.
absl::Status Recovery::CollectValues() {
  const paxos::Slot mark = plan_.shared_slot;
  std::map<paxos::Slot, paxos::AcceptedValue> highest;
  for (const auto& store : stores_) {
    absl::StatusOr<std::vector<paxos::AcceptedValue>> accepted = store->ReadAccepted(mark + 1);
    if (!accepted.ok()) return accepted.status();
    for (paxos::AcceptedValue& value : *accepted) {
      highest_ballot_ = std::max(highest_ballot_, value.ballot);
      const auto found = highest.find(value.slot);
      if (found != highest.end() && found->second.ballot >= value.ballot) continue;
      const paxos::Slot slot = value.slot;
      highest[slot] = std::move(value);
    }
  }
  plan_.last_slot = highest.empty() ? mark : highest.rbegin()->first;
  for (paxos::Slot slot = mark + 1; slot <= plan_.last_slot; ++slot) {
    const auto found = highest.find(slot);
    if (found == highest.end()) plan_.holes.push_back(slot);
    values_.push_back(found == highest.end()
                          ? paxos::AcceptedValue{.slot = slot, .ballot = {}, .value = {}}
                          : std::move(found->second));
  }
  return absl::OkStatus();
}

absl::Status Recovery::ApplyAccepted() {
  absl::StatusOr<RecoveredLog> log = RecoverLog(stores_[plan_.base].get());
  if (!log.ok()) return log.status();
  sequencer_ = std::make_unique<Sequencer>(std::move(log->sequencer));
  plan_.shared_position = sequencer_->last_position();
  configurations_.push_back(sequencer_->configuration());
  for (const paxos::AcceptedValue& value : values_) {
    const absl::StatusOr<Applied> applied = sequencer_->Apply(value);
    if (!applied.ok()) return applied.status();
    if (sequencer_->configuration_slot() == value.slot) {
      configurations_.push_back(sequencer_->configuration());
    }
  }
  plan_.last_position = sequencer_->last_position();
  plan_.configuration = sequencer_->configuration();
  return absl::OkStatus();
}

// All of the log is read: what is found damaged now cannot be repaired from anywhere later.
absl::Status Recovery::FindDamage() {
  Store& base = *stores_[plan_.base];
  for (const Store::SealedSegment& segment : base.sealed_segments()) {
    const absl::Status status = base.CheckSealed(segment.first, /*pace=*/nullptr);
    if (!status.ok() && !absl::IsDataLoss(status)) return status;
    if (status.ok()) continue;
    plan_.damage.push_back(absl::StrCat(Range("slot", segment.first, segment.last), " of ",
                                        plan_.directories[plan_.base].dir,
                                        " are damaged: entries in them cannot all be read"));
  }
  return absl::OkStatus();
}

bool Recovery::IsHere(const paxos::Uuid& uuid) const {
  return std::any_of(plan_.directories.begin(), plan_.directories.end(),
                     [&](const SurvivingDirectory& directory) { return directory.uuid == uuid; });
}

void Recovery::NoteMembers() {
  for (const paxos::Member& member : plan_.configuration.members) {
    if (!IsHere(member.uuid)) plan_.missing.push_back(member);
    for (SurvivingDirectory& directory : plan_.directories) {
      if (directory.uuid != member.uuid) continue;
      directory.replica = member.id;
      directory.address = member.address;
      directory.is_voter = member.voter;
    }
  }
}

void Recovery::Judge() {
  // Every configuration in which a slot above the mark was decided, as far as it can be known: if
  // every quorum of each has a member here, the values here are those that were chosen, and tell of
  // any further one.
  bool can_go_on = true;
  for (const paxos::Configuration& configuration : configurations_) {
    std::set<paxos::ReplicaId> here;
    std::set<paxos::ReplicaId> missing;
    for (const paxos::Member& member : configuration.members) {
      (IsHere(member.uuid) ? here : missing).insert(member.id);
    }
    can_go_on &= paxos::IsQuorum(configuration, here);
    plan_.can_lose |= paxos::IsQuorum(configuration, missing);
  }
  const SurvivingDirectory& base = plan_.directories[plan_.base];
  if (can_go_on) {
    plan_.refusal =
        absl::StrCat("these directories are a quorum of configuration ",
                     plan_.configuration.version, ": start their servers, and nothing is lost");
  } else if (base.address.empty() && options_.address.empty()) {
    plan_.refusal = absl::StrCat(base.dir,
                                 " is no member of the last configuration: give the address of its "
                                 "server, --address=HOST:PORT");
  }
}

void Recovery::Report() {
  const auto say = [&](const std::string& sentence) { plan_.report.push_back(sentence); };
  if (plan_.shared_position == 0) {
    say("No entry is known chosen in these directories.");
  } else {
    say(absl::StrCat("Known chosen, and certainly kept: ",
                     Range("position", sequencer_->first_position(), plan_.shared_position), "."));
  }
  if (plan_.last_slot > plan_.shared_slot) {
    const std::string positions =
        plan_.last_position > plan_.shared_position
            ? Range("position", plan_.shared_position + 1, plan_.last_position)
            : std::string("no position");
    say(absl::StrCat(
        "Accepted, and kept: ", positions, ", in ",
        Range("slot", plan_.shared_slot + 1, plan_.last_slot),
        ". In each slot it is the proposal of the highest ballot found here, which "
        "may have been acknowledged or not",
        plan_.can_lose ? "; the missing members may have chosen other entries there." : "."));
  }
  if (!plan_.holes.empty()) {
    say(absl::StrCat("Empty, and filled with nothing: ",
                     plan_.holes.size() == 1 ? "slot " : "slots ", Shown(plan_.holes),
                     plan_.can_lose ? ". If entries were acknowledged there, they are lost."
                                    : ". Nothing was chosen there."));
  }
  for (size_t i = 0; i < plan_.damage.size() && i < kShown; ++i) say(plan_.damage[i] + ".");
  if (plan_.damage.size() > kShown) {
    say(absl::StrCat("So are ", plan_.damage.size() - kShown, " more segments."));
  }
  if (!plan_.can_lose) {
    say("Every quorum has a member here: nothing that was acknowledged is lost.");
    return;
  }
  std::vector<std::string> missing;
  for (const paxos::Member& member : plan_.missing) {
    if (member.voter) missing.push_back(Named(member));
  }
  say(absl::StrCat("Entries that were acknowledged after that, and that only missing members had (",
                   absl::StrJoin(missing, ", "),
                   "), are lost: those are a quorum without any directory given here. How many "
                   "there were cannot be known from these."));
}

paxos::Configuration Recovery::Next(const paxos::Uuid& uuid) const {
  paxos::Configuration next = plan_.configuration;
  const SurvivingDirectory& base = plan_.directories[plan_.base];
  ++next.version;
  next.members = {{.id = paxos::ReplicaId{next.next_replica_id},
                   .uuid = uuid,
                   .address = options_.address.empty() ? base.address : options_.address,
                   .voter = true}};
  ++next.next_replica_id;
  return next;
}

v1::Command Recovery::Told(paxos::ReplicaId by, int64_t now_ms) const {
  v1::Command command;
  command.mutable_origin()->set_replica(static_cast<uint64_t>(by));
  command.mutable_origin()->set_start_nonce(NewNonce());
  command.mutable_origin()->set_sequence(1);
  command.set_timestamp_ms(now_ms);
  command.set_cluster_time_ms(sequencer_->cluster_time_ms());
  v1::RecoveryCommand* recovery = command.mutable_recovery();
  recovery->set_parent_cluster_id(plan_.cluster_id);
  recovery->set_divergence_slot(plan_.shared_slot);
  recovery->set_divergence_position(plan_.shared_position);
  recovery->set_report(absl::StrJoin(plan_.report, " "));
  return command;
}

// What stands above the mark from now on.
absl::Status Recovery::Decide(const v1::Command& command, Store::Continuation* next) const {
  Sequencer sequencer = *sequencer_;
  next->values = values_;
  for (const paxos::Value& value : {MakeValue(next->configuration), MakeValue(command)}) {
    const paxos::Slot slot = plan_.shared_slot + next->values.size() + 1;
    next->values.push_back({.slot = slot, .ballot = {}, .value = value});
    const absl::StatusOr<Applied> applied = sequencer.Apply(next->values.back());
    if (!applied.ok()) return applied.status();
  }
  if (sequencer.configuration() != next->configuration) {
    return Refused(absl::StrCat("no configuration can follow the last one of ",
                                plan_.directories[plan_.base].dir));
  }
  for (paxos::AcceptedValue& value : next->values) value.ballot = next->promised;
  return absl::OkStatus();
}

absl::StatusOr<RecoveredCluster> Recovery::Apply(int64_t now_ms) {
  if (!plan_.refusal.empty()) return Refused(plan_.refusal);
  Store& base = *stores_[plan_.base];
  Store::Continuation next;
  next.uuid = NewUuid();
  next.configuration = Next(next.uuid);
  const paxos::Member& member = next.configuration.members.front();
  next.promised = {highest_ballot_.round + 1, member.id};
  next.from.set_parent_cluster_id(plan_.cluster_id);
  next.from.set_slot(plan_.last_slot);
  next.from.set_shared_slot(plan_.shared_slot);
  next.from.set_shared_position(plan_.shared_position);
  next.from.set_configuration_version(next.configuration.version);
  *next.from.mutable_members() = ToProto(next.configuration).members();
  absl::Status status = Decide(Told(member.id, now_ms), &next);
  if (status.ok()) status = base.Continue(next);
  if (!status.ok()) return status;
  return RecoveredCluster{.cluster_id = base.identity().cluster_id,
                          .member = member,
                          .dir = plan_.directories[plan_.base].dir,
                          .configuration_version = next.configuration.version};
}

}  // namespace distlog
