// A Forwarder over gRPC.

#ifndef DISTLOG_SERVER_GRPC_FORWARDER_H_
#define DISTLOG_SERVER_GRPC_FORWARDER_H_

#include <cstddef>
#include <memory>

#include "grpcpp/security/credentials.h"
#include "server/forwarder.h"

namespace distlog {

// Connects when first needed. Refuses (RESOURCE_EXHAUSTED, not_appended) what would make its
// unanswered requests more than `max_bytes`.
std::unique_ptr<Forwarder> MakeGrpcForwarder(std::shared_ptr<grpc::ChannelCredentials> credentials,
                                             size_t max_bytes = 64 << 20);

}  // namespace distlog

#endif  // DISTLOG_SERVER_GRPC_FORWARDER_H_
