#include "wire/message.h"

#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "wire/value.h"

namespace distlog {
namespace {

// No cluster lives to see a number above this. Those that claim one would make sums overflow.
constexpr uint64_t kMaxNumber = uint64_t{1} << 62;

// ---- To the wire. A default ballot or pair is left out. ----

template <typename Out>
void SetBallot(const paxos::Ballot& ballot, Out* out) {
  if (ballot != paxos::Ballot{}) *out->mutable_ballot() = ToProto(ballot);
}

template <typename Out>
void SetPair(const paxos::Pair& pair, Out* out) {
  if (pair == paxos::Pair{}) return;
  SetBallot(pair.ballot, out->mutable_pair());
  out->mutable_pair()->set_chosen_through(pair.chosen_through);
}

void Write(const paxos::Value& value, v1::ValueMessage* out) {
  out->set_kind(static_cast<uint32_t>(value.kind));
  if (value.payload != nullptr) out->set_payload(*value.payload);
  out->set_checksum(value.checksum);
}

void Write(const paxos::AcceptedValue& accepted, v1::AcceptedValueMessage* out) {
  out->set_slot(accepted.slot);
  SetBallot(accepted.ballot, out);
  Write(accepted.value, out->mutable_value());
}

struct Writer {
  v1::PeerMessage* out;

  void operator()(const paxos::Prepare& m) const {
    v1::Prepare* to = out->mutable_prepare();
    SetBallot(m.ballot, to);
    to->set_from(m.from);
    to->set_configuration_version(m.configuration_version);
  }
  void operator()(const paxos::Promise& m) const {
    v1::Promise* to = out->mutable_promise();
    SetBallot(m.ballot, to);
    to->set_first(m.first);
    to->set_last(m.last);
    to->set_is_final(m.is_final);
    for (const paxos::AcceptedValue& accepted : m.accepted) Write(accepted, to->add_accepted());
    to->set_chosen_through(m.chosen_through);
  }
  void operator()(const paxos::Accept& m) const {
    v1::Accept* to = out->mutable_accept();
    SetBallot(m.ballot, to);
    to->set_first(m.first);
    for (const paxos::Value& value : m.values) Write(value, to->add_values());
    to->set_chosen_through(m.chosen_through);
    to->set_configuration_version(m.configuration_version);
  }
  void operator()(const paxos::Accepted& m) const {
    v1::Accepted* to = out->mutable_accepted();
    SetBallot(m.ballot, to);
    to->set_first(m.first);
    to->set_last(m.last);
  }
  void operator()(const paxos::Nack& m) const {
    v1::Nack* to = out->mutable_nack();
    *to->mutable_refused() = ToProto(m.refused);
    *to->mutable_promised() = ToProto(m.promised);
  }
  void operator()(const paxos::Progress& m) const {
    out->mutable_progress()->set_chosen_through(m.chosen_through);
  }
  void operator()(const paxos::Stale& m) const {
    out->mutable_stale()->set_configuration_version(m.configuration_version);
    out->mutable_stale()->set_chosen_through(m.chosen_through);
  }
  void operator()(const paxos::Confirm& m) const {
    v1::Confirm* to = out->mutable_confirm();
    SetBallot(m.ballot, to);
    to->set_round(m.round);
    to->set_chosen_through(m.chosen_through);
  }
  void operator()(const paxos::Confirmed& m) const {
    v1::Confirmed* to = out->mutable_confirmed();
    SetBallot(m.ballot, to);
    to->set_round(m.round);
  }
  void operator()(const paxos::ReadRequest& m) const { out->mutable_read_request()->set_id(m.id); }
  void operator()(const paxos::ReadReply& m) const {
    v1::ReadMarkReply* to = out->mutable_read_reply();
    to->set_id(m.id);
    to->set_mark(m.mark);
    SetPair(m.pair, to);
  }
  void operator()(const paxos::Heartbeat& m) const {
    v1::Heartbeat* to = out->mutable_heartbeat();
    to->set_round(m.round);
    SetPair(m.pair, to);
    to->set_configuration_version(m.configuration_version);
    to->set_chosen_through(m.chosen_through);
    to->set_settled_version(m.settled_version);
  }
  void operator()(const paxos::HeartbeatReply& m) const {
    v1::HeartbeatReply* to = out->mutable_heartbeat_reply();
    to->set_round(m.round);
    *to->mutable_claimed() = ToProto(m.claimed);
    *to->mutable_followed() = ToProto(m.followed);
    *to->mutable_promised() = ToProto(m.promised);
    to->set_content(m.content);
    to->set_chosen_through(m.chosen_through);
    to->set_configuration_version(m.configuration_version);
    to->set_received_through(m.received_through);
    to->set_settled_version(m.settled_version);
  }
  void operator()(const paxos::Announce& m) const { SetPair(m.pair, out->mutable_announce()); }
  void operator()(const paxos::LearnRequest& m) const {
    out->mutable_learn_request()->set_first(m.first);
  }
  void operator()(const paxos::LearnReply& m) const {
    v1::LearnReply* to = out->mutable_learn_reply();
    for (const paxos::AcceptedValue& chosen : m.chosen) Write(chosen, to->add_chosen());
    to->set_chosen_through(m.chosen_through);
  }
  void operator()(const paxos::TakeOver& m) const { SetBallot(m.ballot, out->mutable_take_over()); }
};

// ---- From the wire. ----

// Reads the parts of one message, and remembers the first that is malformed.
class Reader {
 public:
  const absl::Status& status() const { return status_; }

