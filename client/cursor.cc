#include "client/cursor.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/verdict.h"

namespace distlog {
namespace {

// Servers say something about once a second on a subscription.
constexpr absl::Duration kIdleSilence = absl::Seconds(3);

}  // namespace

Cursor::Cursor(const ReadRange& range, bool follow, const EntriesCallback& callback)
    : range_(range), follow_(follow), callback_(callback), next_(range.from), to_(range.to) {}

v1::ReadRequest Cursor::ToReadRequest(const std::string& cluster_id) const {
  v1::ReadRequest request;
  request.set_cluster_id(cluster_id);
  request.set_from(next_);
  request.set_to(to_);
  if (range_.count != 0) request.set_count(range_.count - taken_);
  request.set_consistency(range_.local ? v1::CONSISTENCY_LOCAL : v1::CONSISTENCY_LINEARIZABLE);
  return request;
}

v1::SubscribeRequest Cursor::ToSubscribeRequest(const std::string& cluster_id) const {
  v1::SubscribeRequest request;
  request.set_cluster_id(cluster_id);
  request.set_from(next_);
  return request;
}

absl::Duration Cursor::Patience(const ClientOptions& options) const {
  const absl::Duration limit = follow_ ? std::max(options.timeout, kIdleSilence) : options.timeout;
  return std::min(std::max(options.attempt_timeout, kIdleSilence), limit);
}

absl::Status Cursor::Run(Members& members, const ClientOptions& options, const Open& open) {
  Backoff backoff(members.NextSeed());
  last_answer_ = absl::Now();
  absl::Status last;
  std::set<std::string> damaged;  // Members that have lost what comes next.
  do {
    const absl::Time deadline = last_answer_ + options.timeout;
    const absl::StatusOr<Target> target =
        damaged.empty() ? members.Find(deadline) : members.FindBeside(damaged, deadline);
    if (!target.ok()) {
      if (!damaged.empty()) return last;
      if (target.status().code() != absl::StatusCode::kUnavailable) return target.status();
      last = target.status();
      break;
    }
    progressed_ = false;
    const std::unique_ptr<ReadStream> stream = open(*target);
    last = Consume(stream.get(), Patience(options));
    if (progressed_) {
      // The log may have been idle for longer than the timeout; nobody fails to serve before now.
      if (follow_) last_answer_ = absl::Now();
      backoff.Reset();
      damaged.clear();
    }
    if (!last.ok() && !stopped_ && !out_of_order_ && absl::IsDataLoss(last)) {
      // Its disk is damaged there. An entry once chosen is the same everywhere: another has it.
      damaged.insert(target->address);
      continue;
    }
    if (last.ok() || stopped_ || !MayPass(last)) return last;
    members.Failed(*target, last);
    // What was left when the last stream broke may have been nothing.
    if (taken_ > 0 &&
        ((to_ != 0 && next_ > to_) || (range_.count != 0 && taken_ >= range_.count))) {
      return absl::OkStatus();
    }
  } while (Pause(backoff.Next(), last_answer_ + options.timeout, nullptr));
  return NobodyServed(options.timeout, last);
}

absl::Status Cursor::RunOnce(Members& members, const ClientOptions& options, const Open& open) {
  const absl::StatusOr<Target> target = members.FindAny(absl::Now() + options.timeout);
  if (!target.ok()) return target.status();
  const std::unique_ptr<ReadStream> stream = open(*target);
  const absl::Status status = Consume(stream.get(), options.timeout);
  return status;
}

absl::Status Cursor::Consume(ReadStream* stream, absl::Duration silence) {
  for (;;) {
    v1::ReadResponse response;
    switch (stream->Next(absl::Now() + silence, &response)) {
      case ReadStream::Event::kEnd:
        return stream->status();
      case ReadStream::Event::kSilence:
        return absl::DeadlineExceededError(
            absl::StrCat("the server has sent nothing for ", absl::FormatDuration(silence)));
      case ReadStream::Event::kResponse:
        if (absl::Status status = Take(&response); !status.ok() || stopped_) return status;
    }
  }
}

absl::Status Cursor::Take(v1::ReadResponse* response) {
  last_answer_ = absl::Now();
  progressed_ = true;
  std::vector<v1::Entry> entries;
  entries.reserve(response->entries_size());
  for (v1::Entry& entry : *response->mutable_entries()) {
    if (next_ != 0 && entry.position() != next_) {
      out_of_order_ = true;
      return absl::DataLossError(absl::StrCat("a server answered with position ", entry.position(),
                                              " where position ", next_, " comes next"));
    }
    next_ = entry.position() + 1;
    entries.push_back(std::move(entry));
  }
  taken_ += entries.size();
  // The end as of the call stays the end, also when another replica serves the rest.
  if (to_ == 0 && !follow_) to_ = response->last_position();
  if (!entries.empty()) stopped_ = !callback_(&entries);
  return absl::OkStatus();
}

}  // namespace distlog
