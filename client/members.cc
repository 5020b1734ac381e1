#include "client/members.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/common_cluster.h"
#include "client/verdict.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "proto/distlog/v1/cluster.grpc.pb.h"
#include "wire/callback_queue.h"
#include "wire/status.h"

namespace distlog {
namespace {

// How long one server has for a question about itself, and a connection to come about.
constexpr absl::Duration kQuestionTimeout = absl::Seconds(1);
// After one member has answered, for how long to wait for a better answer from others.
constexpr absl::Duration kGrace = absl::Milliseconds(100);
// For how long to insist on the leader itself before asking another member to pass requests on.
constexpr absl::Duration kInsist = absl::Milliseconds(500);
constexpr int kMaxMessageBytes = 16 << 20;

grpc::ChannelArguments ChannelOptions() {
  grpc::ChannelArguments arguments;
  // A server that restarts is back within milliseconds; the default backoff grows to two minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 250);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 100);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  return arguments;
}

absl::Status NotReached(const std::string& address) {
  return MakeError(absl::StatusCode::kUnavailable,
                   absl::StrCat("no server can be reached at ", address), v1::ErrorDetail());
}

}  // namespace

absl::Duration Backoff::Next() {
  const absl::Duration wait = next_ * std::uniform_real_distribution<double>(0.5, 1.0)(random_);
  next_ = std::min(next_ * 1.6, absl::Milliseconds(250));
  return wait;
}

bool Pause(absl::Duration duration, absl::Time deadline, const absl::Notification* stop) {
  const absl::Time now = absl::Now();
  if (now >= deadline || (stop != nullptr && stop->HasBeenNotified())) return false;
  duration = std::min(duration, deadline - now);
  if (stop != nullptr) return !stop->WaitForNotificationWithTimeout(duration);
  absl::SleepFor(duration);
  return true;
}

// One question to many servers at once.
//
// Lives until every answer is in, and dies in the thread that asked: a channel whose last owner
// were a callback of gRPC would wait for the very thread that destroys it.
struct Members::Inquiry {
  struct Question {
    std::string address;
    grpc::ClientContext context;
    v1::StatusRequest request;
    v1::StatusResponse response;
    std::unique_ptr<v1::Cluster::Stub> stub;
    bool answered = false;
    absl::Status status;
  };

  absl::Mutex mutex;
  size_t open ABSL_GUARDED_BY(mutex) = 0;
  std::vector<std::unique_ptr<Question>> questions;

  // The answers so far that are none of the errors.
  std::vector<const Question*> Answers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::vector<const Question*> answers;
    for (const auto& question : questions) {
      if (question->answered && question->status.ok()) answers.push_back(question.get());
    }
    return answers;
  }

  // What the servers that have answered belong to.
  std::vector<Membership> Memberships() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::vector<Membership> memberships;
    for (const Question* answer : Answers()) {
      memberships.push_back({answer->address, answer->response.self().cluster_id()});
    }
    return memberships;
  }

  // Waits for an answer that `enough` is content with; after any answer of a cluster member only a
  // moment longer; until all have answered or failed at the latest. Cancels the rest.
  template <typename Predicate>
  void Await(absl::Time deadline, const Predicate& enough) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    auto satisfied = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      if (open == 0) return true;
      const auto answers = Answers();
      return std::any_of(answers.begin(), answers.end(),
                         [&](const Question* q) { return enough(q->response); });
    };
    auto any_member = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      const auto answers = Answers();
      return open == 0 || std::any_of(answers.begin(), answers.end(), [](const Question* q) {
               return q->response.self().assigned();
             });
    };
    mutex.AwaitWithDeadline(absl::Condition(&any_member), deadline);
    mutex.AwaitWithDeadline(absl::Condition(&satisfied), std::min(deadline, absl::Now() + kGrace));
    for (const auto& question : questions) {
      if (!question->answered) question->context.TryCancel();
    }
    auto closed = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return open == 0; };
    mutex.Await(absl::Condition(&closed));
  }
};

Members::Members(std::vector<std::string> endpoints, uint64_t seed)
    : endpoints_(std::move(endpoints)),
      addresses_(endpoints_),
      seeds_(seed != 0 ? seed : std::random_device()()) {}

