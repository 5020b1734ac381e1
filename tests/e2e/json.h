// Reads the JSON that the command line prints, as any program would.

#ifndef DISTLOG_TESTS_E2E_JSON_H_
#define DISTLOG_TESTS_E2E_JSON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/struct.pb.h"

namespace distlog {

using Json = google::protobuf::Struct;

absl::StatusOr<Json> ParseJson(const std::string& text);

// The value at a path of keys: strings and 64-bit integers as they are written, "true" and "false",
// numbers in decimal. "(none)" if there is no such key.
std::string Text(const Json& json, const std::string& dotted_path);

// The objects of the list under `key`; empty if there is none.
std::vector<Json> Objects(const Json& json, const std::string& key);

// Text() as a number; 0 if it is none.
uint64_t Number(const Json& json, const std::string& dotted_path);

}  // namespace distlog

#endif  // DISTLOG_TESTS_E2E_JSON_H_
