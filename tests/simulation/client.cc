#include "tests/simulation/client.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "wire/status.h"

namespace distlog::simulation {
namespace {

// What an attempt without an answer is to the library: an error without a detail.
absl::Status Silence() { return absl::DeadlineExceededError("no answer"); }
absl::Status Unreachable() { return absl::UnavailableError("connection refused"); }

std::string LeaderOf(const absl::Status& error) {
  const std::optional<v1::ErrorDetail> detail = DetailOf(error);
  return detail.has_value() ? detail->leader_address() : "";
}

}  // namespace

Client::Client(World* world, History* history, const std::vector<Host*>* hosts, Options options)
    : world_(world), history_(history), hosts_(hosts), options_(std::move(options)) {}

void Client::Start() {
  if (options_.is_producer && options_.opens) {
    nonce_ = world_->random.Next() | 1;
    open_turn_ = world_->random.Below(hosts_->size());
    Open("");
  } else {
    Think();
  }
}

std::vector<History::Id> Client::OperationsUnderWay() const {
  std::vector<History::Id> ids;
  for (const auto& [id, operation] : operations_) ids.push_back(id);
  return ids;
}

// ---- The way there and back. -------------------------------------------------------------------

Host* Client::Choose(const std::string& address, size_t* turn) {
  for (Host* host : *hosts_) {
    if (!address.empty() && host->address() == address) return host;
  }
  return hosts_->at((*turn)++ % hosts_->size());
}

Time Client::Latency() {
  return world_->random.LongTail(std::chrono::microseconds(50), std::chrono::milliseconds(2));
}

void Client::Send(Host* host, std::function<void()> request, std::function<void()> unreachable) {
  if (options_.loss > 0 && world_->random.Chance(options_.loss)) {
    ++world_->counters.client_messages_lost;
    return;
  }
  world_->scheduler.After(
      Latency(), [this, host, request = std::move(request), unreachable = std::move(unreachable)] {
        if (host->is_up()) {
          request();
        } else {
          Return(unreachable);
        }
      });
}

void Client::Return(std::function<void()> answer) {
  if (options_.loss > 0 && world_->random.Chance(options_.loss)) {
    ++world_->counters.client_messages_lost;
    return;
  }
  world_->scheduler.After(Latency(), std::move(answer));
}

// ---- Opening. ----------------------------------------------------------------------------------

// The same nonce again gets the same answer.
void Client::Open(const std::string& address) {
  const uint64_t attempt = ++opening_;
  Host* host = Choose(address, &open_turn_);
  v1::OpenProducerRequest request;
  request.set_name(options_.name);
  request.set_nonce(nonce_);
  Send(
      host,
      [this, host, attempt, request] {
        host->OpenProducer(request, options_.timeout,
                           [this, attempt](const absl::StatusOr<v1::OpenProducerResponse>& answer) {
                             Return([this, attempt, answer] { OnOpened(attempt, answer); });
                           });
      },
      [this, attempt] { OnOpened(attempt, Unreachable()); });
  world_->scheduler.After(options_.timeout, [this, attempt] { OnOpened(attempt, Silence()); });
}

void Client::OnOpened(uint64_t attempt, const absl::StatusOr<v1::OpenProducerResponse>& answer) {
  if (attempt != opening_ || epoch_ != 0) return;
  if (answer.ok()) {
    epoch_ = answer->epoch();
    next_sequence_ = answer->next_sequence();
    ++world_->counters.producers_opened;
    Think();
    return;
  }
  ++opening_;
  if (stopped_) return;
  world_->scheduler.After(
      world_->random.Between(std::chrono::milliseconds(1), std::chrono::milliseconds(50)),
      [this, address = LeaderOf(answer.status())] { Open(address); });
}

// ---- Operations. -------------------------------------------------------------------------------

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
  ++world_->counters.operations;
  Operation operation(options_.is_producer);
  History::Id id = 0;
  if (world_->random.Chance(options_.append_share)) {
    BeginAppend(&operation, &id);
  } else {
    if (world_->random.Chance(options_.range_share)) operation.range = ChooseRange();
    id = history_->InvokeRead(world_->now());
  }
  operation.next_host = world_->random.Below(hosts_->size());
  operations_.emplace(id, std::move(operation));
  // Now and then it asks whoever is next, who has to pass it on.
  Attempt(id, world_->random.Chance(0.1) ? "" : leader_);
}

