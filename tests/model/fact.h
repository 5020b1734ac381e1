// What an outside observer of the cluster sees.

#ifndef DISTLOG_TESTS_MODEL_FACT_H_
#define DISTLOG_TESTS_MODEL_FACT_H_

#include <cstddef>
#include <cstdint>

#include "paxos/types.h"

namespace distlog::model {

// A value by its contents. 0 is the no-op. The highest byte says which configuration it is, of the
// list that machines and ledger are given; 0 if it is none.
using ValueId = uint64_t;
constexpr size_t ConfigurationIn(ValueId value) { return value >> 56; }

struct Fact {
  enum class Kind : uint8_t {
    kUsed,      // A message of `ballot` left its owner, in its run `run`.
    kProposed,  // An Accept for `slot` at `ballot` with `value` left.
    kStored,    // `replica`'s disk holds `value` in `slot` at `ballot`.
    kIsChosen,  // `replica` says that `slot` holds `value` for ever: it applies it, or supplies it.
    kThrough,   // `replica` says that every slot through `slot` is chosen.
    kSettled,   // `replica` says that the configuration chosen at `slot` is settled (B5).
  };
  Kind kind{};
  paxos::ReplicaId replica{};
  paxos::Slot slot = 0;
  paxos::Ballot ballot{};
  ValueId value = 0;
  int run = 0;
};

}  // namespace distlog::model

#endif  // DISTLOG_TESTS_MODEL_FACT_H_
