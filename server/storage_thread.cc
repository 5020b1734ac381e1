#include "server/storage_thread.h"

#include <iterator>
#include <utility>

#include "server/logging.h"
#include "server/thread_name.h"

namespace distlog {
namespace {

size_t Bytes(const std::vector<paxos::Record>& records) {
  size_t bytes = 0;
  for (const paxos::Record& record : records) {
    const auto* accept = std::get_if<paxos::AcceptRecord>(&record);
    bytes += 64 + (accept == nullptr ? 0 : accept->accepted.value.size());
  }
  return bytes;
}

template <typename T>
void MoveOnto(std::vector<T>* to, std::vector<T>* from) {
  if (to->empty()) {
    *to = std::move(*from);
  } else {
    to->insert(to->end(), std::make_move_iterator(from->begin()),
               std::make_move_iterator(from->end()));
  }
}

}  // namespace

StorageThread::StorageThread(Options options, Store* store, Durable durable, MarkSaved mark_saved)
    : options_(std::move(options)),
      store_(store),
      durable_(std::move(durable)),
      mark_saved_(std::move(mark_saved)) {
  LookAtDisk();
  thread_ = std::thread([this] { Loop(); });
}

StorageThread::~StorageThread() { Stop(); }

void StorageThread::Submit(Group group) {
  {
    std::lock_guard lock(mutex_);
    if (stop_) return;
    tasks_.push_back(std::move(group));
  }
  changed_.notify_one();
}

void StorageThread::SaveCheckpoint(paxos::Slot first, std::string state) {
  {
    std::lock_guard lock(mutex_);
    if (stop_) return;
    tasks_.push_back(Checkpoint{first, std::move(state)});
  }
  changed_.notify_one();
}

void StorageThread::Run(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    if (stop_) return;
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
}

void StorageThread::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void StorageThread::Loop() {
  NameThread("storage");
  bool stop = false;
  while (!stop) {
    std::deque<Task> tasks;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, options_.mark_interval, [this] { return stop_ || !tasks_.empty(); });
      tasks.swap(tasks_);
      stop = stop_;
    }
    Do(std::move(tasks));
    const auto now = std::chrono::steady_clock::now();
    if (stop || now >= next_mark_) {
      SaveMark();
      next_mark_ = now + options_.mark_interval;
    }
    if (now >= next_look_) LookAtDisk();
  }
}

void StorageThread::Do(std::deque<Task> tasks) {
  Group joined;
  size_t bytes = 0;
  bool waiting = false;
  const auto write = [&] {
    if (!waiting) return;
    WriteJoined(std::exchange(joined, Group{}));
    bytes = 0;
    waiting = false;
  };
  for (Task& task : tasks) {
    if (auto* group = std::get_if<Group>(&task)) {
      const size_t more = Bytes(group->records);
      if (bytes + more > options_.max_write_bytes) write();
      MoveOnto(&joined.records, &group->records);
      MoveOnto(&joined.after_write, &group->after_write);
      // A group without records has no number of its own.
      if (group->last_record != 0) joined.last_record = group->last_record;
      bytes += more;
      waiting = true;
      continue;
    }
    write();
    if (auto* checkpoint = std::get_if<Checkpoint>(&task)) {
      const absl::Status status = store_->SaveCheckpoint(checkpoint->first, checkpoint->state);
      if (!status.ok()) Die(status);
    } else {
      std::get<std::function<void()>>(task)();
    }
  }
  write();
}

void StorageThread::WriteJoined(Group joined) {
  if (!joined.records.empty()) {
    const absl::Status status = store_->Write(joined.records);
    if (!status.ok()) Die(status);
  }
  durable_(std::move(joined.after_write), joined.last_record);
}

void StorageThread::SaveMark() {
  // Even if the mark stands still: what was accepted above it since is evidence too. (The store
  // writes nothing if nothing has changed.)
  const paxos::Slot mark = mark_.load(std::memory_order_relaxed);
  const absl::Status status = store_->SaveMark(mark);
  if (!status.ok()) Die(status);
  if (mark == saved_mark_) return;
  saved_mark_ = mark;
  mark_saved_(mark);
}

void StorageThread::LookAtDisk() {
  next_look_ = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  const absl::StatusOr<uint64_t> free = store_->FreeBytes();
  disk_free_bytes_.store(free.ok() ? *free : UINT64_MAX, std::memory_order_relaxed);
}

}  // namespace distlog
