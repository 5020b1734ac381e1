// What happens to a stopped store must never make it answer with less than was durable: it opens
// and has everything, or says in one sentence that it has not.

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "log/fault_env.h"
#include "log/store_driver.h"
#include "wire/checksum.h"

namespace distlog {
namespace {

using Files = std::map<std::string, std::string>;

constexpr paxos::Slot kSlots = 60;
constexpr paxos::Ballot kPromised{50, paxos::ReplicaId{3}};

Store::Options Tiny(FaultEnv* env) {
  Store::Options options;
  options.env = env;
  options.segment_bytes = 4000;
  options.window = 4;
  return options;
}

Files Snapshot(const FaultEnv& env) {
  Files files;
  for (const std::string& path : env.Files()) files[path] = env.Contents(path);
  return files;
}

void Load(const Files& files, FaultEnv* env) {
  for (const auto& [path, contents] : files) env->SetContents(path, contents);
}

// Brings the store of `env` to `through` slots.
void AppendThrough(FaultEnv* env, paxos::Slot through) {
  StoreDriver driver(Tiny(env), "/store");
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  while (driver.sequencer().applied_through() < through) {
    ASSERT_EQ(driver.Append(std::min<size_t>(3, through - driver.sequencer().applied_through())),
              absl::OkStatus());
  }
  ASSERT_EQ(driver.Promise(kPromised), absl::OkStatus());
  ASSERT_EQ(driver.Stop(), absl::OkStatus());
}

Files StoppedStore() {
  FaultEnv env;
  AppendThrough(&env, kSlots / 2);
  AppendThrough(&env, kSlots);
  return Snapshot(env);
}

// OK if slots through `at_least` are there; the refusal if it is refused; Internal if anything is
// missing or wrong.
absl::Status Check(const Files& files, std::vector<std::string>* notes = nullptr,
                   paxos::Slot at_least = kSlots) {
  FaultEnv env;
  Load(files, &env);
  StoreDriver driver(Tiny(&env), "/store");
  const absl::Status status = driver.Start();
  if (!status.ok()) return status;
  if (notes != nullptr) *notes = driver.store()->recovered().notes;
  if (driver.recovered().promised < kPromised) return absl::InternalError("a lower promise");
  return driver.CheckAll(at_least);
}

void ExpectWholeOrRefused(const Files& files, const std::string& what, int* refusals) {
  const absl::Status status = Check(files);
  const bool is_refused = absl::IsDataLoss(status) || absl::IsFailedPrecondition(status);
  EXPECT_TRUE(status.ok() || is_refused) << what << ": " << status;
  EXPECT_EQ(std::count(status.message().begin(), status.message().end(), '\n'), 0) << status;
  if (is_refused) ++*refusals;
}

TEST(StoreDamageTest, AWholeStoreIsWhole) {
  std::vector<std::string> notes;
  EXPECT_EQ(Check(StoppedStore(), &notes), absl::OkStatus());
  EXPECT_TRUE(notes.empty());
}

TEST(StoreDamageTest, AFlippedBitAnywhereIsHarmlessOrFound) {
  const Files whole = StoppedStore();
  int refusals = 0;
  for (const auto& [path, contents] : whole) {
    for (size_t i = 0; i < 50 && !contents.empty(); ++i) {
      // Half of the flips where a file begins or ends, since its frames are there.
      size_t at = i * 2654435761u % contents.size();
      if (i % 4 == 0) at = i % contents.size();
      if (i % 4 == 1) at = contents.size() - 1 - i % contents.size();
      Files damaged = whole;
      damaged[path][at] ^= 1 << i % 8;
      ExpectWholeOrRefused(damaged, absl::StrCat(path, ": bit ", i % 8, " of byte ", at),
                           &refusals);
    }
  }
  EXPECT_GT(refusals, 100);
}

TEST(StoreDamageTest, ATruncatedFileIsHarmlessOrFound) {
  const Files whole = StoppedStore();
  int refusals = 0;
  for (const auto& [path, contents] : whole) {
    for (size_t i = 0; i < 20 && !contents.empty(); ++i) {
      const size_t size =
          i < 10 ? contents.size() * i / 10 : contents.size() - (i - 9) % contents.size();
      Files damaged = whole;
      damaged[path].resize(size);
      ExpectWholeOrRefused(damaged, absl::StrCat(path, " cut to ", size, " bytes"), &refusals);
    }
  }
  EXPECT_GT(refusals, 30);
}

// The files whose names end in .log and that hold something, below `prefix`.
std::vector<std::string> Logs(const Files& files, const std::string& prefix) {
  std::vector<std::string> logs;
  for (const auto& [path, contents] : files) {
    if (path.starts_with(prefix) && path.ends_with(".log") && !contents.empty()) {
      logs.push_back(path);
    }
  }
  return logs;
}

paxos::AcceptRecord Accept(paxos::Slot slot, uint64_t round) {
  return {.accepted = {.slot = slot,
                       .ballot = {round, paxos::ReplicaId{1}},
                       .value = StoreDriver::ValueOf(slot)},
          .chosen_through = 0};
}

TEST(StoreDamageTest, AcceptedValuesAboveTheMarkAreMissedToo) {
  // Nothing says that slots 61 .. 63 are chosen: only the number and digest of the last write tell
  // that they were accepted, and a replica without them must not vote.
  FaultEnv env;
  AppendThrough(&env, kSlots);
  StoreDriver driver(Tiny(&env), "/store");
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  for (paxos::Slot slot = kSlots + 1; slot <= kSlots + 3; ++slot) {
    const std::vector<paxos::Record> records = {Accept(slot, 1)};
    ASSERT_EQ(driver.store()->Write(records), absl::OkStatus());
  }
  ASSERT_EQ(driver.store()->SaveMark(kSlots), absl::OkStatus());
  driver.Drop();
  const Files whole = Snapshot(env);
  ASSERT_EQ(Check(whole, nullptr, kSlots + 3), absl::OkStatus());
  const std::vector<std::string> logs = Logs(whole, "/store/segments/");
  ASSERT_FALSE(logs.empty());
  for (size_t size = 0; size < whole.at(logs.back()).size(); size += 5) {
    Files damaged = whole;
    damaged[logs.back()].resize(size);
    const absl::Status status = Check(damaged, nullptr, kSlots + 3);
    EXPECT_TRUE(absl::IsDataLoss(status)) << "cut to " << size << " bytes: " << status;
  }
}

TEST(StoreDamageTest, AWriteLostAtTheEndOfTheOlderOfTwoSegmentsIsMissedWithoutAMark) {
  // The group is write n of the older segment and n + 1 of the newer: n + 1 is the evidence of n.
  FaultEnv env;
  StoreDriver driver(Tiny(&env), "/store");
  ASSERT_EQ(driver.Start(), absl::OkStatus());
  ASSERT_EQ(driver.Append(30), absl::OkStatus());
  const paxos::Slot last = driver.sequencer().applied_through();
  const std::vector<paxos::Record> first = {Accept(last + 1, 1)};
  ASSERT_EQ(driver.store()->CutBefore(first), last + 1);
  ASSERT_EQ(driver.store()->Write(first), absl::OkStatus());
  const std::vector<paxos::Record> both = {Accept(last, 2), Accept(last + 2, 2)};
  ASSERT_EQ(driver.store()->Write(both), absl::OkStatus());
  driver.Drop();
  const Files whole = Snapshot(env);
  const std::vector<std::string> logs = Logs(whole, "/store/segments/00000000000000000001/");
  ASSERT_EQ(logs.size(), 1u);
  Files damaged = whole;
  damaged[logs[0]].resize(whole.at(logs[0]).size() - 10);
  FaultEnv damaged_env;
  Load(damaged, &damaged_env);
  const absl::Status status = Store::Open(Tiny(&damaged_env), "/store").status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

TEST(StoreDamageTest, AMissingFileIsHarmlessOrFound) {
  const Files whole = StoppedStore();
  int refusals = 0;
  for (const auto& [path, contents] : whole) {
    Files damaged = whole;
    damaged.erase(path);
    ExpectWholeOrRefused(damaged, path + " removed", &refusals);
  }
  EXPECT_GT(refusals, 5);
}

// The slots before it are all there, so that what it held can be made again.
TEST(StoreDamageTest, ADamagedCheckpointIsMadeAgainFromTheOneBefore) {
  const Files whole = StoppedStore();
  std::vector<std::string> checkpoints;
  for (const auto& [path, contents] : whole) {
    if (path.ends_with("/checkpoint")) checkpoints.push_back(path);
  }
  ASSERT_GE(checkpoints.size(), 2u);
  const std::string newest = checkpoints.back();
  for (const bool is_missing : {false, true}) {
    for (const bool is_alone : {true, false}) {  // Otherwise none is whole.
      Files damaged = whole;
      for (const std::string& path : checkpoints) {
        if (is_alone && path != newest) continue;
        damaged[path][damaged[path].size() / 2] ^= 1;
        if (is_missing) damaged.erase(path);
      }
      FaultEnv env;
      Load(damaged, &env);
      StoreDriver driver(Tiny(&env), "/store");
      ASSERT_EQ(driver.Start(), absl::OkStatus());
      EXPECT_GE(driver.recovered().promised, kPromised);
      EXPECT_EQ(driver.recovered().chosen_through, kSlots);
      ASSERT_EQ(driver.store()->recovered().notes.size(), is_alone ? 1u : checkpoints.size());
      EXPECT_NE(driver.store()->recovered().notes[0].find(newest), std::string::npos);
      EXPECT_EQ(driver.CheckAll(kSlots), absl::OkStatus());
      // Only what the next start needs is made again: the same bytes.
      EXPECT_EQ(env.Contents(newest), whole.at(newest));
      driver.Drop();
      ASSERT_EQ(driver.Start(), absl::OkStatus());
      EXPECT_TRUE(driver.store()->recovered().notes.empty());
    }
  }
}

// As what it held cannot be made again if a slot before it is damaged, too.
TEST(StoreDamageTest, ADamagedCheckpointOverADamagedSegmentIsFound) {
  Files damaged = StoppedStore();
  for (auto& [path, contents] : damaged) {
    if (path.ends_with("/checkpoint")) contents[0] ^= 1;
    const bool has_records = path.ends_with(".ldb") || path.ends_with(".log");
    if (path.starts_with("/store/segments/00000000000000000001/") && has_records &&
        !contents.empty()) {
      contents[contents.size() / 2] ^= 1;
    }
  }
  const absl::Status status = Check(damaged);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

TEST(StoreDamageTest, AMissingSegmentIsFoundAtStart) {
  const Files whole = StoppedStore();
  std::vector<std::string> dirs;
  for (const auto& [path, contents] : whole) {
    if (path.ends_with("/CURRENT")) dirs.push_back(path.substr(0, path.rfind('/')));
  }
  ASSERT_GT(dirs.size(), 2u);
  for (const std::string& dir : dirs) {
    Files damaged = whole;
    std::erase_if(damaged, [&](const auto& file) { return file.first.starts_with(dir + "/"); });
    const absl::Status status = Check(damaged);
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_NE(status.message().find(dir), absl::string_view::npos) << status;
    EXPECT_NE(status.message().find("member replace"), absl::string_view::npos) << status;
  }
}

TEST(StoreDamageTest, OneDamagedCopyOfTheSideFileIsMendedAndSaid) {
  const Files whole = StoppedStore();
  for (const std::string name : {"side.0", "side.1", "mark.0", "mark.1"}) {
    FaultEnv env;
    Files damaged = whole;
    damaged["/store/" + name][20] ^= 4;
    Load(damaged, &env);
    {
      StoreDriver driver(Tiny(&env), "/store");
      ASSERT_EQ(driver.Start(), absl::OkStatus()) << name;
      ASSERT_EQ(driver.store()->recovered().notes.size(), 1u) << name;
      EXPECT_NE(driver.store()->recovered().notes[0].find(name), std::string::npos);
    }
    // Mended: now the other copy may go.
    Files mended = Snapshot(env);
    const std::string other = name.substr(0, 5) + (name.back() == '0' ? "1" : "0");
    mended.erase("/store/" + other);
    EXPECT_EQ(Check(mended), absl::OkStatus()) << name;
  }
}

TEST(StoreDamageTest, BothCopiesGoneIsRefused) {
  const Files whole = StoppedStore();
  for (const std::string name : {"side", "mark"}) {
    Files damaged = whole;
    damaged.erase("/store/" + name + ".0");
    damaged["/store/" + name + ".1"][40] ^= 1;
    const absl::Status status = Check(damaged);
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  }
}

// `whole` with the files below `prefix` taken from `other`.
Files WithFilesOf(const Files& whole, const Files& other,
                  const std::vector<std::string>& prefixes) {
  Files mixed;
  const auto is_taken = [&](const std::string& path) {
    return std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& prefix) {
      return path.starts_with("/store/" + prefix);
    });
  };
  for (const auto& [path, contents] : whole) {
    if (!is_taken(path)) mixed[path] = contents;
  }
  for (const auto& [path, contents] : other) {
    if (is_taken(path)) mixed[path] = contents;
  }
  return mixed;
}

TEST(StoreDamageTest, FilesOfAnotherStoreAreRefused) {
  const Files whole = StoppedStore();
  const Files other = StoppedStore();
  for (const std::vector<std::string>& taken :
       std::vector<std::vector<std::string>>{{"side.0"},
                                             {"side.1"},
                                             {"mark.0"},
                                             {"mark.1"},
                                             {"side."},
                                             {"mark."},
                                             {"side.", "mark."},
                                             {"segments/"},
                                             {"segments/00000000000000000001/"}}) {
    const absl::Status status = Check(WithFilesOf(whole, other, taken));
    EXPECT_TRUE(absl::IsDataLoss(status) || absl::IsFailedPrecondition(status))
        << taken.front() << ": " << status;
  }
}

TEST(StoreDamageTest, OldFilesPutBackAreRefusedOrHarmless) {
  FaultEnv env;
  AppendThrough(&env, kSlots / 2);
  const Files old = Snapshot(env);
  AppendThrough(&env, kSlots);
  const Files whole = Snapshot(env);
  int refusals = 0;
  for (const std::vector<std::string>& taken :
       std::vector<std::vector<std::string>>{{"side.0"}, {"mark.1"}, {"side."}, {"mark."}}) {
    ExpectWholeOrRefused(WithFilesOf(whole, old, taken), "old " + taken.front(), &refusals);
  }
  const absl::Status side = Check(WithFilesOf(whole, old, {"side.", "mark."}));
  EXPECT_TRUE(absl::IsDataLoss(side)) << side;
  const absl::Status segments = Check(WithFilesOf(whole, old, {"segments/"}));
  EXPECT_TRUE(absl::IsDataLoss(segments)) << segments;
}

TEST(StoreDamageTest, ANewerFormatIsRefusedUntouched) {
  Files newer = StoppedStore();
  for (const std::string name : {"/store/side.0", "/store/side.1"}) {
    std::string& file = newer[name];
    file[8] = 2;
    size_t size = 0;
    for (int i = 7; i >= 0; --i) size = size << 8 | static_cast<uint8_t>(file[24 + i]);
    const uint64_t checksum = Checksum(file.substr(40, size), Checksum(file.substr(0, 32)));
    for (int i = 0; i < 8; ++i) file[32 + i] = static_cast<char>(checksum >> 8 * i);
  }
  FaultEnv env;
  Load(newer, &env);
  const absl::Status status = Store::Open(Tiny(&env), "/store").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("format 2"), absl::string_view::npos) << status;
  EXPECT_EQ(Snapshot(env), newer);
}

}  // namespace
}  // namespace distlog
