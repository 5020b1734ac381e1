// Power cuts: what was not synced disappears, from all three file systems at the same moment.

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "tests/e2e/campaign.h"

namespace distlog {
namespace {

// FS_IOC_SHUTDOWN of the kernel, which no header offers to programs. From then on every operation
// fails, and what was not durable is not written any more.
constexpr unsigned long kShutdown = 0x8004587d;
constexpr uint32_t kWithoutFlushingTheJournal = 2;

bool Succeeds(const std::vector<std::string>& arguments) {
  Command command;
  command.arguments = arguments;
  const Finished finished = RunToEnd(command);
  if (finished.status != 0) LOG(ERROR) << arguments[0] << ": " << finished.err;
  return finished.status == 0;
}

// An ext4 of its own in a file.
class Disk {
 public:
  Disk(const std::string& dir, int number)
      : image_(absl::StrCat(dir, "/disk", number, ".img")),
        mount_(absl::StrCat(dir, "/disk", number)) {}
  ~Disk() { Detach(); }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  bool Make() {
    std::filesystem::create_directories(mount_);
    return Succeeds({"/usr/bin/truncate", "-s", "1G", image_}) &&
           Succeeds({"/usr/sbin/mkfs.ext4", "-q", "-F", image_}) && Attach();
  }
  bool Attach() {
    is_attached_ = Succeeds({"/usr/bin/mount", "-o", "loop", image_, mount_});
    if (is_attached_) fd_ = open(mount_.c_str(), O_RDONLY | O_CLOEXEC);
    return is_attached_ && fd_ >= 0;
  }
  bool Detach() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
    if (!is_attached_) return true;
    is_attached_ = !Succeeds({"/usr/bin/umount", mount_});
    return !is_attached_;
  }
  void CutPower() {
    uint32_t how = kWithoutFlushingTheJournal;
    PCHECK(ioctl(fd_, kShutdown, &how) == 0) << mount_;
  }
  std::string data_dir() const { return mount_ + "/replica"; }

 private:
  const std::string image_;
  const std::string mount_;
  bool is_attached_ = false;
  int fd_ = -1;
};

bool CutAndRestart(std::vector<std::unique_ptr<Disk>>* disks, Cluster* cluster,
                   Campaign* campaign) {
  for (const auto& disk : *disks) disk->CutPower();
  cluster->KillAll();
  for (const auto& disk : *disks) {
    if (!disk->Detach() || !disk->Attach()) {
      campaign->Violation("a file system does not come back");
      return false;
    }
  }
  return campaign->Expect(cluster->StartAll(), "restart");
}

}  // namespace

void PowerCut(Campaign* campaign) {
  // Mounts of our own: whoever copies the system's mounts meanwhile, as sandboxes do, would keep
  // the file systems alive in their broken state. And they go away with this process.
  PCHECK(unshare(CLONE_NEWNS) == 0);
  PCHECK(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  // Before the cluster, so that its servers are gone when they are detached.
  std::vector<std::unique_ptr<Disk>> disks;
  std::vector<std::string> data_dirs;
  for (int i = 1; i <= 3; ++i) {
    disks.push_back(std::make_unique<Disk>(campaign->options().dir, i));
    CHECK(disks.back()->Make())
        << "cannot make and mount a file system: needs root and loop devices";
    data_dirs.push_back(disks.back()->data_dir());
  }
  std::vector<std::string> flags = {"--segment_bytes=1048576"};
  if (campaign->options().unsafe_no_sync) flags.push_back("--unsafe_no_sync");
  const auto cluster = campaign->NewCluster(3, flags, data_dirs);
  if (cluster == nullptr) return;
  Load load(campaign->LoadOn(*cluster));
  const int rounds = campaign->rounds(5);
  int done = 0;
  while (done < rounds) {
    if (!load.AwaitProgress(1000 + campaign->random()() % 3000)) {
      campaign->Violation("no progress");
      break;
    }
    const bool is_back = CutAndRestart(&disks, cluster.get(), campaign);
    campaign->Say(absl::StrCat("power cut ", ++done, " after ", load.history().acknowledged(),
                               " acknowledged appends"));
    if (!is_back) break;
  }
  if (campaign->violations() == 0 && !load.AwaitProgress(100)) campaign->Violation("no progress");
  load.Stop();
  if (campaign->violations() == 0) campaign->Judge(cluster.get(), load.history());
  if (campaign->violations() > 0) cluster->PrintLogs();
  campaign->Summary(
      absl::StrCat("power_cut", campaign->options().unsafe_no_sync ? " without sync" : "", ": ",
                   done, " times all three cut, ", load.history().acknowledged(), " acknowledged"));
}

}  // namespace distlog
