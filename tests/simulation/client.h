// A client that appends and reads as the client library does.

#ifndef DISTLOG_TESTS_SIMULATION_CLIENT_H_
#define DISTLOG_TESTS_SIMULATION_CLIENT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/verdict.h"
#include "tests/simulation/history.h"
#include "tests/simulation/host.h"
#include "tests/simulation/world.h"

namespace distlog::simulation {

// Decides by client/verdict.h what an error proves, and whether to try again.
class Client {
 public:
  struct Options {
    std::string name;
    // Repeats until it knows. Else once an outcome is unknown it stays so.
    bool is_producer = true;
    bool opens = false;  // A producer: with OpenProducer first.
    double append_share = 0.7;
    double range_share = 0.2;      // Of the reads: they want entries, half of them locally.
    double conditional_share = 0;  // Of the appends.
    size_t pipeline = 1;           // Operations at once.
    Time max_think = std::chrono::milliseconds(100);
    Time timeout = std::chrono::milliseconds(700);
    double loss = 0;  // Of a request, and of an answer.
    size_t max_payload = 200;
    uint32_t max_payloads = 3;
  };

  // `hosts`: those it knows, at any time.
  Client(World* world, History* history, const std::vector<Host*>* hosts, Options options);

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
    explicit Operation(bool has_producer) : attempts(has_producer) {}
    v1::AppendRequest append;              // If it has payloads; else it is a read ...
    std::optional<v1::ReadRequest> range;  // ... of these entries, or of where the log ends.
    Attempts attempts;
    uint64_t attempt = 0;
    size_t next_host = 0;
  };
  using Answered = std::function<void(std::function<void()>)>;

  void Open(const std::string& address);
  void OnOpened(uint64_t attempt, const absl::StatusOr<v1::OpenProducerResponse>& answer);
  void Think();
  void Begin();
  void BeginAppend(Operation* operation, History::Id* id);
  v1::ReadRequest ChooseRange();
  void Attempt(History::Id id, const std::string& address);
  void AttemptLater(History::Id id, const std::string& address);
  void OnAppended(History::Id id, uint64_t attempt,
                  const absl::StatusOr<v1::AppendResponse>& answer);
  void OnAppendError(History::Id id, const absl::Status& error);
  void SendRead(Host* host, History::Id id, uint64_t attempt);
  void SendRange(Host* host, History::Id id, uint64_t attempt, const v1::ReadRequest& range);
  // Whether the answer counts; tries again if it is an error.
  bool TakesRead(History::Id id, uint64_t attempt, const absl::Status& status);
  void OnRead(History::Id id, uint64_t attempt, const absl::StatusOr<Node::Bounds>& answer);
  void OnEntries(History::Id id, uint64_t attempt, const absl::StatusOr<Entries>& answer);
  void End(History::Id id);
  void CountRefusal(const absl::Status& error);
  // The host at `address`, or the next one in turn.
  Host* Choose(const std::string& address, size_t* turn);
  // Sends `request` to `host`, unless it is lost; `unreachable` is told if nothing runs there.
  void Send(Host* host, std::function<void()> request, std::function<void()> unreachable);
  // Brings an answer back, unless it is lost.
  void Return(std::function<void()> answer);
  Time Latency();

  World* world_;
  History* history_;
  const std::vector<Host*>* hosts_;
  Options options_;
  bool stopped_ = false;
  bool thinking_ = false;
  std::map<History::Id, Operation> operations_;
  uint64_t epoch_ = 0;
  uint64_t nonce_ = 0;
  uint64_t opening_ = 0;  // Attempts to open.
  size_t open_turn_ = 0;
  uint64_t next_sequence_ = 1;
  uint64_t last_end_ = 0;  // Of the log, as last seen.
  std::string leader_;     // As last heard; empty: one after the other.
  uint64_t done_ = 0;
};

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_CLIENT_H_
