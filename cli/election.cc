#include "cli/election.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/fields.h"
#include "cli/output.h"
#include "cli/overview.h"

namespace distlog::cli {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::vector<std::string> ViewRow(const v1::MemberStatus& member) {
  std::vector<std::string> row = {absl::StrCat(member.id()), Escaped(member.address())};
  if (!Reachable(member)) {
    row.push_back("unreachable");
    return row;
  }
  const v1::ServerStatus& status = member.status();
  row.push_back(status.leader_id() == 0 ? "nobody" : absl::StrCat(status.leader_id()));
  row.push_back(Shown(status.ballot()));
  row.push_back(Shown(status.promised()));
  row.push_back(status.content() ? "yes" : "no");
  row.push_back(status.quorum_connected() ? "connected" : "not connected");
  return row;
}

// How `member` hears `other`.
std::string Cell(const v1::MemberStatus& member, const v1::MemberStatus& other) {
  if (member.id() == other.id()) return "-";
  if (!Reachable(member)) return "?";
  const v1::ServerStatus& status = member.status();
  if (std::find(status.heard().begin(), status.heard().end(), other.id()) == status.heard().end()) {
    return "no";
  }
  for (const v1::PeerRoundTrip& round_trip : status.round_trips()) {
    if (round_trip.id() == other.id()) return absl::StrFormat("%.2f ms", round_trip.us() / 1e3);
  }
  return "yes";
}

// A row per replica that hears, a column per replica that is heard.
std::string Matrix(const v1::StatusResponse& response) {
  Rows rows = {{"hears"}};
  for (const v1::MemberStatus& member : response.members()) {
    rows[0].push_back(absl::StrCat(member.id()));
    std::vector<std::string>& row = rows.emplace_back();
    row.push_back(absl::StrCat(member.id()));
    for (const v1::MemberStatus& other : response.members()) row.push_back(Cell(member, other));
  }
  return Aligned(rows);
}

std::string JsonRoundTrip(const v1::PeerRoundTrip& round_trip) {
  return absl::StrCat("{\"id\":", JsonNumber(round_trip.id()),
                      ",\"us\":", JsonNumber(round_trip.us()), "}");
}

std::string ViewJson(const v1::MemberStatus& member) {
  const bool reachable = Reachable(member);
  const v1::ServerStatus& status = member.status();
  return absl::StrCat(
      absl::StrCat("{\"id\":", JsonNumber(member.id()),
                   ",\"leader_id\":", reachable ? JsonNumber(status.leader_id()) : "\"\"",
                   ",\"quorum_connected\":", JsonBool(reachable && status.quorum_connected()),
                   ",\"reachable\":", JsonBool(reachable),
                   ",\"content\":", JsonBool(reachable && status.content()),
                   ",\"ballot\":", JsonBallot(status.ballot())),
      absl::StrCat(",\"promised\":", JsonBallot(status.promised()),
                   ",\"heard\":", JsonList(status.heard(), JsonNumber),
                   ",\"round_trips\":", JsonList(status.round_trips(), JsonRoundTrip), "}"));
}

std::string JsonTerm(const v1::HistoryResponse::Term& term) {
  return absl::StrCat(
      "{\"ballot\":", JsonBallot(term.ballot()), ",\"leader_id\":", JsonNumber(term.leader_id()),
      ",\"leader_address\":", JsonString(term.leader_address()),
      ",\"first_position\":", JsonNumber(term.first_position()),
      ",\"begun_ms\":", JsonInteger(term.begun_ms()),
      ",\"lasted_ms\":", JsonInteger(term.lasted_ms()), ",\"end\":", JsonString(term.end()), "}");
}

}  // namespace

std::string ElectionText(const v1::StatusResponse& response) {
  const v1::ServerStatus& self = response.self();
  const Overview overview = Summarize(response);
  if (!self.assigned()) return absl::StrCat(Printable(overview.problems[0]), "\n");
  std::string text = "nobody leads";
  if (overview.leader_id != 0) {
    text =
        absl::StrCat("replica ", overview.leader_id, " leads in ballot ", Shown(overview.ballot));
    if (overview.leader_since_ms >= 0) {
      absl::StrAppend(&text, ", for ", Span(overview.leader_since_ms));
    }
  }
  Rows rows = {{"id", "address", "follows", "ballot", "promised", "content", "quorum"}};
  for (const v1::MemberStatus& member : response.members()) rows.push_back(ViewRow(member));
  return absl::StrCat(text, "\n\n", Aligned(rows),
                      "\nwho hears whom in the last round, and how long that took there and "
                      "back:\n",
                      Matrix(response));
}

std::string ElectionJson(const v1::StatusResponse& response, int64_t now_ms) {
  const Overview overview = Summarize(response);
  const bool known = overview.leader_id != 0 && overview.leader_since_ms >= 0;
  return absl::StrCat("{\"leader_id\":", JsonNumber(overview.leader_id),
                      ",\"ballot\":", JsonBallot(overview.ballot),
                      ",\"since_ms\":", JsonInteger(known ? now_ms - overview.leader_since_ms : 0),
                      ",\"term_ms\":", JsonInteger(known ? overview.leader_since_ms : 0),
                      ",\"views\":", JsonList(response.members(), ViewJson), "}\n");
}

std::string HistoryText(const v1::HistoryResponse& response, int64_t now_ms) {
  if (response.terms_size() == 0) return "nobody has led yet\n";
  Rows rows = {{"ballot", "leader", "address", "first position", "begun", "lasted", "ended"}};
  for (const v1::HistoryResponse::Term& term : response.terms()) {
    const bool goes_on = term.lasted_ms() < 0;
    rows.push_back(
        {Shown(term.ballot()), absl::StrCat(term.leader_id()),
         term.leader_address().empty() ? "no member now" : Escaped(term.leader_address()),
         absl::StrCat(term.first_position()), Utc(term.begun_ms()),
         Span(goes_on ? std::max<int64_t>(now_ms - term.begun_ms(), 0) : term.lasted_ms()),
         goes_on ? "goes on" : Printable(term.end())});
  }
  return Aligned(rows);
}

std::string HistoryJson(const v1::HistoryResponse& response) {
  return absl::StrCat("{\"terms\":", JsonList(response.terms(), JsonTerm), "}\n");
}

std::string TransferText(const v1::TransferLeadershipResponse& response, int64_t took_ms) {
  if (response.from_id() == response.to_id()) {
    return absl::StrCat("replica ", response.to_id(), " leads already, in ballot ",
                        Shown(response.ballot()), "\n");
  }
  return absl::StrCat("the leadership moved from replica ", response.from_id(), " to replica ",
                      response.to_id(), ", in ballot ", Shown(response.ballot()), ", in ",
                      Span(took_ms), "\n");
}

std::string TransferJson(const v1::TransferLeadershipResponse& response, int64_t took_ms) {
  return absl::StrCat(
      "{\"from_id\":", JsonNumber(response.from_id()), ",\"to_id\":", JsonNumber(response.to_id()),
      ",\"ballot\":", JsonBallot(response.ballot()), ",\"took_ms\":", JsonInteger(took_ms), "}\n");
}

}  // namespace distlog::cli
