#include "server/history.h"

#include <algorithm>
#include <string>

namespace distlog {
namespace {

std::string InWords(v1::TermEnd end) {
  switch (end) {
    case v1::TERM_END_SILENT:
      return "it was not heard any more, or could not go on";
    case v1::TERM_END_CONNECTION_LOST:
      return "its process ended, or its connections broke";
    case v1::TERM_END_TRANSFER:
      return "it handed over";
    case v1::TERM_END_REMOVED:
      return "it was removed";
    case v1::TERM_END_RESTART:
      return "the same server began anew, after a restart or a gap";
    default:
      return "not known";
  }
}

}  // namespace

v1::HistoryResponse HistoryOf(const std::deque<v1::TermState>& terms,
                              const paxos::Configuration& configuration) {
  v1::HistoryResponse response;
  for (size_t i = 0; i < terms.size(); ++i) {
    const v1::TermState& term = terms[i];
    v1::HistoryResponse::Term* out = response.add_terms();
    *out->mutable_ballot() = term.ballot();
    out->set_leader_id(term.ballot().replica());
    const paxos::Member* leader = configuration.Find(paxos::ReplicaId{term.ballot().replica()});
    if (leader != nullptr) out->set_leader_address(leader->address);
    out->set_first_position(term.first_position());
    out->set_begun_ms(term.begun_ms());
    if (i + 1 == terms.size()) {
      out->set_lasted_ms(-1);
      continue;
    }
    // The clocks of two leaders may differ.
    out->set_lasted_ms(std::max<int64_t>(0, terms[i + 1].begun_ms() - term.begun_ms()));
    out->set_end(InWords(terms[i + 1].previous_end()));
  }
  return response;
}

}  // namespace distlog
