#include "tests/scripts/script.h"

#include <algorithm>
#include <iomanip>
#include <optional>
#include <sstream>
#include <utility>

namespace distlog {

using paxos::AcceptedValue;
using paxos::Ballot;
using paxos::Envelope;
using paxos::Outcome;
using paxos::ReplicaId;
using paxos::Slot;
using paxos::Ticket;
using paxos::Value;

namespace {

Value Batch(const std::string& text) {
  uint64_t checksum = 0xcbf29ce484222325;
  for (const char c : text) checksum = (checksum ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  Value value;
  value.kind = Value::Kind::kBatch;
  value.payload = std::make_shared<const std::string>(text);
  value.checksum = checksum;
  return value;
}

Value Change(const paxos::Configuration& configuration) {
  Value value = Batch(std::to_string(configuration.version));
  value.kind = Value::Kind::kConfiguration;
  for (const paxos::Member& member : configuration.members) {
    value.checksum = value.checksum * 31 + 2 * static_cast<uint64_t>(member.id) + member.voter;
  }
  value.configuration = std::make_shared<const paxos::Configuration>(configuration);
  return value;
}

// "configuration 2: 1,2,4 learning 5".
std::string Text(const paxos::Configuration& configuration) {
  std::string voters;
  std::string learners;
  for (const paxos::Member& member : configuration.members) {
    std::string* list = member.voter ? &voters : &learners;
    *list += (list->empty() ? "" : ",") + ToString(member.id);
  }
  return "configuration " + std::to_string(configuration.version) + ": " + voters +
         (learners.empty() ? "" : " learning " + learners);
}

std::string Text(const Value& value) {
  if (value.kind == Value::Kind::kConfiguration) return Text(*value.configuration);
  return value.kind == Value::Kind::kBatch ? "\"" + *value.payload + "\""
                                           : paxos::ToString(value.kind);
}

std::string Text(const AcceptedValue& accepted) {
  return "slot=" + std::to_string(accepted.slot) + " ballot=" + paxos::ToString(accepted.ballot) +
         " " + Text(accepted.value);
}

// The message's kind, and all of it with the values that it carries.
std::string Kind(const paxos::Message& message) {
  const std::string text = paxos::ToString(message);
  return text.substr(0, text.find(' '));
}

std::string Text(const paxos::Message& message) {
  std::string text = paxos::ToString(message);
  if (const auto* accept = std::get_if<paxos::Accept>(&message)) {
    for (const Value& value : accept->values) text += " " + Text(value);
  }
  return text;
}

std::string Text(const paxos::Record& record) {
  if (const auto* promise = std::get_if<paxos::PromiseRecord>(&record)) {
    return "promised=" + paxos::ToString(promise->promised);
  }
  if (const auto* accept = std::get_if<paxos::AcceptRecord>(&record)) return Text(accept->accepted);
  return "mark=" + std::to_string(std::get<paxos::MarkRecord>(record).chosen_through);
}

std::string Join(const std::set<ReplicaId>& ids) {
  std::string text;
  for (const ReplicaId id : ids) text += (text.empty() ? "" : ",") + paxos::ToString(id);
  return text;
}

}  // namespace

// A command's words: `name first second key=value ...`.
struct Script::Words {
  explicit Words(const std::string& command) {
    std::istringstream in(command);
    in >> name;
    for (std::string word; in >> word;) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) {
        plain.push_back(word);
      } else {
        named[word.substr(0, equals)] = word.substr(equals + 1);
      }
    }
  }
  uint64_t Number(const std::string& key, uint64_t otherwise = 0) const {
    const auto it = named.find(key);
    return it == named.end() ? otherwise : std::stoull(it->second);
  }
  ReplicaId Replica(const std::string& key) const { return ReplicaId{Number(key)}; }
  // The replica that the command is about: its first plain word.
  ReplicaId Replica() const { return plain.empty() ? ReplicaId{} : ToReplica(plain[0]); }
  static ReplicaId ToReplica(const std::string& text) {
    const bool is_number = !text.empty() && text.find_first_not_of("0123456789") == text.npos;
    return is_number ? ReplicaId{std::stoull(text)} : ReplicaId{};
  }
  Ballot GetBallot(const std::string& key) const {
    const auto it = named.find(key);
    if (it == named.end()) return {};
    const size_t dot = it->second.find('.');
    return {std::stoull(it->second.substr(0, dot)),
            ReplicaId{std::stoull(it->second.substr(dot + 1))}};
  }
  std::vector<ReplicaId> List(const std::string& key) const {
    std::vector<ReplicaId> list;
    const auto it = named.find(key);
    if (it == named.end()) return list;
    std::istringstream in(it->second);
    for (std::string id; std::getline(in, id, ',');) list.push_back(ToReplica(id));
    return list;
  }
  // "1>2": a link.
  std::optional<std::pair<ReplicaId, ReplicaId>> Link() const {
    if (plain.empty()) return std::nullopt;
    const size_t arrow = plain[0].find('>');
    if (arrow == std::string::npos) return std::nullopt;
    return std::pair(ToReplica(plain[0].substr(0, arrow)), ToReplica(plain[0].substr(arrow + 1)));
  }

