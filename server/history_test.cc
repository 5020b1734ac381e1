// Who led when: what the log tells of each term's begin, told as how long each lasted.

#include "server/history.h"

#include "gtest/gtest.h"

namespace distlog {
namespace {

v1::TermState Term(uint64_t round, uint64_t leader, int64_t begun_ms, v1::TermEnd previous_end) {
  v1::TermState term;
  term.mutable_ballot()->set_round(round);
  term.mutable_ballot()->set_replica(leader);
  term.set_first_position(round * 100);
  term.set_begun_ms(begun_ms);
  term.set_previous_end(previous_end);
  return term;
}

TEST(HistoryTest, ATermEndsWhenAndWhyTheNextOneSays) {
  const paxos::Configuration configuration{.version = 2,
                                           .members = {{paxos::ReplicaId{1}, {1, 1}, "a:1", true}},
                                           .next_replica_id = 4,
                                           .feature_level = 1};
  const v1::HistoryResponse history =
      HistoryOf({Term(1, 1, 1000, v1::TERM_END_UNKNOWN), Term(2, 3, 4500, v1::TERM_END_TRANSFER),
                 Term(5, 1, 4400, v1::TERM_END_REMOVED)},
                configuration);
  ASSERT_EQ(history.terms_size(), 3);
  EXPECT_EQ(history.terms(0).leader_id(), 1u);
  EXPECT_EQ(history.terms(0).leader_address(), "a:1");
  EXPECT_EQ(history.terms(0).first_position(), 100u);
  EXPECT_EQ(history.terms(0).lasted_ms(), 3500);
  EXPECT_EQ(history.terms(0).end(), "it handed over");
  EXPECT_EQ(history.terms(1).leader_address(), "") << "it is no member any more";
  EXPECT_EQ(history.terms(1).lasted_ms(), 0) << "the next leader's clock is behind";
  EXPECT_EQ(history.terms(1).end(), "it was removed");
  EXPECT_EQ(history.terms(2).lasted_ms(), -1) << "it goes on";
  EXPECT_EQ(history.terms(2).end(), "");
}

TEST(HistoryTest, EveryEndHasItsWords) {
  for (const v1::TermEnd end :
       {v1::TERM_END_UNKNOWN, v1::TERM_END_SILENT, v1::TERM_END_CONNECTION_LOST,
        v1::TERM_END_TRANSFER, v1::TERM_END_REMOVED, v1::TERM_END_RESTART}) {
    const v1::HistoryResponse history =
        HistoryOf({Term(1, 1, 0, v1::TERM_END_UNKNOWN), Term(2, 1, 5, end)}, {});
    EXPECT_NE(history.terms(0).end(), "") << end;
  }
  EXPECT_EQ(HistoryOf({}, {}).terms_size(), 0);
}

}  // namespace
}  // namespace distlog
