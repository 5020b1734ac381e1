// The side file and the mark file: whatever one copy holds, it is read, or refused in words; what
// is read is written and read again; one damaged copy loses nothing; two are noticed.

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "glog/logging.h"
#include "log/checked_file.h"
#include "log/side_file.h"
#include "tests/fuzz/bytes.h"

namespace distlog {
namespace {

constexpr size_t kFrameBytes = 40;  // Before the contents of a copy.

const std::string& Directory() {
  static const std::string* const directory = [] {
    const char* root = std::getenv("TEST_TMPDIR");
    auto* path = new std::string(root == nullptr ? "/tmp" : root);
    *path += "/side_file_fuzz." + std::to_string(getpid());
    CHECK(mkdir(path->c_str(), 0700) == 0);
    std::atexit([] { CHECK(system(("rm -r " + Directory()).c_str()) == 0); });
    return path;
  }();
  return *directory;
}

void Put(const std::string& name, const std::string& bytes) {
  const std::string path = Directory() + "/" + name;
  unlink(path.c_str());
  CHECK(WriteFile(PosixEnv(), path, bytes, /*sync=*/false).ok());
}

absl::StatusOr<SideFile> Open() {
  std::vector<std::string> notes;
  return SideFile::Open(PosixEnv(), Directory(), /*sync=*/false, &notes);
}

void OpenAnything(Bytes input) {
  for (const char* name : {"side.0", "side.1", "mark.0", "mark.1"}) {
    Put(name, input.TakeString(input.Take<uint8_t>()));
  }
  const auto opened = Open();
  if (!opened.ok()) CHECK(!opened.status().message().empty());
}

// Frames as a store writes them, around anything.
void OpenFramed(Bytes input) {
  const auto where = input.Take<uint16_t>();
  const auto how = input.Take<uint8_t>();
  const std::string mark = input.TakeString(input.Take<uint8_t>());
  for (const char* name : {"side.0", "side.1", "mark.0", "mark.1"}) {
    unlink((Directory() + "/" + name).c_str());
  }
  CheckedFile side_file(PosixEnv(), Directory() + "/side", false);
  CheckedFile mark_file(PosixEnv(), Directory() + "/mark", false);
  CHECK(side_file.WriteBoth(input.rest()).ok());
  CHECK(mark_file.WriteBoth(mark).ok());
  auto opened = Open();
  if (!opened.ok()) return;
  CHECK(opened->Save().ok());
  CHECK(opened->SaveMark(/*both=*/true).ok());
  const auto again = Open();
  CHECK(again.ok()) << again.status();
  CHECK_EQ(again->contents.SerializeAsString(), opened->contents.SerializeAsString());
  CHECK_EQ(again->mark.SerializeAsString(), opened->mark.SerializeAsString());

  // The file goes on with zeros, which say nothing.
  const std::string contents = again->contents.SerializeAsString();
  const size_t changed = where % (kFrameBytes + contents.size());
  CheckedFile damaged(PosixEnv(), Directory() + "/side", false);
  for (const bool both : {false, true}) {
    const std::string name = both ? "side.1" : "side.0";
    std::string copy;
    CHECK(leveldb::ReadFileToString(PosixEnv(), Directory() + "/" + name, &copy).ok());
    Put(name, WithByteFlipped(copy, changed, how));
    const absl::Status status = damaged.Read();
    CHECK_EQ(status.ok(), !both) << status;
    CHECK(!damaged.copies()[both ? 1 : 0].is_valid);
    if (!both) CHECK_EQ(damaged.newest().contents, contents);
  }
}

}  // namespace
}  // namespace distlog

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  distlog::Bytes input(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    distlog::OpenAnything(std::move(input));
  } else {
    distlog::OpenFramed(std::move(input));
  }
  return 0;
}