  std::string name;
  std::vector<std::string> plain;
  std::map<std::string, std::string> named;
};

// ---- Commands. ---------------------------------------------------------------------------------

std::string Script::Run(const std::string& line) {
  output_.clear();
  size_t begin = 0;
  while (begin <= line.size()) {
    size_t end = line.find(" | ", begin);
    if (end == std::string::npos) end = line.size();
    const std::string command = line.substr(begin, end - begin);
    if (!Execute(command)) {
      output_ += "cannot understand: " + command + "\n";
      break;
    }
    Flush();
    begin = end + 3;
  }
  return output_;
}

bool Script::Execute(const std::string& command) {
  const Words words(command);
  const size_t quote = command.find('"');
  const size_t last_quote = command.rfind('"');
  const std::string text = quote == std::string::npos || last_quote == quote
                               ? ""
                               : command.substr(quote + 1, last_quote - quote - 1);
  const std::string& name = words.name;
  if (name == "start") return Start(words);
  if (name == "settle") return Settle(), true;
  if (name == "state") return State(), true;
  if (name == "heal") return Heal(), true;
  if (name == "show") return shows_heartbeats_ = true;
  if (name == "hide") return !(shows_heartbeats_ = false);
  if (name == "drop" || name == "hold") return Rules(words, name == "hold");
  if (name == "say") return Say(words, text);
  if (name == "release") {
    const size_t count = std::min<size_t>(held_.size(), words.Number("count", held_.size()));
    for (size_t i = 0; i < count; ++i) {
      const Envelope envelope = held_.front();
      held_.pop_front();
      TellMessage(envelope, " (released)");
      Soon([this, envelope] { Step(envelope.to, paxos::Receive{envelope}); });
    }
    return true;
  }
  if (name == "pass") {
    Pass(std::chrono::milliseconds(words.Number("ms")));
    return words.named.contains("ms");
  }
  if (name == "lost") {
    const auto link = words.Link();
    if (!link || !IsRunning(link->first)) return false;
    Step(link->first, paxos::PeerLost{link->second});
    return true;
  }
  if (name == "stall" || name == "finish") {
    const auto node = nodes_.find(words.Replica("disk"));
    if (node == nodes_.end()) return false;
    node->second.stalled = name == "stall";
    Write(node->first);
    return true;
  }

  const ReplicaId id = words.Replica();
  if (name == "join" && id != ReplicaId{} && !nodes_.contains(id)) {
    nodes_.emplace(id, Node(genesis_));
    return Restart(id), true;
  }
  if (!nodes_.contains(id)) return false;
  Node& node = nodes_.at(id);
  if (name == "restart") return node.replica == nullptr ? (Restart(id), true) : false;
  if (name == "disk") return ShowDisk(id), true;
  if (!IsRunning(id) && name != "continue") return false;
  if (name == "crash") {
    Crash(id, words.plain.size() > 1 && words.plain[1] == "silently");
  } else if (name == "isolate") {
    for (const ReplicaId peer : Everybody()) {
      if (peer == id) continue;
      rules_.push_back({id, peer, "", false});
      rules_.push_back({peer, id, "", false});
    }
  } else if (name == "stop") {
    node.stopped = true;
  } else if (name == "continue") {
    node.stopped = false;
    for (const paxos::Event& event : std::exchange(node.waiting, {})) {
      Soon([this, id, event] { Step(id, event); });
    }
    Write(id);
  } else if (name == "append") {
    const Ticket ticket{++next_ticket_};
    tickets_[ticket] = "append \"" + text + "\"";
    Step(id, paxos::Propose{ticket, Batch(text)});
  } else if (name == "change") {
    const Ticket ticket{++next_ticket_};
    const paxos::Configuration next =
        Next(node.replica->configuration(), words.List("voters"), words.List("learners"));
    tickets_[ticket] = Text(next);
    Step(id, paxos::Propose{ticket, Change(next)});
  } else if (name == "read") {
    const Ticket ticket{++next_ticket_};
    tickets_[ticket] = "read";
    Step(id, paxos::Read{ticket});
  } else if (name == "transfer") {
    Step(id, paxos::TransferLeadership{words.Replica("to")});
  } else if (name == "save") {
    const Slot through = node.replica->stored_through();
    node.disk.SaveMark(through);
    Step(id, paxos::MarkSaved{through});
  } else {
    return false;
  }
  return true;
}

