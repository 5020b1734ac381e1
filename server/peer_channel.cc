#include "server/peer_channel.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"
#include "wire/callback_queue.h"

namespace distlog {
namespace {

bool Says(const grpc::Status& status, const char* words) {
  return absl::StrContains(status.error_message(), words);
}

bool IsSilence(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED || Says(status, "keepalive") ||
         Says(status, "timed out") || Says(status, "imeout") || Says(status, "nreachable");
}

}  // namespace

std::shared_ptr<grpc::Channel> DialPeer(const std::string& address) {
  KeepCallbackQueue();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // The minimum is also the time that a connection may take to come up.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 3000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetMaxReceiveMessageSize(kMaxPeerMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxPeerMessageBytes);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

std::string WhyUnreachable(const grpc::Status& status) {
  if (Says(status, "Connection refused")) return "connection refused";
  if (IsSilence(status)) return "no answer";
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) return "another program serves there";
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE) {
    return absl::CEscape(status.error_message().substr(0, 500));
  }
  if (Says(status, "Socket closed") || Says(status, "reset by peer") ||
      Says(status, "Broken pipe")) {
    return "connection broken";
  }
  if (Says(status, "DNS")) return "the host name is not known";
  return absl::StrCat("connection failed (", absl::CEscape(status.error_message().substr(0, 200)),
                      ")");
}

bool PeerIsGone(const grpc::Status& status, bool was_established) {
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE || IsSilence(status)) return false;
  return was_established || Says(status, "Connection refused");
}

}  // namespace distlog
