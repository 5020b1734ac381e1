// The values of the flags. Which command takes which one stands in cli/command.cc.

#ifndef DISTLOG_CLI_FLAGS_H_
#define DISTLOG_CLI_FLAGS_H_

#include "gflags/gflags_declare.h"

DECLARE_string(endpoints);
DECLARE_string(timeout);
DECLARE_string(output);
DECLARE_bool(lines);
DECLARE_string(file);
DECLARE_bool(quiet);
DECLARE_uint64(expect_position);
DECLARE_string(producer);
DECLARE_uint64(sequence);
DECLARE_uint64(epoch);
DECLARE_uint64(from);
DECLARE_uint64(to);
DECLARE_uint64(count);
DECLARE_bool(raw);
DECLARE_bool(local);
DECLARE_bool(follow);
DECLARE_string(delimiter);
DECLARE_uint64(n);
DECLARE_bool(dry_run);
DECLARE_bool(force);
DECLARE_uint64(expect_version);
DECLARE_bool(no_wait);
DECLARE_bool(learner);
DECLARE_bool(plan);
DECLARE_bool(apply);
DECLARE_string(confirm);
DECLARE_string(address);
DECLARE_string(mode);
DECLARE_uint64(outstanding);
DECLARE_uint64(size);
DECLARE_uint64(seconds);

#endif  // DISTLOG_CLI_FLAGS_H_
