// The stable state of one replica: a row of segments, each one LevelDB, and a side file.
// docs/storage_format.md has the bytes and the reasons.

#ifndef DISTLOG_LOG_STORE_H_
#define DISTLOG_LOG_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/env.h"
#include "log/sequencer.h"
#include "paxos/options.h"
#include "paxos/record.h"
#include "paxos/types.h"
#include "proto/distlog/v1/common.pb.h"

namespace distlog {

// A file in a data directory that must not be used again, because it is an older copy of itself:
// why, in a sentence. Whoever starts a server looks for it; Open does not.
inline constexpr char kRegressedFile[] = "REGRESSED";

// Who a data directory belongs to.
struct Identity {
  paxos::Uuid uuid;                             // Of this directory; drawn when it is formatted,
                                                // and again when it is recovered.
  std::string cluster_id;                       // 32 bytes; empty while unassigned.
  std::optional<paxos::Configuration> genesis;  // Version 1, set iff assigned.
  std::vector<v1::RecoveredFrom> recovered;     // What it went through since, oldest first.
  paxos::ReplicaId replica{};                   // Its seat; kNoReplica: none.
  // Of a server that joined a running cluster: the configuration that it was given then. It tells
  // whom to ask until the log is known here, and decides nothing.
  std::optional<paxos::Configuration> joined;
  uint64_t start_counter = 0;  // Rises durably with each Open.
  uint64_t start_nonce = 0;    // Drawn at each Open.
};

// An entry as clients see it.
struct LogEntry {
  uint64_t position = 0;
  int64_t timestamp_ms = 0;
  std::string payload;
};

// What Open found, before anything is applied.
struct Recovered {
  paxos::Ballot promised;          // The highest of all evidence.
  paxos::Slot chosen_through = 0;  // The mark: the highest of all evidence.
  std::string checkpoint;  // Newest whole one: Sequencer::Restore. Empty: start from the genesis.
  std::vector<std::string> notes;  // What was wrong and is mended, a sentence each, for the log.
};

// Thread rules: Write, SaveMark, SaveCheckpoint, Assign, RememberPeer and Adopt are called by one
// thread at a time (the storage thread); NoteApplied and CutBefore by one thread (the event loop);
// CheckSealed, Rebuild and RemoveReplaced by one thread (the scrub); the const functions by any
// thread, at any time.
//
// Errors: DataLoss means that what is on disk cannot be what was made durable (a hole, a lost tail,
// a bad checksum, another's record): the message names the object and what to do. After an error of
// Write, SaveMark, SaveCheckpoint or Adopt nobody knows what is on disk: the caller ends the
// process.
class Store {
 public:
  struct Options {
    Env* env = nullptr;                   // Not owned. Null: PosixEnv().
    uint64_t segment_bytes = 64 << 20;    // A segment is cut when its records exceed this ...
    paxos::Slot window = paxos::kWindow;  // ... and it is longer than two windows.
    size_t open_segments = 16;            // Sealed ones kept open for reading.
    size_t memtable_bytes = 8 << 20;      // What LevelDB collects before it writes a table.
    // Test only: never sync. Loses acknowledged entries at a power cut.
    bool unsafe_no_sync = false;
  };

  // Makes a new store in an empty (or missing) directory `dir`. Refuses any other. One that a crash
  // cut off leaves a directory that counts as empty.
  static absl::Status Format(const Options& options, const std::string& dir);
  // Whether `dir` is missing or has nothing in it that matters.
  static absl::StatusOr<bool> IsEmpty(const Options& options, const std::string& dir);
  // Locks and opens, raises the start counter, and verifies the unsealed segments. Never creates.
  // FailedPrecondition: in use, a newer format, not a store. DataLoss: damaged.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const Options& options,
                                                     const std::string& dir);
  ~Store();

  Identity identity() const;
  const Recovered& recovered() const;

  // Makes the genesis, what the cluster has gone through since, and this directory's seat durable,
  // in one write, once. The seat is that of its UUID in `joined`, a configuration of the cluster,
  // if a running cluster adds it, otherwise in the genesis; the caller sees to it that there is
  // one. The same cluster again: OK, and nothing changes. FailedPrecondition: assigned to another.
  absl::Status Assign(const paxos::Configuration& genesis, const std::string& cluster_id,
                      const std::optional<paxos::Configuration>& joined = std::nullopt,
                      const std::vector<v1::RecoveredFrom>& recovered = {});

  // Makes all of `records` durable, or (at a crash) a prefix of the groups they need: one group, or
  // two when they touch both unsealed segments.
  absl::Status Write(std::span<const paxos::Record> records);

  // Makes the mark and evidence of all finished writes durable, lazily: after the sync that it
  // describes. `through` is at most what is chosen and stored here. Costs nothing if nothing has
  // changed.
  absl::Status SaveMark(paxos::Slot through);

  // The state as of the end of slot `first - 1`, for the segment that begins at `first`. Only when
  // every slot below `first` is chosen, stored here, and told by NoteApplied. Seals the segment
  // before.
  absl::Status SaveCheckpoint(paxos::Slot first, const std::string& state);

  // ---- Cutting segments, on the event loop. ----

  // To be called with each group of records before it is handed to the storage thread: decides
  // whether a new segment begins with it, and returns its first slot, which is above every slot
  // handed over before. The caller keeps the applied state as of the end of that slot less one, and
  // hands it to SaveCheckpoint in time. At most one cut is under way.
  std::optional<paxos::Slot> CutBefore(std::span<const paxos::Record> records);

  // The first slot of the (older) segment that still waits for SaveCheckpoint, if one does. To be
  // asked after RecoverLog, too: the run before may have ended between the cut and the checkpoint.
  std::optional<paxos::Slot> waiting_checkpoint() const;

