// Clients' requests: each is taken or refused in words; what is taken can be batched, and applied.

#include "glog/logging.h"
#include "log/sequencer.h"
#include "server/request.h"
#include "tests/fuzz/bytes.h"
#include "wire/value.h"

namespace distlog {
namespace {

paxos::Configuration Genesis() {
  paxos::Configuration genesis;
  genesis.version = 1;
  genesis.members.push_back({paxos::ReplicaId{1}, {0, 1}, "replica:1", true});
  genesis.next_replica_id = 2;
  return genesis;
}

void Append(const std::string& bytes) {
  v1::AppendRequest request;
  if (!request.ParseFromString(bytes)) return;
  Node::Limits limits;
  limits.max_entry_bytes = 64;
  limits.max_request_bytes = 256;
  limits.max_payloads = 8;
  const absl::Status status = CheckAppend(request, limits);
  if (!status.ok()) {
    CHECK(!status.message().empty());
    return;
  }
  v1::Batch batch;
  v1::AppendRecord* append = batch.add_appends();
  *append->mutable_payloads() = request.payloads();
  append->set_producer(request.producer());
  append->set_epoch(request.epoch());
  append->set_sequence(request.sequence());
  append->set_expect_position(request.expect_position());
  Sequencer sequencer(Genesis());
  const auto applied = sequencer.Apply({1, {1, paxos::ReplicaId{1}}, MakeValue(batch)});
  CHECK(applied.ok()) << applied.status();
  CHECK_EQ(applied->appends.size(), 1u);
  CHECK_EQ(sequencer.last_position(), applied->entries);
}

void OpenProducer(const std::string& bytes) {
  v1::OpenProducerRequest request;
  if (!request.ParseFromString(bytes)) return;
  const absl::Status status = CheckOpenProducer(request);
  CHECK(status.ok() || !status.message().empty());
}

}  // namespace
}  // namespace distlog

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] % 2 == 0) {
    distlog::Append(bytes);
  } else {
    distlog::OpenProducer(bytes);
  }
  return 0;
}
