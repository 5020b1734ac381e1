// Which requests are tried again, and what their last answer may claim. (docs/protocol.md, "What an
// answer means")

#include "server/leader_call.h"

#include <deque>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/request.h"
#include "wire/status.h"

namespace distlog {
namespace {

using Response = v1::AppendResponse;
using Answer = absl::StatusOr<Response>;

absl::Status NotAppended(v1::ErrorDetail::Reason reason) {
  return NotAppendedError(absl::StatusCode::kUnavailable, "refused", reason);
}

Answer Appended() {
  Response response;
  response.set_first_position(7);
  return response;
}

// Answers each attempt with the next of `script`, and notes where it went.
struct Attempts {
  std::deque<Answer> script;
  std::vector<std::string> went;
  Node::Leader leader;

  Answer Run(LeaderCall<Response>::Options options,
             std::chrono::seconds patience = std::chrono::seconds(60)) {
    options.deadline = std::chrono::steady_clock::now() + patience;
    const auto attempt = [this](const std::string& where, const LeaderCall<Response>::Done& done) {
      went.push_back(where);
      const Answer answer = script.front();
      if (script.size() > 1) script.pop_front();
      done(answer);
    };
    std::promise<Answer> answer;
    std::make_shared<LeaderCall<Response>>(
        LeaderCall<Response>::Ways{
            .here = [attempt](LeaderCall<Response>::Done done) { attempt("here", done); },
            .there = [attempt](const std::string& address,
                               LeaderCall<Response>::Done done) { attempt(address, done); },
            .leader = [this] { return leader; },
            .is_cancelled = [] { return false; }},
        options, [&](const Answer& last) { answer.set_value(last); })
        ->Start();
    return answer.get_future().get();
  }
};

TEST(LeaderCallTest, GoesToTheLeader) {
  Attempts here{{Appended()}, {}, {.is_here = true, .address = ""}};
  EXPECT_EQ(here.Run({})->first_position(), 7u);
  EXPECT_EQ(here.went, std::vector<std::string>{"here"});
  Attempts there{{Appended()}, {}, {.is_here = false, .address = "b:1"}};
  EXPECT_EQ(there.Run({})->first_position(), 7u);
  EXPECT_EQ(there.went, std::vector<std::string>{"b:1"});
}

TEST(LeaderCallTest, IsTriedAgainForWantOfALeader) {
  Attempts attempts{{NotAppended(v1::ErrorDetail::REASON_NO_LEADER),
                     NotAppended(v1::ErrorDetail::REASON_NO_LEADER), Appended()},
                    {},
                    {}};
  EXPECT_EQ(attempts.Run({}).status(), absl::OkStatus());
  EXPECT_EQ(attempts.went.size(), 3u);
}

TEST(LeaderCallTest, IsTriedOnceIfSomebodyElsePassedItOn) {
  Attempts attempts{{NotAppended(v1::ErrorDetail::REASON_NO_LEADER)}, {}, {false, "b:1"}};
  EXPECT_FALSE(attempts.Run({.is_forwarded = true}).ok());
  EXPECT_EQ(attempts.went, std::vector<std::string>{"here"});
}

// The connection broke after the request was sent: a second copy could append twice.
TEST(LeaderCallTest, AnUnknownOutcomeIsNotTriedAgainUnlessACopyIsHarmless) {
  Attempts once{{absl::UnavailableError("broken pipe"), Appended()}, {}, {false, "b:1"}};
  EXPECT_FALSE(once.Run({}).ok());
  EXPECT_EQ(once.went.size(), 1u);
  Attempts again{{absl::UnavailableError("broken pipe"), Appended()}, {}, {false, "b:1"}};
  EXPECT_TRUE(again.Run({.is_repeatable = true}).ok());
  EXPECT_EQ(again.went.size(), 2u);
}

TEST(LeaderCallTest, ARefusalAfterAnUnknownAttemptClaimsNothing) {
  Attempts attempts{
      {absl::UnavailableError("broken pipe"), NotAppended(v1::ErrorDetail::REASON_EPOCH)},
      {},
      {false, "b:1"}};
  const Answer answer = attempts.Run({.is_repeatable = true});
  EXPECT_EQ(DetailOf(answer.status())->reason(), v1::ErrorDetail::REASON_EPOCH);
  EXPECT_FALSE(DetailOf(answer.status())->not_appended());
}

TEST(LeaderCallTest, GivesUpAtTheDeadlineWithTheLastAnswer) {
  Attempts attempts{{NotAppended(v1::ErrorDetail::REASON_NO_LEADER)}, {}, {}};
  const Answer answer = attempts.Run({}, std::chrono::seconds(0));
  EXPECT_TRUE(DetailOf(answer.status())->not_appended());
}

TEST(LeaderCallTest, RefusalsThatAnotherAttemptWouldNotChangeAreAnswers) {
  for (const auto reason : {v1::ErrorDetail::REASON_BUSY, v1::ErrorDetail::REASON_TOO_LARGE,
                            v1::ErrorDetail::REASON_POSITION, v1::ErrorDetail::REASON_SEQUENCE_GAP,
                            v1::ErrorDetail::REASON_DISK_FULL}) {
    EXPECT_EQ(DecideAfter(NotAppended(reason), true, true), NextAttempt::kNone) << reason;
  }
  // A leader that stops has a successor; this server, when it stops, has clients that know others.
  const absl::Status stopping = NotAppended(v1::ErrorDetail::REASON_STOPPING);
  EXPECT_EQ(DecideAfter(stopping, true, false), NextAttempt::kRepeat);
  EXPECT_EQ(DecideAfter(stopping, false, false), NextAttempt::kNone);
}

}  // namespace
}  // namespace distlog
