// A question as the engine takes it: token ids and the features of its picture.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "eval/questions.hpp"
#include "image/image.hpp"
#include "model/moe_llava.hpp"
#include "text/tokenizer.hpp"

namespace moellava {

// The picture first, a line break, the text, in the model's conversation style, waiting for an answer.
std::vector<int32_t> question_ids(const MoeLlava& model, const Tokenizer& tokenizer, const std::string& text,
                                  bool has_image);

// A plain picture in the mean colour of the model's normalisation: as near to no picture as the tower can
// see.
Image blank_image(const PreprocessConfig& config);

// The pictures of questions, through the tower. The last one is kept: questions about one picture are asked
// in a row. N visual tokens a picture.
class QuestionPictures {
 public:
  // With `blank`, every picture is replaced by blank_image; its file must still be there. With `center_crop`
  // the shorter edge fills the tower's square and the rest is cut off, whatever the model was trained with.
  QuestionPictures(const MoeLlava& model, std::filesystem::path folder, bool blank, bool center_crop = false);

  // [1, N, mm_hidden_size]; undefined for a question without a picture. Throws BadData naming the question's
  // line when the picture is missing, outside the folder or damaged, Usage when the model sees no pictures.
  at::Tensor features(const Question& question);

 private:
  Image read(const Question& question) const;

  const MoeLlava& model_;
  PreprocessConfig preprocess_;
  std::filesystem::path folder_;
  bool blank_;
  std::string last_name_;
  at::Tensor last_features_;
};

// Every picture that is not in its folder, with the first question about it: "folder/a.jpg (q.jsonl:3)".
std::vector<std::string> missing_pictures(std::span<const Question> questions,
                                          const std::filesystem::path& folder);
// Throws BadData that lists them, unless there are none.
void require_none_missing(std::span<const std::string> pictures);

// Indices of the questions, those about one picture together, else in the order of the file.
std::vector<size_t> picture_order(const std::vector<Question>& questions);

}  // namespace moellava