  // Tells what applying a slot did, in slot order, for the position index.
  void NoteApplied(const Applied& applied);

  // ---- Reading, from any thread. ----

  // The newest records of slots `first`..`through`, in order: up to max_bytes of payload, but at
  // least one. The caller knows them stored here. DataLoss if one is missing or damaged: in a
  // sealed segment, sealed_segments() tells so too.
  absl::StatusOr<std::vector<paxos::AcceptedValue>> ReadSlots(paxos::Slot first,
                                                              paxos::Slot through,
                                                              size_t max_bytes) const;

  // The newest records of slots from `first` on, in order; a slot without one is left out.
  absl::StatusOr<std::vector<paxos::AcceptedValue>> ReadAccepted(paxos::Slot first) const;

  // Entries from position `from` to `to` (at most what NoteApplied told and what is stored): up to
  // max_bytes of payload, but at least one. OutOfRange: `from` is below the first position.
  // DataLoss as of ReadSlots.
  absl::StatusOr<std::vector<LogEntry>> ReadEntries(uint64_t from, uint64_t to,
                                                    size_t max_bytes) const;

  // ---- Sealed segments: scrub and repair. ----
  //
  // Sealing a segment requires that each of its slots is chosen, stored and applied here
  // (SaveCheckpoint), and no write reaches it afterwards. So whatever is damaged in it later is
  // known to have been chosen: a value is chosen in one slot only (P1), any replica that has the
  // slot chosen has the same one, and no promise, mark or vote rests on it. That is why it may be
  // taken from others, which what is in an unsealed segment may not.

  struct SealedSegment {
    paxos::Slot first = 0;
    paxos::Slot last = 0;
    std::string damage;    // A sentence, from when it is found until it is repaired. Empty: none.
    uint64_t rebuilt = 0;  // How often it was, ever.
  };
  std::vector<SealedSegment> sealed_segments() const;

  // Reads all of the sealed segment that begins at `first`: records, index and checkpoint.
  // DataLoss: it is damaged, which sealed_segments() tells from then on. Cancelled: by `pace`. Any
  // other error: it could not be read, and nothing is known.
  absl::Status CheckSealed(paxos::Slot first, const Pace& pace);

  // Values that another replica has chosen: of the slots from `first` on, in order, at least one,
  // none above `through`.
  using FetchChosen = std::function<absl::StatusOr<std::vector<paxos::AcceptedValue>>(
      paxos::Slot first, paxos::Slot through)>;
  struct Rebuilt;

  // Makes a whole copy of the damaged segment that begins at `first` beside it, of values fetched,
  // or of its own if only its index or checkpoint is bad, and changes nothing else. The values are
  // applied from the checkpoint before them, and must come to the state of the checkpoint after
  // them; segments between the two that are damaged as well are in the result too. DataLoss: they
  // do not, so that what was fetched is not what was chosen, or there is nothing to compare with.
  // ResourceExhausted: less than `reserve_bytes` would be left on the disk. Cancelled: by `pace`.
  // Errors of `fetch` as they are. After an error nothing is left of the copy.
  absl::StatusOr<std::shared_ptr<const Rebuilt>> Rebuild(paxos::Slot first,
                                                         const FetchChosen& fetch,
                                                         uint64_t reserve_bytes, const Pace& pace);

  // Puts what Rebuild made in the place of what is damaged, in one durable write. Neither promise
  // nor mark changes. The next start may find the one or the other, and removes the rest.
  absl::Status Adopt(const Rebuilt& rebuilt);

  // Removes from the disk what Adopt replaced, as far as nobody reads it any more.
  absl::Status RemoveReplaced();

  // ---- Recovery after a quorum was lost for good: log/recovery.h alone calls it. ----

  struct Continuation {
    v1::RecoveredFrom from;
    // All of the slots above recovered().chosen_through, in order: `from.slot`, the configuration
    // and more. They are chosen from now on.
    std::vector<paxos::AcceptedValue> values;
    paxos::Ballot promised;              // At least every ballot in `values`.
    paxos::Configuration configuration;  // The one in `values`; its only member is this directory,
    paxos::Uuid uuid;                    // by this UUID.
  };
  // Makes the log here that of another cluster, with other ids: in one durable write, before which
  // the directory is what it was, and after which it is a member of that cluster. Until then the
  // new values stand in copies of the unsealed segments, which a start removes. Unknown: that write
  // failed, and it is the one or the other. The store takes no more calls afterwards: it is to be
  // closed.
  absl::Status Continue(const Continuation& next);

  // ---- Peers. ----

  struct PeerStart {
    uint64_t start_counter = 0;
    uint64_t start_nonce = 0;
  };
  // The highest start that a peer has told, durably. Default if never. ResourceExhausted: too many
  // peers; nothing has changed, and the store goes on.
  PeerStart RememberedPeer(const paxos::Uuid& peer) const;
  absl::Status RememberPeer(const paxos::Uuid& peer, const PeerStart& start);

  // ---- For status. ----
  uint64_t disk_used_bytes() const;
  // What is left on the disk. Appends are to be refused before it is full.
  absl::StatusOr<uint64_t> FreeBytes() const;
  size_t segments() const;
  // The highest slot accepted or learned, durably.
  paxos::Slot accepted_through() const;

 private:
  struct Rep;
  explicit Store(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

// Rebuilds the applied state from an opened store: restores the checkpoint, applies the slots after
// it through the mark (telling the store by NoteApplied), and collects what was accepted above.
// Needs an assigned store. An error of Sequencer::Apply is returned as it is.
struct RecoveredLog {
  Sequencer sequencer;
  paxos::DurableState state;
};
absl::StatusOr<RecoveredLog> RecoverLog(Store* store);

}  // namespace distlog

#endif  // DISTLOG_LOG_STORE_H_
