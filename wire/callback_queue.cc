#include "wire/callback_queue.h"

#include <chrono>

#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/byte_buffer.h"

namespace distlog {

void KeepCallbackQueue() {
  struct Call {
    grpc::ClientContext context;
    grpc::ByteBuffer request;
    grpc::ByteBuffer response;
  };
  static const bool kept = [] {
    auto* const stub = new grpc::GenericStub(
        grpc::CreateChannel("127.0.0.1:1", grpc::InsecureChannelCredentials()));
    auto* const call = new Call;
    // Ends before it begins: it only has to be one with a callback.
    call->context.set_deadline(std::chrono::system_clock::time_point::min());
    grpc::Slice nothing;
    call->request = grpc::ByteBuffer(&nothing, 1);
    stub->UnaryCall(&call->context, "/distlog.v1.Peer/Probe", grpc::StubOptions(), &call->request,
                    &call->response, [call](grpc::Status) { delete call; });
    return true;
  }();
  (void)kept;
}

}  // namespace distlog
