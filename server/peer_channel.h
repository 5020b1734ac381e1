// Connections between servers.

#ifndef DISTLOG_SERVER_PEER_CHANNEL_H_
#define DISTLOG_SERVER_PEER_CHANNEL_H_

#include <cstddef>
#include <memory>
#include <string>

#include "grpcpp/channel.h"
#include "grpcpp/support/status.h"

namespace distlog {

// The bound on one message between servers: an Accept, a part of a Promise or a run of chosen
// values, each at most a few MiB of values.
inline constexpr size_t kMaxPeerMessageBytes = 16 << 20;

// A channel that shares its connection with no other. It connects when it is first used, gives up
// after a second, and is then to be replaced by another: whoever uses it decides when to try again.
std::shared_ptr<grpc::Channel> DialPeer(const std::string& address);

// In a few words, and the same words for the same reason: why a call to another server failed.
std::string WhyUnreachable(const grpc::Status& status);

// Whether the status of a call says that no process serves at its other end: a connection refused,
// or (with `was_established`) one that broke. Silence is not that.
bool PeerIsGone(const grpc::Status& status, bool was_established);

}  // namespace distlog

#endif  // DISTLOG_SERVER_PEER_CHANNEL_H_
