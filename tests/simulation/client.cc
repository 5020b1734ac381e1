#include "tests/simulation/client.h"

#include <algorithm>
#include <utility>

namespace distlog::simulation {

using paxos::ReplicaId;

Client::Client(World* world, History* history, std::vector<Host*> hosts, Options options)
    : world_(world), history_(history), hosts_(std::move(hosts)), options_(std::move(options)) {}

void Client::Start() { Think(); }

std::vector<History::Id> Client::OperationsUnderWay() const {
  std::vector<History::Id> ids;
  for (const auto& [id, operation] : operations_) ids.push_back(id);
  return ids;
}

void Client::Think() {
  if (thinking_ || stopped_) return;
  thinking_ = true;
  world_->scheduler.After(world_->random.Between(Time(0), options_.max_think), [this] {
    thinking_ = false;
    if (stopped_) return;
    if (operations_.size() < options_.pipeline) Begin();
    if (operations_.size() < options_.pipeline) Think();
  });
}

void Client::Begin() {
  Operation operation;
  History::Id id = 0;
  if (world_->random.Chance(options_.append_share)) {
    const auto count = static_cast<uint32_t>(world_->random.Between(1, options_.max_payloads));
    AppendRequest& append = operation.append;
    if (options_.is_producer) {
      append.producer = options_.name;
      append.sequence = next_sequence_;
      next_sequence_ += count;
    } else if (world_->random.Chance(options_.conditional_share)) {
      append.expect_position = last_end_ + 1;
    }
    id = history_->InvokeAppend(world_->now(), count, append.producer, append.sequence,
                                append.expect_position);
    for (uint32_t i = 0; i < count; ++i) {
      append.payloads.push_back(
          History::Payload(id, i, world_->random.Below(options_.max_payload + 1)));
    }
  } else {
    id = history_->InvokeRead(world_->now());
  }
  operation.next_host = world_->random.Below(hosts_.size());
  operations_[id] = std::move(operation);
  Attempt(id, leader_);
}

Host* Client::Choose(ReplicaId preferred, Operation* operation) {
  for (Host* host : hosts_) {
    if (host->id() == preferred) return host;
  }
  return hosts_[operation->next_host++ % hosts_.size()];
}

Time Client::Latency() {
  return world_->random.LongTail(std::chrono::microseconds(50), std::chrono::milliseconds(5));
}

void Client::Attempt(History::Id id, ReplicaId to) {
  Operation& operation = operations_.at(id);
  const uint64_t attempt = ++operation.attempt;
  Host* host = Choose(to, &operation);
  const auto when_answered = [this](std::function<void()> handle) {
    if (world_->random.Chance(options_.loss)) return;
    world_->scheduler.After(Latency(), std::move(handle));
  };
  if (!world_->random.Chance(options_.loss)) {
    world_->scheduler.After(
        Latency(), [this, id, attempt, host, when_answered, request = operation.append] {
          if (!host->is_up()) {  // Refused; the client cannot tell when.
            when_answered([this, id, attempt] { OnSilence(id, attempt); });
          } else if (request.payloads.empty()) {
            host->Read(
                [this, id, attempt, when_answered](const ReadReply& reply) {
                  when_answered([this, id, attempt, reply] { OnReadReply(id, attempt, reply); });
                },
                options_.timeout);
          } else {
            host->Append(request, [this, id, attempt, when_answered](const AppendReply& reply) {
              when_answered([this, id, attempt, reply] { OnAppendReply(id, attempt, reply); });
            });
          }
        });
  }
  world_->scheduler.After(options_.timeout, [this, id, attempt] { OnSilence(id, attempt); });
}

void Client::AttemptLater(History::Id id, ReplicaId to) {
  const uint64_t attempt = ++operations_.at(id).attempt;  // Its timeout is void.
  world_->scheduler.After(
      world_->random.Between(std::chrono::milliseconds(1), std::chrono::milliseconds(50)),
      [this, id, attempt, to] {
        const auto it = operations_.find(id);
        if (it != operations_.end() && it->second.attempt == attempt) Attempt(id, to);
      });
}

void Client::OnSilence(History::Id id, uint64_t attempt) {
  const auto it = operations_.find(id);
  if (it == operations_.end() || it->second.attempt != attempt) return;
  leader_ = paxos::kNoReplica;
  const bool may_repeat = it->second.append.payloads.empty() || options_.is_producer;
  if (may_repeat) {
    ++world_->counters["attempts repeated after silence"];
    AttemptLater(id, leader_);
  } else {
    ++world_->counters["appends of unknown outcome"];
    End(id);
  }
}

void Client::OnAppendReply(History::Id id, uint64_t attempt, const AppendReply& reply) {
  const auto it = operations_.find(id);
  if (it == operations_.end()) return;
  if (world_->trace.on()) {
    world_->trace.Add(
        world_->now(),
        options_.name + " append " + std::to_string(id) + " sequence " +
            std::to_string(it->second.append.sequence) +
            (reply.not_appended
                 ? ": not appended"
                 : ": reason " + std::to_string(static_cast<uint32_t>(reply.result.reason)) +
                       " position " + std::to_string(reply.result.first_position)));
  }
  if (reply.not_appended) {
    // Of an earlier attempt it says nothing about this one.
    if (it->second.attempt != attempt) return;
    leader_ = reply.leader;
    AttemptLater(id, leader_);
    return;
  }
  const AppendResult& result = reply.result;
  switch (result.reason) {
    case RefusalReason::kNone:
      history_->ReturnAppended(id, world_->now(), result.first_position);
      last_end_ = std::max(last_end_, result.first_position + result.count - 1);
      ++done_;
      break;
    case RefusalReason::kSequenceGap:
    case RefusalReason::kUnknownProducer:  // The first one is.
      // An earlier one of the pipeline is still under way.
      ++world_->counters["sequence gaps"];
      if (it->second.attempt == attempt) AttemptLater(id, leader_);
      return;
    case RefusalReason::kPosition:
      ++world_->counters["positions refused"];
      history_->ReturnRefused(id, world_->now(), result.actual - 1);
      last_end_ = std::max(last_end_, result.actual - 1);
      ++done_;
      break;
    default:
      world_->Fail("client " + options_.name + ": refused for reason " +
                   std::to_string(static_cast<uint32_t>(result.reason)));
      return;
  }
  End(id);
}

void Client::OnReadReply(History::Id id, uint64_t attempt, const ReadReply& reply) {
  const auto it = operations_.find(id);
  if (it == operations_.end()) return;
  if (reply.refused) {
    if (it->second.attempt == attempt) AttemptLater(id, paxos::kNoReplica);
    return;
  }
  history_->ReturnRead(id, world_->now(), reply.end);
  last_end_ = std::max(last_end_, reply.end);
  ++done_;
  End(id);
}

void Client::End(History::Id id) {
  operations_.erase(id);
  Think();
}

}  // namespace distlog::simulation
