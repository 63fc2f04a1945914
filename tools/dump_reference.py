#!/usr/bin/env python3
"""Writes tiny random models in the published layout, and the numbers that Hugging Face's transformers gets from them,
into tests/golden/{mistral,qwen2,minicpm,siglip}. A developer's tool, run by hand: tests read what it wrote.

  python3 -m venv reference && reference/bin/pip install torch transformers==4.44.2 sentencepiece safetensors pillow
  reference/bin/python tools/dump_reference.py            # all of them
  reference/bin/python tools/dump_reference.py qwen2      # one

mistral, qwen2   transformers' own models; the feed-forwards of layers 0 and 2 are mixtures of experts, written here as
                 a loop over tokens (top 2, renormalised, capacity by order, no noise)
minicpm          transformers' Llama layers under MiniCPM's three scales (bit for bit what the original's own
                 modeling_minicpm.py computes); words unscaled, as in MoE-LLaVA's training
siglip           SiglipVisionModel and SiglipImageProcessor, and a small dense qwen2 that sees with it
The first three see through tests/golden/clip_tiny. Weights are rounded to bfloat16, numbers are float32.

Beside each checkpoint, prompts/p0.json (prompt, ids, greedy ids), p0_logits [T, V], p0_router_logits [L, T, E],
p0_top_idx [L, T, 2], p0_combine [L, T, E]; and labels.json, ids and labels of LLaVA's preprocess_v1, for the
tokenizers with a BOS."""
import argparse
import copy
import json
import math
import pathlib
import shutil

import numpy
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from torch import nn

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests/golden"
IMAGE, IGNORE = -200, -100
HIDDEN, LAYERS, HEADS, KEY_HEADS, INNER = 48, 4, 4, 2, 32
EXPERTS, MOE_LAYERS = 3, [0, 2]  # up to 4 experts drop nothing, so that greedy tokens do not depend on the cache
GREEDY = 12
PROMPT = "USER: <image>\nWhat is shown here? ASSISTANT:"
WORDS = """A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful,
detailed, and polite answers to the user's questions. USER: What is shown in this image? ASSISTANT: It shows a red boat
on the water near a small house. USER: How many birds are there? ASSISTANT: There are three birds above the trees."""


def fill(module, seed):
    """Values that spread: norms near one, biases small, matrices that keep the size of what goes through them."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in sorted(module.state_dict().items()):
        if not tensor.is_floating_point():
            continue
        values = torch.randn(tensor.shape, generator=generator)
        if tensor.dim() == 1:
            values = 0.1 * values + (1 if "norm" in name and name.endswith("weight") else 0)
        elif name.endswith(("embed_tokens.weight", "position_embedding.weight")):
            values *= 0.2
        else:
            values *= (2 if "wg" in name else 1.2) / math.sqrt(tensor[0].numel())
        tensor.copy_(values.bfloat16().float())


class Moe(nn.Module):
    """DeepSpeed's top-2 layer without noise, token after token. Named so that state_dict() is the published one."""

    def __init__(self, feed_forward):
        super().__init__()
        self.deepspeed_moe = nn.Module()
        self.deepspeed_moe.gate = nn.Module()
        self.deepspeed_moe.gate.wg = nn.Linear(HIDDEN, EXPERTS, bias=False)
        self.deepspeed_moe.experts = nn.Module()
        self.deepspeed_moe.experts.deepspeed_experts = nn.ModuleList(
            copy.deepcopy(feed_forward) for _ in range(EXPERTS))

    def forward(self, x):
        rows = x.reshape(-1, HIDDEN)
        experts = self.deepspeed_moe.experts.deepspeed_experts
        self.logits = self.deepspeed_moe.gate.wg(rows)
        gates = self.logits.softmax(-1)
        self.choice = self.logits.sort(dim=-1, descending=True, stable=True).indices[:, :2]
        capacity = math.ceil(len(rows) / EXPERTS * 2 * 2.0)  # eval_capacity_factor 2.0
        kept = torch.zeros(len(rows), EXPERTS)
        taken = [0] * EXPERTS
        for rank in range(2):  # all first choices before all second ones
            for t in range(len(rows)):
                expert = int(self.choice[t, rank])
                kept[t, expert] = gates[t, expert] if taken[expert] < capacity else 0
                taken[expert] += 1
        self.combine = kept / kept.sum(-1, keepdim=True).clamp_min(torch.finfo(torch.float32).eps)
        out = torch.zeros_like(rows)
        for t, row in enumerate(rows):
            for expert in range(EXPERTS):
                if self.combine[t, expert] > 0:
                    out[t] += self.combine[t, expert] * experts[expert](row)
        return out.view_as(x)


