// What libFuzzer calls first: protobuf's own words about each malformed input are of no use here.

#include "google/protobuf/stubs/logging.h"
#include "tests/fuzz/bytes.h"

int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}
