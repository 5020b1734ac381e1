// What a store knows about itself beside its segments: identity, promise, which segments there are,
// and evidence of what was durable. docs/storage_format.md, "The side file".

#ifndef DISTLOG_LOG_SIDE_FILE_H_
#define DISTLOG_LOG_SIDE_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/checked_file.h"
#include "log/env.h"
#include "log/side_file.pb.h"

namespace distlog {

// Two messages in two copies each: one written rarely and at once, one written often and lazily.
//
// Not thread-safe.
class SideFile {
 public:
  // Makes new ones in `dir`. Whatever has their names there is overwritten.
  static absl::Status Create(Env* env, const std::string& dir, bool sync,
                             const v1::SideFile& contents);

  // Reads those in `dir`, and writes nothing. Adds to *notes what is wrong with one copy. DataLoss:
  // both copies are gone, or they are older than what was durable. FailedPrecondition: of different
  // stores, or a newer format.
  static absl::StatusOr<SideFile> Open(Env* env, const std::string& dir, bool sync,
                                       std::vector<std::string>* notes);

  v1::SideFile contents;
  v1::MarkFile mark;

  // Makes `contents` durable, in both copies.
  absl::Status Save();
  // Makes `mark` durable, in one copy in turn or in both.
  absl::Status SaveMark(bool both);

 private:
  SideFile(Env* env, const std::string& dir, bool sync);

  CheckedFile side_;
  CheckedFile marks_;
};

}  // namespace distlog

#endif  // DISTLOG_LOG_SIDE_FILE_H_
