#include "paxos/message.h"

#include <sstream>

namespace distlog::paxos {
namespace {

std::string Range(Slot first, Slot last) {
  if (first == last) return std::to_string(first);
  return std::to_string(first) + ".." + std::to_string(last);
}

std::string Flag(bool set, const char* name) { return set ? std::string(" ") + name : ""; }

struct Printer {
  std::ostream& out;

  void operator()(const Prepare& m) { out << "Prepare ballot=" << m.ballot << " from=" << m.from; }
  void operator()(const Promise& m) {
    out << "Promise ballot=" << m.ballot << " slots=" << Range(m.first, m.last)
        << Flag(m.is_final, "final") << " chosen=" << m.chosen_through << " accepted=[";
    const char* separator = "";
    for (const AcceptedValue& accepted : m.accepted) {
      out << separator << accepted.slot << "@" << accepted.ballot;
      separator = " ";
    }
    out << "]";
  }
  void operator()(const Accept& m) {
    out << "Accept ballot=" << m.ballot << " slot=" << Range(m.first, m.first + m.values.size() - 1)
        << " chosen=" << m.chosen_through;
  }
  void operator()(const Accepted& m) {
    out << "Accepted ballot=" << m.ballot << " slot=" << Range(m.first, m.last);
  }
  void operator()(const Nack& m) {
    out << "Nack refused=" << m.refused << " promised=" << m.promised;
  }
  void operator()(const Progress& m) { out << "Progress chosen=" << m.chosen_through; }
  void operator()(const Stale& m) {
    out << "Stale version=" << m.configuration_version << " chosen=" << m.chosen_through;
  }
  void operator()(const Confirm& m) {
    out << "Confirm ballot=" << m.ballot << " round=" << m.round << " chosen=" << m.chosen_through;
  }
  void operator()(const Confirmed& m) {
    out << "Confirmed ballot=" << m.ballot << " round=" << m.round;
  }
  void operator()(const ReadRequest& m) { out << "ReadRequest id=" << m.id; }
  void operator()(const ReadReply& m) {
    out << "ReadReply id=" << m.id << " mark=" << m.mark << " ballot=" << m.pair.ballot
        << " chosen=" << m.pair.chosen_through;
  }
  void operator()(const Heartbeat& m) {
    out << "Heartbeat round=" << m.round << " ballot=" << m.pair.ballot
        << " chosen=" << m.pair.chosen_through << " mark=" << m.chosen_through;
  }
  void operator()(const HeartbeatReply& m) {
    out << "HeartbeatReply round=" << m.round << " claimed=" << m.claimed
        << " followed=" << m.followed << " promised=" << m.promised << Flag(m.content, "content")
        << " chosen=" << m.chosen_through << " received=" << m.received_through;
  }
  void operator()(const Announce& m) {
    out << "Announce ballot=" << m.pair.ballot << " chosen=" << m.pair.chosen_through;
  }
  void operator()(const LearnRequest& m) { out << "LearnRequest first=" << m.first; }
  void operator()(const LearnReply& m) {
    out << "LearnReply slots=";
    if (m.chosen.empty()) {
      out << "none";
    } else {
      out << Range(m.chosen.front().slot, m.chosen.back().slot);
    }
    out << " chosen=" << m.chosen_through;
  }
  void operator()(const TakeOver& m) { out << "TakeOver ballot=" << m.ballot; }
};

}  // namespace

std::string ToString(const Message& message) {
  std::ostringstream out;
  std::visit(Printer{out}, message);
  return out.str();
}

std::string ToString(const Envelope& envelope) {
  return ToString(envelope.from) + ">" + ToString(envelope.to) + " " + ToString(envelope.message);
}

}  // namespace distlog::paxos
