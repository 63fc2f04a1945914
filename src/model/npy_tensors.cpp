#include "model/npy_tensors.hpp"

#include <algorithm>
#include <cmath>

#include "files/npy.hpp"

namespace moellava {

namespace {

// [L, ...] of one field of all MoE layers; `absent` stands for experts that a layer does not have.
template <typename Field>
at::Tensor stacked(std::span<const Routing> routing, double absent, Field field) {
  std::vector<at::Tensor> layers;
  int64_t widest = 0;
  for (const Routing& layer : routing) {
    layers.push_back(field(layer));
    widest = std::max(widest, layers.back().size(1));
  }
  for (at::Tensor& layer : layers) layer = at::constant_pad_nd(layer, {0, widest - layer.size(1)}, absent);
  return at::stack(layers);
}

}  // namespace

at::Tensor read_tensor(const std::filesystem::path& path) {
  const NpyArray array = read_npy(path);
  return at::tensor(array.values).view(array.shape);
}

void write_tensor(const std::filesystem::path& path, const at::Tensor& tensor) {
  const auto size = static_cast<size_t>(tensor.numel());
  if (tensor.scalar_type() == at::kFloat) {
    const at::Tensor values = tensor.detach().cpu().contiguous();
    write_npy(path, values.sizes(), std::span<const float>(values.data_ptr<float>(), size));
  } else {
    const at::Tensor values = tensor.to(at::kCPU, at::kInt).contiguous();
    write_npy(path, values.sizes(), std::span<const int32_t>(values.data_ptr<int32_t>(), size));
  }
}

void write_routing(const std::filesystem::path& folder, std::span<const Routing> routing) {
  if (routing.empty()) return;
  write_tensor(folder / "router_logits.npy",
               stacked(routing, -INFINITY, [](const Routing& r) { return r.logits; }));
  write_tensor(folder / "top_idx.npy", stacked(routing, 0, [](const Routing& r) { return r.expert; }));
  write_tensor(folder / "combine.npy", stacked(routing, 0, combine_weights));
  write_tensor(folder / "slot.npy", stacked(routing, -1, buffer_slots));
}

}  // namespace moellava