  void Refuse(const std::string& what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat("peer message: ", what));
  }

  uint64_t Number(uint64_t number, const char* name) {
    if (number > kMaxNumber) Refuse(absl::StrCat(name, " ", number, " is out of range"));
    return number;
  }

  // A slot that must be there.
  paxos::Slot Slot(uint64_t slot, const char* name) {
    if (slot == 0) Refuse(absl::StrCat(name, " is slot 0"));
    return Number(slot, name);
  }

  // One that may be left out: then it is the default one.
  paxos::Ballot Ballot(const v1::BallotMessage& message) {
    if ((message.round() == 0) != (message.replica() == 0)) Refuse("a ballot lacks round or owner");
    Number(message.round(), "a ballot's round");
    return FromProto(message);
  }

  paxos::Ballot UsedBallot(const v1::BallotMessage& message) {
    if (message.round() == 0) Refuse("a ballot is missing");
    return Ballot(message);
  }

  paxos::Pair Pair(const v1::PairMessage& message) {
    return paxos::Pair{Ballot(message.ballot()),
                       Number(message.chosen_through(), "chosen_through")};
  }

  paxos::Value Value(v1::ValueMessage* message) {
    absl::StatusOr<paxos::Value> value =
        DecodeValue(message->kind(), std::move(*message->mutable_payload()), message->checksum());
    if (value.ok()) return *std::move(value);
    Refuse(std::string(value.status().message()));
    return paxos::Value{};
  }

  paxos::AcceptedValue AcceptedValue(v1::AcceptedValueMessage* message) {
    paxos::AcceptedValue accepted;
    accepted.slot = Slot(message->slot(), "a value's slot");
    accepted.ballot = UsedBallot(message->ballot());
    if (!message->has_value()) Refuse("a value is missing");
    accepted.value = Value(message->mutable_value());
    return accepted;
  }

