#include "client/common_cluster.h"

#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/distlog/v1/log.pb.h"
#include "wire/status.h"

namespace distlog {

absl::StatusOr<std::string> CommonCluster(const std::vector<Membership>& memberships) {
  std::map<std::string, std::vector<std::string>> clusters;  // The addresses of each.
  for (const Membership& membership : memberships) {
    if (!membership.cluster_id.empty()) {
      clusters[membership.cluster_id].push_back(membership.address);
    }
  }
  std::vector<std::string> largest;
  size_t size = 0;
  for (const auto& [id, addresses] : clusters) {
    if (addresses.size() < size) continue;
    if (addresses.size() > size) largest.clear();
    size = addresses.size();
    largest.push_back(id);
  }
  if (largest.empty()) return std::string();
  if (largest.size() == 1) return largest.front();
  std::vector<std::string> described;
  for (const std::string& id : largest) {
    described.push_back(absl::StrCat(absl::StrJoin(clusters[id], ", "), " to cluster ",
                                     absl::BytesToHexString(id).substr(0, 16)));
  }
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::REASON_WRONG_CLUSTER);
  detail.set_not_appended(true);
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   absl::StrCat("the endpoints belong to different clusters (",
                                absl::StrJoin(described, "; "), "): name servers of one"),
                   detail);
}

}  // namespace distlog
