#include "paxos/read_index.h"

#include <algorithm>
#include <utility>

#include "paxos/break.h"
#include "paxos/quorum.h"

namespace distlog::paxos {

bool ReadIndex::Add(Ticket ticket, size_t limit) {
  if (waiting_.size() + asked_.size() + noted_.size() >= limit) return false;
  waiting_.push_back(ticket);
  return true;
}

void ReadIndex::Cancel(Ticket ticket) {
  std::erase(waiting_, ticket);
  std::erase(asked_, ticket);
  std::erase_if(noted_, [ticket](const Noted& noted) {
    return noted.asker == kNoReplica && noted.id == static_cast<uint64_t>(ticket);
  });
}

void ReadIndex::AddRemote(ReplicaId asker, uint64_t id, size_t limit) {
  // Asked again while it waits.
  for (const Remote& remote : remote_) {
    if (remote.asker == asker && remote.id == id) return;
  }
  for (const Noted& noted : noted_) {
    if (noted.asker == asker && noted.id == id) return;
  }
  if (remote_.size() + noted_.size() < limit) remote_.push_back({asker, id});
}

void ReadIndex::Note(Slot mark) {
  const bool joins = confirming_ && IsBroken(Break::kReadJoinsRunningRound);
  const uint64_t next = joins ? round_ : round_ + 1;
  for (Ticket ticket : waiting_) {
    noted_.push_back({kNoReplica, static_cast<uint64_t>(ticket), mark, next});
  }
  for (const Remote& remote : remote_) noted_.push_back({remote.asker, remote.id, mark, next});
  waiting_.clear();
  remote_.clear();
}

bool ReadIndex::WantsRound() const { return !confirming_ && !noted_.empty(); }

uint64_t ReadIndex::BeginRound() {
  confirming_ = true;
  confirmed_.clear();
  return ++round_;
}

void ReadIndex::OnConfirmed(ReplicaId peer, uint64_t round) {
  const bool is_its_answer = round == round_ || IsBroken(Break::kAnyConfirmationCounts);
  if (confirming_ && is_its_answer) confirmed_.insert(peer);
}

std::vector<ReadIndex::Grant> ReadIndex::TakeGranted(const Configuration& configuration) {
  std::vector<Grant> granted;
  const bool is_confirmed =
      IsQuorum(configuration, confirmed_) || IsBroken(Break::kReadWithoutConfirmation);
  if (!confirming_ || !is_confirmed) return granted;
  confirming_ = false;
  while (!noted_.empty() && noted_.front().round <= round_) {
    granted.push_back({noted_.front().asker, noted_.front().id, noted_.front().mark});
    noted_.pop_front();
  }
  return granted;
}

void ReadIndex::Reset() {
  if (!IsBroken(Break::kReadNotedAcrossBallots)) {
    for (const Noted& noted : noted_) {
      if (noted.asker == kNoReplica) waiting_.push_back(static_cast<Ticket>(noted.id));
    }
    noted_.clear();
  }
  remote_.clear();
  confirming_ = false;
  confirmed_.clear();
  // Answers to a round of another ballot or configuration do not count for this one.
  ++round_;
  AskAgain();
}

uint64_t ReadIndex::Ask() {
  asked_.insert(asked_.end(), waiting_.begin(), waiting_.end());
  waiting_.clear();
  return ++ask_id_;
}

void ReadIndex::AskAgain() {
  waiting_.insert(waiting_.begin(), asked_.begin(), asked_.end());
  asked_.clear();
  ++ask_id_;
}

std::vector<Ticket> ReadIndex::OnAnswer(uint64_t id) {
  if (id != ask_id_ && !IsBroken(Break::kAnyReadReplyCounts)) return {};
  std::vector<Ticket> answered(asked_.begin(), asked_.end());
  asked_.clear();
  return answered;
}

}  // namespace distlog::paxos
