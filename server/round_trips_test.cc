// The matrix of who hears whom shows these times: an answer counts only for the round it answers.

#include "server/round_trips.h"

#include "gtest/gtest.h"

namespace distlog {
namespace {

using std::chrono::milliseconds;

paxos::Heartbeat Question(uint64_t round) {
  paxos::Heartbeat question;
  question.round = round;
  return question;
}
paxos::HeartbeatReply AnswerTo(uint64_t round) {
  paxos::HeartbeatReply answer;
  answer.round = round;
  return answer;
}

constexpr paxos::ReplicaId k2{2};
constexpr paxos::ReplicaId k3{3};

TEST(RoundTripsTest, AreFromTheQuestionToItsAnswer) {
  RoundTrips trips;
  EXPECT_FALSE(trips.Of(k2).has_value());
  trips.OnSend(milliseconds(100), Question(7));
  trips.OnSend(milliseconds(101), Question(7));  // To the next peer.
  trips.OnReceive(milliseconds(103), k2, AnswerTo(7));
  trips.OnReceive(milliseconds(110), k3, AnswerTo(7));
  EXPECT_EQ(trips.Of(k2), milliseconds(3));
  EXPECT_EQ(trips.Of(k3), milliseconds(10));
}

TEST(RoundTripsTest, ALateAnswerAndOtherMessagesCountForNothing) {
  RoundTrips trips;
  trips.OnSend(milliseconds(100), Question(7));
  trips.OnReceive(milliseconds(103), k2, AnswerTo(7));
  trips.OnSend(milliseconds(200), Question(8));
  trips.OnReceive(milliseconds(250), k2, AnswerTo(7));
  trips.OnReceive(milliseconds(250), k2, paxos::Progress{8});
  trips.OnSend(milliseconds(260), paxos::Progress{9});
  EXPECT_EQ(trips.Of(k2), milliseconds(3));
  trips.OnReceive(milliseconds(201), k2, AnswerTo(8));
  EXPECT_EQ(trips.Of(k2), milliseconds(1));
}

}  // namespace
}  // namespace distlog
