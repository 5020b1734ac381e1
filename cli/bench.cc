#include <unistd.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/load.h"
#include "grpcpp/create_channel.h"

namespace distlog::cli {
namespace {

// Of the answers that wait at once; and of the memory that they and their payloads take.
constexpr uint64_t kMaxOutstanding = 65536;
constexpr uint64_t kMaxOutstandingBytes = uint64_t{1} << 30;
constexpr uint64_t kMaxSeconds = 24 * 3600;
// Of a stream, unless it is told otherwise: what a producer has outstanding by default.
constexpr uint64_t kStreamBytes = 8 << 20;

using Load = std::function<absl::Duration(Measure*)>;

struct Mode {
  const char* name;
  bool appends;
  bool channel;  // Plain calls to one server; otherwise the client library makes them.
  uint64_t default_outstanding;
};

const Mode kModes[] = {
    {"unary", true, true, 64}, {"client", true, false, 64}, {"stream", true, false, 16384},
    {"read", false, true, 64}, {"scan", false, false, 1},
};

const Mode* FindMode(const std::string& name) {
  const auto* mode = std::find_if(std::begin(kModes), std::end(kModes),
                                  [&](const Mode& one) { return one.name == name; });
  return mode == std::end(kModes) ? nullptr : mode;
}

absl::Status CheckFlags(const Invocation& invocation, const Mode* mode) {
  if (mode == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("--mode is unary, client, stream, read or scan, not \"", FLAGS_mode, "\""));
  }
  if (FLAGS_seconds == 0 || FLAGS_seconds > kMaxSeconds) {
    return absl::InvalidArgumentError(absl::StrCat("--seconds is 1 to ", kMaxSeconds));
  }
  if (FLAGS_outstanding > kMaxOutstanding ||
      (FLAGS_outstanding == 0 && invocation.Given("outstanding"))) {
    return absl::InvalidArgumentError(absl::StrCat("--outstanding is 1 to ", kMaxOutstanding));
  }
  if (mode->appends && FLAGS_local) {
    return absl::InvalidArgumentError("--local is for --mode=read and --mode=scan");
  }
  if (!mode->appends && invocation.Given("size")) {
    return absl::InvalidArgumentError(
        "--size is for the modes that append; reads bring what is in the log");
  }
  if (mode->default_outstanding == 1 && invocation.Given("outstanding")) {
    return absl::InvalidArgumentError("--mode=scan is one read: it takes no --outstanding");
  }
  return absl::OkStatus();
}

absl::Status CheckSize(const LoadOptions& options, const Limits& limits) {
  if (options.size > limits.max_entry_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("--size=", options.size, " is more than the ",
                                                   limits.max_entry_bytes,
                                                   " bytes that this cluster takes in one entry"));
  }
  if (options.size > kMaxOutstandingBytes / options.outstanding) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.outstanding, " entries of ", options.size,
                     " bytes are more than the 1 GiB that may be outstanding: lower one of them"));
  }
  return absl::OkStatus();
}

uint64_t OutstandingFor(const Invocation& invocation, const Mode& mode, uint64_t size) {
  if (invocation.Given("outstanding")) return FLAGS_outstanding;
  if (!mode.appends || size == 0) return mode.default_outstanding;
  return std::min(mode.default_outstanding, std::max<uint64_t>(kStreamBytes / size, 64));
}

// Fills in what the cluster says. Errors are those of a cluster that does not serve.
absl::Status Prepare(const Mode& mode, Client* client, LoadOptions* options) {
  const absl::StatusOr<v1::EndResponse> end = client->End(options->local);
  if (!end.ok()) return end.status();
  options->first_position = end->first_position();
  options->last_position = end->last_position();
  if (!mode.appends) {
    if (options->last_position >= options->first_position && options->last_position > 0) {
      return absl::OkStatus();
    }
    return absl::NotFoundError("the log is empty: append to it first, as with bench --mode=stream");
  }
  const absl::StatusOr<Limits> limits = client->GetLimits();
  if (!limits.ok()) return limits.status();
  return CheckSize(*options, *limits);
}

// Where plain calls go: to the leader; local reads to the first endpoint.
absl::StatusOr<std::string> AddressFor(bool local, Client* client) {
  if (local) return client->options().endpoints.front();
  const absl::StatusOr<v1::StatusResponse> status = client->Status();
  if (!status.ok()) return status.status();
  for (const v1::MemberStatus& member : status->members()) {
    if (member.id() == status->self().leader_id()) return member.address();
  }
  return absl::UnavailableError("there is no leader at the moment; try again");
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> ConnectTo(const std::string& address,
                                                         absl::Duration timeout) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(16 << 20);
  arguments.SetMaxSendMessageSize(16 << 20);
  auto channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  if (channel->WaitForConnected(absl::ToChronoTime(absl::Now() + timeout))) return channel;
  return absl::UnavailableError(absl::StrCat("no server can be reached at ", address));
}

absl::StatusOr<Load> LoadOf(const Mode& mode, Client* client, const LoadOptions& options) {
  const std::string name = mode.name;
  if (!mode.channel) {
    const auto load = name == "client"   ? &AppendByProducer
                      : name == "stream" ? &AppendStreamed
                                         : &Scan;
    return [=](Measure* measure) { return load(client, options, measure); };
  }
  const absl::StatusOr<std::string> address = AddressFor(options.local, client);
  if (!address.ok()) return address.status();
  auto channel = ConnectTo(*address, options.timeout);
  if (!channel.ok()) return channel.status();
  const auto load = name == "unary" ? &AppendUnary : &ReadRandom;
  return [load, options, channel = *channel](Measure* measure) {
    return load(channel, options, measure);
  };
}

