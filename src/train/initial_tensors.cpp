#include "train/initial_tensors.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "base/error.hpp"
#include "model/families/family.hpp"
#include "model/npy_tensors.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

// The parameters that one tensor of the files makes up: q, k and v may be one.
std::vector<at::Tensor> parameters_named(MoeLlava& model, const std::string& name) {
  const Family& family = family_by_name(model.config().family);
  std::vector<at::Tensor> found;
  model.visit([&](const std::string& canonical, at::Tensor& tensor) {
    if (canonical == name || family.file_name(canonical) == name) found.push_back(tensor);
  });
  return found;
}

void set_tensor(MoeLlava& model, const fs::path& file) {
  const std::vector<at::Tensor> parameters = parameters_named(model, file.stem().string());
  if (parameters.empty())
    throw bad_data(file.string(), "the model has no such parameter", {.expected = "NAME.npy"});
  const at::Tensor values = read_tensor(file);
  std::vector<int64_t> shape = parameters[0].sizes().vec();
  shape[0] *= static_cast<int64_t>(parameters.size());
  if (values.sizes() != shape) {
    throw bad_data(file.string(), "wrong shape",
                   {.found = c10::str(values.sizes()), .expected = c10::str(at::IntArrayRef(shape))});
  }
  const auto parts = values.chunk(static_cast<int64_t>(parameters.size()), 0);
  for (size_t i = 0; i < parameters.size(); ++i) parameters[i].copy_(parts[i]);
}

}  // namespace

void set_initial_tensors(MoeLlava& model, const fs::path& folder) {
  const at::NoGradGuard no_grad;
  if (!fs::is_directory(folder))
    throw make_error(ErrorKind::Io, printable(folder.string()), "no such folder", {.hint = "--init_tensors"});
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".npy") files.push_back(entry.path());
  }
  if (files.empty()) throw bad_data(folder.string(), "holds no .npy file", {.hint = "--init_tensors"});
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) set_tensor(model, file);
}

}  // namespace moellava
