#include "server/peer_reader.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/distlog/v1/log.grpc.pb.h"
#include "proto/distlog/v1/peer.grpc.pb.h"
#include "server/forwarder.h"
#include "server/peer_channel.h"
#include "wire/message.h"
#include "wire/status.h"

namespace distlog {
namespace {

// Of one call: 4 MiB over a slow line.
constexpr std::chrono::seconds kPatience{5};
constexpr size_t kMaxChannels = 16;

absl::StatusOr<std::vector<paxos::AcceptedValue>> ChosenOf(v1::LearnReply* reply) {
  v1::PeerMessage message;
  message.mutable_learn_reply()->Swap(reply);
  absl::StatusOr<paxos::Message> converted = FromProto(&message);
  if (!converted.ok()) return converted.status();
  return std::move(std::get<paxos::LearnReply>(*converted).chosen);
}

// Of the first response, which has all that is wanted at once.
absl::StatusOr<std::vector<LogEntry>> EntriesOf(v1::ReadResponse* response, uint64_t from,
                                                uint64_t to) {
  std::vector<LogEntry> entries;
  for (v1::Entry& entry : *response->mutable_entries()) {
    if (entry.position() != from + entries.size() || entry.position() > to) {
      return absl::DataLossError("it answers with other positions than it was asked for");
    }
    entries.push_back({.position = entry.position(),
                       .timestamp_ms = entry.timestamp_ms(),
                       .payload = std::move(*entry.mutable_payload())});
  }
  if (entries.empty()) return absl::UnavailableError("it has not applied so far yet");
  return entries;
}

}  // namespace

absl::StatusOr<std::vector<paxos::AcceptedValue>> PeerReader::FetchChosen(paxos::Slot first,
                                                                          paxos::Slot through) {
  absl::StatusOr<std::vector<paxos::AcceptedValue>> chosen;
  const absl::Status status =
      AskInTurn([&](const paxos::Member& member, const std::shared_ptr<grpc::Channel>& channel,
                    grpc::ClientContext* context) {
        v1::FetchRequest request;
        *request.mutable_hello() = registry_->MakeHello(member, v1::TRAFFIC_CLASS_BULK);
        request.set_first(first);
        request.set_through(through);
        v1::FetchResponse response;
        const grpc::Status called = v1::Peer::NewStub(channel)->Fetch(context, request, &response);
        if (!called.ok()) return FromGrpc(called);
        const absl::Status proven = registry_->CheckAnswer(response.hello(), member);
        if (!proven.ok()) return proven;
        chosen = ChosenOf(response.mutable_reply());
        return chosen.status();
      });
  if (!status.ok()) return status;
  return chosen;
}

absl::StatusOr<std::vector<LogEntry>> PeerReader::ReadEntries(uint64_t from, uint64_t to) {
  absl::StatusOr<std::vector<LogEntry>> entries;
  const absl::Status status =
      AskInTurn([&](const paxos::Member& member, const std::shared_ptr<grpc::Channel>& channel,
                    grpc::ClientContext* context) {
        v1::ReadRequest request;
        request.set_from(from);
        request.set_to(to);
        // What is chosen does not change: whatever a member has applied is right.
        request.set_consistency(v1::CONSISTENCY_LOCAL);
        request.set_cluster_id(registry_->MakeHello(member, v1::TRAFFIC_CLASS_BULK).cluster_id());
        context->AddMetadata(kForwardedKey, "1");
        const auto reader = v1::Log::NewStub(channel)->Read(context, request);
        v1::ReadResponse response;
        if (!reader->Read(&response)) {
          const absl::Status ended = FromGrpc(reader->Finish());
          return ended.ok() ? absl::UnavailableError("it has not applied so far yet") : ended;
        }
        entries = EntriesOf(&response, from, to);
        context->TryCancel();  // The rest is asked for when it is needed.
        return entries.status();
      });
  if (!status.ok()) return status;
  return entries;
}

void PeerReader::TurnToNext() {
  std::lock_guard lock(mutex_);
  ++turn_;
}

void PeerReader::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  for (grpc::ClientContext* context : under_way_) context->TryCancel();
}

absl::Status PeerReader::AskInTurn(const Ask& ask) {
  const std::vector<paxos::Member> others = registry_->peers();
  if (others.empty()) return absl::UnavailableError("this replica knows of no other member");
  std::string refusals;
  for (size_t i = 0; i < others.size(); ++i) {
    size_t turn;
    {
      std::lock_guard lock(mutex_);
      if (stopped_) return absl::CancelledError("the server is stopping");
      turn = turn_;
    }
    const paxos::Member& member = others[turn % others.size()];
    const absl::Status status = AskOne(member, ask);
    if (status.ok()) return status;
    absl::StrAppend(&refusals, refusals.empty() ? "" : "; ", "replica ", paxos::ToString(member.id),
                    " at ", member.address, ": ", std::string(status.message()));
    TurnToNext();
  }
  return absl::UnavailableError(refusals);
}

absl::Status PeerReader::AskOne(const paxos::Member& member, const Ask& ask) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  std::shared_ptr<grpc::Channel> channel;
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return absl::CancelledError("the server is stopping");
    if (channels_.size() >= kMaxChannels) channels_.clear();
    std::shared_ptr<grpc::Channel>& known = channels_[member.address];
    if (known == nullptr) known = DialPeer(member.address);
    channel = known;
    under_way_.insert(&context);
  }
  const absl::Status status = ask(member, channel, &context);
  std::lock_guard lock(mutex_);
  under_way_.erase(&context);
  // A channel that failed waits before it connects again; a new one does not.
  if (!status.ok()) channels_.erase(member.address);
  return status;
}

}  // namespace distlog
