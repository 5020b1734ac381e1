#include "wire/batch_outline.h"

#include <limits>

namespace distlog {
namespace {

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// One field of a protobuf message: its number, wire type, and number or bytes.
struct Field {
  uint32_t number = 0;
  uint32_t type = 0;
  uint64_t integer = 0;
  std::string_view bytes;

  bool Is(uint32_t want_number, WireType want_type) const {
    return number == want_number && type == want_type;
  }
};

class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}

  // False at the end and at what is no field; is_malformed() tells them apart.
  bool Next(Field* field) {
    if (rest_.empty()) return false;
    malformed_ = !ReadField(field);
    return !malformed_;
  }
  bool is_malformed() const { return malformed_; }

 private:
  bool ReadField(Field* field) {
    uint64_t tag = 0;
    if (!ReadVarint(&tag) || tag > std::numeric_limits<uint32_t>::max()) return false;
    field->number = static_cast<uint32_t>(tag >> 3);
    field->type = tag & 7;
    if (field->number == 0) return false;
    switch (field->type) {
      case kVarint:
        return ReadVarint(&field->integer);
      case kFixed64:
        return ReadFixed(8, &field->integer);
      case kFixed32:
        return ReadFixed(4, &field->integer);
      case kBytes: {
        uint64_t size = 0;
        return ReadVarint(&size) && ReadBytes(size, &field->bytes);
      }
      default:  // Groups are not used; 6 and 7 do not exist.
        return false;
    }
  }

  bool ReadVarint(uint64_t* value) {
    *value = 0;
    for (size_t i = 0; i < 10 && i < rest_.size(); ++i) {
      const uint64_t byte = static_cast<unsigned char>(rest_[i]);
      *value |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) {
        rest_.remove_prefix(i + 1);
        return true;
      }
    }
    return false;
  }

  bool ReadFixed(size_t size, uint64_t* value) {
    std::string_view bytes;
    if (!ReadBytes(size, &bytes)) return false;
    *value = 0;
    for (size_t i = size; i-- > 0;) *value = *value << 8 | static_cast<unsigned char>(bytes[i]);
    return true;
  }

  bool ReadBytes(uint64_t size, std::string_view* bytes) {
    if (size > rest_.size()) return false;
    *bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  std::string_view rest_;
  bool malformed_ = false;
};

// What is known of a message so far: damage weighs more than a field of another age.
struct Findings {
  bool malformed = false;
  bool unknown_field = false;
};

void ReadOrigin(std::string_view bytes, BatchOutline* outline, Findings* findings) {
  FieldReader reader(bytes);
  Field field;
  while (reader.Next(&field)) {
    if (field.Is(1, kVarint)) {
      outline->origin_replica = field.integer;
    } else if (field.Is(2, kFixed64)) {
      outline->origin_start_nonce = field.integer;
    } else if (field.Is(3, kVarint)) {
      outline->origin_sequence = field.integer;
    } else {
      findings->unknown_field = true;
    }
  }
  findings->malformed |= reader.is_malformed();
}

BatchOutline::Append ReadAppend(std::string_view bytes, Findings* findings) {
  BatchOutline::Append append;
  FieldReader reader(bytes);
  Field field;
  while (reader.Next(&field)) {
    if (field.Is(1, kBytes)) {
      ++append.count;
    } else if (field.Is(2, kBytes)) {
      append.producer = field.bytes;
    } else if (field.Is(3, kVarint)) {
      append.epoch = field.integer;
    } else if (field.Is(4, kVarint)) {
      append.sequence = field.integer;
    } else if (field.Is(5, kVarint)) {
      append.expect_position = field.integer;
    } else if (field.Is(6, kVarint)) {
      append.fence = field.integer;
    } else if (field.Is(7, kVarint)) {
      append.cluster_time_ms = field.integer;
    } else {
      findings->unknown_field = true;
    }
  }
  findings->malformed |= reader.is_malformed();
  return append;
}

}  // namespace

absl::StatusOr<BatchOutline> OutlineOf(std::string_view batch) {
  BatchOutline outline;
  Findings findings;
  FieldReader reader(batch);
  Field field;
  while (reader.Next(&field)) {
    if (field.Is(1, kBytes)) {
      ReadOrigin(field.bytes, &outline, &findings);
    } else if (field.Is(2, kVarint)) {
      // The timestamp is information only.
    } else if (field.Is(3, kVarint)) {
      outline.cluster_time_ms = field.integer;
    } else if (field.Is(4, kBytes)) {
      outline.appends.push_back(ReadAppend(field.bytes, &findings));
    } else {
      findings.unknown_field = true;
    }
  }
  if (reader.is_malformed() || findings.malformed) {
    return absl::DataLossError("its bytes are not those of a batch");
  }
  if (findings.unknown_field) {
    return absl::UnimplementedError("its batch has a field that this program does not know");
  }
  return outline;
}

}  // namespace distlog
