// What fuzz targets make of their input.

#ifndef DISTLOG_TESTS_FUZZ_BYTES_H_
#define DISTLOG_TESTS_FUZZ_BYTES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

namespace distlog {

// Takes numbers and strings from the front; what is not there is 0 or empty.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  template <typename Number>
  Number Take() {
    Number number = 0;
    for (const char byte : TakeString(sizeof(Number))) {
      number = static_cast<Number>(static_cast<uint64_t>(number) << 8 |
                                   static_cast<unsigned char>(byte));
    }
    return number;
  }
  std::string TakeString(size_t size) {
    std::string taken = rest_.substr(0, size);
    rest_.erase(0, size);
    return taken;
  }
  const std::string& rest() const { return rest_; }

 private:
  std::string rest_;
};

// The same bytes with one of them changed; `where` and `how` may be anything.
inline std::string WithByteFlipped(std::string bytes, uint64_t where, uint8_t how) {
  bytes[where % bytes.size()] ^= static_cast<char>(how == 0 ? 1 : how);
  return bytes;
}

}  // namespace distlog

// What libFuzzer calls: once, and with every input.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#endif  // DISTLOG_TESTS_FUZZ_BYTES_H_