 private:
  absl::Status status_;
};

paxos::Prepare Read(v1::Prepare* from, Reader* reader) {
  return {.ballot = reader->UsedBallot(from->ballot()),
          .from = reader->Slot(from->from(), "from"),
          .configuration_version = from->configuration_version()};
}

paxos::Promise Read(v1::Promise* from, Reader* reader) {
  paxos::Promise promise{
      .ballot = reader->UsedBallot(from->ballot()),
      .first = reader->Slot(from->first(), "first"),
      .last = reader->Number(from->last(), "last"),
      .is_final = from->is_final(),
      .accepted = {},
      .chosen_through = reader->Number(from->chosen_through(), "chosen_through")};
  promise.accepted.reserve(from->accepted_size());
  paxos::Slot lowest = promise.first;
  for (v1::AcceptedValueMessage& message : *from->mutable_accepted()) {
    promise.accepted.push_back(reader->AcceptedValue(&message));
    const paxos::Slot slot = promise.accepted.back().slot;
    if (slot < lowest || slot > promise.last) reader->Refuse("a promise's slots are not in order");
    if (!reader->status().ok()) break;
    lowest = slot + 1;
  }
  return promise;
}

paxos::Accept Read(v1::Accept* from, Reader* reader) {
  paxos::Accept accept{.ballot = reader->UsedBallot(from->ballot()),
                       .first = reader->Slot(from->first(), "first"),
                       .values = {},
                       .chosen_through = reader->Number(from->chosen_through(), "chosen_through"),
                       .configuration_version = from->configuration_version()};
  if (from->values().empty()) reader->Refuse("an accept holds no value");
  accept.values.reserve(from->values_size());
  for (v1::ValueMessage& value : *from->mutable_values()) {
    accept.values.push_back(reader->Value(&value));
    if (!reader->status().ok()) break;
  }
  return accept;
}

paxos::Accepted Read(v1::Accepted* from, Reader* reader) {
  if (from->last() < from->first()) reader->Refuse("last is below first");
  return {.ballot = reader->UsedBallot(from->ballot()),
          .first = reader->Slot(from->first(), "first"),
          .last = reader->Slot(from->last(), "last")};
}

paxos::Nack Read(v1::Nack* from, Reader* reader) {
  return {.refused = reader->UsedBallot(from->refused()),
          .promised = reader->UsedBallot(from->promised())};
}

paxos::Progress Read(v1::Progress* from, Reader* reader) {
  return {.chosen_through = reader->Number(from->chosen_through(), "chosen_through")};
}

paxos::Stale Read(v1::Stale* from, Reader* reader) {
  return {.configuration_version = from->configuration_version(),
          .chosen_through = reader->Number(from->chosen_through(), "chosen_through")};
}

paxos::Confirm Read(v1::Confirm* from, Reader* reader) {
  return {.ballot = reader->UsedBallot(from->ballot()),
          .round = from->round(),
          .chosen_through = reader->Number(from->chosen_through(), "chosen_through")};
}

paxos::Confirmed Read(v1::Confirmed* from, Reader* reader) {
  return {.ballot = reader->UsedBallot(from->ballot()), .round = from->round()};
}

paxos::ReadRequest Read(v1::ReadMarkRequest* from, Reader*) { return {.id = from->id()}; }

paxos::ReadReply Read(v1::ReadMarkReply* from, Reader* reader) {
  return {.id = from->id(),
          .mark = reader->Number(from->mark(), "mark"),
          .pair = reader->Pair(from->pair())};
}

paxos::Heartbeat Read(v1::Heartbeat* from, Reader* reader) {
  return {.round = from->round(),
          .pair = reader->Pair(from->pair()),
          .configuration_version = from->configuration_version(),
          .chosen_through = reader->Number(from->chosen_through(), "chosen_through"),
          .settled_version = from->settled_version()};
}

paxos::HeartbeatReply Read(v1::HeartbeatReply* from, Reader* reader) {
  return {.round = from->round(),
          .claimed = reader->Ballot(from->claimed()),
          .followed = reader->Ballot(from->followed()),
          .promised = reader->Ballot(from->promised()),
          .content = from->content(),
          .chosen_through = reader->Number(from->chosen_through(), "chosen_through"),
          .configuration_version = from->configuration_version(),
          .received_through = reader->Number(from->received_through(), "received_through"),
          .settled_version = from->settled_version()};
}

paxos::Announce Read(v1::Announce* from, Reader* reader) {
  return {.pair = reader->Pair(from->pair())};
}

paxos::LearnRequest Read(v1::LearnRequest* from, Reader* reader) {
  return {.first = reader->Slot(from->first(), "first")};
}

paxos::LearnReply Read(v1::LearnReply* from, Reader* reader) {
  paxos::LearnReply reply;
  reply.chosen_through = reader->Number(from->chosen_through(), "chosen_through");
  reply.chosen.reserve(from->chosen_size());
  for (v1::AcceptedValueMessage& message : *from->mutable_chosen()) {
    reply.chosen.push_back(reader->AcceptedValue(&message));
    if (reply.chosen.back().slot != reply.chosen.front().slot + reply.chosen.size() - 1) {
      reader->Refuse("the slots of a run of chosen values are not consecutive");
    }
    if (!reader->status().ok()) break;
  }
  return reply;
}

paxos::TakeOver Read(v1::TakeOver* from, Reader* reader) {
  return {.ballot = reader->UsedBallot(from->ballot())};
}

paxos::Message Read(v1::PeerMessage* message, Reader* reader) {
  switch (message->message_case()) {
    case v1::PeerMessage::kPrepare:
      return Read(message->mutable_prepare(), reader);
    case v1::PeerMessage::kPromise:
      return Read(message->mutable_promise(), reader);
    case v1::PeerMessage::kAccept:
      return Read(message->mutable_accept(), reader);
    case v1::PeerMessage::kAccepted:
      return Read(message->mutable_accepted(), reader);
    case v1::PeerMessage::kNack:
      return Read(message->mutable_nack(), reader);
    case v1::PeerMessage::kProgress:
      return Read(message->mutable_progress(), reader);
    case v1::PeerMessage::kStale:
      return Read(message->mutable_stale(), reader);
    case v1::PeerMessage::kConfirm:
      return Read(message->mutable_confirm(), reader);
    case v1::PeerMessage::kConfirmed:
      return Read(message->mutable_confirmed(), reader);
    case v1::PeerMessage::kReadRequest:
      return Read(message->mutable_read_request(), reader);
    case v1::PeerMessage::kReadReply:
      return Read(message->mutable_read_reply(), reader);
    case v1::PeerMessage::kHeartbeat:
      return Read(message->mutable_heartbeat(), reader);
    case v1::PeerMessage::kHeartbeatReply:
      return Read(message->mutable_heartbeat_reply(), reader);
    case v1::PeerMessage::kAnnounce:
      return Read(message->mutable_announce(), reader);
    case v1::PeerMessage::kLearnRequest:
      return Read(message->mutable_learn_request(), reader);
    case v1::PeerMessage::kLearnReply:
      return Read(message->mutable_learn_reply(), reader);
    case v1::PeerMessage::kTakeOver:
      return Read(message->mutable_take_over(), reader);
    case v1::PeerMessage::MESSAGE_NOT_SET:
      break;
  }
  reader->Refuse("it is of no kind that this program knows");
  return paxos::Message{};
}

}  // namespace

void ToProto(const paxos::Message& message, v1::PeerMessage* out) {
  std::visit(Writer{out}, message);
}

absl::StatusOr<paxos::Message> FromProto(v1::PeerMessage* message) {
  Reader reader;
  paxos::Message result = Read(message, &reader);
  if (!reader.status().ok()) return reader.status();
  return result;
}

}  // namespace distlog
