#include "server/scrubber.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "server/logging.h"

namespace distlog {
namespace {

// Of ioprio_set(2), which has no header for C++.
constexpr int kThisThread = 1;
constexpr int kIdleClass = 3 << 13;

// Damaged segments told by one status.
constexpr int kMaxTold = 100;

// Takes only what others leave of processor and disk. If the system refuses, the rate is bounded
// all the same.
void LowerPriority() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 19);
  syscall(SYS_ioprio_set, kThisThread, 0, kIdleClass);
}

}  // namespace

Scrubber::Scrubber(Options options, World world)
    : options_(options), world_(std::move(world)), thread_([this] { Loop(); }) {}

Scrubber::~Scrubber() { Stop(); }

void Scrubber::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Scrubber::Loop() {
  LowerPriority();
  bool goes_on = true;
  while (goes_on) {
    while (RepairOne()) {
    }
    if (const std::optional<paxos::Slot> due = NextDue()) {
      Check(*due);
      NoteCompleted();
      goes_on = WaitUntil(Clock::now());
    } else {
      NoteCompleted();
      goes_on = WaitUntil(Clock::now() + options_.look_interval);
    }
  }
}

// A round is complete when every segment was verified since it began. (In a long log some are due
// again before the last one is reached.)
void Scrubber::NoteCompleted() {
  if (options_.bytes_per_second == 0) return;
  for (const Store::SealedSegment& segment : world_.store->sealed_segments()) {
    const auto checked = checked_.find(segment.first);
    if (checked == checked_.end() || checked->second < round_began_) return;
  }
  round_began_ = Clock::now();
  std::lock_guard lock(mutex_);
  completed_ = round_began_;
}

bool Scrubber::WaitUntil(Clock::time_point time) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, time, [this] { return stop_; });
  return !stop_;
}

bool Scrubber::Pace(size_t bytes) {
  if (options_.bytes_per_second > 0) {
    const double seconds = static_cast<double>(bytes) / options_.bytes_per_second;
    paid_until_ = std::max(paid_until_, Clock::now()) + std::chrono::duration_cast<Clock::duration>(
                                                            std::chrono::duration<double>(seconds));
  }
  return WaitUntil(paid_until_);
}

// The segment that was verified longest ago, if that is too long.
std::optional<paxos::Slot> Scrubber::NextDue() const {
  if (options_.bytes_per_second == 0) return std::nullopt;
  std::optional<paxos::Slot> due;
  Clock::time_point oldest = Clock::now() - options_.round_interval;
  for (const Store::SealedSegment& segment : world_.store->sealed_segments()) {
    const auto checked = checked_.find(segment.first);
    if (checked == checked_.end()) return segment.first;
    if (checked->second > oldest) continue;
    oldest = checked->second;
    due = segment.first;
  }
  return due;
}

void Scrubber::Check(paxos::Slot first) {
  const absl::Status status =
      world_.store->CheckSealed(first, [this](size_t bytes) { return Pace(bytes); });
  if (absl::IsCancelled(status)) return;
  checked_[first] = Clock::now();
  // Damage is told with its repair.
  if (!status.ok() && !absl::IsDataLoss(status)) {
    LOG(WARNING) << "the scrub could not read a segment, and will again: " << status.message();
  }
}

// Whether a segment was repaired: there may be more to do.
bool Scrubber::RepairOne() {
  const absl::Status removed = world_.store->RemoveReplaced();
  if (!removed.ok()) {
    LOG(WARNING) << "a segment that was replaced is removed by the next start only: "
                 << removed.message();
  }
  const std::vector<Store::SealedSegment> segments = world_.store->sealed_segments();
  for (const Store::SealedSegment& segment : segments) {
    if (segment.damage.empty()) continue;
    if (std::exchange(told_[segment.first], segment.damage) != segment.damage) {
      LOG(ERROR) << segment.damage;
    }
    {
      std::lock_guard lock(mutex_);
      const auto attempt = attempts_.find(segment.first);
      if (attempt != attempts_.end() && Clock::now() < attempt->second.next) continue;
    }
    const absl::Status status = Repair(segment.first);
    if (status.ok()) {
      NoteRepaired(segments);
      return true;
    }
    if (absl::IsCancelled(status)) return false;
    NoteFailure(segment, status);
  }
  return false;
}

// Of the segments as they were `before` several may have been repaired together.
void Scrubber::NoteRepaired(const std::vector<Store::SealedSegment>& before) {
  const std::vector<Store::SealedSegment> now = world_.store->sealed_segments();
  for (size_t i = 0; i < before.size(); ++i) {
    const Store::SealedSegment& segment = now[i];
    if (segment.rebuilt == before[i].rebuilt) continue;
    LOG(INFO) << "slots " << segment.first << " to " << segment.last
              << " were damaged on disk, and are repaired";
    told_.erase(segment.first);
    std::lock_guard lock(mutex_);
    attempts_.erase(segment.first);
    ++repaired_;
  }
}

absl::Status Scrubber::Repair(paxos::Slot first) {
  const absl::StatusOr<std::shared_ptr<const Store::Rebuilt>> rebuilt = world_.store->Rebuild(
      first, world_.fetch, options_.reserve_bytes, [this](size_t bytes) { return Pace(bytes); });
  if (!rebuilt.ok()) return rebuilt.status();
  return world_.run_on_storage([rebuilt = *rebuilt](Store* store) {
    absl::Status status = store->Adopt(*rebuilt);
    // As after any write of the store that failed.
    if (!status.ok() && !absl::IsFailedPrecondition(status)) Die(status);
    return status;
  });
}

void Scrubber::NoteFailure(const Store::SealedSegment& segment, const absl::Status& status) {
  const std::string error(status.message());
  world_.turn_to_next();
  std::lock_guard lock(mutex_);
  Attempt& attempt = attempts_[segment.first];
  attempt.pause =
      std::clamp(2 * attempt.pause, options_.retry_interval, options_.max_retry_interval);
  attempt.next = Clock::now() + attempt.pause;
  if (std::exchange(attempt.error, error) != error) {
    LOG(WARNING) << "slots " << segment.first << " to " << segment.last
                 << " cannot be repaired yet: " << error;
  }
}

void Scrubber::FillStatus(v1::ServerStatus* status) const {
  const std::vector<Store::SealedSegment> segments = world_.store->sealed_segments();
  std::lock_guard lock(mutex_);
  status->set_scrub_completed_age_ms(
      completed_.has_value()
          ? std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - *completed_)
                .count()
          : -1);
  status->set_repaired_segments(repaired_);
  for (const Store::SealedSegment& segment : segments) {
    if (segment.damage.empty() || status->damaged_segments_size() >= kMaxTold) continue;
    v1::DamagedSegment* damaged = status->add_damaged_segments();
    damaged->set_first_slot(segment.first);
    damaged->set_last_slot(segment.last);
    damaged->set_damage(segment.damage);
    const auto attempt = attempts_.find(segment.first);
    if (attempt != attempts_.end()) damaged->set_repair_error(attempt->second.error);
  }
}

}  // namespace distlog
