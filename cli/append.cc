#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/lines.h"
#include "client/producer.h"
#include "client/verdict.h"

namespace distlog::cli {
namespace {

// A file descriptor, closed in the end if it was opened here.
class Descriptor {
 public:
  Descriptor(int fd, bool owned) : fd_(fd), owned_(owned) {}
  ~Descriptor() {
    if (owned_ && fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
  const bool owned_;
};

// What became of the entries of this command so far, and the printing of it. Answers come in order
// and one at a time.
class Tally {
 public:
  explicit Tally(Output* output) : output_(output), quiet_(FLAGS_quiet) {}

  void Take(uint32_t count, const AppendResult& result) {
    if (result.outcome == Outcome::kDone) {
      if (in_ == 0) first_ = result.first_position;
      last_ = result.first_position + count - 1;
      in_ += count;
      if (!quiet_) Print(result.first_position, count);
      return;
    }
    (result.outcome == Outcome::kUnknown ? unknown_ : not_in_) += count;
    if (failure_.ok()) {
      failure_ = result.status;
      outcome_ = result.outcome;
    }
  }

  // An entry that was never given to anybody.
  void Refuse(uint64_t count, const absl::Status& status) {
    not_in_ += count;
    if (failure_.ok()) {
      failure_ = status;
      outcome_ = Outcome::kNotDone;
    }
  }

  uint64_t in() const { return in_; }
  const absl::Status& failure() const { return failure_; }

  // Prints what is left to print; the exit status.
  int Finish() {
    if (quiet_ && (in_ > 0 || output_->json())) PrintRange();
    if (failure_.ok()) return kExitDone;
    if (in_ == 0 && unknown_ + not_in_ <= 1) {
      output_->Error(failure_, Fields());
      if (unknown_ > 0) output_->Note("the entry may be in the log, or may yet get there");
    } else {
      output_->Error(absl::Status(failure_.code(), Sentence()), Fields());
    }
    return ExitStatus(outcome_, failure_);
  }

 private:
  void Print(uint64_t position, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i, ++position) {
      if (output_->json()) {
        output_->Write(absl::StrCat("{\"position\":\"", position, "\"}\n"));
      } else {
        output_->Write(absl::StrCat(position, "\n"));
      }
    }
    output_->Flush();
  }

  void PrintRange() {
    if (output_->json()) {
      output_->Write(absl::StrCat("{\"first\":", JsonNumber(first_), ",\"last\":",
                                  JsonNumber(last_), ",\"count\":", JsonNumber(in_), "}\n"));
    } else {
      output_->Write(absl::StrCat(first_, "..", last_, "\n"));
    }
  }

  std::string Sentence() const {
    const std::string where =
        in_ == 0 ? "" : absl::StrCat(" (positions ", first_, " to ", last_, ")");
    return absl::StrCat(Count(in_, "entry"), in_ == 1 ? " is in" : " are in", where, ", ", unknown_,
                        " unknown, ", not_in_, " not in: ", std::string(failure_.message()));
  }

  std::string Fields() const {
    return absl::StrCat("\"in\":", JsonNumber(in_), ",\"unknown\":", JsonNumber(unknown_),
                        ",\"not_in\":", JsonNumber(not_in_));
  }

  Output* const output_;
  const bool quiet_;
  uint64_t first_ = 0, last_ = 0;
  uint64_t in_ = 0, unknown_ = 0, not_in_ = 0;
  Outcome outcome_ = Outcome::kDone;  // Of the first entry that is not in.
  absl::Status failure_;              // Why it is not.
};

absl::Status CheckFlags(const Invocation& invocation) {
  if (!invocation.arguments.empty() && (FLAGS_lines || invocation.Given("file"))) {
    return absl::InvalidArgumentError(
        "append takes its entries either as arguments or from --lines or --file");
  }
  if (invocation.Given("file") && FLAGS_file.empty()) {
    return absl::InvalidArgumentError("--file needs the name of a file; standard input needs none");
  }
  if (invocation.Given("producer") != invocation.Given("sequence")) {
    return absl::InvalidArgumentError("--producer and --sequence belong together");
  }
  if (invocation.Given("epoch") && !invocation.Given("producer")) {
    return absl::InvalidArgumentError("--epoch needs --producer and --sequence");
  }
  if (invocation.Given("producer") && (FLAGS_producer.empty() || FLAGS_producer.size() > 128)) {
    return absl::InvalidArgumentError("--producer is a name of 1 to 128 bytes");
  }
  if (invocation.Given("sequence") && FLAGS_sequence == 0) {
    return absl::InvalidArgumentError("--sequence starts at 1");
  }
  if (invocation.Given("expect_position") && FLAGS_expect_position == 0) {
    return absl::InvalidArgumentError("--expect_position starts at 1");
  }
  return absl::OkStatus();
}

absl::Status TooLarge(const std::string& what, uint64_t limit) {
  return absl::InvalidArgumentError(absl::StrCat(what, " is larger than the ", limit,
                                                 " bytes that this cluster takes in one entry"));
}

// The first of the entries above the limit, as an error.
absl::Status CheckSizes(const std::vector<std::string>& entries, const Limits& limits) {
  uint64_t total = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].size() > limits.max_entry_bytes) {
      return TooLarge(entries.size() == 1 ? "the entry" : absl::StrCat("argument ", i + 1),
                      limits.max_entry_bytes);
    }
    total += entries[i].size();
  }
  if (total > limits.max_request_bytes || entries.size() > 65536) {
    return absl::InvalidArgumentError(
        absl::StrCat("these ", entries.size(), " entries of ", total,
                     " bytes are too much for one append: use --lines, or several commands"));
  }
  return absl::OkStatus();
}

