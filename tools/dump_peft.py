#!/usr/bin/env python3
"""Writes LoRA adapters of Hugging Face's PEFT over the tiny model tests/golden/qwen2 (a mixture of experts), and the
numbers that PEFT gets with them, into tests/golden/peft. A developer's tool, run by hand as check_peft.py is:

  peft/bin/python tools/dump_peft.py

plain, patterns   one adapter each: safetensors at every linear layer; .bin with ranks and alphas of modules, rsLoRA
  logits.npy          the last 8 positions of qwen2's prompt, [8, V], computed in float64, stored in float32
  merged.safetensors  three of the weights that PEFT merges, likewise
refused.json      configs of adapters that are not supported, by what is told of each"""
import argparse
import json
import pathlib
import shutil
import tempfile

import numpy
import peft
import torch
import transformers
from safetensors.torch import save_file

from dump_reference import clip_features
from peft_models import GOLDEN, PATTERNS, QWEN2, REFUSED, logits_of, wrap

KEPT_POSITIONS = 8
EXPERT = "model.layers.2.mlp.deepspeed_moe.experts.deepspeed_experts.1.up_proj.weight"
KEPT_WEIGHTS = ["model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight", EXPERT]


def dump_adapter(folder, settings, safe):
    wrapped = wrap(QWEN2, settings)
    wrapped.save_pretrained(folder, safe_serialization=safe)
    (folder / "README.md").unlink()  # a model card to fill in
    logits = logits_of(wrapped.get_base_model(), QWEN2, clip_features())
    numpy.save(folder / "logits.npy", logits[-KEPT_POSITIONS:].float().numpy())
    merged = wrapped.merge_and_unload().state_dict()
    save_file({name: merged[name].float().contiguous() for name in KEPT_WEIGHTS}, folder / "merged.safetensors")


def refused_configs():
    """Of those that a config tells; others are told by their tensors."""
    configs = {}
    for told, settings in REFUSED.items():
        if settings.keys() <= {"target_modules"}:
            continue
        with tempfile.TemporaryDirectory() as folder:
            wrap(QWEN2, {"target_modules": ["q_proj"]} | settings).save_pretrained(folder)
            configs[told] = json.loads((pathlib.Path(folder) / "adapter_config.json").read_text())
    return configs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=GOLDEN / "peft", help="folder to write (tests/golden/peft)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    dump_adapter(options.out / "plain", {}, safe=True)
    dump_adapter(options.out / "patterns", PATTERNS, safe=False)
    (options.out / "refused.json").write_text(json.dumps(refused_configs(), indent=1, sort_keys=True) + "\n")
    (options.out / "README.md").write_text(
        "# Adapters of PEFT\n\n"
        f"Written by `tools/dump_peft.py`, which says what is what, with peft {peft.__version__}, transformers\n"
        f"{transformers.__version__} and torch {torch.__version__.partition('+')[0]}. Matrices are random numbers of a "
        "fixed seed.\n`tests/peft_test.py` reads them.\n")
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    print(options.out, size, "bytes")


if __name__ == "__main__":
    main()
