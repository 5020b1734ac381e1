#include "log/side_file.h"

#include "absl/strings/str_cat.h"

namespace distlog {
namespace {

// Parses the copy that counts, and checks that the other one is of the same store.
template <typename Message>
absl::Status Parse(const CheckedFile& file, const std::string& name, Message* newest,
                   std::vector<std::string>* notes) {
  if (!newest->ParseFromString(file.newest().contents)) {
    return absl::DataLossError(absl::StrCat(name, " cannot be decoded"));
  }
  for (const CheckedFile::Copy& copy : file.copies()) {
    if (!copy.is_valid) {
      notes->push_back(absl::StrCat(copy.problem, "; its other copy was whole, and both are now"));
      continue;
    }
    Message message;
    if (!message.ParseFromString(copy.contents)) {
      return absl::DataLossError(absl::StrCat(name, " cannot be decoded"));
    }
    if (message.uuid() != newest->uuid()) {
      return absl::FailedPreconditionError(
          absl::StrCat("the two copies of ", name, " belong to different stores"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

SideFile::SideFile(Env* env, const std::string& dir, bool sync)
    : side_(env, dir + "/side", sync), marks_(env, dir + "/mark", sync) {}

absl::Status SideFile::Create(Env* env, const std::string& dir, bool sync,
                              const v1::SideFile& contents) {
  SideFile file(env, dir, sync);
  file.contents = contents;
  file.mark.set_uuid(contents.uuid());
  const absl::Status status = file.SaveMark(/*both=*/true);
  return status.ok() ? file.Save() : status;
}

absl::StatusOr<SideFile> SideFile::Open(Env* env, const std::string& dir, bool sync,
                                        std::vector<std::string>* notes) {
  SideFile file(env, dir, sync);
  absl::Status status = file.side_.Read();
  if (status.ok()) status = file.marks_.Read();
  if (status.ok()) status = Parse(file.side_, dir + "/side", &file.contents, notes);
  if (status.ok()) status = Parse(file.marks_, dir + "/mark", &file.mark, notes);
  if (!status.ok()) return status;
  if (file.mark.uuid() != file.contents.uuid()) {
    return absl::FailedPreconditionError(
        absl::StrCat(dir, "/side and ", dir, "/mark belong to different stores"));
  }
  if (file.side_.newest().generation < file.mark.side_generation()) {
    return absl::DataLossError(
        absl::StrCat(dir, "/side is older than what was durable: it has generation ",
                     file.side_.newest().generation, ", ", file.mark.side_generation(), " was"));
  }
  if (file.marks_.newest().generation < file.contents.marks_generation()) {
    return absl::DataLossError(absl::StrCat(
        dir, "/mark is older than what was durable: it has generation ",
        file.marks_.newest().generation, ", ", file.contents.marks_generation(), " was"));
  }
  if (file.mark.recoveries() < static_cast<uint64_t>(file.contents.recovered_size())) {
    file.mark = file.contents.mark();
    file.mark.set_uuid(file.contents.uuid());
  }
  return file;
}

absl::Status SideFile::Save() {
  contents.set_marks_generation(marks_.generation_of_both());
  return side_.WriteBoth(contents.SerializeAsString());
}

absl::Status SideFile::SaveMark(bool both) {
  mark.set_side_generation(side_.generation_of_both());
  const std::string bytes = mark.SerializeAsString();
  return both ? marks_.WriteBoth(bytes) : marks_.WriteOne(bytes);
}

}  // namespace distlog