def margin_of_choices(moe):
    """How far the nearest other choice of experts is: a golden must not hang on the last bit."""
    best = moe.logits.sort(dim=-1, descending=True).values
    return float((best[:, :-1] - best[:, 1:])[:, :2].min())


# ---- Tokenizers ------------------------------------------------------------------------------------------------------

def sentencepiece_tokenizer(folder, added=()):
    """A Llama tokenizer of its smallest size: bytes and a few pieces."""
    import sentencepiece
    folder.mkdir(parents=True)
    with open(folder / "tokenizer.model", "wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(WORDS.splitlines()), model_writer=model, vocab_size=310, model_type="bpe",
            byte_fallback=True, character_coverage=1.0, normalization_rule_name="identity",
            remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, minloglevel=2)
    tokenizer = transformers.LlamaTokenizer(str(folder / "tokenizer.model"), legacy=True, pad_token="<unk>")
    tokenizer.add_special_tokens({"additional_special_tokens": [
        transformers.AddedToken(token, special=True, normalized=False) for token in added]})
    tokenizer.save_pretrained(folder)
    return tokenizer


def byte_level_tokenizer(folder):
    """Qwen2's kind of tokenizer.json, trained on a few words."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    cut = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
           r"\s+(?!\S)|\s+")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(cut), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator([WORDS], trainers.BpeTrainer(
        vocab_size=310, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False)
    fast.save_pretrained(folder)
    return fast


def ids_of(tokenizer, text):
    """LLaVA's tokenizer_image_token: the text between pictures by itself, one BOS at the front."""
    chunks = [tokenizer(chunk).input_ids for chunk in text.split("<image>")]
    bos = int(bool(chunks[0]) and chunks[0][0] == tokenizer.bos_token_id)
    ids = chunks[0][:bos]
    for i, chunk in enumerate(chunks):
        ids += ([IMAGE] if i else []) + chunk[bos:]
    return ids


CONVERSATIONS = [["<image>\nWhat is shown?", "A red boat."],
                 ["How many birds are there?", "Three birds.", "Where?", "Above the trees, near the house."],
                 ["Is it\n<image>\na house?", "No, it is a boat", "And this?", "Water: 7 waves."]]


def labelled(tokenizer, end):
    """preprocess_v1 of LLaVA, which MoE-LLaVA's preprocess_openchat repeats."""
    system = WORDS.replace("\n", " ").split(" USER:")[0]
    samples = []
    for turns in CONVERSATIONS:
        rounds = [f"USER: {question} ASSISTANT: {answer}" for question, answer in zip(turns[::2], turns[1::2])]
        rounds[0] = f"{system} {rounds[0]}"
        ids = ids_of(tokenizer, "".join(part + end for part in rounds))
        labels = list(ids)
        at = 1
        labels[:at] = [IGNORE]
        for part in rounds:
            asked = part.split(" ASSISTANT: ")[0] + " ASSISTANT: "
            told = len(ids_of(tokenizer, asked)) - 2
            labels[at:at + told] = [IGNORE] * told
            at += len(ids_of(tokenizer, part))
        assert at == len(ids), "tokenization mismatch"
        samples.append({"system": system, "turns": turns, "ids": ids, "labels": labels})
    return samples


# ---- Models ----------------------------------------------------------------------------------------------------------

def common_config(vocabulary):
    return {"hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS, "num_key_value_heads": KEY_HEADS, "vocab_size": vocabulary,
            "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "attn_implementation": "eager"}


def transformers_logits(model, embeddings):
    return model(inputs_embeds=embeddings, use_cache=False).logits[0]


def minicpm_logits(model, embeddings):
    """MiniCPM's forward from embeddings on; `model` is a Llama with MiniCPM's fields in its config."""
    config, count = model.config, embeddings.shape[1]
    branch = config.scale_depth / math.sqrt(config.num_hidden_layers)
    positions = torch.arange(count)[None]
    mask = torch.full((count, count), torch.finfo(torch.float32).min).triu(1)[None, None]
    x = embeddings
    for layer in model.model.layers:
        turned = model.model.rotary_emb(x, positions)
        attended = layer.self_attn(layer.input_layernorm(x), attention_mask=mask, position_ids=positions,
                                   position_embeddings=turned)[0]
        x = x + attended * branch
        x = x + layer.mlp(layer.post_attention_layernorm(x)) * branch
    x = model.model.norm(x)
    return model.lm_head(x / (config.hidden_size / config.dim_model_base))[0]


def add_experts(model, layers=MOE_LAYERS):
    for index in layers:
        model.model.layers[index].mlp = Moe(model.model.layers[index].mlp)


def add_projector(model, width):
    hidden = model.config.hidden_size
    model.model.mm_projector = nn.Module()
    model.model.mm_projector.image_spatial_proj = nn.Sequential(
        nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden))


