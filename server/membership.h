// What a leader proposes of its own: that it leads, and the steps of a change of members.

#ifndef DISTLOG_SERVER_MEMBERSHIP_H_
#define DISTLOG_SERVER_MEMBERSHIP_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/sequencer.h"
#include "paxos/replica.h"
#include "proto/distlog/v1/cluster.pb.h"
#include "proto/distlog/v1/record.pb.h"
#include "server/append_queue.h"

namespace distlog {

// Carries the running operation on, one value at a time, from the applied state alone: whoever
// leads next goes on where this leader stopped. As only one value is under way, and every one is
// made of what all values before it came to, a Cancel and a configuration never race.
//
// It has no thread, clock or I/O. Of the event loop alone. On a replica that does not lead it has
// nothing to propose.
class Membership {
 public:
  using Clock = AppendQueue::Clock;

  // A newcomer has kept up when it was heard, and within a window of the leader, for so many rounds
  // of heartbeats in a row.
  static constexpr int kKeepUpRounds = 10;
  // Requests taken and not answered.
  static constexpr size_t kMaxRequests = 64;
  // The largest command taken, encoded.
  static constexpr size_t kMaxCommandBytes = 48 << 10;

  // What an operator wants: to begin an operation, or to cancel one.
  struct Request {
    std::unique_ptr<v1::BeginOperationCommand> begin;  // Null: cancel.
    uint64_t cancel = 0;                               // Its id.
    Clock::time_point deadline;
    // The id of the operation that was begun or cancelled.
    std::function<void(const absl::StatusOr<uint64_t>&)> done;
  };
  void Add(Request request, Answers* answers);
  bool has_waiting() const { return !waiting_.empty(); }

  // The value to propose now, if there is one and the replica would take it. It is under way from
  // now on, as making.origin.sequence(), which is used only if there is one. To be called after
  // every step. A request that needs no value is answered.
  std::optional<paxos::Value> Next(const paxos::Replica& replica, const Sequencer& sequencer,
                                   const AppendQueue::Making& making, Answers* answers);

  // A command of this run was applied.
  void OnApplied(const Applied& applied, Answers* answers);
  // What became of the value under way. `error` is for who asked for it, if it is not in the log.
  void OnChosen(uint64_t sequence);
  void OnNotChosen(uint64_t sequence, const absl::Status& error, Answers* answers);

  // Requests whose time is over. One under way may yet have its effect.
  void Expire(Clock::time_point now, Answers* answers);
  // Refuses what waits and is not under way.
  void FailWaiting(const absl::Status& error, Answers* answers);
  // At the end of the run: answers everything; what is under way with an open outcome.
  void FailAll(const absl::Status& waiting, const absl::Status& open, Answers* answers);

  // The members in force and all operations, with the progress and the cause of delay of the
  // running one as far as this replica knows them.
  v1::OperationsResponse Describe(const paxos::Replica& replica, const Sequencer& sequencer) const;

 private:
  // A value proposed whose outcome is not known.
  struct UnderWay {
    uint64_t sequence = 0;
    paxos::Ballot ballot;
  };
  // Since which round all newcomers that are to be voters have kept up.
  struct KeepingUp {
    uint64_t operation = 0;
    uint64_t round = 0;  // The last one counted.
    int rounds = 0;
  };

  void CountRound(const paxos::Replica& replica, const Sequencer& sequencer);
  std::optional<v1::Command> NextCommand(const paxos::Replica& replica, const Sequencer& sequencer,
                                         std::optional<Request>* request, Answers* answers);
  std::optional<Request> TakeRequest(const Sequencer& sequencer, Answers* answers);

  std::deque<Request> waiting_;
  std::map<uint64_t, Request> asked_;  // Under way, by the sequence of their value's origin.
  std::optional<UnderWay> under_way_;
  KeepingUp keeping_up_;
};

// The configuration that the running operation needs next; none if it waits for something else, or
// for nothing.
std::optional<paxos::Configuration> NextConfiguration(const Sequencer& sequencer);

}  // namespace distlog

#endif  // DISTLOG_SERVER_MEMBERSHIP_H_
