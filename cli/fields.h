// What several screens and objects show in the same way.

#ifndef DISTLOG_CLI_FIELDS_H_
#define DISTLOG_CLI_FIELDS_H_

#include <cstdint>
#include <string>

#include "proto/distlog/v1/cluster.pb.h"

namespace distlog::cli {

std::string Shown(const v1::BallotMessage& ballot);          // "3.1"; "-" for none.
std::string Uuid(const std::string& bytes);                  // 8-4-4-4-12, as UUIDs are written.
std::string Utc(int64_t ms);                                 // "2026-01-31 23:59:59 UTC"
std::string Named(uint64_t id, const std::string& address);  // "replica 3 at HOST:PORT"
const char* RoleOf(bool voter);

// "learning", as text and JSON have it.
std::string PhaseOf(const v1::Operation& operation);
bool HasFinished(const v1::Operation& operation);
// The one that has not finished; null if there is none.
const v1::Operation* Running(const v1::OperationsResponse& operations);
// "operation 5 is under way: add 127.0.0.1:4704 (learning): the newcomer does not answer"
std::string UnderWay(const v1::Operation& operation);

const char* JsonBool(bool value);
std::string JsonInteger(int64_t number);  // As JsonNumber.
std::string JsonBallot(const v1::BallotMessage& ballot);
std::string JsonMember(const v1::MemberMessage& member);
std::string JsonOperation(const v1::Operation& operation);

// `[...]` of what `json` makes of each element.
template <typename Elements, typename Json>
std::string JsonList(const Elements& elements, const Json& json) {
  std::string list = "[";
  for (const auto& element : elements) {
    if (list.size() > 1) list += ',';
    list += json(element);
  }
  return list + "]";
}

}  // namespace distlog::cli

#endif  // DISTLOG_CLI_FIELDS_H_