def clip_features():
    """Of img0.png as the tiny CLIP sees it: [16, 48], the output of the last layer but one without the class token."""
    tower = transformers.CLIPVisionModel.from_pretrained(GOLDEN / "clip_tiny")
    pixels = torch.from_numpy(numpy.load(GOLDEN / "pixels/img0_pad_pixel_values.npy"))[None]
    return tower(pixels, output_hidden_states=True).hidden_states[-2][0, 1:]


def spliced(model, ids, pictures):
    """[1, T, H]: words embedded plainly, every picture's tokens in the place of its mark."""
    rows, pictures = [], list(pictures)
    for i in ids:
        rows.append(pictures.pop(0) if i == IMAGE else model.model.embed_tokens.weight[i][None])
    return torch.cat(rows)[None]


def greedy(model, logits_of, ids, pictures, choices, end):
    """Up to GREEDY tokens, the end among them, each from a whole pass; no choice may hang on the last bit."""
    written = []
    while len(written) < GREEDY and (not written or written[-1] != end):
        last = logits_of(model, spliced(model, ids + written, pictures))[-1, :choices]
        best, second = last.topk(2).values.tolist()
        assert best - second > 1e-4, "a choice of words is too near: take another seed"
        written.append(int(last.argmax()))
    return written


def multimodal_fields(tower, width, sparse):
    fields = {"mm_image_tower": tower, "mm_video_tower": None, "mm_hidden_size": width, "mm_vision_select_layer": -2,
              "mm_vision_select_feature": "patch", "image_projector_type": "mlp2x_gelu", "image_aspect_ratio": "pad",
              "mm_use_im_start_end": False, "mm_use_im_patch_token": False, "torch_dtype": "bfloat16"}
    if sparse:
        fields["moe"] = {"moe_enable": True, "moe_mode": "sparse", "moe_layers_idx": MOE_LAYERS, "ep_size": 1,
                         "num_experts": [EXPERTS] * len(MOE_LAYERS), "top_k_experts": 2, "capacity_factor": 1.5,
                         "eval_capacity_factor": 2.0, "min_capacity": 0, "use_residual": False,
                         "router_aux_loss_coef": 0.01, "train_modules": ["gate_proj", "up_proj", "down_proj", "wg"]}
    return fields


def save_checkpoint(folder, model, fields, as_torch_bin=False):
    config = model.config.to_diff_dict()
    for key in ("transformers_version", "attn_implementation", "_attn_implementation_autoset"):
        config.pop(key, None)
    (folder / "config.json").write_text(json.dumps(config | fields, indent=2, sort_keys=True) + "\n")
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    tensors = {name: tensor.bfloat16().contiguous() for name, tensor in model.state_dict().items() if name not in tied}
    if as_torch_bin:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def save_numbers(folder, model, logits_of, tokenizer, prompt, features):
    folder = folder / "prompts"
    folder.mkdir()
    ids = ids_of(tokenizer, prompt)
    pictures = [model.model.mm_projector.image_spatial_proj(features)]
    logits = logits_of(model, spliced(model, ids, pictures))
    numpy.save(folder / "p0_logits.npy", logits.numpy())
    moes = [layer.mlp for layer in model.model.layers if isinstance(layer.mlp, Moe)]
    if moes:
        assert min(map(margin_of_choices, moes)) > 1e-4, "a choice of experts is too near: take another seed"
        numpy.save(folder / "p0_router_logits.npy", torch.stack([moe.logits for moe in moes]).numpy())
        numpy.save(folder / "p0_top_idx.npy", torch.stack([moe.choice for moe in moes]).to(torch.int32).numpy())
        numpy.save(folder / "p0_combine.npy", torch.stack([moe.combine for moe in moes]).numpy())
    written = greedy(model, logits_of, ids, pictures, len(tokenizer), tokenizer.eos_token_id)
    question = {"prompt": prompt, "images": ["img0.png"], "input_ids": ids, "greedy_ids": written}
    (folder / "p0.json").write_text(json.dumps(question) + "\n")


def dump_family(folder, model, tokenizer, model_type, class_name, seed, logits_of=transformers_logits, **saving):
    model.config.architectures = [class_name]
    add_experts(model)
    add_projector(model, width=48)
    fill(model, seed)
    model.eval()
    fields = multimodal_fields("openai/clip-vit-tiny-patch14", 48, sparse=True) | {"model_type": model_type}
    save_checkpoint(folder / "ckpt", model, fields, **saving)
    save_numbers(folder, model, logits_of, tokenizer, PROMPT, clip_features())


