// All that Paxos must remember.

#ifndef DISTLOG_PAXOS_ACCEPTOR_H_
#define DISTLOG_PAXOS_ACCEPTOR_H_

#include <cstddef>
#include <map>
#include <tuple>
#include <vector>

#include "paxos/message.h"
#include "paxos/record.h"
#include "paxos/types.h"

namespace distlog::paxos {

// The promise, and the accepted values of slots not yet known chosen. What the disk holds may trail
// behind this; nothing that depends on it leaves before the disk has caught up (Effects).
class Acceptor {
 public:
  Acceptor() = default;
  explicit Acceptor(const DurableState& recovered);

  const Ballot& promised() const { return promised_; }
  const std::map<Slot, AcceptedValue>& accepted() const { return accepted_; }
  // Null if nothing is held there.
  const AcceptedValue* Find(Slot slot) const;

  // Promises nothing below `ballot` any more. Not below promised() (P3).
  void Promise(const Ballot& ballot);

  // Holds `value`, and promises its ballot. Not below promised() unless it is known chosen: a
  // leftover of a promise is no reason to lose what was decided.
  void Accept(const AcceptedValue& value);
  void Learn(const AcceptedValue& value);

  // Slots through `through` are chosen and someone else's business.
  void Forget(Slot through);

  // The answer to a Prepare at promised(), of slots from `first` on, in parts of about
  // `message_bytes` of payload. At least one part; the last is final.
  std::vector<struct Promise> PromiseParts(Slot first, Slot chosen_through,
                                           size_t message_bytes) const;

  friend bool operator==(const Acceptor&, const Acceptor&) = default;
  // For hashing (paxos/hash.h).
  auto Fields() const { return std::tie(promised_, accepted_); }

 private:
  void Hold(const AcceptedValue& value);

  Ballot promised_;
  std::map<Slot, AcceptedValue> accepted_;
};

}  // namespace distlog::paxos

#endif  // DISTLOG_PAXOS_ACCEPTOR_H_
