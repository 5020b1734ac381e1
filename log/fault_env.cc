#include "log/fault_env.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace distlog {

using leveldb::Slice;
using leveldb::Status;

namespace {

std::string DirName(const std::string& path) { return path.substr(0, path.rfind('/')); }

Status Injected() { return Status::IOError("injected fault"); }

struct Lock : leveldb::FileLock {
  explicit Lock(std::string path) : path(std::move(path)) {}
  std::string path;
};

// What is left of a file that was `durable` and became `current`: part of the change. Where it ends
// differs with `salt`: often within the first bytes, which is where a header stands.
std::string Torn(const std::string& durable, const std::string& current, uint64_t salt) {
  const auto differs =
      std::mismatch(durable.begin(), durable.end(), current.begin(), current.end());
  const size_t same = differs.second - current.begin();
  const size_t changed = current.size() - same;
  if (changed == 0) return current;
  const size_t most = salt % 2 == 0 ? changed : std::min<size_t>(changed, 64);
  const size_t end = same + salt * 7919 % most;
  std::string torn = current.substr(0, end);
  if (durable.size() > end) torn += durable.substr(end);
  return torn;
}

}  // namespace

class FaultEnv::Reader : public leveldb::SequentialFile, public leveldb::RandomAccessFile {
 public:
  Reader(FaultEnv* env, std::shared_ptr<File> file) : env_(env), file_(std::move(file)) {}

  Status Read(uint64_t offset, size_t n, Slice* result, char* scratch) const override {
    const std::lock_guard lock(env_->mutex_);
    const std::string& bytes = file_->current;
    const size_t begin = std::min<uint64_t>(offset, bytes.size());
    const size_t size = std::min(n, bytes.size() - begin);
    std::memcpy(scratch, bytes.data() + begin, size);
    *result = Slice(scratch, size);
    return Status::OK();
  }

  Status Read(size_t n, Slice* result, char* scratch) override {
    const Status status = Read(offset_, n, result, scratch);
    offset_ += result->size();
    return status;
  }

  Status Skip(uint64_t n) override {
    offset_ += n;
    return Status::OK();
  }

 private:
  FaultEnv* const env_;
  const std::shared_ptr<File> file_;
  uint64_t offset_ = 0;
};

class FaultEnv::Writer : public leveldb::WritableFile {
 public:
  Writer(FaultEnv* env, std::shared_ptr<File> file) : env_(env), file_(std::move(file)) {}

  Status Append(const Slice& bytes) override {
    const std::lock_guard lock(env_->mutex_);
    return env_->Append(file_.get(), bytes);
  }
  Status Close() override { return Status::OK(); }
  Status Flush() override { return Status::OK(); }
  Status Sync() override {
    const std::lock_guard lock(env_->mutex_);
    return env_->Sync(file_.get());
  }

 private:
  FaultEnv* const env_;
  const std::shared_ptr<File> file_;
};

uint64_t FaultEnv::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

void FaultEnv::FailFrom(uint64_t call) {
  const std::lock_guard lock(mutex_);
  fail_from_ = call;
}

void FaultEnv::FailOnce(uint64_t call) {
  const std::lock_guard lock(mutex_);
  fail_once_ = call;
}

void FaultEnv::SetCapacity(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

void FaultEnv::CutPower(Unsynced unsynced) {
  const std::lock_guard lock(mutex_);
  fail_from_ = 0;
  fail_once_ = 0;
  if (unsynced != Unsynced::kKept) {
    for (auto& [path, file] : removed_) files_.emplace(path, std::move(file));
  }
  removed_.clear();
  for (auto& [path, file] : files_) {
    if (unsynced == Unsynced::kDropped) file->current = file->durable;
    if (unsynced == Unsynced::kTorn) file->current = Torn(file->durable, file->current, calls_);
    file->durable = file->current;
  }
}

std::vector<std::string> FaultEnv::Files() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> paths;
  for (const auto& [path, file] : files_) paths.push_back(path);
  return paths;
}

std::string FaultEnv::Contents(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return files_.at(path)->current;
}

void FaultEnv::SetContents(const std::string& path, const std::string& contents) {
  const std::lock_guard lock(mutex_);
  files_[path] = std::make_shared<File>(File{.current = contents, .durable = contents});
  for (std::string dir = DirName(path); !dir.empty(); dir = DirName(dir)) dirs_.insert(dir);
}

bool FaultEnv::Fails() {
  ++calls_;
  return calls_ == fail_once_ || (fail_from_ != 0 && calls_ >= fail_from_);
}

Status FaultEnv::Find(const std::string& path, std::shared_ptr<File>* file) const {
  const auto found = files_.find(path);
  if (found == files_.end()) return Status::NotFound(path, std::strerror(ENOENT));
  *file = found->second;
  return Status::OK();
}

uint64_t FaultEnv::Used() const {
  uint64_t used = 0;
  for (const auto& [path, file] : files_) used += file->current.size();
  return used;
}

