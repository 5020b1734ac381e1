#include "tests/simulation/host_trace.h"

#include <variant>

namespace distlog::simulation {

std::string ToString(const paxos::Event& event) {
  struct Printer {
    std::string operator()(const paxos::Receive& e) { return paxos::ToString(e.envelope); }
    std::string operator()(const paxos::Propose& e) {
      return "Propose ticket=" + std::to_string(static_cast<uint64_t>(e.ticket));
    }
    std::string operator()(const paxos::Read& e) {
      return "Read ticket=" + std::to_string(static_cast<uint64_t>(e.ticket));
    }
    std::string operator()(const paxos::CancelRead& e) {
      return "CancelRead ticket=" + std::to_string(static_cast<uint64_t>(e.ticket));
    }
    std::string operator()(const paxos::WriteFinished& e) {
      return "WriteFinished last=" + std::to_string(e.last);
    }
    std::string operator()(const paxos::MarkSaved& e) {
      return "MarkSaved through=" + std::to_string(e.through);
    }
    std::string operator()(const paxos::PeerConnected& e) {
      return "PeerConnected " + paxos::ToString(e.peer);
    }
    std::string operator()(const paxos::PeerLost& e) {
      return "PeerLost " + paxos::ToString(e.peer);
    }
    std::string operator()(const paxos::TransferLeadership& e) {
      return "TransferLeadership to=" + paxos::ToString(e.to);
    }
    std::string operator()(const paxos::Tick&) { return "Tick"; }
  };
  return std::visit(Printer{}, event);
}

std::string ToString(const paxos::Record& record) {
  if (const auto* promise = std::get_if<paxos::PromiseRecord>(&record)) {
    return "promised=" + paxos::ToString(promise->promised);
  }
  if (const auto* accept = std::get_if<paxos::AcceptRecord>(&record)) {
    return ToString(accept->accepted) + " chosen=" + std::to_string(accept->chosen_through);
  }
  return "mark=" + std::to_string(std::get<paxos::MarkRecord>(record).chosen_through);
}

std::string ToString(const paxos::AcceptedValue& accepted) {
  return "slot=" + std::to_string(accepted.slot) + "@" + paxos::ToString(accepted.ballot) + " " +
         paxos::ToString(accepted.value.kind);
}

std::string ToString(const paxos::Outcome& outcome) {
  using Result = paxos::Outcome::Result;
  return "ticket=" + std::to_string(static_cast<uint64_t>(outcome.ticket)) +
         (outcome.result == Result::kChosen     ? " chosen"
          : outcome.result == Result::kReadable ? " readable"
                                                : " not chosen") +
         " slot=" + std::to_string(outcome.slot);
}

}  // namespace distlog::simulation
