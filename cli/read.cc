#include <optional>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/flags.h"

namespace distlog::cli {
namespace {

// Prints entries until there have been enough of them.
class Printer {
 public:
  Printer(Output* output, std::string delimiter)
      : output_(output),
        delimiter_(std::move(delimiter)),
        escape_(output->terminal() && !FLAGS_raw) {}

  // For a subscription, which has no end of its own.
  void StopAt(uint64_t position) { last_ = position; }
  void StopAfter(uint64_t count) { left_ = count; }

  // False: enough, or nobody reads it.
  bool Take(const std::vector<v1::Entry>& entries) {
    for (const v1::Entry& entry : entries) {
      if (last_ && entry.position() > *last_) return Rest(false);
      Print(entry);
      if (left_ && --*left_ == 0) return Rest(false);
      if (last_ && entry.position() == *last_) return Rest(false);
    }
    return Rest(true);
  }

 private:
  void Print(const v1::Entry& entry) {
    if (output_->json()) {
      output_->Write(absl::StrCat("{\"position\":\"", entry.position(), "\",\"timestamp_ms\":\"",
                                  entry.timestamp_ms(), "\",\"payload_base64\":\"",
                                  absl::Base64Escape(entry.payload()), "\"}\n"));
      return;
    }
    output_->Write(escape_ ? Escaped(entry.payload()) : entry.payload());
    output_->Write(delimiter_);
  }

  bool Rest(bool go_on) {
    output_->Flush();
    return go_on && !output_->broken();
  }

  Output* const output_;
  const std::string delimiter_;
  const bool escape_;
  std::optional<uint64_t> last_;
  std::optional<uint64_t> left_;
};

absl::Status CheckFlags(const Invocation& invocation) {
  if (invocation.Given("to") && invocation.Given("count")) {
    return absl::InvalidArgumentError(
        "--to and --count are two ways to say where to end: give one");
  }
  if (invocation.Given("to") && (FLAGS_to == 0 || FLAGS_to < FLAGS_from)) {
    return absl::InvalidArgumentError("--to is a position, and not below --from");
  }
  if (FLAGS_local && FLAGS_follow) {
    return absl::InvalidArgumentError(
        "--follow moves to another replica when one fails, which --local must not: give one");
  }
  return absl::OkStatus();
}

int Tell(const absl::Status& status, Output* output) {
  // Whoever read the output has gone: there is nobody to tell, and nothing is wrong.
  if (status.ok() || output->broken()) return kExitDone;
  output->Error(status);
  return ExitStatus(status);
}

int Usage(const absl::Status& status, Output* output) {
  output->Error(status);
  return kExitUsage;
}

}  // namespace

int RunRead(const Invocation& invocation, Client* client, Output* output) {
  const absl::StatusOr<std::string> delimiter = Unescaped(FLAGS_delimiter);
  if (!delimiter.ok()) return Usage(delimiter.status(), output);
  if (const absl::Status status = CheckFlags(invocation); !status.ok()) {
    return Usage(status, output);
  }
  if (invocation.Given("count") && FLAGS_count == 0) return kExitDone;
  Printer printer(output, *delimiter);
  const EntriesCallback print = [&](std::vector<v1::Entry>* entries) {
    return printer.Take(*entries);
  };
  if (!FLAGS_follow) {
    return Tell(client->Read({FLAGS_from, FLAGS_to, FLAGS_count, FLAGS_local}, print), output);
  }
  if (invocation.Given("to")) printer.StopAt(FLAGS_to);
  if (invocation.Given("count")) printer.StopAfter(FLAGS_count);
  return Tell(client->Subscribe({.from = FLAGS_from}, print), output);
}

int RunTail(const Invocation&, Client* client, Output* output) {
  const absl::StatusOr<std::string> delimiter = Unescaped(FLAGS_delimiter);
  if (!delimiter.ok()) return Usage(delimiter.status(), output);
  Printer printer(output, *delimiter);
  return Tell(
      client->Subscribe({.last = FLAGS_n},
                        [&](std::vector<v1::Entry>* entries) { return printer.Take(*entries); }),
      output);
}

}  // namespace distlog::cli