Status FaultEnv::Append(File* file, const Slice& bytes) {
  const bool is_full = capacity_ != ~uint64_t{0} && Used() + bytes.size() > capacity_;
  const bool fails = Fails();
  file->current.append(bytes.data(), fails || is_full ? bytes.size() / 2 : bytes.size());
  if (fails) return Injected();
  return is_full ? Status::IOError("disk", std::strerror(ENOSPC)) : Status::OK();
}

Status FaultEnv::Sync(File* file) {
  if (Fails()) return Injected();
  file->durable = file->current;
  return Status::OK();
}

void FaultEnv::DirIsSynced(const std::string& dir) {
  std::erase_if(removed_, [&](const auto& entry) { return DirName(entry.first) == dir; });
}

Status FaultEnv::NewSequentialFile(const std::string& path, leveldb::SequentialFile** result) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<File> file;
  const Status status = Find(path, &file);
  *result = status.ok() ? new Reader(this, std::move(file)) : nullptr;
  return status;
}

Status FaultEnv::NewRandomAccessFile(const std::string& path, leveldb::RandomAccessFile** result) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<File> file;
  const Status status = Find(path, &file);
  *result = status.ok() ? new Reader(this, std::move(file)) : nullptr;
  return status;
}

Status FaultEnv::NewWritableFile(const std::string& path, leveldb::WritableFile** result) {
  const std::lock_guard lock(mutex_);
  *result = nullptr;
  if (Fails()) return Injected();
  if (!dirs_.contains(DirName(path))) return Status::NotFound(path, std::strerror(ENOENT));
  std::shared_ptr<File>& file = files_[path];
  if (file == nullptr) file = std::make_shared<File>();
  file->current.clear();
  DirIsSynced(DirName(path));
  *result = new Writer(this, file);
  return Status::OK();
}

Status FaultEnv::Overwrite(const std::string& path, const Slice& bytes, bool sync) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<File>& file = files_[path];
  if (file == nullptr) file = std::make_shared<File>();
  std::string after = bytes.ToString();
  if (file->current.size() > after.size()) after += file->current.substr(after.size());
  const bool fails = Fails();
  file->current = fails ? Torn(file->current, after, calls_) : after;
  if (fails) return Injected();
  DirIsSynced(DirName(path));
  return sync ? Sync(file.get()) : Status::OK();
}

Status FaultEnv::FreeBytes(const std::string&, uint64_t* bytes) {
  const std::lock_guard lock(mutex_);
  *bytes = capacity_ - std::min(capacity_, Used());
  return Status::OK();
}

bool FaultEnv::FileExists(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return files_.contains(path) || dirs_.contains(path);
}

Status FaultEnv::GetChildren(const std::string& dir, std::vector<std::string>* names) {
  const std::lock_guard lock(mutex_);
  names->clear();
  if (!dirs_.contains(dir)) return Status::NotFound(dir, std::strerror(ENOENT));
  for (const auto& [path, file] : files_) {
    if (DirName(path) == dir) names->push_back(path.substr(dir.size() + 1));
  }
  for (const std::string& path : dirs_) {
    if (DirName(path) == dir) names->push_back(path.substr(dir.size() + 1));
  }
  return Status::OK();
}

Status FaultEnv::RemoveFile(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (Fails()) return Injected();
  auto node = files_.extract(path);
  if (node.empty()) return Status::NotFound(path, std::strerror(ENOENT));
  removed_[path] = std::move(node.mapped());
  return Status::OK();
}

Status FaultEnv::CreateDir(const std::string& dir) {
  const std::lock_guard lock(mutex_);
  if (Fails()) return Injected();
  return dirs_.insert(dir).second ? Status::OK() : Status::IOError(dir, std::strerror(EEXIST));
}

Status FaultEnv::RemoveDir(const std::string& dir) {
  const std::lock_guard lock(mutex_);
  if (Fails()) return Injected();
  std::erase_if(removed_, [&](const auto& entry) { return DirName(entry.first) == dir; });
  return dirs_.erase(dir) == 1 ? Status::OK() : Status::NotFound(dir, std::strerror(ENOENT));
}

Status FaultEnv::GetFileSize(const std::string& path, uint64_t* size) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<File> file;
  const Status status = Find(path, &file);
  *size = status.ok() ? file->current.size() : 0;
  return status;
}

Status FaultEnv::RenameFile(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  if (Fails()) return Injected();
  auto node = files_.extract(from);
  if (node.empty()) return Status::NotFound(from, std::strerror(ENOENT));
  files_[to] = std::move(node.mapped());
  DirIsSynced(DirName(to));
  return Status::OK();
}

Status FaultEnv::LockFile(const std::string& path, leveldb::FileLock** lock) {
  const std::lock_guard guard(mutex_);
  *lock = nullptr;
  if (!dirs_.contains(DirName(path))) return Status::NotFound(path, std::strerror(ENOENT));
  if (!locks_.insert(path).second) return Status::IOError(path, "already locked");
  if (!files_.contains(path)) files_[path] = std::make_shared<File>();
  *lock = new Lock(path);
  return Status::OK();
}

Status FaultEnv::UnlockFile(leveldb::FileLock* lock) {
  const std::lock_guard guard(mutex_);
  locks_.erase(static_cast<Lock*>(lock)->path);
  delete lock;
  return Status::OK();
}

}  // namespace distlog
