// A client that appends and reads as the client library does.

#ifndef DISTLOG_TESTS_SIMULATION_CLIENT_H_
#define DISTLOG_TESTS_SIMULATION_CLIENT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/simulation/history.h"
#include "tests/simulation/host.h"
#include "tests/simulation/world.h"

namespace distlog::simulation {

class Client {
 public:
  struct Options {
    std::string name;
    bool is_producer =
        true;  // Repeats until it knows. Else once an outcome is unknown it stays so.
    double append_share = 0.7;
    double conditional_share = 0;  // Of the appends without a producer.
    size_t pipeline = 1;           // Operations at once.
    Time max_think = std::chrono::milliseconds(100);
    Time timeout = std::chrono::milliseconds(700);
    double loss = 0;  // Of a request, and of an answer.
    size_t max_payload = 200;
    uint32_t max_payloads = 3;
  };

  Client(World* world, History* history, std::vector<Host*> hosts, Options options);

  // Begins operations until Stop; those under way then go on until they end.
  void Start();
  void Stop() { stopped_ = true; }
  void set_loss(double loss) { options_.loss = loss; }

  size_t under_way() const { return operations_.size(); }
  bool HasUnderWay(History::Id id) const { return operations_.contains(id); }
  std::vector<History::Id> OperationsUnderWay() const;
  // Operations that ended well.
  uint64_t done() const { return done_; }

 private:
  struct Operation {
    AppendRequest append;  // If it has payloads; else it is a read.
    uint64_t attempt = 0;
    size_t next_host = 0;
  };
  void Think();
  void Begin();
  void Attempt(History::Id id, paxos::ReplicaId to);
  void AttemptLater(History::Id id, paxos::ReplicaId to);
  void OnSilence(History::Id id, uint64_t attempt);
  void OnAppendReply(History::Id id, uint64_t attempt, const AppendReply& reply);
  void OnReadReply(History::Id id, uint64_t attempt, const ReadReply& reply);
  void End(History::Id id);
  Host* Choose(paxos::ReplicaId preferred, Operation* operation);
  Time Latency();

  World* world_;
  History* history_;
  std::vector<Host*> hosts_;
  Options options_;
  bool stopped_ = false;
  bool thinking_ = false;
  std::map<History::Id, Operation> operations_;
  uint64_t next_sequence_ = 1;
  uint64_t last_end_ = 0;      // Of the log, as last seen.
  paxos::ReplicaId leader_{};  // As last heard; none: one after the other.
  uint64_t done_ = 0;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CLIENT_H_
