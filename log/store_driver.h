// Drives a store as a server with one member would, for tests: every record is chosen when it is
// written.

#ifndef DISTLOG_LOG_STORE_DRIVER_H_
#define DISTLOG_LOG_STORE_DRIVER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "log/sequencer.h"
#include "log/store.h"

namespace distlog {

paxos::Configuration TestGenesis();

// A batch whose appends have `payloads`, all of one anonymous client.
paxos::Value TestBatch(const std::vector<std::string>& payloads);

class StoreDriver {
 public:
  StoreDriver(const Store::Options& options, std::string dir);

  // Formats the directory if it is empty, opens, assigns if that was not done, and recovers.
  absl::Status Start();
  // Makes all evidence durable.
  absl::Status Stop();
  // Forgets everything in memory, as a crash does.
  void Drop();

  // Writes one group, with a value in each of `slots` slots after the last, and applies it.
  // The values are functions of their slots: some hold two entries, some a repeat that appends
  // nothing, some are no-ops.
  absl::Status Append(size_t slots);
  absl::Status Promise(const paxos::Ballot& ballot);
  static paxos::Value ValueOf(paxos::Slot slot);

  // Reads every slot and every entry and compares them with what was appended; slots through
  // `at_least` must be there.
  absl::Status CheckAll(paxos::Slot at_least) const;

  Store* store() { return store_.get(); }
  const paxos::DurableState& recovered() const { return state_; }
  const Sequencer& sequencer() const { return *sequencer_; }
  paxos::Slot written_through() const { return written_through_; }  // Of all runs: OK was returned.
  paxos::Ballot promised() const { return promised_; }              // Likewise.

  paxos::Ballot ballot{1, paxos::ReplicaId{1}};

 private:
  absl::Status Apply(const paxos::AcceptedValue& value);

  const Store::Options options_;
  const std::string dir_;
  std::unique_ptr<Store> store_;
  std::optional<Sequencer> sequencer_;
  std::optional<paxos::Slot> checkpoint_at_;
  paxos::DurableState state_;
  paxos::Slot written_through_ = 0;
  paxos::Ballot promised_;
};

}  // namespace distlog

#endif  // DISTLOG_LOG_STORE_DRIVER_H_