uint64_t Members::NextSeed() {
  absl::MutexLock lock(&mutex_);
  return seeds_();
}

std::shared_ptr<grpc::Channel> Members::ChannelTo(const std::string& address) {
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<grpc::Channel>& channel = channels_[address];
  if (channel == nullptr) {
    KeepCallbackQueue();
    channel =
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), ChannelOptions());
  }
  return channel;
}

std::vector<std::string> Members::addresses() const {
  absl::MutexLock lock(&mutex_);
  return addresses_;
}

std::string Members::leader() const {
  absl::MutexLock lock(&mutex_);
  return leader_;
}

std::string Members::cluster_id() const {
  absl::MutexLock lock(&mutex_);
  return cluster_id_;
}

std::optional<Limits> Members::limits() const {
  absl::MutexLock lock(&mutex_);
  return limits_;
}

void Members::AddAddress(const std::string& address) {
  if (address.empty() || addresses_.size() >= kMaxAddresses) return;
  if (std::find(addresses_.begin(), addresses_.end(), address) == addresses_.end()) {
    addresses_.push_back(address);
  }
}

void Members::Remember(const v1::ServerStatus& status) {
  if (status.max_entry_bytes() != 0 && status.max_request_bytes() != 0) {
    limits_ = Limits{status.max_entry_bytes(), status.max_request_bytes()};
  }
  if (status.assigned()) TakeIn(status.configuration());
}

// A server that was removed, or sleeps, may name members that have left: the newest configuration
// counts, whoever answers last.
void Members::TakeIn(const v1::ConfigurationMessage& configuration) {
  if (configuration.version() < version_) return;
  version_ = configuration.version();
  // Those that left the configuration are forgotten; the endpoints never are.
  addresses_ = endpoints_;
  for (const v1::MemberMessage& member : configuration.members()) AddAddress(member.address());
}

void Members::Learned(const v1::ConfigurationMessage& configuration) {
  absl::MutexLock lock(&mutex_);
  TakeIn(configuration);
}

// A connection that stands is what allows to say, when none comes about, that nothing was sent.
std::optional<Target> Members::Connect(const std::string& address, absl::Time deadline) {
  Target target{address, ChannelTo(address)};
  deadline = std::min(deadline, absl::Now() + kQuestionTimeout);
  bool tried = false;
  for (;;) {
    const grpc_connectivity_state state = target.channel->GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_READY) return target;
    if (state == GRPC_CHANNEL_SHUTDOWN) return std::nullopt;
    if (state == GRPC_CHANNEL_CONNECTING) tried = true;
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE && tried) return std::nullopt;
    // In failure from before: what was refused then may be accepted now, after a short backoff.
    const absl::Time until = state == GRPC_CHANNEL_TRANSIENT_FAILURE
                                 ? std::min(deadline, absl::Now() + absl::Milliseconds(50))
                                 : deadline;
    if (!target.channel->WaitForStateChange(state, absl::ToChronoTime(until))) return std::nullopt;
  }
}

std::unique_ptr<Members::Inquiry> Members::StartInquiry(const std::vector<std::string>& addresses,
                                                        bool self_only, absl::Time deadline) {
  auto inquiry = std::make_unique<Inquiry>();
  for (const std::string& address : addresses) {
    auto question = std::make_unique<Inquiry::Question>();
    question->address = address;
    question->request.set_self_only(self_only);
    question->context.set_deadline(absl::ToChronoTime(deadline));
    question->stub = v1::Cluster::NewStub(ChannelTo(address));
    inquiry->questions.push_back(std::move(question));
  }
  {
    absl::MutexLock lock(&inquiry->mutex);
    inquiry->open = inquiry->questions.size();
  }
  for (const auto& owned : inquiry->questions) {
    Inquiry::Question* question = owned.get();
    question->stub->async()->Status(&question->context, &question->request, &question->response,
                                    [inquiry = inquiry.get(), question](grpc::Status status) {
                                      absl::MutexLock lock(&inquiry->mutex);
                                      question->status = FromGrpc(status);
                                      question->answered = true;
                                      --inquiry->open;
                                    });
  }
  return inquiry;
}