double Micros(const Measure& measure, double fraction) {
  return measure.latency().Percentile(fraction) / 1e3;
}

std::string Milliseconds(double micros) { return absl::StrFormat("%.2f ms", micros / 1e3); }

// A line on stderr, written over each second, for a person who watches.
void ShowProgress(const Measure& measure, const absl::Notification& ended, int fd) {
  const absl::Time start = absl::Now();
  uint64_t before = 0;
  while (!ended.WaitForNotificationWithTimeout(absl::Seconds(1))) {
    const uint64_t now = measure.entries();
    const std::string line = absl::StrFormat(
        "\r\x1b[K%3.0f s  %d entries/s  p50 %s  p99 %s  %d errors",
        absl::ToDoubleSeconds(absl::Now() - start), now - std::exchange(before, now),
        Milliseconds(Micros(measure, 0.5)), Milliseconds(Micros(measure, 0.99)), measure.errors());
    if (write(fd, line.data(), line.size()) < 0) return;
  }
  if (write(fd, "\r\x1b[K", 4) < 0) return;
}

std::string Json(const Mode& mode, const LoadOptions& options, const Measure& measure,
                 double seconds) {
  // Reads have the size of what was read.
  const double size = mode.appends            ? options.size
                      : measure.entries() > 0 ? 1.0 * measure.bytes() / measure.entries()
                                              : 0;
  return absl::StrFormat(
      "{\"mode\":\"%s\",\"outstanding\":%d,\"size\":%.0f,\"local\":%s,\"rate\":%.1f,"
      "\"bytes_per_second\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,"
      "\"errors\":%d,\"entries\":%s,\"seconds\":%.3f}\n",
      mode.name, options.outstanding, size, options.local ? "true" : "false",
      measure.entries() / seconds, measure.bytes() / seconds, Micros(measure, 0.5),
      Micros(measure, 0.99), Micros(measure, 0.999), measure.latency().max() / 1e3,
      measure.errors(), JsonNumber(measure.entries()), seconds);
}

std::string Text(const Mode& mode, const LoadOptions& options, const Measure& measure,
                 double seconds) {
  const std::string what = mode.appends    ? absl::StrCat(Bytes(options.size), " entries, ",
                                                          options.outstanding, " outstanding")
                           : options.local ? "local reads"
                                           : "linearizable reads";
  return Aligned({
      {mode.name, absl::StrFormat("%s, %.1f s", what, seconds)},
      {"throughput", absl::StrFormat("%.0f entries/s, %.2f MB/s", measure.entries() / seconds,
                                     measure.bytes() / seconds / 1e6)},
      {"latency", absl::StrCat("p50 ", Milliseconds(Micros(measure, 0.5)), ", p99 ",
                               Milliseconds(Micros(measure, 0.99)), ", p99.9 ",
                               Milliseconds(Micros(measure, 0.999)), ", max ",
                               Milliseconds(measure.latency().max() / 1e3))},
      {"errors", absl::StrCat(measure.errors())},
  });
}

// As a stream of appends does, it exits with the status of the first that failed.
int Report(const Measure& measure, Output* output) {
  const Measure::Failure failure = measure.failure();
  if (failure.status.ok()) return kExitDone;
  output->Error(absl::Status(
      failure.status.code(),
      absl::StrCat(measure.entries(), " done, ", measure.errors(),
                   " failed, the first with: ", std::string(failure.status.message()))));
  return ExitStatus(failure.outcome, failure.status);
}

int Run(const Mode& mode, const LoadOptions& options, const Load& load, Output* output) {
  Measure measure;
  absl::Notification ended;
  absl::Duration elapsed;
  std::thread worker([&] {
    elapsed = load(&measure);
    ended.Notify();
  });
  if (!output->json() && isatty(output->console().err) == 1) {
    ShowProgress(measure, ended, output->console().err);
  }
  worker.join();
  const double seconds = std::max(absl::ToDoubleSeconds(elapsed), 1e-9);
  output->Write(output->json() ? Json(mode, options, measure, seconds)
                               : Text(mode, options, measure, seconds));
  return Report(measure, output);
}

}  // namespace

int RunBench(const Invocation& invocation, Client* client, Output* output) {
  const Mode* const mode = FindMode(FLAGS_mode);
  if (const absl::Status status = CheckFlags(invocation, mode); !status.ok()) {
    output->Error(status);
    return kExitUsage;
  }
  LoadOptions options;
  options.size = mode->appends ? FLAGS_size : 0;
  options.outstanding = OutstandingFor(invocation, *mode, options.size);
  options.duration = absl::Seconds(FLAGS_seconds);
  options.timeout = invocation.timeout;
  options.local = FLAGS_local;
  if (const absl::Status status = Prepare(*mode, client, &options); !status.ok()) {
    output->Error(status);
    return ExitStatus(status);
  }
  const absl::StatusOr<Load> load = LoadOf(*mode, client, options);
  if (!load.ok()) {
    output->Error(load.status());
    return ExitStatus(load.status());
  }
  return Run(*mode, options, *load, output);
}

}  // namespace distlog::cli
