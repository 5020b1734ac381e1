// A Forwarder over gRPC.

#ifndef DISTLOG_SERVER_GRPC_FORWARDER_H_
#define DISTLOG_SERVER_GRPC_FORWARDER_H_

#include <cstddef>
#include <memory>

#include "grpcpp/security/credentials.h"
#include "server/forwarder.h"

namespace distlog {

struct ForwarderLimits {
  // Of requests that are not answered, or that wait to be sent on a stream. More are refused with
  // RESOURCE_EXHAUSTED and not_appended.
  size_t max_bytes = 64 << 20;
  size_t max_requests = 100'000;
};

// Connects when first needed.
std::unique_ptr<Forwarder> MakeGrpcForwarder(std::shared_ptr<grpc::ChannelCredentials> credentials,
                                             const ForwarderLimits& limits = {});

}  // namespace distlog

#endif  // DISTLOG_SERVER_GRPC_FORWARDER_H_
