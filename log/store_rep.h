// The inside of a Store, shared by the files that implement it.

#ifndef DISTLOG_LOG_STORE_REP_H_
#define DISTLOG_LOG_STORE_REP_H_

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "log/position_index.h"
#include "log/segment.h"
#include "log/side_file.h"
#include "log/store.h"

namespace distlog {

// One segment of the row. What is not said to be under `opening` changes under Rep::mutex.
struct SegmentPlace {
  paxos::Slot first = 0;
  std::string dir;

  bool sealed = false;
  v1::SegmentEntry entry;  // As in the side file; of a sealed one.

  // Held while one thread opens or closes the segment, which LevelDB allows but once at a time.
  std::mutex opening;
  bool verified = false;          // By this process, since it was sealed; under `opening`.
  std::weak_ptr<leveldb::DB> db;  // Open, for a reader or the scrub; under `opening`.

  std::shared_ptr<Segment> segment;      // Null: a sealed one that is not open.
  std::shared_ptr<PositionIndex> index;  // Growing until it is sealed. Null with `segment`.
  uint64_t last_used = 0;

  std::string damage;          // Found in it, in words; empty: none.
  bool is_unreadable = false;  // So that its entries cannot be read. With `damage`.
};

// What Rebuild made: these are to take the places of those with the same first slot.
struct Store::Rebuilt {
  std::vector<v1::SegmentEntry> entries;
};

struct Store::Rep {
  Rep(const Options& options, std::string dir, SideFile side);
  ~Rep();

  // store_open.cc
  absl::Status OpenSegments();
  absl::Status OpenPlace(const v1::SegmentEntry& entry, std::vector<uint64_t>* writes);
  absl::Status CheckUnlisted() const;
  absl::Status CheckWrites(std::vector<uint64_t> writes);
  absl::Status LoadCheckpoint();
  absl::Status CheckMark();
  absl::Status BeginRun();

  // store_write.cc
  absl::Status Fail(absl::Status status);
  absl::Status WritePromise(const paxos::Ballot& promised);
  absl::Status WriteAccepts(const std::vector<const paxos::AcceptRecord*>& records);
  absl::Status WriteMark(paxos::Slot through, bool both);
  absl::Status CreateSegment(paxos::Slot first);
  absl::Status WriteCheckpoint(paxos::Slot first, const std::string& state);
  absl::Status SealBefore(size_t place);
  paxos::Slot StoredThrough() const;

  // store_read.cc
  struct Pinned {
    std::shared_ptr<Segment> segment;
    std::shared_ptr<PositionIndex> index;
  };
  absl::StatusOr<Pinned> Pin(const std::shared_ptr<SegmentPlace>& place);
  absl::StatusOr<Pinned> OpenSealed(SegmentPlace* place);
  absl::StatusOr<std::unique_ptr<Segment>> OpenRecords(SegmentPlace* place);
  absl::Status VerifyRecords(Segment* segment, const v1::SegmentEntry& entry, const Pace& pace);
  absl::StatusOr<PositionIndex> ReadIndex(const v1::SegmentEntry& entry) const;
  absl::StatusOr<std::string> ReadCheckpoint(const v1::SegmentEntry& entry) const;
  absl::Status Lost(SegmentPlace* place, const absl::Status& status, bool is_unreadable = true);
  void CloseUnused();
  paxos::Slot LastOf(const SegmentPlace& place) const;
  std::shared_ptr<SegmentPlace> PlaceOfSlot(paxos::Slot slot);
  std::shared_ptr<SegmentPlace> PlaceOfPosition(uint64_t position);

  // store_scrub.cc
  // Of a sealed segment, verified. To be let go of before the store ends.
  absl::StatusOr<std::shared_ptr<Segment>> CheckRecords(const std::shared_ptr<SegmentPlace>& place,
                                                        const v1::SegmentEntry& entry,
                                                        const Pace& pace);
  absl::Status RemoveDir(const std::string& path) const;

  class Rebuilding;  // store_repair.cc
  class Continuing;  // store_continue.cc

  Segment::Options segment_options() const;
  std::string SegmentDir(paxos::Slot first, uint64_t rebuilt = 0) const;

  const Options options;
  const std::string dir;
  Env* const env;
  const std::unique_ptr<leveldb::Cache> cache;
  leveldb::FileLock* lock = nullptr;

  // Of the storage thread.
  SideFile side;  // `contents` changes under `mutex`.
  absl::Status failed;
  uint64_t last_write = 0;
  Recovered recovered;

  mutable std::mutex mutex;
  std::vector<std::shared_ptr<SegmentPlace>> row;       // By first slot; never empty once open.
  std::optional<paxos::Slot> pending_cut;               // Decided, not created yet.
  std::shared_ptr<PositionIndex> pending_index;         // Of that segment.
  std::vector<std::shared_ptr<SegmentPlace>> replaced;  // Not of the row any more; to be removed.
  std::map<paxos::Uuid, PeerStart> peers;
  uint64_t uses = 0;

  std::atomic<paxos::Slot> accepted_through = 0;

  // Of the event loop.
  paxos::Slot handed_through = 0;
  uint64_t handed_bytes = 0;  // In the newest segment.
};

// A sentence for what a server cannot mend by itself, with the remedy.
absl::Status Regressed(const std::string& dir, const absl::Status& status);

// Whether reading failed for what is on disk, or for a disk that cannot read it.
bool IsDamage(const absl::Status& status);

// Whose records a store with this side file may hold.
Owners OwnersOf(const v1::SideFile& contents);

// The writes of a sealed segment.
Segment::Chain SealedChain(const v1::SegmentEntry& entry);

}  // namespace distlog

#endif  // DISTLOG_LOG_STORE_REP_H_
