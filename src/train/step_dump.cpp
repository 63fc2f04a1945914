#include "train/step_dump.hpp"

#include <map>

#include "base/file_io.hpp"
#include "base/json.hpp"
#include "model/families/family.hpp"
#include "model/npy_tensors.hpp"

namespace moellava {

void dump_forward(const std::filesystem::path& folder, const MicroBatch& batch, const ForwardPass& pass) {
  std::filesystem::create_directories(folder);
  Json ids = Json::array(), labels = Json::array();
  for (const SampleIds& sample : batch.samples) {
    ids.push_back(sample.ids);
    labels.push_back(sample.labels);
  }
  write_file_atomic(folder / "ids.json", ids.dump() + "\n");
  write_file_atomic(folder / "labels.json", labels.dump() + "\n");
  write_tensor(folder / "embeddings.npy", pass.spliced.embeddings);
  write_tensor(folder / "labels.npy", pass.spliced.labels);
  write_routing(folder, pass.output.routing);
}

void dump_gradients(const std::filesystem::path& folder, const std::string& family,
                    const std::vector<NamedParameter>& parameters) {
  // Parameters that are parts of one tensor in the files (q, k, v) come in its order.
  std::map<std::string, std::vector<at::Tensor>> gradients;
  for (const NamedParameter& parameter : parameters) {
    const at::Tensor& gradient = parameter.tensor.grad();
    gradients[family_by_name(family).file_name(parameter.name)].push_back(
        gradient.defined() ? gradient : at::zeros_like(parameter.tensor.detach()));
  }
  std::filesystem::create_directories(folder / "gradients");
  Json norms = Json::object();
  for (const auto& [name, parts] : gradients) {
    const at::Tensor whole = at::cat(parts, 0);
    write_tensor(folder / "gradients" / (name + ".npy"), whole);
    norms[name] = whole.norm().item<double>();
  }
  write_file_atomic(folder / "gradient_norms.json", norms.dump(1) + "\n");
}

}  // namespace moellava
