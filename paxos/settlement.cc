#include "paxos/settlement.h"

#include <algorithm>
#include <set>

#include "paxos/break.h"
#include "paxos/quorum.h"

namespace distlog::paxos {

void Settlement::NoteMark(ReplicaId replica, Slot durable_mark) {
  Slot& mark = marks_[replica];
  mark = std::max(mark, durable_mark);
}

void Settlement::NoteSettled(uint64_t version) { version_ = std::max(version_, version); }

bool Settlement::Judge(const Configuration& configuration, Slot slot) {
  if (judged_ >= configuration.version) return false;
  std::set<ReplicaId> holders;
  for (const auto& [replica, mark] : marks_) {
    if (mark >= slot) holders.insert(replica);
  }
  const bool is_early = IsBroken(Break::kSettledWhenChosen);
  if (slot == 0 || is_early || IsQuorum(configuration, holders)) NoteSettled(configuration.version);
  if (version_ < configuration.version) return false;
  judged_ = configuration.version;
  std::erase_if(marks_,
                [&](const auto& mark) { return configuration.Find(mark.first) == nullptr; });
  return true;
}

}  // namespace distlog::paxos
