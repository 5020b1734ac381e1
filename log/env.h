// The file system as the store needs it.

#ifndef DISTLOG_LOG_ENV_H_
#define DISTLOG_LOG_ENV_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "leveldb/env.h"

namespace distlog {

// What LevelDB asks of an Env, and more:
// - a file or directory that was created or renamed is in its directory, durably, on return (its
// bytes
//   only after Sync);
// - files have the mode 0600 and directories 0700, whatever the umask;
// - files are read by pread, never through a map: a bad disk is a Status, not a signal;
// - a file lock excludes every other open of the file, in this process too.
//
// Thread-safe.
class Env : public leveldb::Env {
 public:
  // Writes `bytes` over the beginning of `path`, in place, making the file if it is missing;
  // durable on return if `sync`. What the file has beyond is left. A crash on the way leaves any
  // mix of old and new.
  virtual leveldb::Status Overwrite(const std::string& path, const leveldb::Slice& bytes,
                                    bool sync) = 0;

  // What is left for this process on the file system that holds `path`.
  virtual leveldb::Status FreeBytes(const std::string& path, uint64_t* bytes) = 0;

  // The rest is the same for all of them.
  void Schedule(void (*function)(void*), void* argument) override;
  void StartThread(void (*function)(void*), void* argument) override;
  leveldb::Status GetTestDirectory(std::string* path) override;
  leveldb::Status NewLogger(const std::string& path, leveldb::Logger** logger) override;
  uint64_t NowMicros() override;
  void SleepForMicroseconds(int micros) override;
};

// The file system of the machine. Lives for ever.
Env* PosixEnv();

// Says nothing. Lives for ever. (LevelDB's own log file is neither checked nor bounded.)
leveldb::Logger* QuietLogger();

// Makes `path` with `bytes` in it, durable on return if `sync`. Replaces a file of that name.
leveldb::Status WriteFile(Env* env, const std::string& path, const leveldb::Slice& bytes,
                          bool sync);

// Removes the files in `dir`, which has no directories in it.
leveldb::Status EmptyDir(Env* env, const std::string& dir);

// Called with the bytes read or written since the call before by work that can wait. Returns when
// it may go on; false: it is to give up.
using Pace = std::function<bool(size_t bytes)>;

// `status` of something done to `object` as an absl::Status: DataLoss for a missing file or damage,
// ResourceExhausted for a full disk, Unavailable for any other error of the disk.
absl::Status ToAbsl(const leveldb::Status& status, const std::string& object);

}  // namespace distlog

#endif  // DISTLOG_LOG_ENV_H_