std::vector<std::string> Members::Learn(absl::Time deadline, absl::Status* trouble) {
  const absl::Time until = std::min(deadline, absl::Now() + kQuestionTimeout);
  const auto inquiry = StartInquiry(addresses(), /*self_only=*/true, until);
  absl::MutexLock inquiry_lock(&inquiry->mutex);
  // While the cluster is not known every endpoint counts, for a server of another one to show.
  const std::string cluster = cluster_id();
  inquiry->Await(until, [&](const v1::StatusResponse& response) {
    return response.self().is_leader() && response.self().cluster_id() == cluster;
  });

  absl::MutexLock lock(&mutex_);
  if (cluster_id_.empty()) {
    const absl::StatusOr<std::string> common = CommonCluster(inquiry->Memberships());
    if (!common.ok()) {
      *trouble = common.status();
      return {};
    }
    cluster_id_ = *common;
  }
  std::vector<std::string> members, unassigned, removed, silent;
  // Of the leaders named, the one of the highest ballot: others were leaders once.
  std::tuple<uint64_t, uint64_t, bool> best{0, 0, false};
  leader_.clear();
  for (const auto& question : inquiry->questions) {
    const v1::ServerStatus& self = question->response.self();
    const bool answered = question->answered && question->status.ok();
    // Where a server of another cluster answers the member does not.
    if (!answered || (self.assigned() && self.cluster_id() != cluster_id_)) {
      silent.push_back(question->address);
      continue;
    }
    Remember(self);
    if (!self.assigned()) {
      unassigned.push_back(question->address);
      continue;
    }
    if (self.has_left()) {
      removed.push_back(question->address);
      continue;
    }
    members.push_back(question->address);
    const std::tuple rank{self.ballot().round(), self.ballot().replica(), self.is_leader()};
    if (self.leader_id() == 0 || rank <= best) continue;
    best = rank;
    if (self.is_leader()) leader_ = question->address;
    for (const v1::MemberMessage& member : self.configuration().members()) {
      if (member.id() == self.leader_id() && !self.is_leader()) leader_ = member.address();
    }
  }
  if (!members.empty()) {
    *trouble = leader_.empty() ? absl::UnavailableError("the members that answer know of no leader")
                               : absl::UnavailableError(absl::StrCat(
                                     "the leader ", leader_, " cannot be reached from here"));
  } else if (!removed.empty()) {
    *trouble = absl::UnavailableError(absl::StrCat("the server at ", absl::StrJoin(removed, ", "),
                                                   " was removed from the cluster, and none of "
                                                   "the members that it knows can be reached"));
  } else if (silent.empty()) {
    v1::ErrorDetail detail;
    detail.set_reason(v1::ErrorDetail::REASON_UNASSIGNED);
    detail.set_not_appended(true);
    *trouble = MakeError(absl::StatusCode::kFailedPrecondition,
                         absl::StrCat(unassigned.size() == 1 ? "the server at " : "the servers at ",
                                      absl::StrJoin(unassigned, ", "),
                                      unassigned.size() == 1 ? " belongs" : " belong",
                                      " to no cluster yet: form one with `distlog init`"),
                         detail);
  } else if (trouble->ok() || absl::Now() < deadline) {
    // Otherwise the time was too short for answers; what was found before is the better reason.
    *trouble = NotReached(absl::StrJoin(silent, ", "));
  }
  return members;
}

absl::StatusOr<Target> Members::Find(absl::Time deadline, const absl::Notification* stop) {
  const absl::Time start = absl::Now();
  Backoff backoff(NextSeed());
  absl::Status trouble;
  for (;;) {
    if (const std::string address = leader(); !address.empty()) {
      if (std::optional<Target> target = Connect(address, deadline)) return *target;
    }
    const std::vector<std::string> members = Learn(deadline, &trouble);
    if (trouble.code() == absl::StatusCode::kFailedPrecondition) return trouble;
    const std::string address = leader();
    if (!address.empty()) {
      if (std::optional<Target> target = Connect(address, deadline)) return *target;
    }
    // The leader is alive for them and not for us, or is about to be replaced.
    if (!address.empty() && absl::Now() - start > kInsist) {
      for (const std::string& member : members) {
        if (member == address) continue;
        if (std::optional<Target> target = Connect(member, deadline)) return *target;
      }
    }
    if (!Pause(backoff.Next(), deadline, stop)) return trouble;
  }
}

