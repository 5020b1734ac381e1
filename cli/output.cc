#include "cli/output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/verdict.h"

namespace distlog::cli {
namespace {

// The length of the UTF-8 character at the start of `bytes`; 0 if there is none.
size_t CharacterLength(absl::string_view bytes) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || bytes.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what is above the last character.
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) > 0x9f) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

// Control characters: ASCII's, and those of U+0080 to U+009f, which terminals obey too.
bool IsControl(absl::string_view character) {
  const unsigned char first = character[0];
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  return character.size() == 2 && first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

int WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(written);
  }
  return 0;
}

// `backslash`: what is written for one.
std::string Escape(absl::string_view bytes, absl::string_view backslash) {
  std::string escaped;
  while (!bytes.empty()) {
    const size_t length = std::max<size_t>(CharacterLength(bytes), 1);
    const absl::string_view character = bytes.substr(0, length);
    const unsigned char first = character[0];
    if (first == '\n') {
      escaped += "\\n";
    } else if (first == '\r') {
      escaped += "\\r";
    } else if (first == '\t') {
      escaped += "\\t";
    } else if (first == '\\') {
      absl::StrAppend(&escaped, backslash);
    } else if (IsControl(character) || CharacterLength(character) == 0) {
      for (const char c : character) {
        absl::StrAppendFormat(&escaped, "\\x%02x", static_cast<unsigned char>(c));
      }
    } else {
      escaped.append(character.data(), length);
    }
    bytes.remove_prefix(length);
  }
  return escaped;
}

}  // namespace

int ExitStatus(Outcome outcome, const absl::Status& status) {
  if (outcome == Outcome::kDone) return kExitDone;
  if (outcome == Outcome::kUnknown) return kExitUnknown;
  return ExitStatus(status);
}

int ExitStatus(const absl::Status& status) {
  if (status.ok()) return kExitDone;
  switch (ReasonOf(status)) {
    case v1::ErrorDetail::REASON_NO_LEADER:
    case v1::ErrorDetail::REASON_UNASSIGNED:
    case v1::ErrorDetail::REASON_STOPPING:
      return kExitNoLeader;
    case v1::ErrorDetail::REASON_POSITION:
    case v1::ErrorDetail::REASON_EPOCH:
    case v1::ErrorDetail::REASON_AFTER_EPOCH:
    case v1::ErrorDetail::REASON_RECOVERED:
    case v1::ErrorDetail::REASON_CONFIGURATION:
      return kExitPrecondition;
    case v1::ErrorDetail::REASON_UNSPECIFIED:
      break;
    default:
      return kExitFailed;
  }
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitNoLeader;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:  // Of a change of members: another version is in force.
      return kExitPrecondition;
    default:
      return kExitFailed;
  }
}

Output::Output(const Console& console, Format format)
    : console_(console), format_(format), terminal_(isatty(console.out) == 1) {}

void Output::Flush() {
  const std::string bytes = std::exchange(buffer_, {});
  if (broken_ || bytes.empty()) return;
  const int error = WriteAll(console_.out, bytes);
  if (error == 0) return;
  broken_ = true;
  if (error != EPIPE) error_ = error;
}

void Output::Error(const absl::Status& status, const std::string& fields) {
  Flush();
  if (json()) {
    WriteAll(console_.err, absl::StrCat("{\"error\":{\"code\":",
                                        JsonString(absl::StatusCodeToString(status.code())),
                                        ",\"message\":", JsonString(status.message()),
                                        fields.empty() ? "" : ",", fields, "}}\n"));
  } else {
    WriteAll(console_.err, absl::StrCat("distlog: ", Printable(status.message()), "\n"));
  }
}

void Output::Show(const std::string& text) {
  Flush();
  WriteAll(console_.err, text);
}

void Output::Note(const std::string& sentence) {
  Flush();
  if (!json()) WriteAll(console_.err, absl::StrCat("distlog: ", sentence, "\n"));
}

int Output::Finish(int status, int if_lost) {
  Flush();
  if (error_ == 0) return status;
  Error(absl::DataLossError(absl::StrCat("cannot write the output: ", strerror(error_))));
  return status == kExitDone ? if_lost : status;
}

std::string JsonString(absl::string_view bytes) {
  std::string json = "\"";
  while (!bytes.empty()) {
    const size_t length = CharacterLength(bytes);
    const unsigned char first = bytes[0];
    if (length == 0) {
      json += "\xef\xbf\xbd";  // The replacement character.
    } else if (first == '"' || first == '\\') {
      json += '\\';
      json += first;
    } else if (first < 0x20 || first == 0x7f) {
      absl::StrAppendFormat(&json, "\\u%04x", first);
    } else {
      json.append(bytes.data(), length);
    }
    bytes.remove_prefix(std::max<size_t>(length, 1));
  }
  json += '"';
  return json;
}

std::string JsonNumber(uint64_t number) { return absl::StrCat("\"", number, "\""); }

std::string Escaped(absl::string_view bytes) { return Escape(bytes, "\\\\"); }

std::string Printable(absl::string_view bytes) { return Escape(bytes, "\\"); }

absl::StatusOr<std::string> Unescaped(absl::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes += text[i];
      continue;
    }
    const char kind = ++i < text.size() ? text[i] : '\0';
    const absl::string_view digits = kind == 'x' ? text.substr(i + 1, 2) : "";
    if (kind == 'n') {
      bytes += '\n';
    } else if (kind == 'r') {
      bytes += '\r';
    } else if (kind == 't') {
      bytes += '\t';
    } else if (kind == '0') {
      bytes += '\0';
    } else if (kind == '\\') {
      bytes += '\\';
    } else if (digits.size() == 2 && absl::ascii_isxdigit(digits[0]) &&
               absl::ascii_isxdigit(digits[1])) {
      bytes += absl::HexStringToBytes(digits);
      i += 2;
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", text, "\" has a backslash without meaning; known are \\n \\r \\t \\0 \\\\ \\xNN"));
    }
  }
  return bytes;
}

std::string Hex(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

std::string Bytes(uint64_t count) {
  const char* const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (count < 1024) return absl::StrCat(count, " B");
  double value = count / 1024.0;
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
  return absl::StrFormat("%.1f %s", value, units[unit]);
}

std::string Span(int64_t span_ms) {
  if (span_ms < 1000) return absl::StrCat(span_ms, " ms");
  const int64_t seconds = span_ms / 1000;
  if (seconds < 120) return absl::StrCat(seconds, " s");
  if (seconds < 2 * 3600) return absl::StrCat(seconds / 60, " min");
  if (seconds < 2 * 86400) return absl::StrCat(seconds / 3600, " h");
  return absl::StrCat(seconds / 86400, " days");
}

std::string Ago(int64_t age_ms) { return age_ms < 0 ? "never" : Span(age_ms) + " ago"; }

std::string Count(uint64_t n, absl::string_view noun) {
  const bool y = absl::EndsWith(noun, "y");
  if (n == 1) return absl::StrCat("1 ", noun);
  if (y) return absl::StrCat(n, " ", noun.substr(0, noun.size() - 1), "ies");
  return absl::StrCat(n, " ", noun, "s");
}

std::string Aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) line += "  ";
      line += row[i];
      line.append(widths[i] - row[i].size(), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

}  // namespace distlog::cli
