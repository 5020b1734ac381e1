#include "cli/fields.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/output.h"

namespace distlog::cli {
namespace {

// "PHASE_DONE" and "VERB_ADD" without the first word. What a newer server may say has no name here.
std::string LastWord(const std::string& enumerator) {
  if (enumerator.empty()) return "unknown";
  return absl::AsciiStrToLower(enumerator.substr(enumerator.find('_') + 1));
}

std::string JsonProgress(const v1::Operation::Progress& progress) {
  return absl::StrCat("{\"id\":", JsonNumber(progress.id()),
                      ",\"address\":", JsonString(progress.address()),
                      ",\"chosen_through\":", JsonNumber(progress.chosen_through()),
                      ",\"target\":", JsonNumber(progress.target()),
                      ",\"reachable\":", JsonBool(progress.is_reachable()), "}");
}

}  // namespace

std::string Shown(const v1::BallotMessage& ballot) {
  if (ballot.round() == 0) return "-";
  return absl::StrCat(ballot.round(), ".", ballot.replica());
}

std::string Uuid(const std::string& bytes) {
  const std::string hex = Hex(bytes);
  if (hex.size() != 32) return hex;
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-",
                      hex.substr(16, 4), "-", hex.substr(20));
}

std::string Utc(int64_t ms) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixMillis(ms), absl::UTCTimeZone());
}

std::string Named(uint64_t id, const std::string& address) {
  return id == 0 ? absl::StrCat("the newcomer at ", address)
                 : absl::StrCat("replica ", id, " at ", address);
}

const char* RoleOf(bool voter) { return voter ? "voter" : "learner"; }

std::string PhaseOf(const v1::Operation& operation) {
  return LastWord(v1::Operation::Phase_Name(operation.phase()));
}

bool HasFinished(const v1::Operation& operation) {
  return operation.phase() == v1::Operation::PHASE_DONE ||
         operation.phase() == v1::Operation::PHASE_CANCELLED ||
         operation.phase() == v1::Operation::PHASE_FAILED;
}

const v1::Operation* Running(const v1::OperationsResponse& operations) {
  for (const v1::Operation& operation : operations.operations()) {
    if (!HasFinished(operation)) return &operation;
  }
  return nullptr;
}

std::string UnderWay(const v1::Operation& operation) {
  return absl::StrCat("operation ", operation.id(), " is under way: ", operation.request(), " (",
                      PhaseOf(operation), ")", operation.cause().empty() ? "" : ": ",
                      operation.cause());
}

const char* JsonBool(bool value) { return value ? "true" : "false"; }

std::string JsonInteger(int64_t number) { return absl::StrCat("\"", number, "\""); }

std::string JsonBallot(const v1::BallotMessage& ballot) {
  return absl::StrCat("{\"round\":", JsonNumber(ballot.round()),
                      ",\"replica\":", JsonNumber(ballot.replica()), "}");
}

std::string JsonMember(const v1::MemberMessage& member) {
  return absl::StrCat(
      "{\"id\":", JsonNumber(member.id()), ",\"uuid\":", JsonString(Uuid(member.uuid())),
      ",\"address\":", JsonString(member.address()), ",\"role\":\"", RoleOf(member.voter()), "\"}");
}

std::string JsonOperation(const v1::Operation& operation) {
  return absl::StrCat(
      absl::StrCat("{\"id\":", JsonNumber(operation.id()),
                   ",\"verb\":", JsonString(LastWord(v1::Operation::Verb_Name(operation.verb()))),
                   ",\"request\":", JsonString(operation.request()), ",\"phase\":",
                   JsonString(PhaseOf(operation)), ",\"cause\":", JsonString(operation.cause())),
      absl::StrCat(",\"begun_ms\":", JsonInteger(operation.begun_ms()),
                   ",\"changed_ms\":", JsonInteger(operation.changed_ms()),
                   ",\"goal\":", JsonList(operation.goal(), JsonMember),
                   ",\"progress\":", JsonList(operation.progress(), JsonProgress), "}"));
}

}  // namespace distlog::cli
