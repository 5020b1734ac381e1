#ifndef DISTLOG_TESTS_MODEL_FLAT_MAP_H_
#define DISTLOG_TESTS_MODEL_FLAT_MAP_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "paxos/hash.h"

namespace distlog::model {

// A pair of numbers to a number, in one piece of memory: a search looks things up a billion times.
class FlatMap {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // kNone if it is not there.
  uint32_t Find(uint32_t a, uint32_t b) const {
    if (entries_.empty()) return kNone;
    const uint64_t key = Key(a, b);
    for (size_t i = Place(key);; i = (i + 1) & mask()) {
      if (entries_[i].value == kNone || entries_[i].key == key) return entries_[i].value;
    }
  }
  // It must not be there yet.
  void Insert(uint32_t a, uint32_t b, uint32_t value) {
    if (2 * (size_ + 1) > entries_.size()) Grow();
    Put({Key(a, b), value});
    ++size_;
  }

 private:
  struct Entry {
    uint64_t key = 0;
    uint32_t value = kNone;
  };

  static uint64_t Key(uint32_t a, uint32_t b) { return uint64_t{a} << 32 | b; }
  size_t mask() const { return entries_.size() - 1; }
  size_t Place(uint64_t key) const { return paxos::Mix(6, key) & mask(); }
  void Put(const Entry& entry) {
    size_t i = Place(entry.key);
    while (entries_[i].value != kNone) i = (i + 1) & mask();
    entries_[i] = entry;
  }
  void Grow() {
    std::vector<Entry> old(entries_.empty() ? 1024 : 2 * entries_.size());
    old.swap(entries_);
    for (const Entry& entry : old) {
      if (entry.value != kNone) Put(entry);
    }
  }

  std::vector<Entry> entries_;
  size_t size_ = 0;
};

}  // namespace distlog::model

#endif  // DISTLOG_TESTS_MODEL_FLAT_MAP_H_
