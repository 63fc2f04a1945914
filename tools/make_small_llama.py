#!/usr/bin/env python3
"""A small Llama with random weights and the tokenizer of a larger one: a language model for experiments that must be
repeated many times (tools/ablate.py, bench/bf16_stability.py). It knows no words yet: stage 2 has to teach it.

  moe-llava train --stage 1 ... --output_dir run/stage1       (any folder of a Llama, with its tokenizer)
  tools/make_small_llama.py run/stage1 small-llama
"""
import argparse
import array
import json
import math
import pathlib
import random
import shutil
import struct

TOKENIZER_FILES = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"
DEVIATION = 0.02  # of every matrix, GPT-2's


def shapes(config):
    """Name and shape of every parameter."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    yield "model.embed_tokens.weight", (config["vocab_size"], width)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for name in "input_layernorm", "post_attention_layernorm":
            yield f"{prefix}{name}.weight", (width,)
        for name in "q_proj", "k_proj", "v_proj", "o_proj":
            yield f"{prefix}self_attn.{name}.weight", (width, width)
        for name in "gate_proj", "up_proj":
            yield f"{prefix}mlp.{name}.weight", (inner, width)
        yield f"{prefix}mlp.down_proj.weight", (width, inner)
    yield "model.norm.weight", (width,)


def write_weights(path, config, seed):
    """model.safetensors: the size of the header, the header, then the values."""
    header, tensors, end = {"__metadata__": {"format": "pt"}}, list(shapes(config)), 0
    for name, shape in tensors:
        begin, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    encoded = json.dumps(header).encode()
    generator = random.Random(seed)
    with open(path, "xb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for _, shape in tensors:
            matrix = len(shape) > 1
            values = (generator.gauss(0, DEVIATION) if matrix else 1 for _ in range(math.prod(shape)))
            file.write(array.array("f", values).tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("like", type=pathlib.Path, help="folder of a Llama: config.json and tokenizer")
    parser.add_argument("out", type=pathlib.Path, help="folder to write")
    parser.add_argument("--width", type=int, default=192, help="hidden size (default 192)")
    parser.add_argument("--inner", type=int, default=512, help="size of the feed-forwards (default 512)")
    parser.add_argument("--layers", type=int, default=6, help="default 6")
    parser.add_argument("--heads", type=int, default=3, help="default 3")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.width % (2 * arguments.heads) != 0:
        parser.error("--width: expected an even number of values for each head")

    config = json.loads((arguments.like / "config.json").read_text(encoding="utf-8"))
    kept = "vocab_size", "rms_norm_eps", "rope_theta", "bos_token_id", "eos_token_id", "max_position_embeddings"
    config = {name: config[name] for name in kept if name in config} | {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "torch_dtype": "float32",
        "hidden_size": arguments.width, "intermediate_size": arguments.inner, "num_hidden_layers": arguments.layers,
        "num_attention_heads": arguments.heads, "num_key_value_heads": arguments.heads, "tie_word_embeddings": True}

    arguments.out.mkdir(parents=True)
    for name in TOKENIZER_FILES:
        if (arguments.like / name).exists():
            shutil.copy(arguments.like / name, arguments.out / name)
    (arguments.out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    write_weights(arguments.out / "model.safetensors", config, arguments.seed)


if __name__ == "__main__":
    main()
