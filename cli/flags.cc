#include "cli/flags.h"

#include "gflags/gflags.h"

DEFINE_string(endpoints, "127.0.0.1:4600",
              "HOST:PORT,... of any one or more members; also DISTLOG_ENDPOINTS");
DEFINE_string(timeout, "10s", "how long to try; for streams, how long without progress");
DEFINE_string(output, "text", "text, for people, or json, for programs");

DEFINE_bool(lines, false, "each line is an entry, without its newline");
DEFINE_string(file, "", "read this file instead of standard input");
DEFINE_bool(quiet, false, "print only the first and the last position");
DEFINE_uint64(expect_position, 0, "append only if the first entry gets this position");
DEFINE_string(producer, "", "append as this producer, so that the command can be repeated");
DEFINE_uint64(sequence, 0, "the producer's sequence of the first entry, from 1");
DEFINE_uint64(epoch, 0, "the producer's epoch");

DEFINE_uint64(from, 0, "the first position (default: the first retained)");
DEFINE_uint64(to, 0, "the last position (default: the end as of now)");
DEFINE_uint64(count, 0, "at most so many entries");
DEFINE_bool(raw, false, "print payloads as they are, on a terminal too");
DEFINE_bool(local, false, "read whatever the asked replica has");
DEFINE_bool(follow, false, "go on with new entries");
DEFINE_string(delimiter, "\\n", "printed after each payload; knows \\n, \\t, \\0, \\\\, \\xNN");
DEFINE_uint64(n, 0, "only the last so many: entries before the new ones, terms of the history");

DEFINE_bool(dry_run, false, "print the plan, and why it would be refused; change nothing");
DEFINE_bool(force, false,
            "go on where waiting is all that speaks against it; never against safety");
DEFINE_uint64(expect_version, 0, "only if the configuration in force has this version");
DEFINE_bool(no_wait, false, "return as soon as the operation is in the log");
DEFINE_bool(learner, false, "it stays a learner until it is promoted");

DEFINE_bool(plan, false, "tell what would be kept and what can be lost, and change nothing");
DEFINE_bool(apply, false, "make the directory that knows most the only member of a new cluster");
DEFINE_string(confirm, "", "the first 8 digits of the cluster's id, instead of typing them");
DEFINE_string(address, "", "HOST:PORT of the server to come (default: the one in the log)");

DEFINE_string(mode, "unary", "unary, client, stream, read or scan");
DEFINE_uint64(outstanding, 0,
              "requests or entries not yet answered (default 64; stream: 16384, 8 MiB at most)");
DEFINE_uint64(size, 100, "bytes of an entry (default 100)");
DEFINE_uint64(seconds, 10, "for how long (default 10)");
