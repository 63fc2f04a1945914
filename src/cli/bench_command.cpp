// `moe-llava bench`: how fast a model reads and writes here, as shares of what this machine can do at most,
// measured in the same run.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/random.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "generate/engine.hpp"

namespace moellava {

namespace {

struct BenchFlags {
  ModelOptions model;
  int64_t prompt = 64;
  int64_t write = 32;
  bool json = false;
};

struct BenchResult {
  double bandwidth = 0, matmul = 0;  // of the machine: bytes/s when reading, float32 FLOP/s
  double load_seconds = 0, picture_seconds = 0;
  int64_t positions = 0, written = 0;
  double prompt_seconds = 0, write_seconds = 0;
  double prompt_flops = 0, token_bytes = 0;  // of the whole prompt; of one written token
  double peak_bytes = 0;                     // resident memory

  double prompt_share() const { return prompt_flops / prompt_seconds / matmul; }
  double write_rate() const { return static_cast<double>(written) / write_seconds; }
  double write_share() const { return token_bytes * write_rate() / bandwidth; }
};

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double best_of(int runs, const std::function<void()>& work) {
  double best = seconds_of(work);
  for (int run = 1; run < runs; ++run) best = std::min(best, seconds_of(work));
  return best;
}

// Bytes a second when all threads read memory that no cache holds.
double read_bandwidth() {
  const at::Tensor words = at::ones({1 << 27}, at::kLong);  // 1 GiB
  const int64_t* values = words.const_data_ptr<int64_t>();
  std::atomic<int64_t> total = 0;  // so that the reading is not optimised away
  const double seconds = best_of(3, [&] {
    at::parallel_for(0, words.numel(), words.numel() / at::get_num_threads(),
                     [&](int64_t begin, int64_t end) {
                       int64_t sum = 0;
                       for (int64_t i = begin; i < end; ++i) sum += values[i];
                       total += sum;
                     });
  });
  return static_cast<double>(words.nbytes()) / seconds;
}

double matmul_rate() {
  constexpr int64_t kRows = 640, kInner = 2560, kColumns = 10240;  // a prompt through Phi-2's feed-forward
  const at::Tensor x = at::ones({kRows, kInner});
  const at::Tensor weight = at::ones({kColumns, kInner});
  return 2.0 * kRows * kInner * kColumns / best_of(3, [&] { at::linear(x, weight); });
}

bool is_embedding(const std::string& name) {
  return name == "model.embed_tokens.weight";
}

// What one token's pass reads and computes: every weight of the decoder but the embeddings; of experts,
// top-k.
void count_work(MoeLlava& model, int64_t positions, BenchResult& result) {
  const MoeConfig& moe = model.config().moe;
  const double active =
      moe.enabled() ? static_cast<double>(moe.top_k) / static_cast<double>(moe.experts[0]) : 1;
  const bool tied = model.config().decoder.tie_embeddings;
  model.visit([&](const std::string& name, at::Tensor& weight) {
    const bool decoder =
        name.starts_with("model.layers.") || name == "lm_head.weight" || (tied && is_embedding(name));
    if (!decoder || weight.dim() != 2) return;
    const double share = name.find(".deepspeed_experts.") != std::string::npos ? active : 1;
    result.token_bytes += share * static_cast<double>(weight.nbytes());
    // Only the last position of a prompt asks for logits.
    const bool head = !name.starts_with("model.layers.");
    result.prompt_flops += 2 * share * static_cast<double>(weight.numel() * (head ? 1 : positions));
  });
}

GenerateRequest random_request(const MoeLlava& model, const Tokenizer& tokenizer, const BenchFlags& flags,
                               BenchResult& result) {
  GenerateRequest request;
  if (model.sees()) {
    const int64_t side = model.config().vision->image_size;
    const at::Tensor pixels = at::rand({1, 3, side, side});
    result.picture_seconds = seconds_of([&] { request.features = model.encode_images(pixels); });
    request.ids.push_back(kImageTokenId);
  }
  for (int64_t i = 0; i < flags.prompt; ++i)
    request.ids.push_back(static_cast<int32_t>(random_bits(42, 0, static_cast<uint64_t>(i)) % 200 + 20));
  request.max_new_tokens = flags.write;
  if (tokenizer.size() < 256)
    throw bad_data(flags.model.model, "the vocabulary is too small to measure with");
  return request;
}

BenchResult measure(const BenchFlags& flags) {
  const at::NoGradGuard no_grad;
  BenchResult result;
  LoadedModel loaded;
  result.load_seconds = seconds_of([&] { loaded = flags.model.load(); });
  result.bandwidth = read_bandwidth();
  result.matmul = matmul_rate();
  // The first pass brings the weights into memory.
  GenerateRequest warm_up = random_request(*loaded.model, *loaded.tokenizer, flags, result);
  warm_up.max_new_tokens = 2;
  Engine(*loaded.model, *loaded.tokenizer).generate(warm_up);

  const GenerateRequest request = random_request(*loaded.model, *loaded.tokenizer, flags, result);
  const GenerateResult answer = Engine(*loaded.model, *loaded.tokenizer).generate(request);
  result.positions = answer.prompt_positions;
  result.prompt_seconds = answer.prompt_seconds;
  result.written = static_cast<int64_t>(answer.ids.size());
  result.write_seconds = answer.decode_seconds;
  count_work(*loaded.model, result.positions, result);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  result.peak_bytes = static_cast<double>(usage.ru_maxrss) * 1024;
  return result;
}

void print(const BenchResult& r) {
  const auto positions = static_cast<double>(r.positions);
  std::printf("machine   reads %.1f GB/s, multiplies float32 at %.0f GFLOP/s (%d threads)\n",
              r.bandwidth / 1e9, r.matmul / 1e9, at::get_num_threads());
  std::printf("load      %.2f s\n", r.load_seconds);
  if (r.picture_seconds > 0) std::printf("picture   %.2f s\n", r.picture_seconds);
  std::printf("prompt    %lld positions, %.1f tokens/s: %.0f GFLOP/s, %.0f %% of the float32 rate\n",
              static_cast<long long>(r.positions), positions / r.prompt_seconds,
              r.prompt_flops / r.prompt_seconds / 1e9, 100 * r.prompt_share());
  std::printf("writing   %lld tokens, %.2f tokens/s: %.1f GB/s, %.0f %% of the bandwidth\n",
              static_cast<long long>(r.written), r.write_rate(), r.token_bytes * r.write_rate() / 1e9,
              100 * r.write_share());
  std::printf("memory    %.2f GB resident at most\n", r.peak_bytes / 1e9);
}

Json json_of(const BenchResult& r) {
  return {{"bandwidth_bytes_per_second", r.bandwidth},
          {"float32_flops_per_second", r.matmul},
          {"threads", at::get_num_threads()},
          {"load_seconds", r.load_seconds},
          {"picture_seconds", r.picture_seconds},
          {"prompt_positions", r.positions},
          {"prompt_seconds", r.prompt_seconds},
          {"prompt_share_of_float32", r.prompt_share()},
          {"written_tokens", r.written},
          {"write_tokens_per_second", r.write_rate()},
          {"write_share_of_bandwidth", r.write_share()},
          {"peak_resident_bytes", r.peak_bytes}};
}

}  // namespace

void add_bench_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("bench", "How fast a model reads and writes, as shares of what this machine can do");
  auto flags = std::make_shared<BenchFlags>();
  flags->model.add_to(*command);
  command->add_option("--prompt-tokens", flags->prompt, "words of the prompt, besides the picture")
      ->check(number_from<int64_t>(1, 1 << 20))
      ->capture_default_str()
      ->group("Run");
  command->add_option("--write-tokens", flags->write, "tokens to write")
      ->check(number_from<int64_t>(2, 1 << 20))
      ->capture_default_str()
      ->group("Run");
  command->add_flag("--json", flags->json, "for programs")->group("Output");
  command->footer(R"(Examples:
  moe-llava bench --model MoE-LLaVA-Phi2-2.7B-4e
  moe-llava bench --model DIR --prompt-tokens 256 --json

The prompt is a random picture and random words. Shares: a prompt's matrix products per second against float32 products
of the size of Phi-2's feed-forward; the weights that one written token reads against plain reading of memory.)");
  command->callback([flags] {
    const BenchResult result = measure(*flags);
    flags->json ? void(std::cout << json_of(result).dump(1) << "\n") : print(result);
  });
}

}  // namespace moellava