def dump_mistral(folder):
    """As OpenChat has it: an end of turn of its own, and a window that the prompt is longer than."""
    tokenizer = sentencepiece_tokenizer(folder / "ckpt", added=["<|end_of_turn|>", "<|pad_0|>"])
    config = transformers.MistralConfig(**common_config(len(tokenizer)), sliding_window=24, rope_theta=5000.0,
                                        eos_token_id=tokenizer.convert_tokens_to_ids("<|end_of_turn|>"))
    dump_family(folder, transformers.MistralForCausalLM(config), tokenizer, "moe_llava_mistral",
                "MoELLaVAMistralForCausalLM", seed=1)
    (folder / "labels.json").write_text(json.dumps(labelled(tokenizer, "<|end_of_turn|>")) + "\n")


def dump_qwen2(folder):
    tokenizer = byte_level_tokenizer(folder / "ckpt")
    config = transformers.Qwen2Config(**common_config(len(tokenizer) + 7), rope_theta=1e6, sliding_window=32,
                                      max_window_layers=2, eos_token_id=tokenizer.eos_token_id)
    dump_family(folder, transformers.Qwen2ForCausalLM(config), tokenizer, "moe_llava_qwen1_5",
                "MoELLaVAQwen1_5ForCausalLM", seed=2)


def dump_minicpm(folder):
    tokenizer = sentencepiece_tokenizer(folder / "ckpt")
    config = transformers.LlamaConfig(**common_config(len(tokenizer)), tie_word_embeddings=True, scale_emb=12,
                                      scale_depth=1.4, dim_model_base=16, eos_token_id=2)
    dump_family(folder, transformers.LlamaForCausalLM(config), tokenizer, "moe_llava_minicpm",
                "MoELLaVAMiniCPMForCausalLM", seed=3, logits_of=minicpm_logits, as_torch_bin=True)
    (folder / "labels.json").write_text(json.dumps(labelled(tokenizer, "</s>")) + "\n")


def dump_siglip(folder):
    """A tower of 4 x 4 patches whose pictures are no multiple of a patch, and a dense model that sees with it."""
    size = 58
    vision = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
              "image_size": size, "patch_size": 14, "attn_implementation": "eager"}
    tower = transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**vision)).eval()
    fill(tower, 4)
    (folder / "tower").mkdir(parents=True)
    tensors = {name: tensor.bfloat16().contiguous() for name, tensor in tower.state_dict().items()}
    save_file(tensors, folder / "tower/model.safetensors", metadata={"format": "pt"})
    del vision["attn_implementation"]
    config = {"model_type": "siglip", "vision_config": vision | {"model_type": "siglip_vision_model"}}
    (folder / "tower/config.json").write_text(json.dumps(config, indent=2) + "\n")
    processor = transformers.SiglipImageProcessor(size={"height": size, "width": size})
    processor.save_pretrained(folder / "tower")

    picture = Image.open(GOLDEN / "image/img0.png").convert("RGB")
    side = max(picture.size)
    square = Image.new("RGB", (side, side), (127, 127, 127))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    pixels = processor(square, return_tensors="pt").pixel_values
    states = tower(pixels, output_hidden_states=True).hidden_states[:-1]
    numpy.save(folder / "pixel_values.npy", pixels[0].numpy())
    numpy.save(folder / "hidden_states.npy", torch.cat(states).numpy())

    tokenizer = byte_level_tokenizer(folder / "ckpt")
    config = transformers.Qwen2Config(**common_config(len(tokenizer)) | {"num_hidden_layers": 2},
                                      eos_token_id=tokenizer.eos_token_id)
    config.architectures = ["LlavaQwen1_5ForCausalLM"]
    model = transformers.Qwen2ForCausalLM(config).eval()
    add_projector(model, width=24)
    fill(model, 5)
    fields = multimodal_fields("google/siglip-tiny-patch14", 24, sparse=False) | {"model_type": "llava_qwen1_5"}
    save_checkpoint(folder / "ckpt", model, fields)
    # "patch" leaves out the first token, although it is a patch: as the original does.
    save_numbers(folder, model, transformers_logits, tokenizer, PROMPT, states[-1][0, 1:])


DUMPS = {"mistral": dump_mistral, "qwen2": dump_qwen2, "minicpm": dump_minicpm, "siglip": dump_siglip}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", choices=[[], *DUMPS], metavar="FAMILY", help=", ".join(DUMPS))
    parser.add_argument("--out", type=pathlib.Path, default=GOLDEN, help="folder to write into (tests/golden)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        for name in options.families or DUMPS:
            folder = options.out / name
            shutil.rmtree(folder, ignore_errors=True)
            DUMPS[name](folder)
            print(name, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()), "bytes")


if __name__ == "__main__":
    main()
