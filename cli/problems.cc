#include "cli/problems.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/fields.h"
#include "cli/output.h"

namespace distlog::cli {
namespace {

using Problems = std::vector<std::string>;

// Whoever is behind, however little, when the others have applied nothing for this long, does not
// keep up.
constexpr int64_t kQuietMs = 2000;
// Chosen here and not on this disk: a window of the protocol.
constexpr uint64_t kSlowDiskSlots = 256;
// Appends are refused below 128 MiB.
constexpr uint64_t kLowDiskBytes = 512 << 20;
constexpr int64_t kClockOffMs = 1000;
// Failures in a row; one or two are a restart.
constexpr uint64_t kTroubleCount = 3;

std::string Of(const v1::MemberStatus& member) { return Named(member.id(), member.address()); }

// Of all reachable clocks; none if there are fewer than two.
std::optional<int64_t> MedianClock(const v1::StatusResponse& response) {
  std::vector<int64_t> clocks;
  for (const v1::MemberStatus& member : response.members()) {
    const int64_t clock = Reachable(member) ? member.status().wall_clock_ms() : 0;
    if (clock != 0) clocks.push_back(clock);
  }
  if (clocks.size() < 2) return std::nullopt;
  std::sort(clocks.begin(), clocks.end());
  return clocks[(clocks.size() - 1) / 2];
}

// The shortest time since any member applied something; -1: none ever did.
int64_t QuietMs(const v1::StatusResponse& response) {
  int64_t quiet = -1;
  for (const v1::MemberStatus& member : response.members()) {
    const int64_t age = Reachable(member) ? member.status().last_applied_age_ms() : -1;
    if (age >= 0 && (quiet < 0 || age < quiet)) quiet = age;
  }
  return quiet;
}

void AddUnreachable(const v1::StatusResponse& response, const v1::MemberStatus& member,
                    Problems* problems) {
  std::vector<std::string> reasons;
  if (!member.unreachable_reason().empty()) reasons.push_back(member.unreachable_reason());
  // Its peers may know more: whom they refused there, and why.
  for (const v1::MemberStatus& peer : response.members()) {
    for (const v1::PeerTrouble& trouble : peer.status().trouble()) {
      const bool known =
          std::find(reasons.begin(), reasons.end(), trouble.reason()) != reasons.end();
      if (trouble.replica_id() == member.id() && !known) reasons.push_back(trouble.reason());
    }
  }
  problems->push_back(absl::StrCat(Of(member), " cannot be reached", reasons.empty() ? "" : ": ",
                                   absl::StrJoin(reasons, "; ")));
}

void AddLag(const v1::MemberStatus& member, const Overview& overview, int64_t quiet_ms,
            Problems* problems) {
  const v1::ServerStatus& status = member.status();
  const uint64_t slots =
      overview.chosen_through - std::min(overview.chosen_through, status.chosen_through());
  if (slots == 0 || (slots <= kCaughtUpSlots && quiet_ms < kQuietMs)) return;
  const uint64_t entries = LagOf(member, overview);
  problems->push_back(
      absl::StrCat(Of(member), " is ",
                   entries == 0 ? Count(slots, "slot")
                                : absl::StrCat(entries, entries == 1 ? " entry (" : " entries (",
                                               Count(slots, "slot"), ")"),
                   " behind",
                   status.last_applied_age_ms() < 0
                       ? " and has applied nothing yet"
                       : absl::StrCat(", last applied ", Ago(status.last_applied_age_ms()))));
}

void AddDisk(const v1::MemberStatus& member, Problems* problems) {
  const v1::ServerStatus& status = member.status();
  if (status.stored_through() + kSlowDiskSlots < status.chosen_through()) {
    problems->push_back(absl::StrCat(
        Of(member), " has a slow disk: ", status.chosen_through() - status.stored_through(),
        " chosen slots are still to be written there"));
  }
  if (status.disk_free_bytes() < kLowDiskBytes) {
    problems->push_back(absl::StrCat(
        Of(member), " has a disk that is nearly full: ", Bytes(status.disk_free_bytes()),
        " are free, and below 128 MiB a leader refuses appends"));
  }
  for (const v1::DamagedSegment& damaged : status.damaged_segments()) {
    const bool is_tried = !damaged.repair_error().empty();
    problems->push_back(absl::StrCat(
        Of(member), " has damage in slots ", damaged.first_slot(), " to ", damaged.last_slot(),
        is_tried ? ", which cannot be repaired yet: " : ", which is being repaired: ",
        is_tried ? damaged.repair_error() : damaged.damage()));
  }
  if (status.repaired_segments() > 0) {
    problems->push_back(absl::StrCat(Of(member), " has repaired ",
                                     Count(status.repaired_segments(), "damaged segment"),
                                     " since it started: look at its disk"));
  }
}

void AddClock(const v1::MemberStatus& member, const std::optional<int64_t>& median,
              Problems* problems) {
  const int64_t clock = member.status().wall_clock_ms();
  if (!median.has_value() || clock == 0) return;
  const int64_t off = clock - *median;
  if (std::abs(off) <= kClockOffMs) return;
  problems->push_back(absl::StrCat(Of(member), " has a clock that is ", Span(std::abs(off)),
                                   off > 0 ? " ahead of" : " behind",
                                   " the others: set it, for timestamps come from the leader's"));
}

// Of peers that are there for the asked server: those that are not are told of anyway.
void AddTrouble(const v1::StatusResponse& response, const v1::MemberStatus& member,
                Problems* problems) {
  for (const v1::PeerTrouble& trouble : member.status().trouble()) {
    if (trouble.count() < kTroubleCount) continue;
    const bool is_unreachable = std::any_of(
        response.members().begin(), response.members().end(), [&](const v1::MemberStatus& other) {
          return other.id() == trouble.replica_id() && !Reachable(other);
        });
    if (is_unreachable) continue;
    problems->push_back(
        absl::StrCat(Of(member), " does not get through to ",
                     trouble.replica_id() == 0 ? absl::StrCat("the server at ", trouble.address())
                                               : Named(trouble.replica_id(), trouble.address()),
                     " (", trouble.count(), " times in a row): ", trouble.reason()));
  }
}

// Where to ask instead.
std::string Removed(const v1::ServerStatus& self) {
  std::vector<std::string> addresses;
  for (const v1::MemberMessage& member : self.configuration().members()) {
    addresses.push_back(member.address());
  }
  return absl::StrCat("the server at ", self.address(),
                      " was removed from the cluster and takes no part in it: ask a member (",
                      absl::StrJoin(addresses, ", "), ")");
}

}  // namespace

std::string Unassigned(const v1::ServerStatus& self) {
  return absl::StrCat("the server at ", self.address(),
                      " belongs to no cluster yet: form one with `distlog init`, or add it to one "
                      "with `distlog member add ",
                      self.address(), "`");
}

std::vector<std::string> FindProblems(const v1::StatusResponse& response,
                                      const Overview& overview) {
  if (!response.self().assigned()) return {Unassigned(response.self())};
  Problems problems;
  if (response.self().has_left()) problems.push_back(Removed(response.self()));
  if (overview.can_lose < 0) {
    problems.push_back("nothing can be appended until more voters are back");
  } else if (overview.leader_id == 0) {
    problems.push_back("nobody leads at the moment");
  }
  const std::optional<int64_t> median = MedianClock(response);
  const int64_t quiet_ms = QuietMs(response);
  for (const v1::MemberStatus& member : response.members()) {
    if (!Reachable(member)) {
      AddUnreachable(response, member, &problems);
      continue;
    }
    AddLag(member, overview, quiet_ms, &problems);
    AddDisk(member, &problems);
    AddClock(member, median, &problems);
    AddTrouble(response, member, &problems);
    const v1::ServerStatus& status = member.status();
    if (!status.last_error().empty()) {
      problems.push_back(absl::StrCat(Of(member), " reported ", Ago(status.last_error_age_ms()),
                                      ": ", status.last_error()));
    }
  }
  return problems;
}

}  // namespace distlog::cli
