#include "server/append_stream.h"

#include <algorithm>
#include <utility>

#include "server/leader_call.h"
#include "server/request.h"
#include "wire/status.h"

namespace distlog {
namespace {

using Clock = std::chrono::steady_clock;

// Of a request on a stream without a deadline.
constexpr std::chrono::seconds kRequestPatience(60);
constexpr std::chrono::milliseconds kLeaderPause(10);

absl::Status NoLeader() {
  return NotAppendedError(absl::StatusCode::kUnavailable,
                          "there is no leader at the moment; try again",
                          v1::ErrorDetail::REASON_NO_LEADER);
}

absl::Status TooMuchPassedOn() {
  return NotAppendedError(absl::StatusCode::kResourceExhausted,
                          "too many requests are being passed on to the leader; try again later",
                          v1::ErrorDetail::REASON_BUSY);
}

absl::Status UpStreamEnded() {
  return MakeError(
      absl::StatusCode::kUnavailable,
      "the stream to the leader ended: what is not answered may or may not be in the log",
      v1::ErrorDetail());
}

}  // namespace

AppendStream::AppendStream(Node* node, Forwarder* forwarder, const Options& options,
                           StreamCount::Place place)
    : node_(node), forwarder_(forwarder), options_(options), place_(std::move(place)) {
  answers_.set_cluster_id(node->cluster_id());
}

void AppendStream::Start() {
  self_ = shared_from_this();
  StartRead(&request_);
}

void AppendStream::OnReadDone(bool ok) {
  if (ok) {
    if (node_->cluster_time_ms() > 0 && !request_.producer().empty() && request_.epoch() == 0 &&
        request_.cluster_time_ms() == 0) {
      request_.set_cluster_time_ms(node_->cluster_time_ms());
    }
    give_up_ = std::min(options_.deadline, Clock::now() + kRequestPatience);
    Take();
    return;
  }
  Operations operations;
  {
    std::lock_guard lock(mutex_);
    is_reading_ = false;
    is_closed_ = true;
    if (up_stream_ != nullptr) up_stream_->CloseRequests();
    operations = Decide();
  }
  Begin(operations);
}

// Of the request just read. While is_reading_, nobody else decides where requests go.
void AppendStream::Take() {
  {
    std::lock_guard lock(mutex_);
    if (is_finished_ || !failure_.ok()) return;
  }
  if (!here_.has_value()) {
    const Node::Leader leader = node_->leader();
    const bool here = leader.is_here || options_.is_forwarded || node_->is_stopping();
    if (!here && (leader.address.empty() || !OpenUpStream(leader.address))) {
      TakeLater();
      return;
    }
    here_ = here;
  }
  if (*here_) {
    TakeHere();
  } else {
    TakeThere();
  }
}

// False if the leader cannot be reached at the moment.
bool AppendStream::OpenUpStream(const std::string& address) {
  const std::shared_ptr<AppendStream> self = shared_from_this();
  std::shared_ptr<Forwarder::Stream> up_stream = forwarder_->OpenStream(
      address, options_.deadline,
      {[self](const v1::AppendStreamResponse& response) { self->OnUpStreamResponse(response); },
       [self](const absl::Status& status) { self->OnUpStreamEnd(status); }});
  if (up_stream == nullptr) return false;
  std::lock_guard lock(mutex_);
  if (!is_finished_) up_stream_.swap(up_stream);
  return true;
}

void AppendStream::TakeLater() {
  if (Clock::now() + kLeaderPause >= give_up_) {
    Operations operations;
    {
      std::lock_guard lock(mutex_);
      is_reading_ = false;
      failure_ = NoLeader();
      operations = Decide();
    }
    Begin(operations);
    return;
  }
  alarm_ = std::make_unique<grpc::Alarm>();
  alarm_->Set(std::chrono::system_clock::now() + kLeaderPause,
              [self = shared_from_this()](bool /*ok*/) {
                const std::unique_ptr<grpc::Alarm> alarm = std::move(self->alarm_);
                self->Take();
              });
}

void AppendStream::TakeHere() {
  uint64_t number = 0;
  {
    std::lock_guard lock(mutex_);
    number = first_unanswered_ + unanswered_.size();
    unanswered_.push_back({request_.ByteSizeLong(), std::nullopt});
    unanswered_bytes_ += unanswered_.back().bytes;
  }
  node_->Append(std::move(request_), give_up_,
                [self = shared_from_this(), number](const Answer& answer) {
                  self->OnAnswer(number, answer);
                });
  Operations operations;
  {
    std::lock_guard lock(mutex_);
    is_reading_ = false;
    operations = Decide();
  }
  Begin(operations);
}

void AppendStream::TakeThere() {
  Operations operations;
  {
    std::lock_guard lock(mutex_);
    unanswered_.push_back({request_.ByteSizeLong(), std::nullopt});
    unanswered_bytes_ += unanswered_.back().bytes;
    if (up_stream_ != nullptr && !up_stream_->Append(request_)) {
      // Nothing after it is taken: what the leader answers is told by its place.
      unanswered_.back().answer = TooMuchPassedOn();
      is_closed_ = true;
      up_stream_->CloseRequests();
      AnswerInOrder();
    }
    is_reading_ = false;
    operations = Decide();
  }
  Begin(operations);
}

void AppendStream::OnAnswer(uint64_t number, const Answer& answer) {
  Operations operations;
  {
    std::lock_guard lock(mutex_);
    if (number < first_unanswered_) return;
    unanswered_[number - first_unanswered_].answer = answer;
    AnswerInOrder();
    operations = Decide();
  }
  Begin(operations);
}

void AppendStream::OnUpStreamResponse(const v1::AppendStreamResponse& response) {
  Operations operations;
  {
    std::lock_guard lock(mutex_);
    size_t next = 0;
    for (const v1::AppendResponse& answer : response.responses()) {
      if (next == unanswered_.size()) break;
      unanswered_[next++].answer = answer;
    }
    AnswerInOrder();
    operations = Decide();
  }
  Begin(operations);
}

void AppendStream::OnUpStreamEnd(const absl::Status& status) {
  Operations operations;
  {
    std::lock_guard lock(mutex_);
    if (failure_.ok() && (!status.ok() || !unanswered_.empty() || !is_closed_)) {
      failure_ = status.ok() ? UpStreamEnded() : status;
    }
    operations = Decide();
  }
  Begin(operations);
}

// Moves what is answered, up to the first that is not or that failed.
void AppendStream::AnswerInOrder() {
  while (failure_.ok() && !unanswered_.empty() && unanswered_.front().answer.has_value()) {
    const Answer& answer = *unanswered_.front().answer;
    if (answer.ok()) {
      *answers_.add_responses() = *answer;
    } else {
      failure_ = answer.status();
    }
    unanswered_bytes_ -= unanswered_.front().bytes;
    unanswered_.pop_front();
    ++first_unanswered_;
  }
}

AppendStream::Operations AppendStream::Decide() {
  Operations operations;
  if (is_finished_) return operations;
  if (!is_writing_ && answers_.responses_size() > 0) {
    writing_.Swap(&answers_);
    answers_.Clear();
    is_writing_ = true;
    operations.write = true;
  }
  const bool is_done = !failure_.ok() || (is_closed_ && unanswered_.empty());
  if (is_done && !is_writing_) {
    // The client may send nothing more, and wait: a read that is under way ends with the call.
    is_finished_ = true;
    operations.finish = failure_;
  } else if (!is_done && !is_reading_ && !is_closed_ &&
             unanswered_bytes_ < options_.max_unanswered_bytes &&
             unanswered_.size() < options_.max_unanswered) {
    is_reading_ = true;
    operations.read = true;
  }
  return operations;
}

void AppendStream::Begin(const Operations& operations) {
  if (operations.write) StartWrite(&writing_);
  if (operations.read) StartRead(&request_);
  if (operations.finish.has_value()) Finish(ToGrpc(*operations.finish));
}

void AppendStream::OnWriteDone(bool ok) {
  Operations operations;
  {
    std::lock_guard lock(mutex_);
    is_writing_ = false;
    if (!ok && failure_.ok()) failure_ = absl::CancelledError("the client has gone");
    operations = Decide();
  }
  Begin(operations);
}

void AppendStream::OnCancel() {
  Operations operations;
  {
    std::lock_guard lock(mutex_);
    failure_ = absl::CancelledError("cancelled by the client");
    operations = Decide();
  }
  Begin(operations);
}

void AppendStream::OnDone() {
  std::shared_ptr<Forwarder::Stream> up_stream;
  {
    std::lock_guard lock(mutex_);
    is_finished_ = true;
    up_stream = std::move(up_stream_);
  }
  up_stream.reset();
  self_.reset();
}

}  // namespace distlog
