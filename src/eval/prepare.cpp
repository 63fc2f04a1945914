#include "eval/prepare.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/path_below.hpp"
#include "base/strings.hpp"
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

QuestionPictures::QuestionPictures(const MoeLlava& model, std::filesystem::path folder, bool blank,
                                   bool center_crop)
    : model_(model), preprocess_(model.config().preprocess), folder_(std::move(folder)), blank_(blank) {
  if (center_crop) preprocess_.aspect_ratio = AspectRatio::Square;
}

at::Tensor QuestionPictures::features(const Question& question) {
  if (question.image.empty()) return {};
  if (question.image != last_name_) {
    const at::NoGradGuard no_grad;
    const std::vector<float> values = preprocess(read(question), preprocess_);
    last_features_ =
        model_.encode_images(at::tensor(values).view({1, 3, preprocess_.size, preprocess_.size}));
    last_name_ = question.image;
  }
  return last_features_;
}

Image QuestionPictures::read(const Question& question) const {
  const std::string where = question.where + ": image";
  if (!model_.sees()) throw usage_error(where, "the model sees no pictures");
  const std::string name = where + " \"" + printable(question.image) + "\"";
  if (question.picture != nullptr) {
    if (blank_) return blank_image(preprocess_);
    return decode_image(std::as_bytes(std::span(*question.picture)), name);
  }
  if (folder_.empty()) {
    throw usage_error(where, "the questions have pictures", {.expected = "--image-folder, where they are"});
  }
  const std::filesystem::path path = path_below(folder_, question.image, where);
  if (blank_) return blank_image(preprocess_);
  return decode_image(MappedFile(path).bytes(), name);
}

std::vector<std::string> missing_pictures(std::span<const Question> questions,
                                          const std::filesystem::path& folder) {
  if (folder.empty()) return {};  // is told with the first question that has a picture
  std::unordered_set<std::string> seen;
  std::vector<std::string> missing;
  for (const Question& question : questions) {
    if (question.image.empty() || question.picture != nullptr || !seen.insert(question.image).second)
      continue;
    if (std::filesystem::exists(folder / question.image)) continue;
    missing.push_back((folder / printable(question.image)).string() + " (" + question.where + ")");
  }
  return missing;
}

void require_none_missing(std::span<const std::string> pictures) {
  if (pictures.empty()) return;
  throw bad_data(std::to_string(pictures.size()) + " pictures", "missing",
                 {.found = "no " + joined(pictures)});
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
