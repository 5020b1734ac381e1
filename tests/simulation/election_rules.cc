#include "tests/simulation/election_rules.h"

#include <algorithm>
#include <variant>

namespace distlog::simulation {

using paxos::Ballot;
using paxos::HeartbeatReply;
using paxos::ReplicaId;

void ElectionRules::Started(ReplicaId replica) { member(replica) = Member{}; }

void ElectionRules::Stepped(ReplicaId replica, const paxos::Event& event,
                            const std::optional<Ballot>& claimed, bool is_leading,
                            const paxos::Configuration& configuration) {
  Member& self = member(replica);
  // As of before this step: what it was told in it may come after the claim.
  if (claimed.has_value() && *claimed != self.claimed && claimed->round <= self.highest_round) {
    fail_("replica " + paxos::ToString(replica) + ": claims " + paxos::ToString(*claimed) +
          ", having been told of round " + std::to_string(self.highest_round));
  }
  if (claimed.has_value()) self.claimed = *claimed;
  const std::optional<Ballot> leads = is_leading ? claimed : std::nullopt;
  if (leads != self.leads) self.rounds_told = 0;
  self.leads = leads;
  if (const auto* receive = std::get_if<paxos::Receive>(&event)) {
    NoteTold(&self, receive->envelope.message);
    NoteReport(replica, receive->envelope, configuration);
  }
}

void ElectionRules::NoteTold(Member* self, const paxos::Message& message) {
  Ballot told;
  if (const auto* reply = std::get_if<HeartbeatReply>(&message)) {
    told = std::max({reply->claimed, reply->followed, reply->promised});
  } else if (const auto* nack = std::get_if<paxos::Nack>(&message)) {
    told = nack->promised;
  }
  self->highest_round = std::max(self->highest_round, told.round);
}

void ElectionRules::NoteReport(ReplicaId replica, const paxos::Envelope& envelope,
                               const paxos::Configuration& configuration) {
  Member& self = member(replica);
  const auto* reply = std::get_if<HeartbeatReply>(&envelope.message);
  if (reply == nullptr || !self.leads.has_value()) return;
  if (!configuration.IsVoter(envelope.from)) return;
  if (reply->promised <= *self.leads || reply->round <= self.told_in_round) return;
  self.told_in_round = reply->round;
  if (++self.rounds_told <= kPatience) return;
  fail_("replica " + paxos::ToString(replica) + ": leads at " + paxos::ToString(*self.leads) +
        ", though replica " + paxos::ToString(envelope.from) + " has told it of its promise " +
        paxos::ToString(reply->promised) + " round after round");
}

}  // namespace distlog::simulation
