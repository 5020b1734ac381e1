#include "wire/status.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/distlog/v1/common.pb.h"

namespace distlog {
namespace {

constexpr char kTypeUrl[] = "type.googleapis.com/distlog.v1.ErrorDetail";

// Trailers have a limit of 8 KiB, beyond which the caller gets neither message nor detail.
constexpr size_t kMaxMessageBytes = 512;

// Protobuf does not parse a `string` that is not UTF-8, and the detail would be lost with it.
std::string PlainText(const std::string& text) {
  const bool ascii = std::all_of(text.begin(), text.end(),
                                 [](char c) { return static_cast<signed char>(c) >= 0; });
  return ascii ? text : absl::CHexEscape(text);
}

std::string Sentence(const v1::ErrorDetail& detail) {
  const uint64_t expected = detail.expected();
  const uint64_t actual = detail.actual();
  switch (detail.reason()) {
    case v1::ErrorDetail::REASON_POSITION:
      return absl::StrCat("the entry would get position ", actual, ", not the expected position ",
                          expected, ": read what was appended meanwhile, then decide again");
    case v1::ErrorDetail::REASON_EPOCH:
      return absl::StrCat("epoch ", expected, " of the producer is not current: epoch ", actual,
                          " is; another process opened this producer, or this one must open it");
    case v1::ErrorDetail::REASON_SEQUENCE_GAP:
      return absl::StrCat("sequence ", actual, " of the producer leaves a gap: sequence ", expected,
                          " is next; send the earlier entries first, then repeat this one");
    case v1::ErrorDetail::REASON_SEQUENCE_BOUNDARIES:
      return absl::StrCat("the range at sequence ", actual,
                          " of the producer is empty, or overlaps an earlier range without being a "
                          "repeat of it (sequence ",
                          expected,
                          " is next): repeat a request with the same epoch, sequence and number of "
                          "payloads");
    case v1::ErrorDetail::REASON_RESULT_NOT_KEPT:
      return absl::StrCat("sequence ", actual,
                          " of the producer was decided long ago and its result is no longer kept "
                          "(results are kept from sequence ",
                          expected, " on): read the log to see whether it was appended");
    case v1::ErrorDetail::REASON_UNKNOWN_PRODUCER:
      return absl::StrCat(
          "no such producer: it was never opened, or it expired; open it with OpenProducer, or "
          "begin "
          "at epoch 0, sequence 1");
    case v1::ErrorDetail::REASON_AFTER_EPOCH:
      return absl::StrCat("the producer's current epoch is ", actual, ", not ", expected,
                          ": another process opened it; open it after epoch ", actual,
                          " only if that process is to be fenced");
    default:
      return absl::StrCat("refused when it was applied, for reason ",
                          static_cast<int>(detail.reason()), ": see ErrorDetail in docs/api.md");
  }
}

}  // namespace

absl::Status MakeError(absl::StatusCode code, const std::string& message,
                       const v1::ErrorDetail& detail) {
  absl::Status status(code, message);
  status.SetPayload(kTypeUrl, absl::Cord(detail.SerializeAsString()));
  return status;
}

std::optional<v1::ErrorDetail> DetailOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kTypeUrl);
  v1::ErrorDetail detail;
  if (!payload.has_value() || !detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message(status.message().substr(0, kMaxMessageBytes));
  const absl::optional<absl::Cord> payload = status.GetPayload(kTypeUrl);
  if (!payload.has_value()) return grpc::Status(code, message);
  v1::RpcStatus rpc;
  rpc.set_code(code);
  rpc.set_message(PlainText(message));
  google::protobuf::Any* any = rpc.add_details();
  any->set_type_url(kTypeUrl);
  any->set_value(std::string(*payload));
  return grpc::Status(code, message, rpc.SerializeAsString());
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  v1::RpcStatus rpc;
  if (!rpc.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& any : rpc.details()) {
    if (any.type_url() == kTypeUrl) result.SetPayload(kTypeUrl, absl::Cord(any.value()));
  }
  return result;
}

absl::Status RefusalError(const v1::ErrorDetail& detail) {
  const absl::StatusCode code = detail.reason() == v1::ErrorDetail::REASON_SEQUENCE_GAP
                                    ? absl::StatusCode::kAborted
                                    : absl::StatusCode::kFailedPrecondition;
  return MakeError(code, Sentence(detail), detail);
}

}  // namespace distlog