void Client::BeginAppend(Operation* operation, History::Id* id) {
  const auto count = static_cast<uint32_t>(world_->random.Between(1, options_.max_payloads));
  v1::AppendRequest& append = operation->append;
  if (options_.is_producer) {
    append.set_producer(options_.name);
    append.set_epoch(epoch_);
    append.set_sequence(next_sequence_);
    next_sequence_ += count;
  }
  if (world_->random.Chance(options_.conditional_share)) append.set_expect_position(last_end_ + 1);
  *id = history_->InvokeAppend(world_->now(), count, append.producer(), append.sequence(),
                               append.expect_position());
  for (uint32_t i = 0; i < count; ++i) {
    append.add_payloads(History::Payload(*id, i, world_->random.Below(options_.max_payload + 1)));
  }
}

// Near the end as it knows it, and a little beyond; now and then from the beginning.
v1::ReadRequest Client::ChooseRange() {
  Random& random = world_->random;
  v1::ReadRequest range;
  if (!random.Chance(0.02)) range.set_from(last_end_ + 3 - std::min(last_end_, random.Below(40)));
  if (random.Chance(0.9)) range.set_to(range.from() + random.Below(20));
  if (random.Chance(0.5)) range.set_consistency(v1::CONSISTENCY_LOCAL);
  return range;
}

void Client::Attempt(History::Id id, const std::string& address) {
  Operation& operation = operations_.at(id);
  const uint64_t attempt = ++operation.attempt;
  Host* host = Choose(address, &operation.next_host);
  if (operation.append.payloads().empty()) {
    if (operation.range.has_value()) {
      SendRange(host, id, attempt, *operation.range);
    } else {
      SendRead(host, id, attempt);
    }
    return;
  }
  Send(
      host,
      [this, host, id, attempt, request = operation.append] {
        host->Append(request, options_.timeout, /*passed_on=*/false,
                     [this, id, attempt](const absl::StatusOr<v1::AppendResponse>& answer) {
                       Return([this, id, attempt, answer] { OnAppended(id, attempt, answer); });
                     });
      },
      [this, id, attempt] { OnAppended(id, attempt, Unreachable()); });
  world_->scheduler.After(options_.timeout,
                          [this, id, attempt] { OnAppended(id, attempt, Silence()); });
}

void Client::SendRead(Host* host, History::Id id, uint64_t attempt) {
  Send(
      host,
      [this, host, id, attempt] {
        host->Read(options_.timeout,
                   [this, id, attempt](const absl::StatusOr<Node::Bounds>& answer) {
                     Return([this, id, attempt, answer] { OnRead(id, attempt, answer); });
                   });
      },
      [this, id, attempt] { OnRead(id, attempt, Unreachable()); });
  world_->scheduler.After(options_.timeout,
                          [this, id, attempt] { OnRead(id, attempt, Silence()); });
}

void Client::SendRange(Host* host, History::Id id, uint64_t attempt, const v1::ReadRequest& range) {
  Send(
      host,
      [this, host, id, attempt, range] {
        host->ReadEntries(range, options_.timeout,
                          [this, id, attempt](const absl::StatusOr<Entries>& answer) {
                            Return([this, id, attempt, answer] { OnEntries(id, attempt, answer); });
                          });
      },
      [this, id, attempt] { OnEntries(id, attempt, Unreachable()); });
  world_->scheduler.After(options_.timeout,
                          [this, id, attempt] { OnEntries(id, attempt, Silence()); });
}

void Client::AttemptLater(History::Id id, const std::string& address) {
  const uint64_t attempt = ++operations_.at(id).attempt;  // Its timeout is void.
  ++world_->counters.attempts_repeated;
  world_->scheduler.After(
      world_->random.Between(std::chrono::milliseconds(1), std::chrono::milliseconds(30)),
      [this, id, attempt, address] {
        const auto it = operations_.find(id);
        if (it != operations_.end() && it->second.attempt == attempt) Attempt(id, address);
      });
}

// A success of any attempt counts; an error of an earlier one says nothing about this one.
void Client::OnAppended(History::Id id, uint64_t attempt,
                        const absl::StatusOr<v1::AppendResponse>& answer) {
  const auto it = operations_.find(id);
  if (it == operations_.end() || (!answer.ok() && it->second.attempt != attempt)) return;
  if (world_->trace.on()) {
    world_->trace.Add(
        world_->now(),
        options_.name + " append " + std::to_string(id) + " sequence " +
            std::to_string(it->second.append.sequence()) + ": " +
            (answer.ok() ? "position " + std::to_string(answer->first_position())
                         : std::string(answer.status().message()) +
                               (ProvesNotAppended(answer.status()) ? ", not appended" : "")));
  }
  if (!answer.ok()) {
    OnAppendError(id, answer.status());
    return;
  }
  history_->ReturnAppended(id, world_->now(), answer->first_position());
  if (answer->duplicate()) ++world_->counters.duplicates_answered;
  world_->counters.acknowledged_entries += answer->count();
  last_end_ = std::max(last_end_, answer->first_position() + answer->count() - 1);
  ++done_;
  End(id);
}

