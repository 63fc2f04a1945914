// The folder a run writes to: made, tried, and locked against a second run.
#pragma once

#include <filesystem>

namespace moellava {

constexpr const char* kEventFolder = "runs";  // below the output folder, for TensorBoard

class OutputFolder {
 public:
  // Throws Io when the folder cannot be made or written, Usage "locked by pid P" when another run holds it. A
  // run that was killed holds nothing: the kernel frees its lock.
  explicit OutputFolder(const std::filesystem::path& path);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  // Throws Usage when files of a model or of a finished run stand here.
  void require_unused() const;
  // Removes checkpoints, event files and the files of a finished run; other files stay.
  void clear() const;
  // Throws Io when less than `bytes` are free.
  void require_space(uint64_t bytes) const;

 private:
  void lock();

  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace moellava
