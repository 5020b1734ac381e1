// A small file kept in two copies, so that damage to one loses nothing.

#ifndef DISTLOG_LOG_CHECKED_FILE_H_
#define DISTLOG_LOG_CHECKED_FILE_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/env.h"

namespace distlog {

// The copies are PATH.0 and PATH.1, each a checksummed frame of format, generation and contents,
// written in place. The higher generation counts.
//
// Not thread-safe.
class CheckedFile {
 public:
  // What one copy holds.
  struct Copy {
    bool is_valid = false;
    uint64_t generation = 0;
    std::string contents;
    std::string problem;  // A sentence, unless valid.
  };

  CheckedFile(Env* env, std::string path, bool sync);

  // Reads both copies and writes nothing. FailedPrecondition if one is of a newer format. DataLoss
  // if neither is valid.
  absl::Status Read();
  const std::array<Copy, 2>& copies() const { return copies_; }
  // The one that counts. Only after Read was OK, or a write.
  const Copy& newest() const;

  // Makes `contents` durable in both copies, one after the other, so that one is whole at any time.
  absl::Status WriteBoth(const std::string& contents);
  // In one copy: the one that is worse or older.
  absl::Status WriteOne(const std::string& contents);

  // The generation that both copies have reached.
  uint64_t generation_of_both() const;

 private:
  absl::Status Write(size_t copy, uint64_t generation, const std::string& contents);
  size_t Worse() const;
  std::string CopyPath(size_t copy) const;

  Env* env_;
  std::string path_;
  bool sync_;
  std::array<Copy, 2> copies_;
};

}  // namespace distlog

#endif  // DISTLOG_LOG_CHECKED_FILE_H_
