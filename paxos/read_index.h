// Linearizable reads: how far the log must have been applied before one may be answered.
// docs/protocol.md, "Reads".

#ifndef DISTLOG_PAXOS_READ_INDEX_H_
#define DISTLOG_PAXOS_READ_INDEX_H_

#include <cstdint>
#include <deque>
#include <set>
#include <tuple>
#include <vector>

#include "paxos/configuration.h"
#include "paxos/step.h"
#include "paxos/types.h"

namespace distlog::paxos {

// The reads that wait at one replica: its own clients', and, while it leads, those that followers
// ask for. All that wait share one round of confirmations.
class ReadIndex {
 public:
  ReadIndex() = default;
  // `seed` keeps the ids of this run apart from those of runs before it.
  explicit ReadIndex(uint64_t seed) : ask_id_(seed) {}

  // ---- Its own clients' reads. ----

  // False: too many wait.
  bool Add(Ticket ticket, size_t limit);
  void Cancel(Ticket ticket);
  bool HasWaiting() const { return !waiting_.empty() || !asked_.empty() || !noted_.empty(); }

  // ---- While leading. ----

  // Follower `asker` wants a mark; `id` is its own.
  void AddRemote(ReplicaId asker, uint64_t id, size_t limit);
  // Notes `mark` for every read that waits for one: each needs a confirmation round that starts
  // after this.
  void Note(Slot mark);
  // Whether a round is wanted and none runs. Then begin one.
  bool WantsRound() const;
  uint64_t BeginRound();
  uint64_t round() const { return round_; }
  bool is_confirming() const { return confirming_; }
  bool HasConfirmed(ReplicaId peer) const { return confirmed_.contains(peer); }
  void OnConfirmed(ReplicaId peer, uint64_t round);

  // What the round grants once a quorum has confirmed it: then it is over. Empty otherwise.
  struct Grant {
    ReplicaId asker{};  // kNoReplica: a client of this replica, with `id` its ticket.
    uint64_t id = 0;
    Slot mark = 0;
  };
  std::vector<Grant> TakeGranted(const Configuration& configuration);

  // The ballot or the configuration has changed: what was noted must be noted again, and followers
  // will ask again.
  void Reset();

  // ---- While following. ----

  // Whether reads wait that nobody was asked about.
  bool WantsToAsk() const { return asked_.empty() && !waiting_.empty(); }
  // Takes all that wait into one request; a fresh id each time.
  uint64_t Ask();
  // The request was not answered, or its leader is one no more.
  void AskAgain();
  bool is_asking() const { return !asked_.empty(); }
  uint64_t ask_id() const { return ask_id_; }
  // The tickets that are answered; none if it was another request.
  std::vector<Ticket> OnAnswer(uint64_t id);

  friend bool operator==(const ReadIndex&, const ReadIndex&) = default;
  // For hashing (paxos/hash.h).
  auto Fields() const {
    return std::tie(waiting_, asked_, ask_id_, remote_, noted_, round_, confirming_, confirmed_);
  }

 private:
  struct Noted {
    ReplicaId asker{};
    uint64_t id = 0;
    Slot mark = 0;
    uint64_t round = 0;  // The first that counts.
    friend bool operator==(const Noted&, const Noted&) = default;
    auto Fields() const { return std::tie(asker, id, mark, round); }
  };
  struct Remote {
    ReplicaId asker{};
    uint64_t id = 0;
    friend bool operator==(const Remote&, const Remote&) = default;
    auto Fields() const { return std::tie(asker, id); }
  };

  std::deque<Ticket> waiting_;
  std::deque<Ticket> asked_;
  uint64_t ask_id_ = 0;
  std::deque<Remote> remote_;
  std::deque<Noted> noted_;  // By round.
  uint64_t round_ = 0;
  bool confirming_ = false;
  std::set<ReplicaId> confirmed_;
};

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_READ_INDEX_H_
