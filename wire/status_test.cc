// Clients decide by the typed detail what happened to their append: it must survive every change of
// clothes, and nothing else may be taken for it.

#include "wire/status.h"

#include <set>
#include <string>

#include "gtest/gtest.h"
#include "proto/distlog/v1/common.pb.h"

namespace distlog {
namespace {

v1::ErrorDetail NoLeader() {
  v1::ErrorDetail detail;
  detail.set_not_appended(true);
  detail.set_leader_address("127.0.0.1:7001");
  detail.set_reason(v1::ErrorDetail::REASON_NO_LEADER);
  return detail;
}

TEST(StatusTest, EveryCodeKeepsMessageAndDetailThroughGrpc) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status before =
        MakeError(static_cast<absl::StatusCode>(code), "no leader; try again", NoLeader());
    const absl::Status after = FromGrpc(ToGrpc(before));
    EXPECT_EQ(after, before) << code;
    ASSERT_TRUE(DetailOf(after).has_value()) << code;
    EXPECT_EQ(DetailOf(after)->SerializeAsString(), NoLeader().SerializeAsString());
  }
}

TEST(StatusTest, DetailTravelsAsGoogleRpcStatus) {
  const grpc::Status status =
      ToGrpc(MakeError(absl::StatusCode::kUnavailable, "no leader", NoLeader()));
  v1::RpcStatus rpc;
  ASSERT_TRUE(rpc.ParseFromString(status.error_details()));
  EXPECT_EQ(rpc.code(), 14);
  EXPECT_EQ(rpc.message(), "no leader");
  ASSERT_EQ(rpc.details_size(), 1);
  EXPECT_EQ(rpc.details(0).type_url(), "type.googleapis.com/distlog.v1.ErrorDetail");
  EXPECT_EQ(rpc.details(0).value(), NoLeader().SerializeAsString());
}

TEST(StatusTest, OkIsOkAndAStatusWithoutDetailHasNone) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
  const absl::Status plain = absl::NotFoundError("x");
  EXPECT_FALSE(DetailOf(plain).has_value());
  EXPECT_EQ(ToGrpc(plain).error_details(), "");
  EXPECT_EQ(FromGrpc(ToGrpc(plain)), plain);
}

// UNAVAILABLE of a broken connection, or a detail that is garbage, is never "not appended".
TEST(StatusTest, ForeignAndDamagedDetailsAreIgnored) {
  const grpc::Status broken(grpc::StatusCode::UNAVAILABLE, "connection reset");
  EXPECT_FALSE(DetailOf(FromGrpc(broken)).has_value());

  const grpc::Status garbage(grpc::StatusCode::UNAVAILABLE, "m", "\xff\xff\xff");
  EXPECT_FALSE(DetailOf(FromGrpc(garbage)).has_value());
  EXPECT_EQ(FromGrpc(garbage).code(), absl::StatusCode::kUnavailable);

  v1::RpcStatus rpc;
  rpc.add_details()->set_type_url("type.googleapis.com/other.Detail");
  rpc.mutable_details(0)->set_value(NoLeader().SerializeAsString());
  const grpc::Status foreign(grpc::StatusCode::ABORTED, "m", rpc.SerializeAsString());
  EXPECT_FALSE(DetailOf(FromGrpc(foreign)).has_value());

  rpc.mutable_details(0)->set_type_url("type.googleapis.com/distlog.v1.ErrorDetail");
  rpc.mutable_details(0)->set_value("\xff\xff");
  const grpc::Status damaged(grpc::StatusCode::ABORTED, "m", rpc.SerializeAsString());
  EXPECT_FALSE(DetailOf(FromGrpc(damaged)).has_value());
}

// A message that quotes a client's bytes, or a very long one, must not cost the detail.
TEST(StatusTest, AnyMessageLetsTheDetailThrough) {
  const absl::Status binary =
      MakeError(absl::StatusCode::kInvalidArgument, "bad \xc3( \xff name", NoLeader());
  EXPECT_TRUE(DetailOf(FromGrpc(ToGrpc(binary))).has_value());

  const grpc::Status longest =
      ToGrpc(MakeError(absl::StatusCode::kInternal, std::string(1 << 20, '\xff'), NoLeader()));
  EXPECT_LE(longest.error_message().size() + longest.error_details().size(), 3000u);
  EXPECT_TRUE(DetailOf(FromGrpc(longest)).has_value());
}

TEST(StatusTest, CodesOutsideTheStandardAreUnknown) {
  EXPECT_EQ(FromGrpc(grpc::Status(static_cast<grpc::StatusCode>(99), "m")).code(),
            absl::StatusCode::kUnknown);
}

TEST(StatusTest, EveryRefusalHasItsOwnSentenceWithItsNumbers) {
  std::set<std::string> sentences;
  for (v1::ErrorDetail::Reason reason :
       {v1::ErrorDetail::REASON_POSITION, v1::ErrorDetail::REASON_EPOCH,
        v1::ErrorDetail::REASON_SEQUENCE_GAP, v1::ErrorDetail::REASON_SEQUENCE_BOUNDARIES,
        v1::ErrorDetail::REASON_RESULT_NOT_KEPT, v1::ErrorDetail::REASON_UNKNOWN_PRODUCER,
        v1::ErrorDetail::REASON_AFTER_EPOCH}) {
    v1::ErrorDetail detail;
    detail.set_reason(reason);
    detail.set_expected(4711);
    detail.set_actual(815);
    const absl::Status status = RefusalError(detail);
    EXPECT_EQ(status.code(), reason == v1::ErrorDetail::REASON_SEQUENCE_GAP
                                 ? absl::StatusCode::kAborted
                                 : absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(DetailOf(status)->SerializeAsString(), detail.SerializeAsString());
    const std::string sentence(status.message());
    EXPECT_TRUE(sentences.insert(sentence).second) << sentence;
    if (reason == v1::ErrorDetail::REASON_UNKNOWN_PRODUCER) continue;
    EXPECT_NE(sentence.find("4711"), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("815"), std::string::npos) << sentence;
  }
}

}  // namespace
}  // namespace distlog
