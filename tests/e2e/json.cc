#include "tests/e2e/json.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/util/json_util.h"

namespace distlog {

absl::StatusOr<Json> ParseJson(const std::string& text) {
  Json json;
  const auto status = google::protobuf::util::JsonStringToMessage(text, &json);
  if (!status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("no JSON object: ", text));
  }
  return json;
}

std::string Text(const Json& json, const std::string& dotted_path) {
  const Json* object = &json;
  const google::protobuf::Value* value = nullptr;
  for (const std::string& key : std::vector<std::string>(absl::StrSplit(dotted_path, '.'))) {
    if (object == nullptr) return "(none)";
    const auto field = object->fields().find(key);
    if (field == object->fields().end()) return "(none)";
    value = &field->second;
    object = value->has_struct_value() ? &value->struct_value() : nullptr;
  }
  switch (value->kind_case()) {
    case google::protobuf::Value::kStringValue:
      return value->string_value();
    case google::protobuf::Value::kBoolValue:
      return value->bool_value() ? "true" : "false";
    case google::protobuf::Value::kNumberValue:
      return absl::StrCat(value->number_value());
    default:
      return "(object)";
  }
}

std::vector<Json> Objects(const Json& json, const std::string& key) {
  std::vector<Json> objects;
  const auto field = json.fields().find(key);
  if (field == json.fields().end()) return objects;
  for (const auto& value : field->second.list_value().values()) {
    objects.push_back(value.struct_value());
  }
  return objects;
}

uint64_t Number(const Json& json, const std::string& dotted_path) {
  uint64_t number = 0;
  return absl::SimpleAtoi(Text(json, dotted_path), &number) ? number : 0;
}

}  // namespace distlog
