// Verifying sealed segments in the background.

#include <utility>

#include "absl/strings/str_cat.h"
#include "log/store_rep.h"

namespace distlog {

std::vector<Store::SealedSegment> Store::sealed_segments() const {
  const std::lock_guard lock(rep_->mutex);
  std::vector<SealedSegment> sealed;
  for (const auto& place : rep_->row) {
    if (!place->sealed) continue;
    sealed.push_back({.first = place->first,
                      .last = place->entry.last(),
                      .damage = place->damage,
                      .rebuilt = place->entry.rebuilt()});
  }
  return sealed;
}

// Readers may open, read and close it meanwhile: only opening and closing exclude each other.
absl::StatusOr<std::shared_ptr<Segment>> Store::Rep::CheckRecords(
    const std::shared_ptr<SegmentPlace>& place, const v1::SegmentEntry& entry, const Pace& pace) {
  std::shared_ptr<Segment> segment;
  {
    const std::lock_guard opening(place->opening);
    std::shared_ptr<Segment> idle;
    {
      const std::lock_guard guard(mutex);
      // What is open does not show that one of its files is gone.
      if (place->segment != nullptr && place->segment.use_count() == 1) {
        idle = std::exchange(place->segment, nullptr);
        place->index = nullptr;
      }
    }
    idle.reset();
    absl::StatusOr<std::unique_ptr<Segment>> opened = OpenRecords(place.get());
    if (!opened.ok()) return opened.status();
    segment = std::shared_ptr<Segment>(opened->release(), [place](Segment* closed) {
      const std::lock_guard opening(place->opening);
      delete closed;
    });
  }
  const absl::Status status = VerifyRecords(segment.get(), entry, pace);
  if (!status.ok()) return status;
  {
    const std::lock_guard opening(place->opening);
    place->verified = true;
  }
  return segment;
}

absl::Status Store::CheckSealed(paxos::Slot first, const Pace& pace) {
  Rep& rep = *rep_;
  const std::shared_ptr<SegmentPlace> place = rep.PlaceOfSlot(first);
  v1::SegmentEntry entry;
  {
    const std::lock_guard guard(rep.mutex);
    if (place == nullptr || place->first != first || !place->sealed) {
      return absl::FailedPreconditionError(
          absl::StrCat("store ", rep.dir, ": no sealed segment begins at slot ", first));
    }
    entry = place->entry;
  }
  absl::Status status = rep.CheckRecords(place, entry, pace).status();
  if (status.ok()) status = rep.ReadIndex(entry).status();
  if (!status.ok()) return rep.Lost(place.get(), status);
  if (entry.has_checkpoint()) status = rep.ReadCheckpoint(entry).status();
  if (!status.ok()) return rep.Lost(place.get(), status, /*is_unreadable=*/false);
  const std::lock_guard guard(rep.mutex);
  place->damage.clear();
  place->is_unreadable = false;
  return absl::OkStatus();
}

absl::Status Store::Rep::RemoveDir(const std::string& path) const {
  if (!env->FileExists(path)) return absl::OkStatus();
  leveldb::Status status = EmptyDir(env, path);
  if (status.ok()) status = env->RemoveDir(path);
  return ToAbsl(status, path);
}

absl::Status Store::RemoveReplaced() {
  Rep& rep = *rep_;
  std::vector<std::shared_ptr<SegmentPlace>> unused;
  {
    const std::lock_guard guard(rep.mutex);
    // It is not of the row, so that nobody who does not hold it can get hold of it.
    std::erase_if(rep.replaced, [&](const std::shared_ptr<SegmentPlace>& place) {
      if (place.use_count() > 1) return false;
      if (place->segment != nullptr && place->segment.use_count() > 1) return false;
      unused.push_back(place);
      return true;
    });
  }
  absl::Status first_error;
  for (const std::shared_ptr<SegmentPlace>& place : unused) {
    place->segment.reset();
    const absl::Status status = rep.RemoveDir(place->dir);
    if (first_error.ok()) first_error = status;
  }
  return first_error;
}

}  // namespace distlog
