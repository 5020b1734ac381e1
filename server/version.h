#ifndef DISTLOG_SERVER_VERSION_H_
#define DISTLOG_SERVER_VERSION_H_

namespace distlog {

// Of the programs; CHANGELOG.md says what is in it.
inline constexpr char kVersion[] = "0.1.0";

}  // namespace distlog

#endif  // DISTLOG_SERVER_VERSION_H_
