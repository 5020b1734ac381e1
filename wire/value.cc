#include "wire/value.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "wire/checksum.h"

namespace distlog {
namespace {

paxos::Value ValueOf(paxos::Value::Kind kind, const google::protobuf::MessageLite& message) {
  auto payload = std::make_shared<std::string>();
  CHECK(message.SerializeToString(payload.get())) << "a value does not fit into 2 GiB";
  paxos::Value value;
  value.kind = kind;
  value.checksum = Checksum(*payload);
  value.payload = std::move(payload);
  return value;
}

absl::StatusOr<std::shared_ptr<const paxos::Configuration>> DecodeConfiguration(
    const std::string& payload) {
  v1::ConfigurationMessage message;
  if (!message.ParseFromString(payload)) {
    return absl::DataLossError("value: its bytes are not those of a configuration");
  }
  absl::StatusOr<paxos::Configuration> configuration = FromProto(message);
  if (!configuration.ok()) {
    return absl::DataLossError(absl::StrCat("value: ", configuration.status().message()));
  }
  return std::make_shared<const paxos::Configuration>(*std::move(configuration));
}

}  // namespace

paxos::Value MakeValue(const v1::Batch& batch) {
  return ValueOf(paxos::Value::Kind::kBatch, batch);
}

paxos::Value MakeValue(const v1::Command& command) {
  return ValueOf(paxos::Value::Kind::kCommand, command);
}

paxos::Value MakeValue(const paxos::Configuration& configuration) {
  paxos::Value value = ValueOf(paxos::Value::Kind::kConfiguration, ToProto(configuration));
  value.configuration = std::make_shared<const paxos::Configuration>(configuration);
  return value;
}

absl::StatusOr<paxos::Value> DecodeValue(uint32_t kind, std::string payload, uint64_t checksum) {
  paxos::Value value;
  if (kind == static_cast<uint32_t>(paxos::Value::Kind::kNoOp)) {
    if (!payload.empty() || checksum != 0) {
      return absl::DataLossError("value: a no-op has a payload or a checksum");
    }
    return value;
  }
  if (kind > std::numeric_limits<uint8_t>::max()) {
    return absl::DataLossError(absl::StrCat("value: its kind is ", kind, ", above 255"));
  }
  if (Checksum(payload) != checksum) {
    return absl::DataLossError("value: the checksum does not match the payload");
  }
  value.kind = static_cast<paxos::Value::Kind>(kind);
  value.checksum = checksum;
  if (value.kind == paxos::Value::Kind::kConfiguration) {
    auto configuration = DecodeConfiguration(payload);
    if (!configuration.ok()) return configuration.status();
    value.configuration = *std::move(configuration);
  }
  value.payload = std::make_shared<const std::string>(std::move(payload));
  return value;
}

v1::BallotMessage ToProto(const paxos::Ballot& ballot) {
  v1::BallotMessage message;
  message.set_round(ballot.round);
  message.set_replica(static_cast<uint64_t>(ballot.owner));
  return message;
}

paxos::Ballot FromProto(const v1::BallotMessage& message) {
  return paxos::Ballot{message.round(), paxos::ReplicaId{message.replica()}};
}

}  // namespace distlog
