#include "eval/prepare.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/path_below.hpp"
#include "generate/engine.hpp"

namespace moellava {

std::vector<int32_t> question_ids(const MoeLlava& model, const Tokenizer& tokenizer, const std::string& text,
                                  bool has_image) {
  Turn turn{.role = Role::User, .parts = {}};
  if (has_image) turn.parts.emplace_back(ImagePart{});
  turn.parts.emplace_back((has_image ? "\n" : "") + text);
  return prompt_ids(model, tokenizer, {.turns = {std::move(turn)}, .system = ""});
}

Image blank_image(const PreprocessConfig& config) {
  Image image{.width = config.size, .height = config.size, .rgb = {}};
  const auto pixels = static_cast<size_t>(config.size) * static_cast<size_t>(config.size);
  image.rgb.reserve(3 * pixels);
  for (size_t i = 0; i < pixels; ++i) {
    for (float mean : config.mean)
      image.rgb.push_back(static_cast<uint8_t>(std::lround(std::clamp(mean, 0.0F, 1.0F) * 255.0F)));
  }
  return image;
}

QuestionPictures::QuestionPictures(const MoeLlava& model, std::filesystem::path folder, bool blank)
    : model_(model), folder_(std::move(folder)), blank_(blank) {}

at::Tensor QuestionPictures::features(const Question& question) {
  if (question.image.empty()) return {};
  if (question.image != last_name_) {
    const at::NoGradGuard no_grad;
    last_features_ = model_.encode_images(pixels_of(model_, read(question)));
    last_name_ = question.image;
  }
  return last_features_;
}

Image QuestionPictures::read(const Question& question) const {
  const std::string where = question.where + ": image";
  if (!model_.sees()) throw usage_error(where, "the model sees no pictures");
  if (folder_.empty()) {
    throw usage_error(where, "the questions have pictures", {.expected = "--image-folder, where they are"});
  }
  const std::filesystem::path path = path_below(folder_, question.image, where);
  if (blank_) return blank_image(model_.config().preprocess);
  return decode_image(MappedFile(path).bytes(), where + " \"" + printable(question.image) + "\"");
}

std::vector<size_t> picture_order(const std::vector<Question>& questions) {
  std::unordered_map<std::string, size_t> first_seen;
  std::vector<size_t> group(questions.size());
  for (size_t i = 0; i < questions.size(); ++i) {
    // A question without a picture is a group of its own.
    group[i] = questions[i].image.empty() ? i : first_seen.try_emplace(questions[i].image, i).first->second;
  }
  std::vector<size_t> order(questions.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return group[a] < group[b]; });
  return order;
}

}  // namespace moellava
