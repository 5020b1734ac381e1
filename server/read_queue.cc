#include "server/read_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "wire/status.h"

namespace distlog {
namespace {

// Deadlines are looked at no more often than this: a look goes over everything.
constexpr std::chrono::milliseconds kExpiryPause(10);

absl::Status NoMark() {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::REASON_NO_LEADER);
  return MakeError(absl::StatusCode::kUnavailable,
                   "read: no leader with a quorum confirmed the end of the log in time; try again, "
                   "or read what this replica has",
                   detail);
}

absl::Status NotHereYet() {
  return MakeError(
      absl::StatusCode::kDeadlineExceeded,
      "read: this replica did not catch up with the end of the log in time; try again, "
      "or ask another replica",
      v1::ErrorDetail());
}

}  // namespace

void ReadQueue::NoteDeadline(Clock::time_point deadline) {
  next_deadline_ = std::min(next_deadline_, deadline);
}

bool ReadQueue::IsOver(Clock::time_point deadline, Clock::time_point now) {
  if (deadline <= now) return true;
  NoteDeadline(deadline);
  return false;
}

void ReadQueue::AddBarriers(paxos::Ticket ticket, std::vector<Barrier> barriers) {
  for (const Barrier& barrier : barriers) NoteDeadline(barrier.deadline);
  unmarked_.emplace(ticket, std::move(barriers));
}

void ReadQueue::AddWaiter(Waiter waiter, Answers* answers) {
  if (bounds_.last > waiter.last) {
    answers->push_back([done = std::move(waiter.done), bounds = bounds_] { done(bounds); });
    return;
  }
  NoteDeadline(waiter.deadline);
  const uint64_t last = waiter.last;
  waiters_.emplace(last, std::move(waiter));
}

void ReadQueue::OnReadable(paxos::Ticket ticket, paxos::Slot slot, Answers* answers) {
  auto node = unmarked_.extract(ticket);
  if (node.empty()) return;
  for (Barrier& barrier : node.mapped()) {
    if (slot <= readable_through_) {
      answers->push_back([done = std::move(barrier.done), bounds = bounds_] { done(bounds); });
    } else {
      marked_.emplace(slot, std::move(barrier));
    }
  }
}

void ReadQueue::SetReadable(paxos::Slot slot, Node::Bounds bounds, Answers* answers) {
  readable_through_ = slot;
  bounds_ = bounds;
  while (!marked_.empty() && marked_.begin()->first <= slot) {
    answers->push_back([done = std::move(marked_.begin()->second.done), bounds] { done(bounds); });
    marked_.erase(marked_.begin());
  }
  while (!waiters_.empty() && waiters_.begin()->first < bounds.last) {
    answers->push_back([done = std::move(waiters_.begin()->second.done), bounds] { done(bounds); });
    waiters_.erase(waiters_.begin());
  }
}

std::vector<paxos::Ticket> ReadQueue::Expire(Clock::time_point now, Answers* answers) {
  std::vector<paxos::Ticket> cancelled;
  if (now < next_deadline_) return cancelled;
  next_deadline_ = Clock::time_point::max();
  for (auto group = unmarked_.begin(); group != unmarked_.end();) {
    std::vector<Barrier> left;
    for (Barrier& barrier : group->second) {
      if (IsOver(barrier.deadline, now)) {
        answers->push_back([done = std::move(barrier.done)] { done(NoMark()); });
      } else {
        left.push_back(std::move(barrier));
      }
    }
    group->second = std::move(left);
    if (group->second.empty()) cancelled.push_back(group->first);
    group = group->second.empty() ? unmarked_.erase(group) : std::next(group);
  }
  for (auto marked = marked_.begin(); marked != marked_.end();) {
    const bool is_over = IsOver(marked->second.deadline, now);
    if (is_over) {
      answers->push_back([done = std::move(marked->second.done)] { done(NotHereYet()); });
    }
    marked = is_over ? marked_.erase(marked) : std::next(marked);
  }
  for (auto waiter = waiters_.begin(); waiter != waiters_.end();) {
    const bool is_over = IsOver(waiter->second.deadline, now);
    if (is_over) {
      answers->push_back(
          [done = std::move(waiter->second.done), bounds = bounds_] { done(bounds); });
    }
    waiter = is_over ? waiters_.erase(waiter) : std::next(waiter);
  }
  next_deadline_ = std::max(next_deadline_, now + kExpiryPause);
  return cancelled;
}

void ReadQueue::FailAll(const absl::Status& error, Answers* answers) {
  for (auto& [ticket, barriers] : unmarked_) {
    for (Barrier& barrier : barriers) {
      answers->push_back([done = std::move(barrier.done), error] { done(error); });
    }
  }
  for (auto& [slot, barrier] : marked_) {
    answers->push_back([done = std::move(barrier.done), error] { done(error); });
  }
  for (auto& [last, waiter] : waiters_) {
    answers->push_back([done = std::move(waiter.done), bounds = bounds_] { done(bounds); });
  }
  unmarked_.clear();
  marked_.clear();
  waiters_.clear();
}

}  // namespace distlog
