// `moe-llava chat`: questions about pictures, answered as they are written.
#include <ATen/core/grad_mode.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>

#include "base/error.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "cli/trace_recorder.hpp"
#include "generate/chat_session.hpp"
#include "routing/trace_file.hpp"

namespace moellava {

namespace {

struct ChatOptions {
  ModelOptions model;
  std::vector<std::string> images;
  std::string prompt;
  std::string system;
  bool no_exif = false;
  bool stats = false;
  std::string trace;
  int64_t max_new_tokens = 512;
  SamplingOptions sampling;
};

constexpr const char* kHelp =
    "/image FILE  show a picture; it stands before the words of the next question, or at its <image>\n"
    "/clear       forget what was said and shown\n"
    "/help        these lines\n"
    "/quit        leave, as the end of the input does\n";

class Chat {
 public:
  explicit Chat(const ChatOptions& options)
      : options_(options),
        loaded_(options.model.load()),
        session_(*loaded_.model, *loaded_.tokenizer, chat_settings()) {
    if (!options.trace.empty())
      recorder_.emplace(*loaded_.model, *loaded_.tokenizer, options.model.model,
                        options.model.moe_run(*loaded_.model).top_k);
    for (const std::string& image : options.images) add_image(image);
  }

  void add_image(const std::string& path) {
    const at::NoGradGuard no_grad;
    const MoeLlava& model = *loaded_.model;
    if (!model.sees())
      throw bad_data(options_.model.model, "this model sees no pictures",
                     {.hint = "give it a --vision-tower"});
    session_.add_picture(model.encode_images(load_pixels(model, path, !options_.no_exif)));
    pictures_.push_back(std::filesystem::absolute(path).string());
  }

  void clear() {
    session_.clear();
    pictures_.clear();
  }

  void ask(const std::string& text) {
    if (recorder_) {
      const std::string number = std::to_string(recorder_->trace().samples.size() + 1);
      recorder_->begin({.id = number, .source = "chat", .category = "", .text = text, .images = pictures_});
    }
    const GenerateResult answer =
        session_.ask(text, [](std::string_view part) { std::cout << part << std::flush; });
    std::cout << std::endl;
    if (options_.stats) print_stats(answer);
    if (recorder_) write_trace(options_.trace, recorder_->trace());
  }

 private:
  ChatSettings chat_settings() {
    ChatSettings settings{.system = options_.system,
                          .max_new_tokens = options_.max_new_tokens,
                          .sampling = options_.sampling,
                          .moe = options_.model.moe_run(*loaded_.model)};
    settings.sampling.seed = options_.model.seed;
    if (!options_.trace.empty())
      settings.on_routing = [this](auto ids, auto routing) { recorder_->add(ids, routing); };
    return settings;
  }

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
  std::optional<TraceRecorder> recorder_;
  ChatSession session_;
  std::vector<std::string> pictures_;  // of the conversation
};

// False at the end of the conversation.
bool obey(Chat& chat, const std::string& line) {
  if (line.empty()) return true;
  if (line == "/quit") return false;
  if (line == "/help") {
    std::fputs(kHelp, stderr);
  } else if (line == "/clear") {
    chat.clear();
  } else if (line == "/image" || line.starts_with("/image ")) {
    if (line.size() <= 7) throw usage_error("/image", "needs a file");
    chat.add_image(line.substr(7));
  } else if (line.starts_with('/') && line.find_first_of(" /", 1) == std::string::npos) {
    throw usage_error(printable(line), "unknown command", {.hint = "/help lists them"});
  } else {
    chat.ask(line);
  }
  return true;
}

void talk(Chat& chat) {
  const bool terminal = ::isatty(STDIN_FILENO) != 0;
  if (terminal) std::fputs("Ask something; /help lists the commands\n", stderr);
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
  command->add_option("--max-new-tokens", options->max_new_tokens, "longest answer")
      ->check(number_from<int64_t>(1, 1 << 20))
      ->group("Sampling")
      ->capture_default_str();
  command
      ->add_option("--trace", options->trace,
                   "write here which experts every token went to, for routing --from-trace")
      ->type_name("FILE")
      ->group("Output");
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
