// One LevelDB with the records of a run of slots.

#ifndef DISTLOG_LOG_SEGMENT_H_
#define DISTLOG_LOG_SEGMENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "leveldb/cache.h"
#include "leveldb/db.h"
#include "log/env.h"
#include "log/record.h"
#include "paxos/record.h"
#include "paxos/types.h"

namespace distlog {

// Errors name the directory and the slot. Read may be called by any thread at any time; the others
// by one thread at a time.
class Segment {
 public:
  struct Options {
    Env* env = nullptr;
    leveldb::Cache* cache = nullptr;  // Of blocks; not owned.
    size_t memtable_bytes = 8 << 20;
    bool sync = true;
  };

  // How far its writes have come: known of what was durable, or found.
  struct Chain {
    uint64_t last_write = 0;  // 0: none.
    uint64_t digest = 0;      // Over all of them.
    friend bool operator==(const Chain&, const Chain&) = default;
  };

  // Makes an empty one in `dir`, which may hold what a crash left of an earlier attempt. Durable on
  // return.
  static absl::Status Create(const Options& options, const std::string& dir);

  // Opens the one in `dir`, for slots from `first` on. Creates nothing. Its records are not looked
  // at: Verify, before anything else.
  static absl::StatusOr<std::unique_ptr<Segment>> Open(const Options& options,
                                                       const std::string& dir, paxos::Slot first);

  // The same in two steps, for several Segments over one LevelDB, which can be open but once.
  static absl::StatusOr<std::shared_ptr<leveldb::DB>> OpenDb(const Options& options,
                                                             const std::string& dir);
  Segment(std::string dir, paxos::Slot first, std::shared_ptr<leveldb::DB> db, bool sync);

  // Reads all of it. DataLoss unless it is whole: each record under its key, with good checksums,
  // of these owners, at or below `last` (if that is not 0); no write missing between the first and
  // the last, each complete; and `known` among them, with that digest. Cancelled: by `pace`.
  absl::Status Verify(const Owners& owners, paxos::Slot last, const Chain& known,
                      const Pace& pace = nullptr);

  // Makes the records durable, as write number `write`. Of two for one slot the later counts,
  // alone. After an error nobody knows what is on disk.
  absl::Status Write(const Owner& owner, std::span<const paxos::AcceptRecord* const> records,
                     uint64_t write);

  // Begins to move what was written from memory and the write-ahead log to a table: no write
  // follows.
  absl::Status StartFlush();

  // Adds to *values the newest records of slots `first`..`through`, in order, until there are
  // `max_bytes` of payload in *values, but at least one. DataLoss if one is damaged or, unless
  // `allow_gaps`, missing.
  absl::Status Read(paxos::Slot first, paxos::Slot through, bool allow_gaps, size_t max_bytes,
                    std::vector<paxos::AcceptedValue>* values) const;

  const std::string& dir() const { return dir_; }
  const std::shared_ptr<leveldb::DB>& db() const { return db_; }
  paxos::Slot first() const { return first_; }
  const Chain& chain() const { return chain_; }
  paxos::Slot highest_slot() const { return highest_slot_; }  // first() - 1 if empty.
  // Every slot from first() through this has a record. first() - 1: not even that has.
  paxos::Slot stored_through() const { return stored_through_; }
  const paxos::Ballot& highest_ballot() const { return highest_ballot_; }
  paxos::Slot chosen_through() const { return chosen_through_; }  // The highest in any record.
  uint64_t bytes() const { return bytes_; }                       // Of the records.
  // The numbers of its writes, rising, as found by Verify.
  const std::vector<uint64_t>& verified_writes() const { return verified_writes_; }

 private:
  struct Seen;

  absl::Status Damaged(paxos::Slot slot, const std::string& what) const;
  absl::StatusOr<std::vector<Seen>> ReadAll(const Owners& owners, paxos::Slot last,
                                            const Pace& pace);
  absl::Status FollowChain(const std::vector<Seen>& records, const Chain& known);
  void Note(const RecordHeader& header);

  const std::string dir_;
  const paxos::Slot first_;
  const std::shared_ptr<leveldb::DB> db_;
  const bool sync_;

  Chain chain_;
  paxos::Slot highest_slot_;
  paxos::Slot stored_through_;
  paxos::Ballot highest_ballot_;
  paxos::Slot chosen_through_ = 0;
  uint64_t bytes_ = 0;
  std::vector<bool> present_;  // By slot, from first_ on.
  std::vector<uint64_t> verified_writes_;
};

}  // namespace distlog

#endif  // DISTLOG_LOG_SEGMENT_H_
