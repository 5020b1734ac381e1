#include "tests/e2e/history.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace distlog {
namespace {

std::string Start(const std::string& payload) {
  return absl::StrCat("\"", payload.substr(0, 40), payload.size() > 40 ? "...\"" : "\"");
}

}  // namespace

void History::Sent(const std::string& payload, uint64_t chain) {
  const std::lock_guard lock(mutex_);
  Fate fate;
  fate.chain = chain;
  fate.number_in_chain = ++chains_[chain];
  CHECK(fates_.emplace(payload, fate).second) << "payloads must differ: " << payload;
}

void History::Acknowledged(const std::string& payload, uint64_t position) {
  const std::lock_guard lock(mutex_);
  fates_.at(payload).position = position;
  highest_ = std::max(highest_, position);
  ++acknowledged_;
}

uint64_t History::highest() const {
  const std::lock_guard lock(mutex_);
  return highest_;
}

void History::SawEnd(uint64_t before, uint64_t end) {
  const std::lock_guard lock(mutex_);
  ++reads_;
  if (end >= before || !stale_read_.empty()) return;
  stale_read_ = absl::StrCat("a read saw the log end at position ", end, " though position ",
                             before, " had been acknowledged before it");
}

size_t History::reads() const {
  const std::lock_guard lock(mutex_);
  return reads_;
}

void History::NotDone(const std::string& payload) {
  const std::lock_guard lock(mutex_);
  fates_.at(payload).not_done = true;
  ++not_done_;
}

absl::Status History::Check(const std::vector<ReadEntry>& log) const {
  const std::lock_guard lock(mutex_);
  if (!stale_read_.empty()) return absl::DataLossError(stale_read_);
  std::unordered_map<std::string, uint64_t> seen;
  std::unordered_map<uint64_t, uint64_t> chains;
  uint64_t next = 1;
  for (const ReadEntry& entry : log) {
    const std::string where = absl::StrCat("position ", entry.position, ": ", Start(entry.payload));
    if (entry.position != next) {
      return absl::DataLossError(absl::StrCat(where, " follows position ", next - 1));
    }
    ++next;
    const auto fate = fates_.find(entry.payload);
    if (fate == fates_.end()) return absl::DataLossError(absl::StrCat(where, " was never sent"));
    const auto [first, is_first] = seen.emplace(entry.payload, entry.position);
    if (!is_first) {
      return absl::DataLossError(absl::StrCat(where, " is at position ", first->second, " too"));
    }
    if (fate->second.not_done) {
      return absl::DataLossError(absl::StrCat(where, " is there, but was told to be not"));
    }
    if (fate->second.position != 0 && fate->second.position != entry.position) {
      return absl::DataLossError(
          absl::StrCat(where, " was acknowledged at position ", fate->second.position));
    }
    if (fate->second.chain == 0) continue;
    uint64_t& last = chains[fate->second.chain];
    if (fate->second.number_in_chain != ++last) {
      return absl::DataLossError(absl::StrCat(where, " is number ", fate->second.number_in_chain,
                                              " of its producer where ", last, " is due"));
    }
  }
  for (const auto& [payload, fate] : fates_) {
    if (fate.position != 0 && seen.count(payload) == 0) {
      return absl::DataLossError(
          absl::StrCat("position ", fate.position, ": ", Start(payload),
                       " was acknowledged and is not in the log, which ends at ", next - 1));
    }
  }
  return absl::OkStatus();
}

size_t History::sent() const {
  const std::lock_guard lock(mutex_);
  return fates_.size();
}

size_t History::acknowledged() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_;
}

size_t History::not_done() const {
  const std::lock_guard lock(mutex_);
  return not_done_;
}

}  // namespace distlog