void Client::OnAppendError(History::Id id, const absl::Status& error) {
  CountRefusal(error);
  Operation& operation = operations_.at(id);
  const v1::ErrorDetail::Reason reason = ReasonOf(error);
  leader_ = LeaderOf(error);
  const bool again = operation.attempts.Again(error);
  // The library leaves these to its caller: one who has sent what closes the gap, and one who can
  // wait for space.
  const bool caller_repeats =
      options_.is_producer && (reason == v1::ErrorDetail::REASON_SEQUENCE_GAP ||
                               reason == v1::ErrorDetail::REASON_UNKNOWN_PRODUCER ||
                               reason == v1::ErrorDetail::REASON_DISK_FULL);
  if (again || caller_repeats) {
    AttemptLater(id, leader_);
    return;
  }
  if (operation.attempts.outcome() == distlog::Outcome::kUnknown) {
    ++world_->counters.unknown_outcomes;
    if (options_.is_producer) {
      world_->Fail("client " + options_.name + ": append " + std::to_string(id) +
                   " can never be known: " + std::string(error.message()));
    }
    End(id);
    return;
  }
  if (reason == v1::ErrorDetail::REASON_DISK_FULL) {
    history_->ReturnRefused(id, world_->now(), std::nullopt);
    End(id);
    return;
  }
  if (reason != v1::ErrorDetail::REASON_POSITION) {
    // Nothing else is a reason to refuse what these clients ask for.
    world_->Fail("client " + options_.name + ": append " + std::to_string(id) +
                 " is refused: " + std::string(error.message()));
    return;
  }
  const uint64_t end = DetailOf(error)->actual() - 1;
  history_->ReturnRefused(id, world_->now(), end);
  last_end_ = std::max(last_end_, end);
  ++done_;
  End(id);
}

void Client::CountRefusal(const absl::Status& error) {
  Counters& counters = world_->counters;
  switch (ReasonOf(error)) {
    case v1::ErrorDetail::REASON_POSITION:
      ++counters.refused_position;
      break;
    case v1::ErrorDetail::REASON_SEQUENCE_GAP:
      ++counters.refused_gap;
      break;
    case v1::ErrorDetail::REASON_NO_LEADER:
      ++counters.refused_no_leader;
      break;
    case v1::ErrorDetail::REASON_BUSY:
      ++(absl::IsDeadlineExceeded(error) ? counters.refused_deadline : counters.refused_busy);
      break;
    case v1::ErrorDetail::REASON_DISK_FULL:
      ++counters.refused_disk_full;
      break;
    default:
      break;
  }
}

bool Client::TakesRead(History::Id id, uint64_t attempt, const absl::Status& status) {
  const auto it = operations_.find(id);
  if (it == operations_.end() || (!status.ok() && it->second.attempt != attempt)) return false;
  if (!status.ok()) AttemptLater(id, "");
  return status.ok();
}

void Client::OnRead(History::Id id, uint64_t attempt, const absl::StatusOr<Node::Bounds>& answer) {
  if (!TakesRead(id, attempt, answer.status())) return;
  history_->ReturnRead(id, world_->now(), answer->last);
  ++world_->counters.reads;
  last_end_ = std::max(last_end_, answer->last);
  ++done_;
  End(id);
}

void Client::OnEntries(History::Id id, uint64_t attempt, const absl::StatusOr<Entries>& answer) {
  if (!TakesRead(id, attempt, answer.status())) return;
  const v1::ReadRequest& range = *operations_.at(id).range;
  const uint64_t end = answer->first_position + answer->payloads.size();  // Not included.
  const uint64_t last = range.to() == 0 ? UINT64_MAX : range.to();
  if (answer->end.has_value() && end <= std::min(last, *answer->end)) {
    world_->Fail("client " + options_.name + ": read " + std::to_string(id) +
                 " was answered with the entries before " + std::to_string(end) +
                 " only, though the log ended at " + std::to_string(*answer->end));
    return;
  }
  history_->ReturnEntries(id, world_->now(), answer->first_position, answer->payloads, answer->end);
  ++(answer->end.has_value() ? world_->counters.reads : world_->counters.local_reads);
  world_->counters.entries_read += answer->payloads.size();
  if (!answer->payloads.empty()) last_end_ = std::max(last_end_, end - 1);
  // What one replica has by itself says nothing about a quorum.
  if (answer->end.has_value()) ++done_;
  End(id);
}

void Client::End(History::Id id) {
  operations_.erase(id);
  Think();
}

}  // namespace distlog::simulation
