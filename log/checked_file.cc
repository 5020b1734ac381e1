#include "log/checked_file.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wire/checksum.h"

namespace distlog {
namespace {

// The frame is the same in every format, for ever: magic (8), format (4), 0 (4), generation (8),
// length (8), checksum over all the others and the contents (8), contents, zeros.
constexpr char kMagic[] = "distlog\n";
constexpr uint32_t kFormat = 1;
constexpr size_t kFrameBytes = 40;
// Frames are padded to whole blocks: most writes change no file size, so that their sync writes no
// metadata.
constexpr size_t kBlockBytes = 4096;
constexpr size_t kMaxBytes = 64 << 20;

template <typename Number>
void Append(Number number, std::string* bytes) {
  for (size_t i = 0; i < sizeof(Number); ++i) bytes->push_back(static_cast<char>(number >> 8 * i));
}

uint64_t Number(const std::string& bytes, size_t offset, size_t size) {
  uint64_t number = 0;
  for (size_t i = 0; i < size; ++i) {
    number |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[offset + i])) << 8 * i;
  }
  return number;
}

std::string EncodeFrame(uint64_t generation, const std::string& contents) {
  std::string frame(kMagic, 8);
  Append<uint32_t>(kFormat, &frame);
  Append<uint32_t>(0, &frame);
  Append<uint64_t>(generation, &frame);
  Append<uint64_t>(contents.size(), &frame);
  Append<uint64_t>(Checksum(contents, Checksum(frame)), &frame);
  frame += contents;
  frame.resize((frame.size() + kBlockBytes - 1) / kBlockBytes * kBlockBytes);
  return frame;
}

CheckedFile::Copy Invalid(std::string problem) {
  CheckedFile::Copy copy;
  copy.problem = std::move(problem);
  return copy;
}

// Sets *format to that of a copy that is whole, whatever the format.
CheckedFile::Copy DecodeFrame(const std::string& path, const std::string& bytes, uint32_t* format) {
  if (bytes.size() < kFrameBytes) return Invalid(absl::StrCat(path, " is cut off"));
  if (bytes.compare(0, 8, kMagic, 8) != 0) return Invalid(absl::StrCat(path, " is damaged"));
  const uint64_t size = Number(bytes, 24, 8);
  if (size > bytes.size() - kFrameBytes) return Invalid(absl::StrCat(path, " is cut off"));
  CheckedFile::Copy copy;
  copy.generation = Number(bytes, 16, 8);
  copy.contents = bytes.substr(kFrameBytes, size);
  const uint64_t checksum = Checksum(copy.contents, Checksum(bytes.substr(0, 32)));
  if (checksum != Number(bytes, 32, 8)) return Invalid(absl::StrCat(path, " has a bad checksum"));
  *format = Number(bytes, 8, 4);
  copy.is_valid = true;
  return copy;
}

}  // namespace

CheckedFile::CheckedFile(Env* env, std::string path, bool sync)
    : env_(env), path_(std::move(path)), sync_(sync) {}

std::string CheckedFile::CopyPath(size_t copy) const { return absl::StrCat(path_, ".", copy); }

absl::Status CheckedFile::Read() {
  for (size_t i = 0; i < copies_.size(); ++i) {
    const std::string path = CopyPath(i);
    std::string bytes;
    uint64_t size = 0;
    leveldb::Status status = env_->GetFileSize(path, &size);
    if (status.ok() && size > kMaxBytes) {
      copies_[i] = Invalid(absl::StrCat(path, " is damaged"));
      continue;
    }
    if (status.ok()) status = leveldb::ReadFileToString(env_, path, &bytes);
    if (!status.ok()) {
      copies_[i] = Invalid(status.IsNotFound() ? absl::StrCat(path, " is missing")
                                               : ToAbsl(status, path).ToString());
      continue;
    }
    uint32_t format = kFormat;
    copies_[i] = DecodeFrame(path, bytes, &format);
    if (format != kFormat) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, " has format ", format, "; this program knows format ", kFormat,
                       " only: run a newer one (nothing was changed)"));
    }
  }
  if (!copies_[0].is_valid && !copies_[1].is_valid) {
    return absl::DataLossError(absl::StrCat(copies_[0].problem, ", and ", copies_[1].problem));
  }
  return absl::OkStatus();
}

size_t CheckedFile::Worse() const {
  if (copies_[0].is_valid != copies_[1].is_valid) return copies_[0].is_valid ? 1 : 0;
  return copies_[1].generation < copies_[0].generation ? 1 : 0;
}

const CheckedFile::Copy& CheckedFile::newest() const { return copies_[1 - Worse()]; }

uint64_t CheckedFile::generation_of_both() const {
  if (!copies_[0].is_valid || !copies_[1].is_valid) return 0;
  return std::min(copies_[0].generation, copies_[1].generation);
}

absl::Status CheckedFile::Write(size_t copy, uint64_t generation, const std::string& contents) {
  const std::string path = CopyPath(copy);
  CHECK_LE(contents.size(), kMaxBytes - kBlockBytes) << path;
  const leveldb::Status status = env_->Overwrite(path, EncodeFrame(generation, contents), sync_);
  if (!status.ok()) return ToAbsl(status, path);
  copies_[copy] = {.is_valid = true, .generation = generation, .contents = contents, .problem = ""};
  return absl::OkStatus();
}

// The copy that counts is written last: until then it holds what was durable before.
absl::Status CheckedFile::WriteBoth(const std::string& contents) {
  const uint64_t generation = std::max(copies_[0].generation, copies_[1].generation) + 1;
  const size_t first = Worse();
  absl::Status status = Write(first, generation, contents);
  if (status.ok()) status = Write(1 - first, generation, contents);
  return status;
}

absl::Status CheckedFile::WriteOne(const std::string& contents) {
  const uint64_t generation = std::max(copies_[0].generation, copies_[1].generation) + 1;
  return Write(Worse(), generation, contents);
}

}  // namespace distlog