// All entries in one request: all are in, or none.
int AppendTogether(std::vector<std::string> entries, const Invocation& invocation, Client* client,
                   Output* output) {
  const uint64_t count = entries.size();
  Tally tally(output);
  AppendOptions options;
  options.expect_position = FLAGS_expect_position;
  options.producer = FLAGS_producer;
  options.epoch = FLAGS_epoch;
  options.sequence = FLAGS_sequence;
  const absl::StatusOr<Limits> limits = client->GetLimits();
  absl::Status status = limits.ok() ? CheckSizes(entries, *limits) : limits.status();
  if (status.ok() && !invocation.Given("producer")) {
    options.producer = RandomProducerName();
    const auto opened = client->OpenProducer(options.producer, 0);
    status = opened.status();
    if (opened.ok()) {
      options.epoch = opened->epoch();
      options.sequence = opened->next_sequence();
    }
  }
  if (status.ok()) {
    tally.Take(count, client->Append(std::move(entries), options));
  } else {
    tally.Refuse(count, status);
  }
  return tally.Finish();
}

// Standard input, or --file. Null after an error was told.
std::unique_ptr<Descriptor> OpenInput(const Invocation& invocation, Output* output) {
  if (!invocation.Given("file")) return std::make_unique<Descriptor>(output->console().in, false);
  const int fd = open(FLAGS_file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) return std::make_unique<Descriptor>(fd, true);
  output->Error(
      absl::NotFoundError(absl::StrCat("cannot open ", FLAGS_file, ": ", strerror(errno))));
  return nullptr;
}

absl::Status NotReadable(const Invocation& invocation) {
  return absl::UnknownError(absl::StrCat("cannot read ",
                                         invocation.Given("file") ? FLAGS_file : "standard input",
                                         ": ", strerror(errno)));
}

// The whole input is one entry.
int AppendWhole(const Invocation& invocation, Client* client, Output* output) {
  const std::unique_ptr<Descriptor> input = OpenInput(invocation, output);
  if (input == nullptr) return kExitFailed;
  const absl::StatusOr<Limits> limits = client->GetLimits();
  Tally tally(output);
  if (!limits.ok()) {
    tally.Refuse(1, limits.status());
    return tally.Finish();
  }
  std::string entry;
  char block[65536];
  ssize_t got = 0;
  while (entry.size() <= limits->max_entry_bytes &&
         ((got = read(input->get(), block, sizeof(block))) > 0 || (got < 0 && errno == EINTR))) {
    if (got > 0) entry.append(block, got);
  }
  if (entry.size() > limits->max_entry_bytes) {
    tally.Refuse(1, TooLarge("the input", limits->max_entry_bytes));
    return tally.Finish();
  }
  if (got < 0) {
    tally.Refuse(1, NotReadable(invocation));
    return tally.Finish();
  }
  return AppendTogether({std::move(entry)}, invocation, client, output);
}

// Each line is an entry. What could not be read or is too long ends it like a failed append.
int AppendLines(const Invocation& invocation, Client* client, Output* output) {
  const std::unique_ptr<Descriptor> input = OpenInput(invocation, output);
  if (input == nullptr) return kExitFailed;
  Tally tally(output);
  const absl::StatusOr<Limits> limits = client->GetLimits();
  if (!limits.ok()) {
    output->Error(limits.status());
    return ExitStatus(limits.status());
  }
  // Readable once an entry has failed: then whatever the input still brings is not wanted.
  const Descriptor failed(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), true);
  ProducerOptions options;
  options.expect_position = FLAGS_expect_position;
  if (invocation.Given("producer")) {
    options.name = FLAGS_producer;
    options.epoch = FLAGS_epoch;
    options.next_sequence = FLAGS_sequence;
    // Whoever repeats the command, or goes on in the middle of its input, repeats the boundaries.
    options.max_request_entries = 1;
  }
  options.answered = [&](const Answer& answer) {
    tally.Take(answer.count, answer.result);
    if (answer.result.outcome != Outcome::kDone) eventfd_write(failed.get(), 1);
  };
  Producer producer(client, options);
  LineReader lines(input->get(), failed.get(), limits->max_entry_bytes);
  std::string line;
  uint64_t number = 1;
  LineReader::Event event;
  absl::Status refused;
  while ((event = lines.Next(&line)) == LineReader::Event::kLine) {
    refused = producer.Append(std::move(line));
    if (!refused.ok()) break;
    ++number;
    line = std::string();
  }
  if (event == LineReader::Event::kError) refused = NotReadable(invocation);
  if (event == LineReader::Event::kTooLong) {
    refused = TooLarge(absl::StrCat("line ", number), limits->max_entry_bytes);
  }
  producer.Close().IgnoreError();  // The tally knows it.
  if (!refused.ok()) tally.Refuse(event == LineReader::Event::kError ? 0 : 1, refused);
  return tally.Finish();
}

}  // namespace

int RunAppend(const Invocation& invocation, Client* client, Output* output) {
  if (const absl::Status status = CheckFlags(invocation); !status.ok()) {
    output->Error(status);
    return kExitUsage;
  }
  if (FLAGS_lines) return AppendLines(invocation, client, output);
  if (invocation.arguments.empty()) return AppendWhole(invocation, client, output);
  return AppendTogether(invocation.arguments, invocation, client, output);
}

}  // namespace distlog::cli
