// Pictures as a tower takes them; decoded in the background, they are ready when a batch asks for them.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "image/image.hpp"
#include "train/dataset.hpp"

namespace moellava {

// Decoded and brought to the tower's size, [3, S, S]. Throws BadData naming `where`, the record that shows
// it, and the file.
std::vector<float> load_pixels(const IndexedDataset& dataset, size_t picture, const std::string& where,
                               const PreprocessConfig& preprocess);

class PictureLoader {
 public:
  using Load = std::function<std::vector<float>(size_t picture)>;

  // `load` is called in `threads` threads; what it throws, take throws.
  PictureLoader(Load load, size_t threads);
  ~PictureLoader();  // what was asked for and not begun is forgotten
  PictureLoader(const PictureLoader&) = delete;
  PictureLoader& operator=(const PictureLoader&) = delete;

  // Loads them in this order. One that is asked for already, and not taken, is not loaded twice.
  void request(const std::vector<size_t>& pictures);
  bool asked_for(size_t picture) const;  // and not taken
  // Waits for a picture that was asked for, and forgets it; loads any other one now.
  std::vector<float> take(size_t picture);

 private:
  struct Slot {
    bool done = false;
    std::vector<float> pixels;
    std::exception_ptr failure;
  };

  void work();

  Load load_;
  mutable std::mutex mutex_;
  std::condition_variable wanted_, done_;
  std::deque<size_t> queue_;
  std::map<size_t, Slot> slots_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace moellava
