// A file system in memory whose power can be cut, for tests.

#ifndef DISTLOG_LOG_FAULT_ENV_H_
#define DISTLOG_LOG_FAULT_ENV_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "log/env.h"

namespace distlog {

// Keeps what Env promises and not a byte more. Every call that changes something is counted,
// from 1.
//
// Thread-safe.
class FaultEnv : public Env {
 public:
  // What a power cut leaves of bytes that were written and not synced.
  enum class Unsynced { kDropped, kTorn, kKept };

  uint64_t calls() const;
  // The call with this number, and all that follow, fail; an append or overwrite leaves part of its
  // bytes. 0: none.
  void FailFrom(uint64_t call);
  // That call alone fails.
  void FailOnce(uint64_t call);
  // No more than this is ever held: beyond it the disk is full.
  void SetCapacity(uint64_t bytes);

  // The machine comes back: what was not synced is lost, torn or kept; files removed since their
  // directory was last synced may be there again; nothing fails any more. Everything that used this
  // Env must be gone.
  void CutPower(Unsynced unsynced);

  // For tests that damage files.
  std::vector<std::string> Files() const;
  std::string Contents(const std::string& path) const;
  // Makes the directories it needs.
  void SetContents(const std::string& path, const std::string& contents);

  leveldb::Status NewSequentialFile(const std::string& path,
                                    leveldb::SequentialFile** file) override;
  leveldb::Status NewRandomAccessFile(const std::string& path,
                                      leveldb::RandomAccessFile** file) override;
  leveldb::Status NewWritableFile(const std::string& path, leveldb::WritableFile** file) override;
  leveldb::Status Overwrite(const std::string& path, const leveldb::Slice& bytes,
                            bool sync) override;
  leveldb::Status FreeBytes(const std::string& path, uint64_t* bytes) override;
  bool FileExists(const std::string& path) override;
  leveldb::Status GetChildren(const std::string& dir, std::vector<std::string>* names) override;
  leveldb::Status RemoveFile(const std::string& path) override;
  leveldb::Status CreateDir(const std::string& dir) override;
  leveldb::Status RemoveDir(const std::string& dir) override;
  leveldb::Status GetFileSize(const std::string& path, uint64_t* size) override;
  leveldb::Status RenameFile(const std::string& from, const std::string& to) override;
  leveldb::Status LockFile(const std::string& path, leveldb::FileLock** lock) override;
  leveldb::Status UnlockFile(leveldb::FileLock* lock) override;

 private:
  struct File {
    std::string current;
    std::string durable;
  };
  class Reader;
  class Writer;

  // With mutex_ held.
  bool Fails();
  leveldb::Status Append(File* file, const leveldb::Slice& bytes);
  leveldb::Status Sync(File* file);
  leveldb::Status Find(const std::string& path, std::shared_ptr<File>* file) const;
  void DirIsSynced(const std::string& dir);
  uint64_t Used() const;

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<File>> files_;
  std::map<std::string, std::shared_ptr<File>> removed_;  // Not yet durably.
  std::set<std::string> dirs_;
  std::set<std::string> locks_;
  uint64_t calls_ = 0;
  uint64_t fail_from_ = 0;
  uint64_t fail_once_ = 0;
  uint64_t capacity_ = ~uint64_t{0};
};

}  // namespace distlog

#endif  // DISTLOG_LOG_FAULT_ENV_H_
