#include "server/read_stream.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/request.h"
#include "wire/status.h"

namespace distlog {

absl::Status CheckRetained(uint64_t from, const Node::Bounds& bounds) {
  if (from >= bounds.first) return absl::OkStatus();
  v1::ErrorDetail detail;
  detail.set_first_position(bounds.first);
  detail.set_last_position(bounds.last);
  return MakeError(absl::StatusCode::kOutOfRange,
                   absl::StrCat("read: position ", from, " was trimmed; the first one retained is ",
                                bounds.first),
                   detail);
}

ReadStream::ReadStream(Node* node, ReaderPool* readers, const Options& options,
                       StreamCount::Place place)
    : node_(node), readers_(readers), options_(options), place_(std::move(place)) {}

void ReadStream::StartRead(const v1::ReadRequest& request) {
  self_ = shared_from_this();
  if (request.to() != 0 && request.to() < request.from()) {
    End(MakeError(absl::StatusCode::kInvalidArgument,
                  absl::StrCat("read: the last position, ", request.to(), ", is below the first, ",
                               request.from()),
                  v1::ErrorDetail()));
    return;
  }
  const auto begin = [this, from = request.from(), to = request.to(),
                      count = request.count()](Node::Bounds bounds) {
    next_ = from == 0 ? bounds.first : from;
    last_ = to == 0 ? bounds.last : std::min(to, bounds.last);
    if (count != 0 && next_ <= last_) last_ = std::min(last_, next_ + std::min(count - 1, last_));
    Go(bounds);
  };
  if (request.consistency() == v1::CONSISTENCY_LOCAL) {
    begin(node_->LocalBounds());
  } else {
    AwaitBounds(begin);
  }
}

void ReadStream::StartSubscribe(const v1::SubscribeRequest& request) {
  self_ = shared_from_this();
  is_endless_ = true;
  if (request.from() != 0) {
    if (request.last() != 0) {
      End(MakeError(absl::StatusCode::kInvalidArgument,
                    "subscribe: give the first position or a number of last entries, not both",
                    v1::ErrorDetail()));
      return;
    }
    next_ = request.from();
    Go(node_->LocalBounds());
    return;
  }
  AwaitBounds([this, last = request.last()](Node::Bounds bounds) {
    next_ = bounds.last + 1 - std::min(last, bounds.last + 1 - bounds.first);
    Go(bounds);
  });
}

void ReadStream::AwaitBounds(std::function<void(Node::Bounds)> next) {
  node_->ReadBarrier(options_.deadline, [self = shared_from_this(), next = std::move(next)](
                                            const absl::StatusOr<Node::Bounds>& bounds) {
    if (bounds.ok()) {
      next(*bounds);
    } else {
      self->End(bounds.status());
    }
  });
}

// Decides what comes next, on whatever thread.
void ReadStream::Go(Node::Bounds bounds) {
  if (is_cancelled_) {
    End(absl::CancelledError("cancelled by the client"));
    return;
  }
  // A position above the log is no error: a read of it is empty, and a subscription waits.
  const absl::Status retained = CheckRetained(next_, bounds);
  if (!retained.ok()) {
    End(retained);
  } else if (next_ <= std::min(last_, bounds.last)) {
    readers_->Run([self = shared_from_this(), bounds] { self->ReadPiece(bounds); });
  } else if (!is_endless_) {
    End(absl::OkStatus());
  } else if (node_->is_stopping()) {
    End(NotAppendedError(absl::StatusCode::kUnavailable, "the server is stopping; ask another one",
                         v1::ErrorDetail::REASON_STOPPING));
  } else {
    WaitForMore();
  }
}

void ReadStream::WaitForMore() {
  const auto until = std::chrono::steady_clock::now() + options_.keep_alive;
  node_->WaitBeyond(next_ - 1, until, [self = shared_from_this()](Node::Bounds bounds) {
    // With nothing new, or cancelled, or too many waiting: tell how far the log is.
    if (bounds.last < self->next_ && !self->is_cancelled_ && !self->node_->is_stopping()) {
      self->response_.Clear();
      self->Send(bounds);
    } else {
      self->Go(bounds);
    }
  });
}

// On a thread of a pool.
void ReadStream::ReadPiece(Node::Bounds bounds) {
  const uint64_t through = std::min({last_, bounds.last, next_ + (options_.max_piece_entries - 1)});
  absl::StatusOr<std::vector<LogEntry>> entries =
      node_->ReadEntries(next_, through, options_.max_piece_bytes);
  if (!absl::IsDataLoss(entries.status()) || options_.read_elsewhere == nullptr) {
    SendPiece(bounds, std::move(entries));
    return;
  }
  // What this disk has lost is the same at all other members. Not on this thread: they may be slow.
  options_.elsewhere->Run([self = shared_from_this(), bounds, through, lost = entries.status()] {
    absl::StatusOr<std::vector<LogEntry>> found =
        self->options_.read_elsewhere(self->next_, through);
    if (!found.ok()) {
      found = absl::DataLossError(absl::StrCat(
          lost.message(), "; and they could not be asked now: ", found.status().message()));
    }
    self->SendPiece(bounds, std::move(found));
  });
}

void ReadStream::SendPiece(Node::Bounds bounds, absl::StatusOr<std::vector<LogEntry>> entries) {
  if (!entries.ok()) {
    // What was there when asked for may have been trimmed since.
    const absl::Status retained = CheckRetained(next_, node_->LocalBounds());
    End(retained.ok() ? entries.status() : retained);
    return;
  }
  response_.Clear();
  for (LogEntry& entry : *entries) {
    v1::Entry* sent = response_.add_entries();
    sent->set_position(entry.position);
    sent->set_payload(std::move(entry.payload));
    sent->set_timestamp_ms(entry.timestamp_ms);
  }
  next_ += entries->size();
  Send(bounds);
}

void ReadStream::Send(Node::Bounds bounds) {
  response_.set_first_position(bounds.first);
  response_.set_last_position(bounds.last);
  if (!std::exchange(is_named_, true)) response_.set_cluster_id(node_->cluster_id());
  StartWrite(&response_);
}

void ReadStream::OnWriteDone(bool ok) {
  if (!ok) {
    End(absl::CancelledError("the client has gone"));
    return;
  }
  // Not what was there when the piece was read: a subscription goes on with what has come since.
  Node::Bounds bounds = node_->LocalBounds();
  Go(bounds);
}

void ReadStream::End(const absl::Status& status) { Finish(ToGrpc(status)); }

}  // namespace distlog
