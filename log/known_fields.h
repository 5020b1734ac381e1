// Whether this program knows all of a message: what it does not know it must neither apply nor
// drop.

#ifndef DISTLOG_LOG_KNOWN_FIELDS_H_
#define DISTLOG_LOG_KNOWN_FIELDS_H_

#include <vector>

#include "google/protobuf/message.h"

namespace distlog {

inline bool HasUnknownFields(const google::protobuf::Message& message) {
  return !message.GetReflection()->GetUnknownFields(message).empty();
}

// The messages in it included.
inline bool IsAllKnown(const google::protobuf::Message& message) {
  if (HasUnknownFields(message)) return false;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      if (!IsAllKnown(reflection.GetMessage(message, field))) return false;
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      if (!IsAllKnown(reflection.GetRepeatedMessage(message, field, i))) return false;
    }
  }
  return true;
}

}  // namespace distlog

#endif  // DISTLOG_LOG_KNOWN_FIELDS_H_
