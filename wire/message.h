// paxos::Message to and from the wire.

#ifndef DISTLOG_WIRE_MESSAGE_H_
#define DISTLOG_WIRE_MESSAGE_H_

#include "absl/status/statusor.h"
#include "paxos/message.h"
#include "proto/distlog/v1/peer.pb.h"

namespace distlog {

void ToProto(const paxos::Message& message, v1::PeerMessage* out);

// InvalidArgument if no message is set or a value in it is malformed (a bad checksum included): to
// be dropped, and counted. Takes the payloads out of `message`.
absl::StatusOr<paxos::Message> FromProto(v1::PeerMessage* message);

}  // namespace distlog

#endif  // DISTLOG_WIRE_MESSAGE_H_
