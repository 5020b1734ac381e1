#include "client/fake_membership.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"

namespace distlog {

FakeMembership::FakeMembership(uint64_t size) : members_(size) {
  std::iota(members_.begin(), members_.end(), 1);
}

void FakeMembership::SetMembers(std::vector<uint64_t> ids) {
  absl::MutexLock lock(&mutex_);
  members_ = std::move(ids);
  ++version_;
}

std::vector<uint64_t> FakeMembership::members() const {
  absl::MutexLock lock(&mutex_);
  return members_;
}

uint64_t FakeMembership::version() const {
  absl::MutexLock lock(&mutex_);
  return version_;
}

bool FakeMembership::HasLeft(uint64_t id) const {
  absl::MutexLock lock(&mutex_);
  return std::find(members_.begin(), members_.end(), id) == members_.end();
}

void FakeMembership::Script(std::vector<v1::Operation> stages) {
  absl::MutexLock lock(&mutex_);
  stages_ = std::move(stages);
}

void FakeMembership::Refuse(const std::string& sentence) {
  absl::MutexLock lock(&mutex_);
  refusal_ = sentence;
}

std::vector<std::string> FakeMembership::requests() const {
  absl::MutexLock lock(&mutex_);
  return requests_;
}

int FakeMembership::told() const {
  absl::MutexLock lock(&mutex_);
  return told_;
}

absl::Status FakeMembership::Change(const v1::ChangeOptions& options, const std::string& request,
                                    const v1::ConfigurationMessage& configuration,
                                    v1::ChangeResponse* response) {
  absl::MutexLock lock(&mutex_);
  if (const auto found = begun_.find(options.nonce()); found != begun_.end()) {
    response->set_operation_id(found->second);
    return absl::OkStatus();
  }
  if (options.expect_version() != 0 && options.expect_version() != version_) {
    return absl::AbortedError(absl::StrCat("the configuration is at version ", version_, ", not ",
                                           options.expect_version()));
  }
  if (!refusal_.empty() && !options.dry_run()) return absl::FailedPreconditionError(refusal_);
  requests_.push_back(request);
  v1::Plan* plan = response->mutable_plan();
  plan->set_base_version(version_);
  plan->set_refusal(refusal_);
  v1::PlanStep* now = plan->add_steps();
  now->set_what("as it is");
  *now->mutable_members() = configuration.members();
  now->set_voters(configuration.members_size());
  now->set_quorum(configuration.members_size() / 2 + 1);
  now->set_can_lose(now->voters() - now->quorum());
  if (options.dry_run()) return absl::OkStatus();
  v1::Operation operation;
  operation.set_id(operations_.size() + 1);
  operation.set_request(request);
  operation.set_phase(v1::Operation::PHASE_CHANGING);
  operations_.push_back(operation);
  begun_[options.nonce()] = operation.id();
  response->set_operation_id(operation.id());
  return absl::OkStatus();
}

absl::Status FakeMembership::Cancel(uint64_t id) {
  absl::MutexLock lock(&mutex_);
  if (id == 0 || id > operations_.size()) {
    return absl::NotFoundError(absl::StrCat("there is no operation ", id));
  }
  v1::Operation& operation = operations_[id - 1];
  if (operation.phase() == v1::Operation::PHASE_DONE) {
    return absl::FailedPreconditionError(absl::StrCat("operation ", id, " is done: too late"));
  }
  operation.set_phase(v1::Operation::PHASE_CANCELLED);
  stages_.assign(1, operation);
  return absl::OkStatus();
}

void FakeMembership::Tell(bool is_leader, v1::OperationsResponse* response) {
  absl::MutexLock lock(&mutex_);
  if (is_leader) ++told_;
  if (is_leader && !operations_.empty()) {
    v1::Operation& newest = operations_.back();
    if (stages_.empty()) {
      newest.set_phase(v1::Operation::PHASE_DONE);
    } else {
      const uint64_t id = newest.id();
      const std::string request = newest.request();
      newest = stages_.front();
      newest.set_id(id);
      newest.set_request(request);
      if (stages_.size() > 1) stages_.erase(stages_.begin());
    }
  }
  response->set_from_leader(is_leader);
  response->set_settled(true);
  for (const v1::Operation& operation : operations_) *response->add_operations() = operation;
}

}  // namespace distlog
