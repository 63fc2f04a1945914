#include "train/picture_loader.hpp"

#include "base/error.hpp"

namespace moellava {

std::vector<float> load_pixels(const IndexedDataset& dataset, size_t picture, const std::string& where,
                               const PreprocessConfig& preprocess_config) {
  const PictureFile found = dataset.picture(picture, where);
  const MappedFile file(found.path);
  const std::string name = where + ": " + printable(found.path.string());
  const Image image = decode_image(file.bytes(), name);
  try {
    return preprocess(image, preprocess_config);
  } catch (const Error& error) {
    throw Error(error.kind(), name + ": " + error.what());
  }
}

PictureLoader::PictureLoader(Load load, size_t threads) : load_(std::move(load)) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

PictureLoader::~PictureLoader() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wanted_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void PictureLoader::request(const std::vector<size_t>& pictures) {
  {
    const std::lock_guard lock(mutex_);
    for (size_t picture : pictures) {
      if (slots_.try_emplace(picture).second) queue_.push_back(picture);
    }
  }
  wanted_.notify_all();
}

bool PictureLoader::asked_for(size_t picture) const {
  const std::lock_guard lock(mutex_);
  return slots_.contains(picture);
}

std::vector<float> PictureLoader::take(size_t picture) {
  std::unique_lock lock(mutex_);
  const auto slot = slots_.find(picture);
  if (slot == slots_.end()) {
    lock.unlock();
    return load_(picture);
  }
  done_.wait(lock, [&] { return slot->second.done; });
  Slot taken = std::move(slot->second);
  slots_.erase(slot);
  if (taken.failure) std::rethrow_exception(taken.failure);
  return std::move(taken.pixels);
}

void PictureLoader::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wanted_.wait(lock, [&] { return ending_ || !queue_.empty(); });
    if (ending_) return;
    const size_t picture = queue_.front();
    queue_.pop_front();
    lock.unlock();
    Slot loaded{.done = true, .pixels = {}, .failure = {}};
    try {
      loaded.pixels = load_(picture);
    } catch (...) {
      loaded.failure = std::current_exception();
    }
    lock.lock();
    slots_[picture] = std::move(loaded);
    done_.notify_all();
  }
}

}  // namespace moellava
