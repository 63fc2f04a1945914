#include "cli/routing_views.hpp"

#include <algorithm>
#include <filesystem>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace moellava {

namespace {

namespace fs = std::filesystem;

// "" when it is in none of the folders.
fs::path find_picture(const std::string& name, const std::vector<std::string>& folders) {
  if (fs::path(name).is_absolute()) return fs::exists(name) ? fs::path(name) : fs::path();
  for (const std::string& folder : folders) {
    if (fs::exists(fs::path(folder) / name)) return fs::path(folder) / name;
  }
  return {};
}

std::vector<size_t> spread_over(size_t all, size_t count) {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < std::min(all, count); ++i) chosen.push_back(i * all / std::min(all, count));
  return chosen;
}

}  // namespace

std::vector<SampleView> load_views(const RoutingTrace& trace, size_t count,
                                   const std::vector<std::string>& folders) {
  std::vector<SampleView> views;
  std::vector<std::string> missing;
  for (const size_t sample : spread_over(trace.samples.size(), count)) {
    SampleView& view = views.emplace_back(sample_view(trace, sample));
    for (SamplePicture& picture : view.pictures) {
      if (!trace.model.preprocess || (folders.empty() && !fs::path(picture.name).is_absolute())) continue;
      const fs::path path = find_picture(picture.name, folders);
      if (path.empty()) {
        if (std::find(missing.begin(), missing.end(), picture.name) == missing.end())
          missing.push_back(picture.name);
        continue;
      }
      PreprocessConfig config = *trace.model.preprocess;
      if (trace.samples[sample].cropped) config.aspect_ratio = AspectRatio::Square;
      picture.image = fit_to_tower(read_image(path), config);
    }
  }
  if (!missing.empty()) {
    throw bad_data("--image-folder", std::to_string(missing.size()) + " pictures are missing",
                   {.found = "no " + joined(missing, ", ", printable)});
  }
  return views;
}

}  // namespace moellava
