#include "log/env.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace distlog {
namespace {

using leveldb::Slice;
using leveldb::Status;

constexpr size_t kBufferBytes = 64 << 10;

Status Error(const std::string& path, int error) {
  if (error == ENOENT) return Status::NotFound(path, std::strerror(error));
  return Status::IOError(path, std::strerror(error));
}

// An open file, closed with the object.
struct File {
  File(std::string path, int flags) : path(std::move(path)) {
    do {
      fd = ::open(this->path.c_str(), flags | O_CLOEXEC, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) error = errno;
  }
  ~File() {
    if (fd >= 0) ::close(fd);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  Status status() const { return fd < 0 ? Error(path, error) : Status::OK(); }

  Status Close() {
    const int closed = ::close(std::exchange(fd, -1));
    return closed == 0 ? Status::OK() : Error(path, errno);
  }

  Status Sync() const { return ::fdatasync(fd) == 0 ? Status::OK() : Error(path, errno); }

  // At the end of what was written before if `offset` is negative.
  Status Write(const char* bytes, size_t size, off_t offset) const {
    while (size > 0) {
      const ssize_t written =
          offset < 0 ? ::write(fd, bytes, size) : ::pwrite(fd, bytes, size, offset);
      if (written < 0) {
        if (errno == EINTR) continue;
        return Error(path, errno);
      }
      bytes += written;
      size -= written;
      if (offset >= 0) offset += written;
    }
    return Status::OK();
  }

  std::string path;
  int fd = -1;
  int error = 0;
};

std::string DirName(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status SyncDir(const std::string& dir) {
  const File file(dir, O_RDONLY | O_DIRECTORY);
  if (!file.status().ok()) return file.status();
  return ::fsync(file.fd) == 0 ? Status::OK() : Error(dir, errno);
}

class PosixSequentialFile : public leveldb::SequentialFile {
 public:
  explicit PosixSequentialFile(std::unique_ptr<File> file) : file_(std::move(file)) {}

  Status Read(size_t n, Slice* result, char* scratch) override {
    ssize_t got;
    do {
      got = ::read(file_->fd, scratch, n);
    } while (got < 0 && errno == EINTR);
    *result = Slice(scratch, std::max<ssize_t>(got, 0));
    return got < 0 ? Error(file_->path, errno) : Status::OK();
  }

  Status Skip(uint64_t n) override {
    return ::lseek(file_->fd, n, SEEK_CUR) < 0 ? Error(file_->path, errno) : Status::OK();
  }

 private:
  std::unique_ptr<File> file_;
};

class PosixRandomAccessFile : public leveldb::RandomAccessFile {
 public:
  explicit PosixRandomAccessFile(std::unique_ptr<File> file) : file_(std::move(file)) {}

  Status Read(uint64_t offset, size_t n, Slice* result, char* scratch) const override {
    size_t got = 0;
    while (got < n) {
      const ssize_t part = ::pread(file_->fd, scratch + got, n - got, offset + got);
      if (part == 0) break;  // The end of the file.
      if (part < 0) {
        if (errno == EINTR) continue;
        *result = Slice(scratch, 0);
        return Error(file_->path, errno);
      }
      got += part;
    }
    *result = Slice(scratch, got);
    return Status::OK();
  }

 private:
  std::unique_ptr<File> file_;
};

class PosixWritableFile : public leveldb::WritableFile {
 public:
  explicit PosixWritableFile(std::unique_ptr<File> file) : file_(std::move(file)) {
    buffer_.reserve(kBufferBytes);
  }

  Status Append(const Slice& data) override {
    if (buffer_.size() + data.size() <= kBufferBytes) {
      buffer_.append(data.data(), data.size());
      return Status::OK();
    }
    Status status = Flush();
    if (!status.ok()) return status;
    if (data.size() >= kBufferBytes) return file_->Write(data.data(), data.size(), -1);
    buffer_.assign(data.data(), data.size());
    return Status::OK();
  }

  Status Flush() override {
    Status status = file_->Write(buffer_.data(), buffer_.size(), -1);
    buffer_.clear();
    return status;
  }

  Status Sync() override {
    Status status = Flush();
    return status.ok() ? file_->Sync() : status;
  }

  Status Close() override {
    Status status = Flush();
    Status closed = file_->Close();
    return status.ok() ? closed : status;
  }

 private:
  std::unique_ptr<File> file_;
  std::string buffer_;
};

// flock belongs to the open file, so that a second open in the same process is excluded as well.
struct PosixFileLock : leveldb::FileLock {
  explicit PosixFileLock(std::unique_ptr<File> file) : file(std::move(file)) {}
  std::unique_ptr<File> file;
};

class PosixFileSystem : public Env {
 public:
  Status NewSequentialFile(const std::string& path, leveldb::SequentialFile** result) override {
    return NewReader<PosixSequentialFile>(path, result);
  }

  Status NewRandomAccessFile(const std::string& path, leveldb::RandomAccessFile** result) override {
    return NewReader<PosixRandomAccessFile>(path, result);
  }

  Status NewWritableFile(const std::string& path, leveldb::WritableFile** result) override {
    *result = nullptr;
    auto file = std::make_unique<File>(path, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file->status().ok()) return file->status();
    if (::fchmod(file->fd, 0600) != 0) return Error(path, errno);
    Status status = SyncDir(DirName(path));
    if (!status.ok()) return status;
    *result = new PosixWritableFile(std::move(file));
    return status;
  }

  Status Overwrite(const std::string& path, const Slice& bytes, bool sync) override {
    const bool is_new = !FileExists(path);
    File file(path, O_WRONLY | O_CREAT);
    if (!file.status().ok()) return file.status();
    if (is_new && ::fchmod(file.fd, 0600) != 0) return Error(path, errno);
    Status status = file.Write(bytes.data(), bytes.size(), 0);
    if (status.ok() && sync) status = file.Sync();
    if (status.ok() && is_new) status = SyncDir(DirName(path));
    Status closed = file.Close();
    return status.ok() ? closed : status;
  }

  Status FreeBytes(const std::string& path, uint64_t* bytes) override {
    struct statvfs stats;
    if (::statvfs(path.c_str(), &stats) != 0) return Error(path, errno);
    *bytes = static_cast<uint64_t>(stats.f_bavail) * stats.f_frsize;
    return Status::OK();
  }

  bool FileExists(const std::string& path) override { return ::access(path.c_str(), F_OK) == 0; }

  Status GetChildren(const std::string& dir, std::vector<std::string>* names) override {
    names->clear();
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(dir.c_str()), ::closedir);
    if (stream == nullptr) return Error(dir, errno);
    errno = 0;
    while (const dirent* entry = ::readdir(stream.get())) names->push_back(entry->d_name);
    return errno == 0 ? Status::OK() : Error(dir, errno);
  }

  Status RemoveFile(const std::string& path) override {
    return ::unlink(path.c_str()) == 0 ? Status::OK() : Error(path, errno);
  }

  Status CreateDir(const std::string& dir) override {
    if (::mkdir(dir.c_str(), 0700) != 0) return Error(dir, errno);
    if (::chmod(dir.c_str(), 0700) != 0) return Error(dir, errno);
    return SyncDir(DirName(dir));
  }

  Status RemoveDir(const std::string& dir) override {
    return ::rmdir(dir.c_str()) == 0 ? Status::OK() : Error(dir, errno);
  }

  Status GetFileSize(const std::string& path, uint64_t* size) override {
    struct stat stats;
    *size = 0;
    if (::stat(path.c_str(), &stats) != 0) return Error(path, errno);
    *size = stats.st_size;
    return Status::OK();
  }

  Status RenameFile(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return Error(from, errno);
    return SyncDir(DirName(to));
  }

  Status LockFile(const std::string& path, leveldb::FileLock** lock) override {
    *lock = nullptr;
    auto file = std::make_unique<File>(path, O_RDWR | O_CREAT);
    if (!file->status().ok()) return file->status();
    if (::fchmod(file->fd, 0600) != 0) return Error(path, errno);
    if (::flock(file->fd, LOCK_EX | LOCK_NB) != 0) return Error(path, errno);
    *lock = new PosixFileLock(std::move(file));
    return Status::OK();
  }

  Status UnlockFile(leveldb::FileLock* lock) override {
    delete lock;
    return Status::OK();
  }

 private:
  template <typename Reader, typename Interface>
  Status NewReader(const std::string& path, Interface** result) {
    *result = nullptr;
    auto file = std::make_unique<File>(path, O_RDONLY);
    if (!file->status().ok()) return file->status();
    *result = new Reader(std::move(file));
    return Status::OK();
  }
};

class SilentLogger : public leveldb::Logger {
 public:
  void Logv(const char*, va_list) override {}
};

}  // namespace

void Env::Schedule(void (*function)(void*), void* argument) {
  leveldb::Env::Default()->Schedule(function, argument);
}

void Env::StartThread(void (*function)(void*), void* argument) {
  leveldb::Env::Default()->StartThread(function, argument);
}

Status Env::GetTestDirectory(std::string*) { return Status::NotSupported("test directory"); }

Status Env::NewLogger(const std::string&, leveldb::Logger** logger) {
  *logger = new SilentLogger;
  return Status::OK();
}

uint64_t Env::NowMicros() { return leveldb::Env::Default()->NowMicros(); }

void Env::SleepForMicroseconds(int micros) {
  leveldb::Env::Default()->SleepForMicroseconds(micros);
}

Env* PosixEnv() {
  static Env* const env = new PosixFileSystem;
  return env;
}

leveldb::Logger* QuietLogger() {
  static leveldb::Logger* const logger = new SilentLogger;
  return logger;
}

Status WriteFile(Env* env, const std::string& path, const Slice& bytes, bool sync) {
  leveldb::WritableFile* opened = nullptr;
  Status status = env->NewWritableFile(path, &opened);
  if (!status.ok()) return status;
  const std::unique_ptr<leveldb::WritableFile> file(opened);
  status = file->Append(bytes);
  if (status.ok() && sync) status = file->Sync();
  const Status closed = file->Close();
  return status.ok() ? closed : status;
}

Status EmptyDir(Env* env, const std::string& dir) {
  std::vector<std::string> names;
  Status status = env->GetChildren(dir, &names);
  for (const std::string& name : names) {
    if (!status.ok()) break;
    if (name != "." && name != "..") status = env->RemoveFile(dir + "/" + name);
  }
  return status;
}

absl::Status ToAbsl(const Status& status, const std::string& object) {
  if (status.ok()) return absl::OkStatus();
  const std::string sentence = absl::StrCat(object, ": ", status.ToString());
  if (!status.IsIOError()) return absl::DataLossError(sentence);
  // An IOError has nothing but its words.
  const bool is_full = sentence.find(std::strerror(ENOSPC)) != std::string::npos ||
                       sentence.find(std::strerror(EDQUOT)) != std::string::npos;
  return is_full ? absl::ResourceExhaustedError(sentence) : absl::UnavailableError(sentence);
}

}  // namespace distlog
