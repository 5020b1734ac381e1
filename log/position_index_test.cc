// From a position to its slot, over slots with many entries, with one, with none, and with appends
// that appended nothing.

#include "log/position_index.h"

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace distlog {
namespace {

// Slots 1000 .. 1999 hold (slot * 7) % 5 entries each, from position 501 on.
PositionIndex MakeIndex(std::vector<std::pair<paxos::Slot, uint64_t>>* places) {
  PositionIndex index(1000);
  uint64_t position = 501;
  for (paxos::Slot slot = 1000; slot < 2000; ++slot) {
    Applied applied;
    applied.slot = slot;
    applied.first_position = position;
    applied.entries = slot * 7 % 5;
    if (slot % 100 == 3) applied.skipped = {0, static_cast<uint32_t>(slot)};
    index.Add(applied);
    for (uint64_t i = 0; i < applied.entries; ++i) places->push_back({slot, position});
    position += applied.entries;
  }
  return index;
}

void ExpectAll(const PositionIndex& index,
               const std::vector<std::pair<paxos::Slot, uint64_t>>& places) {
  EXPECT_EQ(index.first_slot(), 1000u);
  EXPECT_EQ(index.last_slot(), 1999u);
  EXPECT_EQ(index.end_position(), 501 + places.size());
  for (size_t i = 0; i < places.size(); ++i) {
    const PositionIndex::Place place = index.Find(501 + i);
    EXPECT_EQ(place.slot, places[i].first);
    EXPECT_EQ(place.first_position, places[i].second);
    EXPECT_EQ(place.entries, places[i].first * 7 % 5);
  }
  EXPECT_TRUE(index.Skipped(1004).empty());
  EXPECT_EQ(index.Skipped(1103), (std::vector<uint32_t>{0, 1103}));
}

TEST(PositionIndexTest, EachPositionIsFoundInItsSlot) {
  std::vector<std::pair<paxos::Slot, uint64_t>> places;
  const PositionIndex index = MakeIndex(&places);
  ExpectAll(index, places);
}

TEST(PositionIndexTest, ItComesBackFromItsBytesAndFromNoOthers) {
  std::vector<std::pair<paxos::Slot, uint64_t>> places;
  const std::string bytes = MakeIndex(&places).Encode();
  const auto decoded = PositionIndex::Decode(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ExpectAll(*decoded, places);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(PositionIndex::Decode(bytes.substr(0, size)).ok()) << size << " bytes";
  }
  EXPECT_FALSE(PositionIndex::Decode(bytes + "x").ok());
}

// The bytes are varints: first slot, first position, slots, entries of each, exceptions.
TEST(PositionIndexTest, BytesThatNoIndexGaveAreRefused) {
  const std::string huge = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
  const auto decodes = [](const std::string& bytes) { return PositionIndex::Decode(bytes).ok(); };
  const auto bytes = [](std::initializer_list<char> list) { return std::string(list); };
  EXPECT_TRUE(decodes(bytes({3, 1, 2, 5, 5, 0})));
  EXPECT_FALSE(decodes(bytes({3}) + huge + bytes({2, 5, 5, 0}))) << "positions overflow";
  EXPECT_FALSE(decodes(huge + bytes({1, 2, 5, 5, 0}))) << "slots overflow";
  EXPECT_TRUE(decodes(bytes({3, 1, 2, 5, 5, 2, 3, 1, 0, 4, 2, 0, 1})));
  EXPECT_FALSE(decodes(bytes({3, 1, 2, 5, 5, 1, 5, 1, 0}))) << "an exception of another segment";
  EXPECT_FALSE(decodes(bytes({3, 1, 2, 5, 5, 2, 4, 1, 0, 3, 1, 0}))) << "exceptions fall";
  EXPECT_FALSE(decodes(bytes({3, 1, 2, 5, 5, 1, 3, 2, 1, 1}))) << "an append is skipped twice";
}

TEST(PositionIndexDeathTest, SlotsAndPositionsHaveNoGap) {
  PositionIndex index(5);
  Applied applied;
  applied.slot = 5;
  applied.first_position = 1;
  applied.entries = 2;
  index.Add(applied);
  EXPECT_DEATH(index.Add(applied), "in order");
  applied.slot = 6;
  applied.first_position = 4;
  EXPECT_DEATH(index.Add(applied), "no gap");
}

}  // namespace
}  // namespace distlog