absl::StatusOr<Target> Members::FindMember(absl::Time deadline) {
  Backoff backoff(NextSeed());
  absl::Status trouble;
  do {
    if (const std::string address = leader(); !address.empty()) {
      if (std::optional<Target> target = Connect(address, deadline)) return *target;
    }
    const std::vector<std::string> members = Learn(deadline, &trouble);
    if (trouble.code() == absl::StatusCode::kFailedPrecondition) return trouble;
    if (const std::string address = leader(); !address.empty()) {
      if (std::optional<Target> target = Connect(address, deadline)) return *target;
    }
    for (const std::string& member : members) {
      if (std::optional<Target> target = Connect(member, deadline)) return *target;
    }
  } while (Pause(backoff.Next(), deadline, nullptr));
  return trouble;
}

absl::StatusOr<Target> Members::FindBeside(const std::set<std::string>& excluded,
                                           absl::Time deadline) {
  absl::Status trouble;
  Learn(deadline, &trouble);
  // Not only those that have answered: the leader's answer is waited for, and it may be the damaged
  // one.
  for (const std::string& member : addresses()) {
    if (excluded.count(member) > 0) continue;
    if (std::optional<Target> target = Connect(member, deadline)) return *target;
  }
  return absl::UnavailableError("no other member can be reached");
}

absl::StatusOr<Target> Members::FindAny(absl::Time deadline) {
  Backoff backoff(NextSeed());
  do {
    for (const std::string& endpoint : endpoints_) {
      if (std::optional<Target> target = Connect(endpoint, deadline)) return *target;
    }
  } while (Pause(backoff.Next(), deadline, nullptr));
  return NotReached(absl::StrJoin(endpoints_, ", "));
}

void Members::Failed(const Target& target, const absl::Status& error) {
  const std::optional<v1::ErrorDetail> detail = DetailOf(error);
  absl::MutexLock lock(&mutex_);
  if (detail && !detail->leader_address().empty() && detail->leader_address() != target.address) {
    leader_ = detail->leader_address();
    AddAddress(leader_);
  } else if (leader_ == target.address) {
    leader_.clear();
  }
}

absl::StatusOr<v1::StatusResponse> Members::Ask(absl::Time deadline) {
  Backoff backoff(NextSeed());
  std::string reason;
  do {
    const auto inquiry = StartInquiry(endpoints_, /*self_only=*/false, deadline);
    absl::MutexLock inquiry_lock(&inquiry->mutex);
    // Every endpoint counts, for a server of another cluster to show.
    inquiry->Await(deadline, [](const v1::StatusResponse&) { return false; });
    const auto answers = inquiry->Answers();
    if (!answers.empty()) {
      const absl::StatusOr<std::string> common = CommonCluster(inquiry->Memberships());
      if (!common.ok()) return common.status();
      const auto rank = [&](const Inquiry::Question* answer) {
        const v1::ServerStatus& self = answer->response.self();
        return std::tuple(!common->empty() && self.cluster_id() == *common, !self.has_left(),
                          self.configuration().version());
      };
      const auto best = std::max_element(
          answers.begin(), answers.end(),
          [&](const auto* one, const auto* other) { return rank(one) < rank(other); });
      const v1::StatusResponse& response = (*best)->response;
      absl::MutexLock lock(&mutex_);
      Remember(response.self());
      return response;
    }
    for (const auto& question : inquiry->questions) {
      // Of a server that cannot be reached there is nothing more to say; of another program there
      // is.
      if (question->status.code() != absl::StatusCode::kUnavailable &&
          question->status.code() != absl::StatusCode::kDeadlineExceeded) {
        reason = std::string(question->status.message());
      }
    }
  } while (Pause(backoff.Next(), deadline, nullptr));
  return NotReached(absl::StrCat(absl::StrJoin(endpoints_, ", "),
                                 reason.empty() ? "" : absl::StrCat(" (", reason, ")")));
}

}  // namespace distlog
