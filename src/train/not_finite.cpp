#include "train/not_finite.hpp"

#include <ATen/core/grad_mode.h>

namespace moellava {

namespace {

bool finite(const at::Tensor& tensor) {
  return !tensor.defined() || tensor.isfinite().all().item<bool>();
}

}  // namespace

std::string first_not_finite(MoeLlava& model, const ForwardPass& pass) {
  const at::NoGradGuard no_grad;
  std::string parameter;
  model.visit([&](const std::string& name, at::Tensor& tensor) {
    if (parameter.empty() && !finite(tensor)) parameter = name;
  });
  if (!parameter.empty()) return parameter;
  if (!finite(pass.features)) return "output of the vision tower";
  if (!finite(pass.spliced.embeddings)) return "output of the projector";

  std::vector<at::Tensor> hidden;  // at each layer's input, and after the final norm
  DecoderRun run = pass.run;
  run.hidden = &hidden;
  model.decoder().forward(pass.spliced.embeddings, run);
  for (size_t i = 1; i < hidden.size(); ++i) {
    if (finite(hidden[i])) continue;
    const bool last = i + 1 == hidden.size();
    return last ? "output of model.norm" : "output of model.layers." + std::to_string(i - 1);
  }
  for (size_t layer = 0; layer < pass.output.routing.size(); ++layer) {
    if (!finite(pass.output.routing[layer].logits)) return "logits of router " + std::to_string(layer);
  }
  return "logits";
}

}  // namespace moellava
