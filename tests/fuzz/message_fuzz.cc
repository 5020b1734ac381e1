// Peers' messages: what is taken is said again in bytes that are taken as the same message.

#include "glog/logging.h"
#include "tests/fuzz/bytes.h"
#include "wire/checksum.h"
#include "wire/message.h"

namespace distlog {
namespace {

// A fuzzer finds no checksum: those of values are set right, if asked to.
void Repair(google::protobuf::RepeatedPtrField<v1::ValueMessage>* values) {
  for (v1::ValueMessage& value : *values) value.set_checksum(Checksum(value.payload()));
}
void Repair(google::protobuf::RepeatedPtrField<v1::AcceptedValueMessage>* accepted) {
  for (v1::AcceptedValueMessage& each : *accepted) {
    if (each.has_value()) each.mutable_value()->set_checksum(Checksum(each.value().payload()));
  }
}

void Exchange(const std::string& bytes, bool repair) {
  v1::PeerMessage received;
  if (!received.ParseFromString(bytes)) return;
  if (repair && received.has_accept()) Repair(received.mutable_accept()->mutable_values());
  if (repair && received.has_promise()) Repair(received.mutable_promise()->mutable_accepted());
  if (repair && received.has_learn_reply())
    Repair(received.mutable_learn_reply()->mutable_chosen());
  const auto message = FromProto(&received);
  if (!message.ok()) {
    CHECK(!message.status().message().empty());
    return;
  }
  v1::PeerMessage sent;
  ToProto(*message, &sent);
  const std::string again = sent.SerializeAsString();
  v1::PeerMessage parsed;
  CHECK(parsed.ParseFromString(again));
  const auto same = FromProto(&parsed);
  CHECK(same.ok()) << same.status();
  CHECK(*same == *message);
  CHECK(!paxos::ToString(*message).empty());
}

}  // namespace
}  // namespace distlog

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  distlog::Exchange(std::string(reinterpret_cast<const char*>(data + 1), size - 1),
                    data[0] % 2 != 0);
  return 0;
}
