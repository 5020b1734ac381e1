#include "cli/membership.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/fields.h"
#include "cli/output.h"

namespace distlog::cli {
namespace {

using Rows = std::vector<std::vector<std::string>>;

// By id where there is one.
std::string ShortName(uint64_t id, const std::string& address) {
  return id == 0 ? address : absl::StrCat(id);
}

template <typename Members>
std::string ShortNames(const Members& members) {
  std::vector<std::string> names;
  for (const v1::MemberMessage& member : members) {
    names.push_back(
        absl::StrCat(ShortName(member.id(), member.address()), member.voter() ? "" : " (learner)"));
  }
  return absl::StrJoin(names, ", ");
}

std::string CanLose(int32_t can_lose) {
  return can_lose < 0 ? "quorum lost" : absl::StrCat(can_lose);
}

// Members whose death means the same stand together: "1, 2: nothing can be appended".
std::string DeathsText(const v1::PlanStep& step) {
  std::vector<std::pair<std::string, std::vector<std::string>>> effects;
  for (const v1::DeathEffect& death : step.deaths()) {
    const auto same = std::find_if(effects.begin(), effects.end(), [&](const auto& effect) {
      return effect.first == death.effect();
    });
    auto& names = same != effects.end()
                      ? same->second
                      : effects.emplace_back(death.effect(), std::vector<std::string>()).second;
    names.push_back(ShortName(death.id(), death.address()));
  }
  std::string text = absl::StrCat("  ", Printable(step.what()), "\n");
  for (const auto& [effect, names] : effects) {
    absl::StrAppend(&text, "    ", Printable(absl::StrJoin(names, ", ")), ": ", Printable(effect),
                    "\n");
  }
  return text;
}

std::string JsonDeath(const v1::DeathEffect& death) {
  return absl::StrCat("{\"id\":", JsonNumber(death.id()),
                      ",\"address\":", JsonString(death.address()),
                      ",\"effect\":", JsonString(death.effect()), "}");
}

std::string JsonStep(const v1::PlanStep& step) {
  return absl::StrCat(
      "{\"what\":", JsonString(step.what()), ",\"members\":", JsonList(step.members(), JsonMember),
      ",\"voters\":", JsonNumber(step.voters()), ",\"quorum\":", JsonNumber(step.quorum()),
      ",\"can_lose\":", JsonInteger(step.can_lose()),
      ",\"deaths\":", JsonList(step.deaths(), JsonDeath), "}");
}

std::string JsonPlan(const v1::Plan& plan) {
  return absl::StrCat("{\"base_version\":", JsonNumber(plan.base_version()),
                      ",\"steps\":", JsonList(plan.steps(), JsonStep),
                      ",\"refusal\":", JsonString(plan.refusal()),
                      ",\"warnings\":", JsonList(plan.warnings(), JsonString), "}");
}

std::string JsonConfiguration(const v1::OperationsResponse& response) {
  return absl::StrCat("\"configuration_version\":", JsonNumber(response.configuration().version()),
                      ",\"members\":", JsonList(response.configuration().members(), JsonMember));
}

std::string ConfigurationText(const v1::ConfigurationMessage& configuration) {
  uint64_t voters = 0;
  for (const v1::MemberMessage& member : configuration.members()) voters += member.voter();
  return absl::StrCat("configuration ", configuration.version(), " has ", Count(voters, "voter"),
                      ": ", Printable(ShortNames(configuration.members())));
}

}  // namespace

std::string PlanText(const v1::Plan& plan) {
  Rows rows = {{"step", "voters", "quorum", "can lose", "members"}};
  for (const v1::PlanStep& step : plan.steps()) {
    rows.push_back({Printable(step.what()), absl::StrCat(step.voters()),
                    absl::StrCat(step.quorum()), CanLose(step.can_lose()),
                    Printable(ShortNames(step.members()))});
  }
  std::string text =
      absl::StrCat("plan from configuration ", plan.base_version(), ":\n\n", Aligned(rows));
  const bool has_deaths = std::any_of(plan.steps().begin(), plan.steps().end(),
                                      [](const auto& step) { return step.deaths_size() > 0; });
  if (has_deaths) absl::StrAppend(&text, "\nwhat the death of one member would mean:\n");
  for (const v1::PlanStep& step : plan.steps()) {
    if (step.deaths_size() > 0) absl::StrAppend(&text, DeathsText(step));
  }
  if (plan.warnings_size() > 0 || !plan.refusal().empty()) absl::StrAppend(&text, "\n");
  for (const std::string& warning : plan.warnings()) {
    absl::StrAppend(&text, "warning: ", Printable(warning), "\n");
  }
  if (!plan.refusal().empty()) {
    absl::StrAppend(&text, "would be refused: ", Printable(plan.refusal()), "\n");
  }
  return text;
}

std::string ChangeJson(const v1::ChangeResponse& response, const v1::OperationsResponse* ended) {
  std::string json = absl::StrCat("{\"operation_id\":", JsonNumber(response.operation_id()),
                                  ",\"plan\":", JsonPlan(response.plan()));
  if (ended == nullptr || ended->operations_size() == 0) {
    return absl::StrCat(json, ",\"operation\":null}\n");
  }
  return absl::StrCat(json, ",\"operation\":", JsonOperation(ended->operations(0)), ",",
                      JsonConfiguration(*ended), "}\n");
}

std::string EndText(const v1::OperationsResponse& ended) {
  const v1::Operation& operation = ended.operations(0);
  const int64_t took_ms = operation.changed_ms() - operation.begun_ms();
  return absl::StrCat("operation ", operation.id(), " (", Printable(operation.request()),
                      operation.phase() == v1::Operation::PHASE_FAILED ? ") has " : ") is ",
                      PhaseOf(operation), took_ms < 0 ? "" : absl::StrCat(" after ", Span(took_ms)),
                      operation.cause().empty() ? "" : ": ", Printable(operation.cause()), "; ",
                      ConfigurationText(ended.configuration()), "\n");
}

std::string MembersText(const v1::OperationsResponse& response) {
  std::string text = absl::StrCat("configuration ", response.configuration().version(),
                                  response.settled() ? "" : ", not settled yet",
                                  response.from_leader() ? ""
                                                         : ", as a member knows it that does "
                                                           "not lead: it may be an old one",
                                  "\n");
  if (const v1::Operation* running = Running(response)) {
    absl::StrAppend(&text, "  ", Printable(UnderWay(*running)), "\n");
  }
  Rows rows = {{"id", "address", "role", "uuid"}};
  for (const v1::MemberMessage& member : response.configuration().members()) {
    rows.push_back({absl::StrCat(member.id()), Escaped(member.address()), RoleOf(member.voter()),
                    Uuid(member.uuid())});
  }
  return absl::StrCat(text, "\n", Aligned(rows));
}

std::string MembersJson(const v1::OperationsResponse& response) {
  const v1::Operation* running = Running(response);
  return absl::StrCat(
      "{", JsonConfiguration(response), ",\"settled\":", JsonBool(response.settled()),
      ",\"from_leader\":", JsonBool(response.from_leader()),
      ",\"operation\":", running == nullptr ? "null" : JsonOperation(*running), "}\n");
}

std::string OperationsText(const v1::OperationsResponse& response, int64_t now_ms) {
  if (response.operations_size() == 0) return "no operation was ever begun\n";
  Rows rows = {{"id", "request", "phase", "begun", "lasted", "cause"}};
  for (const v1::Operation& operation : response.operations()) {
    const int64_t until = HasFinished(operation) ? operation.changed_ms() : now_ms;
    rows.push_back({absl::StrCat(operation.id()), Printable(operation.request()),
                    PhaseOf(operation), Utc(operation.begun_ms()),
                    Span(std::max<int64_t>(until - operation.begun_ms(), 0)),
                    operation.cause().empty() ? "-" : Printable(operation.cause())});
  }
  return Aligned(rows);
}

std::string OperationsJson(const v1::OperationsResponse& response) {
  return absl::StrCat("{\"from_leader\":", JsonBool(response.from_leader()),
                      ",\"operations\":", JsonList(response.operations(), JsonOperation), "}\n");
}

}  // namespace distlog::cli
