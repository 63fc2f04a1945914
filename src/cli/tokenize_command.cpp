// `moe-llava tokenize`: text on stdin to ids on stdout, and back.
#include <iostream>
#include <iterator>
#include <memory>

#include "base/error.hpp"
#include "base/json.hpp"
#include "cli/commands.hpp"
#include "model/load.hpp"

namespace moellava {

namespace {

struct TokenizeOptions {
  std::string model;
  bool decode = false;
  bool plain = false;
  bool jsonl = false;
};

std::vector<int32_t> parse_ids(const std::string& text, int32_t size) {
  const Json list = parse_json(text, "stdin");
  if (!list.is_array()) throw bad_data("stdin", "not a JSON list of ids");
  std::vector<int32_t> ids;
  for (const Json& id : list) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= size) {
      throw bad_data("stdin", "not an id",
                     {.found = printable(id.dump()), .expected = "0 to " + std::to_string(size - 1)});
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

std::string parse_text(const std::string& line) {
  const Json text = parse_json(line, "stdin");
  if (!text.is_string()) throw bad_data("stdin", "not a JSON string", {.found = printable(line)});
  return text.get<std::string>();
}

std::string decoded(const Tokenizer& tokenizer, const std::string& ids) {
  return tokenizer.decode(parse_ids(ids, tokenizer.size()), /*skip_special=*/false);
}

Json encoded(const Tokenizer& tokenizer, const std::string& text, bool plain) {
  std::vector<int32_t> ids = tokenizer.encode_text(text, /*trusted=*/!plain);
  if (tokenizer.adds_bos && tokenizer.bos_id) ids.insert(ids.begin(), *tokenizer.bos_id);
  return ids;
}

void tokenize(const TokenizeOptions& options) {
  const auto tokenizer = load_tokenizer(options.model);
  if (options.jsonl) {
    for (std::string line; std::getline(std::cin, line);) {
      const Json answer = options.decode ? Json(decoded(*tokenizer, line))
                                         : encoded(*tokenizer, parse_text(line), options.plain);
      std::cout << answer.dump() << "\n";
    }
    return;
  }
  const std::string input((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
  if (options.decode) {
    std::cout << decoded(*tokenizer, input) << std::flush;
  } else {
    std::cout << encoded(*tokenizer, input, options.plain).dump() << "\n";
  }
}

}  // namespace

void add_tokenize_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("tokenize", "Text on stdin to token ids on stdout, and back");
  auto options = std::make_shared<TokenizeOptions>();
  command->add_option("--model", options->model, "model folder or .gguf file")->required();
  command->add_flag("--decode", options->decode, "a JSON list of ids on stdin to text");
  command->add_flag("--no-special", options->plain, "take special tokens like <|im_end|> as plain text");
  command->add_flag("--jsonl", options->jsonl, "many: a JSON string a line in, a list of ids a line out");
  command->footer(R"(Examples:
  printf 'The capital of France is' | moe-llava tokenize --model smollm2.gguf
  echo '[504, 3575]' | moe-llava tokenize --model smollm2.gguf --decode
  printf '"One text"\n"and another"\n' | moe-llava tokenize --model smollm2.gguf --jsonl)");
  command->callback([options] { tokenize(*options); });
}

}  // namespace moellava
