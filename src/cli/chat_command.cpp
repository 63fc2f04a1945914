// `moe-llava chat`: questions about pictures, answered as they are written.
#include <ATen/core/grad_mode.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <limits>
#include <memory>

#include "base/error.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "generate/engine.hpp"

namespace moellava {

namespace {

struct ChatOptions {
  ModelOptions model;
  std::vector<std::string> images;
  std::string prompt;
  std::string system;
  bool no_exif = false;
  bool stats = false;
  int64_t max_new_tokens = 512;
  SamplingOptions sampling;
};

// Prints an answer as it grows, without the white space around it: that only separates it from its prompt.
class AnswerPrinter {
 public:
  void print(std::string_view part) {
    constexpr const char* kSpace = " \t\r\n";
    waiting_ += part;
    const size_t last = waiting_.find_last_not_of(kSpace);
    if (last == std::string::npos) return;
    const size_t first = text_.empty() ? waiting_.find_first_not_of(kSpace) : 0;
    const std::string ready = waiting_.substr(first, last + 1 - first);
    std::cout << ready << std::flush;
    text_ += ready;
    waiting_.erase(0, last + 1);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::string waiting_;
};

class Chat {
 public:
  explicit Chat(const ChatOptions& options)
      : options_(options), loaded_(options.model.load()), engine_(*loaded_.model, *loaded_.tokenizer) {
    clear();
    for (const std::string& image : options.images) add_image(image);
  }

  // The picture stands before the words of the next turn, as in training.
  void add_image(const std::string& path) {
    const at::NoGradGuard no_grad;
    if (!loaded_.model->sees())
      throw bad_data(options_.model.model, "this model sees no pictures",
                     {.hint = "give it a --vision-tower"});
    features_.push_back(loaded_.model->encode_images(load_pixels(*loaded_.model, path, !options_.no_exif)));
    ++waiting_images_;
  }

  void clear() {
    conversation_ = {};
    conversation_.system = options_.system;
    features_.clear();
    waiting_images_ = 0;
  }

  // When something throws, the conversation is as it was before.
  void ask(const std::string& text) {
    Turn turn{Role::User, {}};
    for (int i = 0; i < waiting_images_; ++i) {
      turn.parts.emplace_back(ImagePart{});
      turn.parts.emplace_back(std::string("\n"));
    }
    turn.parts.emplace_back(text);
    Conversation conversation = conversation_;
    conversation.turns.push_back(std::move(turn));

    GenerateRequest request;
    request.ids = prompt_ids(*loaded_.model, *loaded_.tokenizer, conversation);
    if (!features_.empty()) request.features = at::cat(features_, 0);
    request.max_new_tokens = options_.max_new_tokens;
    request.sampling = options_.sampling;
    request.stop_ids = stop_ids(*loaded_.model, *loaded_.tokenizer);
    request.stop = stop_texts(*loaded_.model, *loaded_.tokenizer);
    AnswerPrinter printer;
    const GenerateResult answer =
        engine_.generate(request, [&](std::string_view part) { printer.print(part); });
    std::cout << std::endl;
    conversation.turns.push_back({Role::Assistant, {printer.text()}});
    conversation_ = std::move(conversation);
    waiting_images_ = 0;
    if (options_.stats) print_stats(answer);
  }

 private:
  static void print_stats(const GenerateResult& answer) {
    const auto prompt = static_cast<double>(answer.prompt_positions - answer.reused_positions);
    const auto written = static_cast<double>(answer.ids.size());
    std::fprintf(stderr,
                 "prompt %.0f positions (%lld more from the cache) %.1f/s, answer %.0f tokens %.1f/s\n",
                 prompt, static_cast<long long>(answer.reused_positions), prompt / answer.prompt_seconds,
                 written, written / answer.decode_seconds);
  }

  const ChatOptions& options_;
  LoadedModel loaded_;
  Engine engine_;
  Conversation conversation_;
  std::vector<at::Tensor> features_;  // each [1, N, W]
  int waiting_images_ = 0;            // given, and not yet part of a turn
};

// False at the end of the conversation.
bool obey(Chat& chat, const std::string& line) {
  if (line.empty()) return true;
  if (line == "/quit") return false;
  if (line == "/clear") {
    chat.clear();
  } else if (line == "/image" || line.starts_with("/image ")) {
    if (line.size() <= 7) throw usage_error("/image", "needs a file");
    chat.add_image(line.substr(7));
  } else {
    chat.ask(line);
  }
  return true;
}

void talk(Chat& chat) {
  const bool terminal = ::isatty(STDIN_FILENO) != 0;
  if (terminal) std::fprintf(stderr, "Commands: /image FILE, /clear, /quit\n");
  std::string line;
  while ((terminal ? std::fputs("> ", stderr) : 0, std::getline(std::cin, line))) {
    // A picture that cannot be read or a question too long does not end the conversation.
    try {
      if (!obey(chat, line)) return;
    } catch (const Error& error) {
      std::fprintf(stderr, "error: %s\n", error.what());
    }
  }
}

}  // namespace

void add_chat_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("chat", "Answer questions about pictures");
  auto options = std::make_shared<ChatOptions>();
  options->model.add_to(*command);
  command->add_option("--image", options->images, "picture file; again for more")->group("Prompt");
  command->add_option("--prompt", options->prompt, "one question; without it, questions are read from stdin")
      ->group("Prompt");
  command->add_option("--system", options->system, "system prompt instead of the style's own")
      ->group("Prompt");
  command->add_flag("--no-exif", options->no_exif, "do not turn pictures as their EXIF data says")
      ->group("Prompt");
  command->add_option("--temperature", options->sampling.temperature, "0: always the likeliest token")
      ->check(number_from(0.0, 100.0))
      ->group("Sampling")
      ->capture_default_str();
  command->add_option("--top-p", options->sampling.top_p, "share of the probability to sample from")
      ->check(number_from(0.0, 1.0))
      ->group("Sampling")
      ->capture_default_str();
  command->add_option("--top-k", options->sampling.top_k, "tokens to sample from (0: all)")
      ->check(number_from<int64_t>(0, 1 << 24))
      ->group("Sampling")
      ->capture_default_str();
  command->add_option("--seed", options->sampling.seed, "of the sampling")
      ->check(number_from<uint64_t>(0, std::numeric_limits<uint64_t>::max()))
      ->group("Sampling")
      ->capture_default_str();
  command->add_option("--max-new-tokens", options->max_new_tokens, "longest answer")
      ->check(number_from<int64_t>(1, 1 << 20))
      ->group("Sampling")
      ->capture_default_str();
  command->add_flag("--stats", options->stats, "print speeds to stderr")->group("Performance");
  command->footer(R"(Examples:
  moe-llava chat --model DIR --image photo.jpg --prompt "What is this?"
  moe-llava chat --model smollm2.gguf --temperature 0.7 --seed 1)");
  command->callback([options, command] {
    Chat chat(*options);
    if (command->get_option("--prompt")->count() > 0) {
      chat.ask(options->prompt);
    } else {
      talk(chat);
    }
  });
}

}  // namespace moellava
