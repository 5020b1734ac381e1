// Command-line flags, `--name=value`. (gflags would exit with 1 where this tool promises 2.)

#ifndef DISTLOG_TESTS_SIMULATION_FLAGS_H_
#define DISTLOG_TESTS_SIMULATION_FLAGS_H_

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"

namespace distlog::simulation {

class Flag {
 public:
  explicit Flag(std::string name) : name_(std::move(name)) {}
  virtual ~Flag() = default;
  const std::string& name() const { return name_; }
  bool is_set() const { return is_set_; }
  // False: `text` is no value of this flag.
  bool Set(const std::string& text) {
    is_set_ = true;
    return Parse(text);
  }

 private:
  virtual bool Parse(const std::string& text) = 0;

  const std::string name_;
  bool is_set_ = false;
};

template <typename T>
class FlagValue : public Flag {
 public:
  FlagValue(std::string name, T value) : Flag(std::move(name)), value_(std::move(value)) {}
  const T& value() const { return value_; }

 private:
  bool Parse(const std::string& text) override {
    if constexpr (std::is_same_v<T, std::string>) {
      value_ = text;
      return true;
    } else if constexpr (std::is_same_v<T, bool>) {
      value_ = text.empty() || text == "true";
      return value_ || text == "false";
    } else if constexpr (std::is_same_v<T, double>) {
      return absl::SimpleAtod(text, &value_);
    } else {
      return absl::SimpleAtoi(text, &value_);
    }
  }

  T value_;
};

// What is wrong with the arguments; empty: nothing.
inline std::string ReadFlags(int argc, char** argv, const std::vector<Flag*>& flags) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const size_t equals = argument.find('=');
    Flag* found = nullptr;
    for (Flag* flag : flags) {
      if (argument.substr(0, equals) == "--" + flag->name()) found = flag;
    }
    if (found == nullptr) return "there is no flag \"" + argument + "\"";
    const std::string text = equals == std::string::npos ? "" : argument.substr(equals + 1);
    if (!found->Set(text)) return "\"" + text + "\" is no value of --" + found->name();
  }
  return "";
}

}  // namespace distlog::simulation

#endif  // DISTLOG_TESTS_SIMULATION_FLAGS_H_
