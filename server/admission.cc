#include "server/admission.h"

namespace distlog {

bool Admission::Enter(size_t bytes) {
  if (requests_.fetch_add(1) >= max_requests_) {
    requests_.fetch_sub(1);
    return false;
  }
  // One request of any size is always taken.
  const size_t before = bytes_.fetch_add(bytes);
  if (before != 0 && before + bytes > max_bytes_) {
    bytes_.fetch_sub(bytes);
    requests_.fetch_sub(1);
    return false;
  }
  return true;
}

void Admission::Leave(size_t bytes) {
  bytes_.fetch_sub(bytes);
  requests_.fetch_sub(1);
}

}  // namespace distlog
