// TensorBoard's event files: scalars by tag and step.
//
// A file is a list of records: length (8 bytes), its masked CRC-32C (4), data, the data's masked CRC-32C (4),
// all little-endian; the data is a protocol buffer `Event` (tensorflow/core/util/event.proto).
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace moellava {

struct Scalar {
  std::string tag;  // "train/loss": TensorBoard groups by what stands before the slash
  double value = 0;
};

// The three kinds of records that we write, as bytes. `time`: seconds since 1970.
std::string event_version_record(double time);
// Tells readers to forget what earlier files of the folder say about `step` and later ones.
std::string event_restart_record(double time, int64_t step);
std::string event_scalars_record(double time, int64_t step, std::span<const Scalar> scalars);

// A new file events.out.tfevents.TIME.HOST.PID.N, beside those of earlier runs.
class EventFile {
 public:
  // `first_step`: the step that is logged next; greater than 1 when a run goes on. Throws Io.
  EventFile(const std::filesystem::path& folder, int64_t first_step);

  // The scalars are in the file when this returns. Throws Io.
  void add(int64_t step, std::span<const Scalar> scalars);

  const std::filesystem::path& path() const { return path_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void write(const std::string& record);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace moellava
