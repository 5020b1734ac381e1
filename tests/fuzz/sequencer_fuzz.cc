// Checkpoints: what is restored gives the same checkpoint again; what is not is refused in words.
// And a restored state applies any batch, or refuses it whole.

#include "glog/logging.h"
#include "log/sequencer.h"
#include "tests/fuzz/bytes.h"
#include "wire/checksum.h"

namespace distlog {
namespace {

void Restore(const std::string& checkpoint, const std::string& batch) {
  auto sequencer = Sequencer::Restore(checkpoint);
  if (!sequencer.ok()) {
    CHECK(!sequencer.status().message().empty());
    return;
  }
  const std::string again = sequencer->Snapshot();
  auto restored = Sequencer::Restore(again);
  CHECK(restored.ok()) << restored.status();
  CHECK_EQ(restored->Snapshot(), again);

  paxos::AcceptedValue value;
  value.slot = sequencer->applied_through() + 1;
  if (value.slot == 0) return;
  value.value.kind = paxos::Value::Kind::kBatch;
  value.value.payload = std::make_shared<const std::string>(batch);
  value.value.checksum = Checksum(batch);
  const auto applied = sequencer->Apply(value);
  CHECK_EQ(applied.ok(), restored->Apply(value).ok());
  if (!applied.ok()) CHECK_EQ(sequencer->Snapshot(), again);
  CHECK_EQ(sequencer->Snapshot(), restored->Snapshot());
}

}  // namespace
}  // namespace distlog

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  distlog::Bytes input(data, size);
  const std::string batch = input.TakeString(input.Take<uint8_t>());
  distlog::Restore(input.rest(), batch);
  return 0;
}
