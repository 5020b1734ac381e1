// Which requests are for this cluster: one that names another is refused, and told where the two
// part if this one was recovered from it.

#include "server/request.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "wire/status.h"

namespace distlog {
namespace {

const std::string kOwn(32, 'o');

v1::RecoveredFrom From(char parent, uint64_t position) {
  v1::RecoveredFrom recovered;
  recovered.set_parent_cluster_id(std::string(32, parent));
  recovered.set_shared_position(position);
  return recovered;
}

TEST(RequestTest, NamesOfNoOrOfThisClusterAreTaken) {
  EXPECT_EQ(CheckCluster("", "", kOwn), absl::OkStatus());
  EXPECT_EQ(CheckCluster(kOwn, "", kOwn, {From('a', 3)}), absl::OkStatus());
  EXPECT_EQ(CheckCluster("", "log", kOwn).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(CheckCluster(kOwn, "", ""))->reason(), v1::ErrorDetail::REASON_UNASSIGNED);
}

TEST(RequestTest, AnotherClusterIsRefusedAndNothingWasAppended) {
  const absl::Status status = CheckCluster(std::string(32, 'x'), "", kOwn, {From('a', 3)});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  const v1::ErrorDetail detail = DetailOf(status).value();
  EXPECT_TRUE(detail.not_appended());
  EXPECT_EQ(detail.reason(), v1::ErrorDetail::REASON_WRONG_CLUSTER);
  EXPECT_EQ(detail.cluster_id(), kOwn);
}

TEST(RequestTest, AParentIsAnsweredWithThePointOfDivergence) {
  const std::vector<v1::RecoveredFrom> recovered = {From('a', 3), From('b', 17)};
  const struct {
    char named;
    uint64_t position;
  } cases[] = {{'a', 3}, {'b', 17}};
  for (const auto& c : cases) {
    const absl::Status status = CheckCluster(std::string(32, c.named), "", kOwn, recovered);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    const v1::ErrorDetail detail = DetailOf(status).value();
    EXPECT_TRUE(detail.not_appended());
    EXPECT_EQ(detail.reason(), v1::ErrorDetail::REASON_RECOVERED);
    EXPECT_EQ(detail.divergence_position(), c.position);
    EXPECT_EQ(detail.cluster_id(), kOwn);
    EXPECT_NE(status.message().find("at position " + std::to_string(c.position) + ":"),
              std::string::npos)
        << status;
  }
}

}  // namespace
}  // namespace distlog
