#include "train/data_check.hpp"

#include <ATen/Parallel.h>

#include <algorithm>

#include "base/progress.hpp"
#include "train/picture_loader.hpp"

namespace moellava {

namespace {

constexpr size_t kBlock = 256;  // pictures between two looks at the progress

std::vector<bool> undecodable(const IndexedDataset& dataset, const PreprocessConfig& preprocess) {
  std::vector<bool> bad(dataset.picture_count());
  Progress progress("pictures", static_cast<int64_t>(bad.size()));
  for (size_t begin = 0; begin < bad.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, bad.size() - begin);
    std::vector<char> failed(count);  // not bool: written by several threads
    at::parallel_for(0, static_cast<int64_t>(count), 1, [&](int64_t first, int64_t last) {
      for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i) {
        try {
          load_pixels(dataset, begin + i, "", preprocess);
        } catch (const Error&) {
          failed[i] = true;
        }
      }
    });
    std::copy(failed.begin(), failed.end(), bad.begin() + static_cast<std::ptrdiff_t>(begin));
    progress.update(static_cast<int64_t>(begin + count));
  }
  return bad;
}

}  // namespace

DataReport check_data(const std::vector<std::filesystem::path>& files, const DataCheckOptions& options,
                      const ProblemSink& problems) {
  DataReport report;
  const ProblemSink count = [&](const DataProblem& problem) {
    ++(problem.warning ? report.warnings : report.bad);
    problems(problem);
  };
  IndexedDataset dataset(files, options.data, count);
  if (options.decode && dataset.picture_count() > 0) {
    dataset.drop_samples_showing(
        undecodable(dataset, options.preprocess),
        [&](size_t picture, const std::string& where) {
          load_pixels(dataset, picture, where, options.preprocess);
        },
        count);
  }
  report.samples = dataset.size();
  report.pictures = dataset.picture_count();
  return report;
}

}  // namespace moellava
