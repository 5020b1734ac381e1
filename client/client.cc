#include "client/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cursor.h"
#include "client/members.h"
#include "client/read_stream.h"
#include "client/repeat.h"
#include "client/verdict.h"
#include "proto/distlog/v1/cluster.grpc.pb.h"
#include "proto/distlog/v1/log.grpc.pb.h"
#include "wire/status.h"

namespace distlog {
namespace {

absl::Status CheckEndpoints(const std::vector<std::string>& endpoints) {
  if (endpoints.empty())
    return absl::InvalidArgumentError("no endpoint: name at least one HOST:PORT");
  if (endpoints.size() > Members::kMaxAddresses) {
    return absl::InvalidArgumentError(absl::StrCat(endpoints.size(), " endpoints, at most ",
                                                   Members::kMaxAddresses, " are taken"));
  }
  for (const std::string& endpoint : endpoints) {
    const size_t colon = endpoint.rfind(':');
    const std::string port = colon == std::string::npos ? "" : endpoint.substr(colon + 1);
    const bool digits = !port.empty() && port.size() <= 5 &&
                        port.find_first_not_of("0123456789") == std::string::npos;
    if (colon == 0 || !digits || std::stoi(port) < 1 || std::stoi(port) > 65535) {
      return absl::InvalidArgumentError(
          absl::StrCat("endpoint \"", endpoint, "\" is not HOST:PORT, as 127.0.0.1:4600 is"));
    }
  }
  return absl::OkStatus();
}

v1::AppendRequest ToRequest(std::vector<std::string> payloads, const AppendOptions& options) {
  v1::AppendRequest request;
  for (std::string& payload : payloads) request.add_payloads(std::move(payload));
  request.set_producer(options.producer);
  request.set_epoch(options.epoch);
  request.set_sequence(options.sequence);
  request.set_expect_position(options.expect_position);
  return request;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(const ClientOptions& options) {
  if (absl::Status status = CheckEndpoints(options.endpoints); !status.ok()) return status;
  if (options.timeout <= absl::ZeroDuration() || options.attempt_timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("timeouts must be longer than nothing");
  }
  return std::unique_ptr<Client>(
      new Client(options, std::make_unique<Members>(options.endpoints, options.seed)));
}

Client::Client(const ClientOptions& options, std::unique_ptr<Members> members)
    : options_(options), members_(std::move(members)) {}

Client::~Client() = default;

AppendResult Client::Append(std::vector<std::string> payloads, const AppendOptions& options) {
  const absl::Time deadline = absl::Now() + options_.timeout;
  v1::AppendRequest request = ToRequest(std::move(payloads), options);
  const bool has_producer = !options.producer.empty();
  Attempts attempts(has_producer);
  Backoff backoff(members_->NextSeed());
  absl::Status last;
  do {
    const absl::StatusOr<Target> target = members_->Find(deadline);
    if (!target.ok()) {
      last = target.status();
      break;
    }
    grpc::ClientContext context;
    // A silent server is given up early only if the request can be repeated.
    SetDeadline(
        has_producer ? std::min(deadline, absl::Now() + options_.attempt_timeout) : deadline,
        &context);
    request.set_cluster_id(members_->cluster_id());
    v1::AppendResponse response;
    last = StatusFrom(v1::Log::NewStub(target->channel)->Append(&context, request, &response),
                      target->address);
    if (last.ok()) {
      return {Outcome::kDone, last, response.first_position(), response.count(),
              response.duplicate()};
    }
    members_->Failed(*target, last);
    if (!attempts.Again(last)) return {attempts.outcome(), last};
  } while (Pause(backoff.Next(), deadline, nullptr));
  if (last.code() == absl::StatusCode::kUnavailable) last = NobodyServed(options_.timeout, last);
  return {attempts.outcome(), last};
}

absl::StatusOr<v1::OpenProducerResponse> Client::OpenProducer(const std::string& name,
                                                              std::optional<uint64_t> after_epoch) {
  v1::OpenProducerRequest request;
  request.set_name(name);
  if (after_epoch) request.set_after_epoch(*after_epoch);
  request.set_nonce(FreshNonce());
  v1::OpenProducerResponse response;
  const absl::Status status =
      Repeat(*members_, options_, [&](const Target& target, absl::Time attempt_deadline) {
        grpc::ClientContext context;
        SetDeadline(attempt_deadline, &context);
        request.set_cluster_id(members_->cluster_id());
        return StatusFrom(
            v1::Log::NewStub(target.channel)->OpenProducer(&context, request, &response),
            target.address);
      });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::EndResponse> Client::End(bool local) {
  v1::EndRequest request;
  v1::EndResponse response;
  const auto send = [&](const Target& target, absl::Time attempt_deadline) {
    grpc::ClientContext context;
    SetDeadline(attempt_deadline, &context);
    request.set_cluster_id(members_->cluster_id());
    return FromGrpc(v1::Log::NewStub(target.channel)->End(&context, request, &response));
  };
  absl::Status status;
  if (local) {
    request.set_consistency(v1::CONSISTENCY_LOCAL);
    const absl::Time deadline = absl::Now() + options_.timeout;
    const absl::StatusOr<Target> target = members_->FindAny(deadline);
    status = target.ok() ? send(*target, deadline) : target.status();
  } else {
    status = Repeat(*members_, options_, send);
  }
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::StatusResponse> Client::Status() {
  return members_->Ask(absl::Now() + options_.timeout);
}

absl::StatusOr<Limits> Client::GetLimits() {
  if (const std::optional<Limits> limits = members_->limits()) return *limits;
  const absl::StatusOr<Target> target = members_->Find(absl::Now() + options_.timeout);
  if (!target.ok()) {
    if (target.status().code() != absl::StatusCode::kUnavailable) return target.status();
    return NobodyServed(options_.timeout, target.status());
  }
  if (const std::optional<Limits> limits = members_->limits()) return *limits;
  return absl::FailedPreconditionError(
      absl::StrCat("the server at ", target->address, " does not tell its limits"));
}

InitResult Client::Init(const std::vector<std::string>& addresses) {
  const absl::Time deadline = absl::Now() + options_.timeout;
  const absl::StatusOr<Target> target = members_->FindAny(deadline);
  if (!target.ok()) return {Outcome::kNotDone, target.status(), {}};
  v1::InitRequest request;
  for (const std::string& address : addresses) request.add_addresses(address);
  InitResult result;
  grpc::ClientContext context;
  SetDeadline(deadline, &context);
  result.status =
      FromGrpc(v1::Cluster::NewStub(target->channel)->Init(&context, request, &result.response));
  if (result.status.ok()) {
    result.outcome = Outcome::kDone;
    return result;
  }
  // Only a server says these, and it says them before it changes anything.
  const bool refused = result.status.code() == absl::StatusCode::kFailedPrecondition ||
                       result.status.code() == absl::StatusCode::kInvalidArgument ||
                       ProvesNotAppended(result.status);
  result.outcome = refused ? Outcome::kNotDone : Outcome::kUnknown;
  return result;
}

absl::Status Client::Read(const ReadRange& range, const EntriesCallback& callback) {
  Cursor cursor(range, /*follow=*/false, callback);
  const auto open = [&](const Target& target) {
    return ReadStream::Read(target, cursor.ToReadRequest(members_->cluster_id()));
  };
  return range.local ? cursor.RunOnce(*members_, options_, open)
                     : cursor.Run(*members_, options_, open);
}

absl::Status Client::Subscribe(const SubscribeRange& range, const EntriesCallback& callback) {
  // The start is fixed first, so that however often the stream breaks nothing is left out.
  uint64_t from = range.from.value_or(0);
  if (from == 0) {
    const absl::StatusOr<v1::EndResponse> end = End();
    if (!end.ok()) return end.status();
    const uint64_t next = end->last_position() + 1;
    const uint64_t first = std::max<uint64_t>(end->first_position(), 1);
    if (range.from.has_value()) {
      from = std::min(first, next);
    } else {
      from = std::max(std::min(first, next), next - std::min(range.last, next - 1));
    }
  }
  Cursor cursor({.from = from}, /*follow=*/true, callback);
  return cursor.Run(*members_, options_, [&](const Target& target) {
    return ReadStream::Subscribe(target, cursor.ToSubscribeRequest(members_->cluster_id()));
  });
}

}  // namespace distlog
