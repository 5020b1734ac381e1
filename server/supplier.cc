#include "server/supplier.h"

#include <utility>
#include <vector>

#include "server/thread_name.h"

namespace distlog {
namespace {

// Of the payloads in one LearnReply.
constexpr size_t kReplyBytes = 4 << 20;

}  // namespace

Supplier::Supplier(const Store* store, Transport* transport,
                   std::function<void(const absl::Status&)> failed)
    : store_(store), transport_(transport), failed_(std::move(failed)) {
  thread_ = std::thread([this] { Loop(); });
}

Supplier::~Supplier() { Stop(); }

void Supplier::Supply(paxos::ReplicaId self, const paxos::Supply& supply) {
  {
    std::lock_guard lock(mutex_);
    orders_[supply.to] = Order{self, supply};
  }
  changed_.notify_one();
}

void Supplier::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Supplier::Loop() {
  NameThread("supplier");
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !orders_.empty(); });
    if (stop_) return;
    auto next = orders_.upper_bound(served_last_);
    if (next == orders_.end()) next = orders_.begin();
    const Order order = next->second;
    served_last_ = next->first;
    orders_.erase(next);
    lock.unlock();
    Fill(order);
    lock.lock();
  }
}

void Supplier::Fill(const Order& order) {
  absl::StatusOr<std::vector<paxos::AcceptedValue>> values =
      store_->ReadSlots(order.supply.first, order.supply.through, kReplyBytes);
  if (!values.ok()) {
    failed_(values.status());
    return;
  }
  paxos::LearnReply reply{std::move(*values), order.supply.through};
  std::vector<paxos::Envelope> envelopes;
  envelopes.push_back(paxos::Envelope{order.self, order.supply.to, std::move(reply)});
  transport_->Send(std::move(envelopes));
}

}  // namespace distlog
