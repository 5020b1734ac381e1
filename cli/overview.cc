#include "cli/overview.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "cli/fields.h"
#include "cli/output.h"
#include "cli/problems.h"

namespace distlog::cli {
namespace {

std::tuple<uint64_t, uint64_t> Rank(const v1::BallotMessage& ballot) {
  return {ballot.round(), ballot.replica()};
}

// A leader says so itself; of several, one of which has not noticed, the one of the highest ballot.
// One that cannot be reached from here leads still if a content replica follows it.
void FindLeader(const v1::StatusResponse& response, Overview* overview) {
  const v1::ServerStatus* leader = nullptr;
  const v1::ServerStatus* follower = nullptr;
  for (const v1::MemberStatus& member : response.members()) {
    if (!Reachable(member)) continue;
    const v1::ServerStatus& status = member.status();
    if (Rank(overview->ballot) < Rank(status.ballot())) overview->ballot = status.ballot();
    if (status.is_leader() && (!leader || Rank(leader->ballot()) < Rank(status.ballot()))) {
      leader = &status;
    }
    if (status.leader_id() != 0 && status.content() &&
        (!follower || Rank(follower->ballot()) < Rank(status.ballot()))) {
      follower = &status;
    }
  }
  const v1::ServerStatus* witness = leader != nullptr ? leader : follower;
  if (witness == nullptr) return;
  overview->leader_id = leader != nullptr ? leader->replica_id() : follower->leader_id();
  overview->ballot = witness->ballot();
  overview->leader_since_ms = witness->leader_since_ms();
}

void CountVoters(const v1::StatusResponse& response, Overview* overview) {
  int reachable = 0;
  int caught_up = 0;
  for (const v1::MemberStatus& member : response.members()) {
    if (!member.voter()) continue;
    ++overview->voters;
    if (!Reachable(member)) continue;
    ++reachable;
    if (member.status().chosen_through() + kCaughtUpSlots >= overview->chosen_through) ++caught_up;
  }
  const int quorum = static_cast<int>(overview->voters / 2 + 1);
  overview->can_lose = reachable < quorum ? -1 : std::max(0, caught_up - quorum);
}

std::string Headline(const Overview& overview) {
  const std::string of = absl::StrCat(" (", Count(overview.voters, "voter"), ")");
  if (overview.can_lose < 0) return absl::StrCat("the quorum is lost", of);
  if (overview.can_lose == 0) return absl::StrCat("can lose no more replica", of);
  return absl::StrCat("can lose ", overview.can_lose, " more ",
                      overview.can_lose == 1 ? "replica" : "replicas", of);
}

std::vector<std::string> Row(const v1::MemberStatus& member, const Overview& overview) {
  std::vector<std::string> row = {absl::StrCat(member.id()), Escaped(member.address()),
                                  RoleOf(member.voter())};
  if (!Reachable(member)) {
    row.push_back("unreachable");
    return row;
  }
  const v1::ServerStatus& status = member.status();
  const uint64_t lag = LagOf(member, overview);
  row.push_back(member.id() == overview.leader_id ? "leads"
                : status.leader_id() == 0         ? "follows nobody"
                                                  : absl::StrCat("follows ", status.leader_id()));
  row.push_back(Shown(status.ballot()));
  row.push_back(absl::StrCat(status.chosen_through()));
  row.push_back(absl::StrCat(status.applied_through()));
  row.push_back(absl::StrCat(status.last_position()));
  row.push_back(lag == 0 ? "-" : absl::StrCat(lag));
  row.push_back(Ago(status.last_applied_age_ms()));
  row.push_back(Bytes(status.disk_used_bytes()));
  row.push_back(status.last_error().empty() ? "-" : Ago(status.last_error_age_ms()));
  return row;
}

// The values are there, and empty, of a member that does not answer.
std::string MemberJson(const v1::MemberStatus& member, const Overview& overview) {
  const bool reachable = Reachable(member);
  const v1::ServerStatus& status = member.status();
  const auto number = [&](uint64_t value) { return reachable ? JsonNumber(value) : "\"\""; };
  const auto age = [&](int64_t value) {
    return reachable ? absl::StrCat("\"", value, "\"") : "\"\"";
  };
  return absl::StrCat(
      absl::StrCat("{\"id\":", JsonNumber(member.id()),
                   ",\"address\":", JsonString(member.address()), ",\"role\":\"",
                   RoleOf(member.voter()), "\",\"reachable\":", JsonBool(reachable),
                   ",\"is_leader\":", JsonBool(reachable && member.id() == overview.leader_id),
                   ",\"leader_id\":", number(status.leader_id()),
                   ",\"chosen_through\":", number(status.chosen_through()),
                   ",\"applied_through\":", number(status.applied_through()),
                   ",\"first_position\":", number(status.first_position()),
                   ",\"last_position\":", number(status.last_position())),
      absl::StrCat(
          ",\"lag_entries\":", number(LagOf(member, overview)),
          ",\"last_applied_age_ms\":", age(status.last_applied_age_ms()),
          ",\"disk_used_bytes\":", number(status.disk_used_bytes()),
          ",\"disk_free_bytes\":", number(status.disk_free_bytes()),
          ",\"digest\":", number(status.digest()), ",\"uuid\":", JsonString(Uuid(status.uuid())),
          ",\"version\":", JsonString(status.version()),
          ",\"last_error\":", JsonString(status.last_error()),
          ",\"last_error_age_ms\":", age(status.last_error_age_ms()),
          ",\"damaged_segments\":", number(static_cast<uint64_t>(status.damaged_segments_size())),
          ",\"repaired_segments\":", number(status.repaired_segments()),
          ",\"scrub_completed_age_ms\":", age(status.scrub_completed_age_ms()),
          ",\"wall_clock_ms\":", age(status.wall_clock_ms()),
          ",\"has_left\":", JsonBool(reachable && status.has_left()),
          ",\"unreachable_reason\":", JsonString(member.unreachable_reason()), "}"));
}

// Where the log comes from, a line for each time that the quorum was lost for good; newest first.
std::string LineageText(const v1::Lineage& lineage) {
  std::string text;
  for (const v1::Lineage::Parent& parent : lineage.parents()) {
    absl::StrAppend(&text, text.empty() ? "recovered from cluster " : "before that, from cluster ",
                    Hex(parent.cluster_id()).substr(0, 16), ": ",
                    parent.last_position() == 0
                        ? "no position is certainly the same there"
                        : absl::StrCat("positions through ", parent.last_position(),
                                       " are the same there, those above may differ"),
                    "\n");
  }
  return text;
}

std::string LineageJson(const v1::Lineage::Parent& parent) {
  return absl::StrCat("{\"cluster_id\":", JsonString(Hex(parent.cluster_id())),
                      ",\"last_slot\":", JsonNumber(parent.last_slot()),
                      ",\"last_position\":", JsonNumber(parent.last_position()), "}");
}

std::string UnassignedText(const v1::ServerStatus& self) {
  return absl::StrCat(Printable(Unassigned(self)), "\n  data directory ",
                      Printable(self.data_dir()), "\n", self.last_error().empty() ? "" : "  ",
                      Printable(self.last_error()), self.last_error().empty() ? "" : "\n");
}

}  // namespace

bool Reachable(const v1::MemberStatus& member) { return member.reachable() && member.has_status(); }

Overview Summarize(const v1::StatusResponse& response) {
  Overview overview;
  overview.first_position = response.self().first_position();
  for (const v1::MemberStatus& member : response.members()) {
    if (!Reachable(member)) continue;
    overview.chosen_through = std::max(overview.chosen_through, member.status().chosen_through());
    overview.last_position = std::max(overview.last_position, member.status().last_position());
    overview.first_position = std::max(overview.first_position, member.status().first_position());
  }
  FindLeader(response, &overview);
  CountVoters(response, &overview);
  overview.problems = FindProblems(response, overview);
  return overview;
}

uint64_t LagOf(const v1::MemberStatus& member, const Overview& overview) {
  return overview.last_position - std::min(overview.last_position, member.status().last_position());
}

std::string StatusText(const v1::StatusResponse& response, const v1::OperationsResponse& operations,
                       bool color) {
  const v1::ServerStatus& self = response.self();
  if (!self.assigned()) return UnassignedText(self);
  const Overview overview = Summarize(response);
  const char* const tint = overview.can_lose > 0    ? "\x1b[32m"
                           : overview.can_lose == 0 ? "\x1b[33m"
                                                    : "\x1b[31m";
  std::string text = color ? absl::StrCat(tint, Headline(overview), "\x1b[0m\n")
                           : absl::StrCat(Headline(overview), "\n");
  for (const std::string& problem : overview.problems) {
    absl::StrAppend(&text, "  ", Printable(problem), "\n");
  }
  if (const v1::Operation* running = Running(operations)) {
    absl::StrAppend(&text, "  ", Printable(UnderWay(*running)), "\n");
  }
  absl::StrAppend(
      &text, "cluster ", Hex(self.cluster_id()).substr(0, 16), ", configuration ",
      self.configuration().version(), ", ",
      overview.leader_id == 0
          ? "no leader"
          : absl::StrCat("leader ", overview.leader_id, " in ballot ", Shown(overview.ballot)),
      ", ",
      overview.last_position < overview.first_position
          ? "no entries"
          : absl::StrCat("positions ", overview.first_position, " to ", overview.last_position),
      "\n", LineageText(self.lineage()), "\n");
  std::vector<std::vector<std::string>> rows = {{"id", "address", "role", "leader", "ballot",
                                                 "chosen", "applied", "last", "lag", "last applied",
                                                 "disk", "last error"}};
  for (const v1::MemberStatus& member : response.members()) rows.push_back(Row(member, overview));
  return absl::StrCat(text, Aligned(rows));
}

std::string StatusJson(const v1::StatusResponse& response,
                       const v1::OperationsResponse& operations) {
  const v1::ServerStatus& self = response.self();
  const Overview overview = Summarize(response);
  std::string json =
      absl::StrCat("{\"cluster_id\":", JsonString(Hex(self.cluster_id())),
                   ",\"assigned\":", JsonBool(self.assigned()),
                   ",\"leader_id\":", JsonNumber(overview.leader_id),
                   ",\"ballot\":", JsonBallot(overview.ballot),
                   ",\"configuration_version\":", JsonNumber(self.configuration().version()),
                   ",\"first_position\":", JsonNumber(overview.first_position),
                   ",\"last_position\":", JsonNumber(overview.last_position));
  absl::StrAppend(&json, ",\"can_lose\":\"", overview.can_lose, "\",\"problems\":[");
  for (size_t i = 0; i < overview.problems.size(); ++i) {
    absl::StrAppend(&json, i == 0 ? "" : ",", JsonString(overview.problems[i]));
  }
  absl::StrAppend(&json, "],\"members\":[");
  for (int i = 0; i < response.members_size(); ++i) {
    absl::StrAppend(&json, i == 0 ? "" : ",", MemberJson(response.members(i), overview));
  }
  const v1::Operation* running = Running(operations);
  return absl::StrCat(json,
                      "],\"operation\":", running == nullptr ? "null" : JsonOperation(*running),
                      ",\"parents\":", JsonList(self.lineage().parents(), LineageJson), "}\n");
}

}  // namespace distlog::cli