std::set<ReplicaId> Script::Everybody() const {
  std::set<ReplicaId> all;
  for (const paxos::Member& member : genesis_.members) all.insert(member.id);
  for (const auto& [id, node] : nodes_) all.insert(id);
  return all;
}

paxos::Configuration Script::Next(const paxos::Configuration& current,
                                  const std::vector<ReplicaId>& voters,
                                  const std::vector<ReplicaId>& learners) const {
  paxos::Configuration next = current;
  ++next.version;
  next.members.clear();
  for (const auto* list : {&voters, &learners}) {
    for (const ReplicaId id : *list) {
      const auto number = static_cast<uint64_t>(id);
      next.members.push_back({id, {0, number}, "replica" + ToString(id), list == &voters});
      next.next_replica_id = std::max(next.next_replica_id, number + 1);
    }
  }
  std::sort(next.members.begin(), next.members.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  return next;
}

// `leader`: the others stand still until it leads. `run`: only these run; for the other members the
// script speaks itself.
bool Script::Start(const Words& words) {
  const std::vector<ReplicaId> members = words.List("nodes");
  if (members.empty() || !nodes_.empty()) return false;
  genesis_.version = 1;
  for (const ReplicaId id : members) {
    genesis_.members.push_back(
        {id, {0, static_cast<uint64_t>(id)}, "replica" + ToString(id), true});
    genesis_.next_replica_id = static_cast<uint64_t>(id) + 1;
  }
  options_.window = words.Number("window", 8);
  options_.message_bytes = words.Number("message_bytes", 1 << 20);
  supply_slots_ = words.Number("supply_slots", 100);
  quiet_ = true;
  const std::vector<ReplicaId> run = words.named.contains("run") ? words.List("run") : members;
  for (const ReplicaId id : run) {
    nodes_.emplace(id, Node(genesis_));
    Restart(id);
  }
  if (const ReplicaId leader = words.Replica("leader"); nodes_.contains(leader)) {
    frozen_ = {run.begin(), run.end()};
    frozen_.erase(leader);
    for (int i = 0; i < 100 && !nodes_.at(leader).replica->is_recovered(); ++i) {
      Pass(std::chrono::milliseconds(10));
    }
    frozen_.clear();
    Pass(std::chrono::milliseconds(500));
  }
  Flush();
  quiet_ = false;
  return true;
}

bool Script::Rules(const Words& words, bool hold) {
  const auto link = words.Link();
  if (!link) return false;
  const auto kind = words.named.find("message");
  rules_.push_back(
      {link->first, link->second, kind == words.named.end() ? "" : kind->second, hold});
  return true;
}

// A message from a member that the script speaks for.
bool Script::Say(const Words& words, const std::string& text) {
  const auto link = words.Link();
  if (!link || words.plain.size() < 2) return false;
  const std::string& kind = words.plain[1];
  const Ballot ballot = words.GetBallot("ballot");
  const Slot chosen = words.Number("chosen");
  paxos::Message message;
  if (kind == "Prepare") {
    message = paxos::Prepare{ballot, words.Number("from", 1), words.Number("version", 1)};
  } else if (kind == "Accept") {
    message = paxos::Accept{ballot, words.Number("slot"), {Batch(text)}, chosen, 1};
  } else if (kind == "Accepted") {
    message = paxos::Accepted{ballot, words.Number("slot"), words.Number("slot")};
  } else if (kind == "Confirm") {
    message = paxos::Confirm{ballot, words.Number("round"), chosen};
  } else if (kind == "Confirmed") {
    message = paxos::Confirmed{ballot, words.Number("round")};
  } else if (kind == "Announce") {
    message = paxos::Announce{{ballot, chosen}};
  } else if (kind == "Nack") {
    message = paxos::Nack{words.GetBallot("refused"), words.GetBallot("promised")};
  } else if (kind == "Promise") {
    message =
        paxos::Promise{ballot, words.Number("first", 1), words.Number("last"), true, {}, chosen};
  } else if (kind == "LearnRequest") {
    message = paxos::LearnRequest{words.Number("first")};
  } else {
    return false;
  }
  Send({link->first, link->second, message});
  return true;
}

void Script::Heal() {
  rules_.clear();
  for (const auto& [id, node] : nodes_) {
    if (IsRunning(id)) TellConnected(id);
  }
}

void Script::Crash(ReplicaId id, bool silently) {
  Node& node = nodes_.at(id);
  node.replica.reset();
  node.waiting.clear();
  const size_t forgotten = node.disk.Crash(0).size();
  Tell(id, "crashed" + (forgotten == 0
                            ? ""
                            : ", forgetting " + std::to_string(forgotten) + " unfinished records"));
  if (silently) return;
  for (const auto& [peer, other] : nodes_) {
    if (IsRunning(peer)) Soon([this, peer = peer, id] { Step(peer, paxos::PeerLost{id}); });
  }
}

void Script::Restart(ReplicaId id) {
  Node& node = nodes_.at(id);
  paxos::Options options = options_;
  options.self = id;
  options.seed = 100 * static_cast<uint64_t>(id) + ++node.starts;
  const paxos::DurableState state = node.disk.Recover();
  node.replica = std::make_unique<paxos::Replica>(options, state, now_);
  Tell(id, "started promised=" + paxos::ToString(state.promised) +
               " chosen=" + std::to_string(state.chosen_through));
  for (const AcceptedValue& accepted : state.accepted) Tell(id, "  accepted " + Text(accepted));
  TellConnected(id);
}

void Script::TellConnected(ReplicaId id) {
  for (const auto& [peer, node] : nodes_) {
    if (peer == id || !IsRunning(peer)) continue;
    Soon([this, peer = peer, id] { Step(peer, paxos::PeerConnected{id}); });
    Soon([this, peer = peer, id] { Step(id, paxos::PeerConnected{peer}); });
  }
}

void Script::State() {
  for (const auto& [id, node] : nodes_) {
    if (node.replica == nullptr) {
      Tell(id, "down");
      continue;
    }
    const paxos::Replica& replica = *node.replica;
    Tell(id, std::string(replica.is_recovered()          ? "leads, recovered"
                         : replica.is_leading()          ? "leads"
                         : replica.claimed().has_value() ? "claims"
                                                         : "follows") +
                 " ballot=" + paxos::ToString(replica.claimed().value_or(replica.followed())) +
                 (replica.is_content() ? " content" : "") +
                 " promised=" + paxos::ToString(replica.promised()) +
                 " chosen=" + std::to_string(replica.chosen_through()) +
                 " stored=" + std::to_string(replica.stored_through()) +
                 (replica.configuration_slot() == 0 ? ""
                  : replica.has_left()              ? " has left"
                  : replica.is_settled()            ? " settled"
                                                    : " unsettled"));
    Flush();  // A line each.
  }
}

void Script::ShowDisk(ReplicaId id) {
  const simulation::Disk& disk = nodes_.at(id).disk;
  Tell(id, "disk promised=" + paxos::ToString(disk.promised()) +
               " mark=" + std::to_string(disk.mark()));
  for (const auto& [slot, accepted] : disk.accepted()) Tell(id, "  " + Text(accepted));
}

void Script::Pass(paxos::Time duration) {
  const paxos::Time until = now_ + duration;
  Settle();
  for (int ticks = 0; ticks < 100'000; ++ticks) {
    paxos::Time next = until;
    for (const auto& [id, node] : nodes_) {
      if (IsRunning(id) && !node.stopped && !frozen_.contains(id)) {
        next = std::min(next, std::max(now_, node.replica->deadline()));
      }
    }
    now_ = next;
    bool any = false;
    for (const auto& [id, node] : nodes_) {
      if (!IsRunning(id) || node.stopped || frozen_.contains(id)) continue;
      if (node.replica->deadline() > now_) continue;
      any = true;
      Step(id, paxos::Tick{});
    }
    Settle();
    if (!any && now_ == until) return;
  }
  output_ += "time does not pass: a deadline stays in the past\n";
}

// All that is on its way arrives: a generation at a time, which makes the lines of a generation
// one.
void Script::Settle() {
  for (int generations = 0; !queue_.empty(); ++generations) {
    if (generations == 10'000) {
      output_ += "never settles\n";
      queue_.clear();
    }
    for (const auto& action : std::exchange(queue_, {})) action();
    Flush();
  }
}

// ---- What they do. -----------------------------------------------------------------------------

bool Script::IsRunning(ReplicaId id) const {
  const auto node = nodes_.find(id);
  return node != nodes_.end() && node->second.replica != nullptr;
}

void Script::Step(ReplicaId id, const paxos::Event& event) {
  if (!IsRunning(id)) return;
  Node& node = nodes_.at(id);
  if (node.stopped) {
    node.waiting.push_back(event);
    return;
  }
  paxos::Effects effects;
  node.replica->Step(now_, event, &effects);
  node.replica->CheckInvariants();
  for (const Envelope& envelope : effects.send) Send(envelope);
  for (const AcceptedValue& chosen : effects.chosen) {
    Tell(id, "chosen slot=" + std::to_string(chosen.slot) + " " + Text(chosen.value));
  }
  for (const Outcome& outcome : effects.outcomes) {
    const std::string& what = tickets_.at(outcome.ticket);
    Tell(id, what + (outcome.result == Outcome::Result::kNotChosen
                         ? ": certainly not"
                         : (outcome.result == Outcome::Result::kChosen ? ": done slot="
                                                                       : ": readable slot=") +
                               std::to_string(outcome.slot)));
  }
  for (const paxos::Supply& supply : effects.supply) Supply(id, supply);
  if (!effects.write.empty() || !effects.after_write.empty()) {
    node.disk.Submit(
        {std::move(effects.write), effects.last_record, std::move(effects.after_write)});
    Write(id);
  }
}

void Script::Write(ReplicaId id) {
  Node& node = nodes_.at(id);
  if (node.stalled || node.stopped || node.disk.is_idle() || node.disk.is_syncing()) return;
  node.disk.StartGroup();
  Soon([this, id, start = node.starts] {
    if (IsRunning(id) && nodes_.at(id).starts == start) FinishWrite(id);
  });
}

void Script::FinishWrite(ReplicaId id) {
  Node& node = nodes_.at(id);
  uint64_t last = 0;
  std::vector<Envelope> said;
  for (const simulation::Disk::Write& write : node.disk.FinishGroup()) {
    for (const paxos::Record& record : write.records) Tell(id, "durable " + Text(record));
    said.insert(said.end(), write.after_write.begin(), write.after_write.end());
    if (!write.records.empty()) last = write.last_record;
  }
  for (const Envelope& envelope : said) Send(envelope);
  if (last != 0) Soon([this, id, last] { Step(id, paxos::WriteFinished{last}); });
  Write(id);
}

void Script::Supply(ReplicaId from, const paxos::Supply& supply) {
  paxos::LearnReply reply;
  reply.chosen_through = supply.through;
  for (Slot slot = supply.first; slot <= supply.through; ++slot) {
    if (reply.chosen.size() == supply_slots_) break;
    reply.chosen.push_back(*nodes_.at(from).disk.Find(slot));
  }
  Send({from, supply.to, std::move(reply)});
}

void Script::Send(const Envelope& envelope) {
  for (const Rule& rule : rules_) {
    if (rule.from != envelope.from || rule.to != envelope.to) continue;
    if (!rule.kind.empty() && rule.kind != Kind(envelope.message)) continue;
    TellMessage(envelope, rule.hold ? " (held)" : " (lost)");
    if (rule.hold) held_.push_back(envelope);
    return;
  }
  TellMessage(envelope, "");
  Soon([this, envelope] { Step(envelope.to, paxos::Receive{envelope}); });
}

// ---- Telling. ----------------------------------------------------------------------------------

void Script::Tell(ReplicaId id, const std::string& text) {
  if (quiet_) return;
  for (Line& line : lines_) {
    if (line.to.empty() && line.text == text) {
      line.from.insert(id);
      return;
    }
  }
  lines_.push_back({{id}, {}, text});
}

void Script::TellMessage(const Envelope& envelope, const std::string& fate) {
  const bool is_heartbeat = std::holds_alternative<paxos::Heartbeat>(envelope.message) ||
                            std::holds_alternative<paxos::HeartbeatReply>(envelope.message);
  if (quiet_ || (is_heartbeat && !shows_heartbeats_)) return;
  const std::string text = ShortNumbers(Text(envelope.message)) + fate;
  for (Line& line : lines_) {
    if (line.to.empty() || line.text != text) continue;
    if (line.from == std::set{envelope.from}) {
      line.to.insert(envelope.to);
      return;
    }
    if (line.to == std::set{envelope.to}) {
      line.from.insert(envelope.from);
      return;
    }
  }
  lines_.push_back({{envelope.from}, {envelope.to}, text});
}

void Script::Flush() {
  std::ostringstream out;
  for (const Line& line : lines_) {
    const std::string who = Join(line.from) + (line.to.empty() ? "" : ">" + Join(line.to));
    out << std::left << std::setw(9) << who << " " << line.text << "\n";
  }
  lines_.clear();
  output_ += out.str();
}

// Numbers that are drawn at random at each start are told as #1, #2, ... instead.
std::string Script::ShortNumbers(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    if (end - i < 7) {
      end = std::max(end, i + 1);
      result += text.substr(i, end - i);
    } else {
      const auto it = numbers_.emplace(text.substr(i, end - i), numbers_.size() + 1).first;
      result += "#" + std::to_string(it->second);
    }
    i = end;
  }
  return result;
}

}  // namespace distlog
