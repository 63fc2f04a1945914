#!/usr/bin/env python3
"""LoRA adapters against Hugging Face's PEFT, both ways, over the tiny models of tests/golden.

  python3 -m venv peft && peft/bin/pip install torch transformers==4.44.2 peft==0.15.2 sentencepiece pillow
  peft/bin/python tools/check_peft.py build/release/moe-llava

reads     PEFT wraps transformers' model, its matrices are drawn and PEFT saves them: the program's logits with this
          adapter, and the weights that it merges, are PEFT's
merges    the same for models that transformers does not know: weights only
writes    the program trains an adapter, a new one or one of PEFT's: PEFT loads it, no key missing or left over, and
          computes the same logits
trains    one step of the program with an adapter of PEFT: loss and gradients of its matrices are those of PEFT
refuses   what PEFT saves and we do not support: by name

PEFT computes in float64. Differences are relative to the largest magnitude and at most 1e-6 for weights, 1e-5 for all
else; `change` is how far the adapter moves the logits. The exit status is 1 when anything differs."""
import argparse
import functools
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import peft
import torch

import dump_reference as reference
from peft_models import (GOLDEN, LLAMA, MINICPM, MISTRAL, PATTERNS, PHI, QWEN2, REFUSED, SIGLIP, load_base,
                         load_skeleton, logits_of, prompt_of, tensors_of, wrap)

sys.path.insert(0, str(GOLDEN.parent))
import train_tiny_folder  # noqa: E402

TOLERANCES = {"logits": 1e-5, "weights": 1e-6, "loss": 1e-5, "gradients": 1e-5}
READ = [*((base, "plain", {}) for base in (LLAMA, PHI, MISTRAL, QWEN2, MINICPM, SIGLIP)), (QWEN2, "patterns", PATTERNS),
        (QWEN2, "target pattern", {"target_modules": r".*\.(q_proj|experts\.1\.up_proj)"}),
        (QWEN2, "some layers", {"layers_to_transform": [1, 3]}), (QWEN2, "but one", {"exclude_modules": ["o_proj"]}),
        (QWEN2, "gaussian", {"init_lora_weights": "gaussian"}), (QWEN2, "fan in", {"fan_in_fan_out": True}),
        (SIGLIP, "all-linear", {"target_modules": "all-linear", "exclude_modules": r".*mm_projector.*"})]
MERGED = ["llama/ckpt", "phi/ckpt", "qwen/ckpt", "qwen/ckpt_dense", "stablelm/ckpt"]
WRITTEN = [(LLAMA, "2", None), (PHI, "2", None), (SIGLIP, "3", None), (QWEN2, "finetune", None),
           (QWEN2, "finetune", PATTERNS)]
TRAINED = [LLAMA, PHI, SIGLIP]  # dense: the loss of a mixture of experts has more in it than PEFT knows


def fail(message):
    raise SystemExit(f"check_peft: {message}")


def relative(found, expected):
    if found.shape != expected.shape:
        return float("inf")
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())


def tower_of(base):
    return GOLDEN / ("siglip/tower" if base == SIGLIP else "clip_tiny")


class Program:
    def __init__(self, path, work):
        self.path, self.work = path, work

    def run(self, *arguments, code=0):
        done = subprocess.run([self.path, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != code:
            fail(f"{' '.join(map(str, arguments))}: exit status {done.returncode}: {done.stderr}")
        return done.stderr

    def dump(self, adapter, base, code=0):
        """The logits, and what the tower sees; with another exit status than 0, what is told."""
        out, ids = self.work / "dump", self.work / "ids.json"
        ids.write_text(json.dumps(prompt_of(base)))
        told = self.run("dump", "--model", adapter, "--model-base", GOLDEN / base, "--vision-tower", tower_of(base),
                        "--image", GOLDEN / "image/img0.png", "--ids", ids, "--threads", 1, "--out", out, code=code)
        if code != 0:
            return told
        return torch.from_numpy(numpy.load(out / "logits.npy")), torch.from_numpy(numpy.load(out / "vision.npy")[0])

    def merged(self, adapter, base):
        self.run("merge", "--model", adapter, "--model-base", GOLDEN / base, "--vision-tower", tower_of(base), "--out",
                 self.work / "merged")
        return tensors_of(self.work / "merged")

    def train(self, base, stage, adapter, *flags):
        data = self.work / "data"
        train_tiny_folder.write_data(data)
        self.run("train", "--stage", stage, "--model_name_or_path", GOLDEN / base, "--vision_tower", tower_of(base),
                 "--data_path", data / "data.json", "--image_folder", data / "images", "--output_dir", adapter,
                 "--per_device_train_batch_size", 2, "--learning_rate", 1e-2, "--feature_cache", "none", "--threads", 1,
                 "--lora_enable", "True", *flags)


def check_reading(base, form, settings, program):
    wrapped, adapter = wrap(base, settings), program.work / "adapter"
    wrapped.save_pretrained(adapter, safe_serialization=form != "patterns")  # that one as adapter_model.bin
    found, vision = program.dump(adapter, base)
    expected = logits_of(wrapped.get_base_model(), base, vision)
    weights = compare_weights(program.merged(adapter, base), wrapped)
    return {"change": relative(logits_of(load_base(base), base, vision), expected), "logits": relative(found, expected),
            "weights": weights}


def compare_weights(ours, wrapped):
    wrapped.double()
    theirs = wrapped.merge_and_unload().state_dict()
    odd = set(theirs) - set(ours) - {"lm_head.weight"}  # which may be the words
    if odd:
        fail(f"merging leaves out {sorted(odd)}")
    return max(relative(ours[name], theirs[name]) for name in theirs if name in ours)


def check_merging(base, program):
    wrapped, adapter = wrap(base, {}, load_skeleton), program.work / "adapter"
    wrapped.save_pretrained(adapter)
    return {"weights": compare_weights(program.merged(adapter, base), wrapped)}


def check_writing(base, stage, of_peft, program):
    adapter, flags = program.work / "trained", ["--lora_r", 4, "--lora_alpha", 8, "--only_lora_ffn", "False"]
    if of_peft:
        wrap(base, of_peft).save_pretrained(program.work / "adapter")
        flags = ["--lora_weight_path", program.work / "adapter"]
    if stage == "3":
        flags += ["--num_experts", reference.EXPERTS]
    program.train(base, stage, adapter, "--max_steps", 4, *flags)
    config = json.loads((adapter / "config.json").read_text())
    model = load_base(base, config["moe"]["moe_layers_idx"] if stage == "3" else ())
    wrapped = peft.PeftModel.from_pretrained(model, adapter).eval()
    keys = wrapped.load_adapter(adapter, "again")
    odd = keys.unexpected_keys + [name for name in keys.missing_keys if ".again." in name]
    whole = torch.load(adapter / "non_lora_trainables.bin", weights_only=True)
    odd += wrapped.load_state_dict(whole, strict=False).unexpected_keys
    if odd:
        fail(f"{base}: keys missing or left over: {odd}")
    found, vision = program.dump(adapter, base)
    expected = logits_of(wrapped.get_base_model(), base, vision)
    return {"change": relative(logits_of(load_base(base), base, vision), expected), "logits": relative(found, expected)}


def check_training(base, program):
    """The embeddings [B, T, H] and labels [B, T] of the step are the program's; what pads them is behind the rest."""
    wrapped, adapter, step = wrap(base, {}).double(), program.work / "adapter", program.work / "step"
    wrapped.save_pretrained(adapter)
    program.train(base, "2", program.work / "trained", "--max_steps", 1, "--lora_weight_path", adapter,
                  "--lora_dropout", 0, "--dump_step", step)
    embeddings = torch.from_numpy(numpy.load(step / "embeddings.npy")).double()
    labels = torch.from_numpy(numpy.load(step / "labels.npy")).long()
    with torch.enable_grad():
        loss = wrapped.get_base_model()(inputs_embeds=embeddings, labels=labels).loss
        loss.backward()
    found = json.loads((program.work / "trained/trainer_state.json").read_text())["log_history"][0]["loss"]
    worst, matrices = 0, 0
    for name, matrix in wrapped.get_base_model().named_parameters():
        if ".lora_" in name:
            gradient = numpy.load(step / f"gradients/{name.replace('.default', '')}.npy")
            worst, matrices = max(worst, relative(torch.from_numpy(gradient), matrix.grad)), matrices + 1
    if matrices == 0:
        fail(f"{base}: no matrix has a gradient")
    return {"loss": abs(found - float(loss)) / float(loss), "gradients": worst}


def check_refusal(name, settings, program):
    adapter = program.work / "adapter"
    wrap(QWEN2, {"target_modules": ["q_proj"]} | settings).save_pretrained(adapter)
    told = program.dump(adapter, QWEN2, code=3)
    if name not in told:
        fail(f"{name} is not told: {told}")
    return {}


def checks():
    """What, over which base, how, and the function that does it."""
    for base, form, settings in READ:
        yield "reads", base, form, functools.partial(check_reading, base, form, settings)
    for base in MERGED:
        yield "merges", base, "plain", functools.partial(check_merging, base)
    for base, stage, of_peft in WRITTEN:
        form = f"stage {stage}" + (", goes on" if of_peft else "")
        yield "writes", base, form, functools.partial(check_writing, base, stage, of_peft)
    for base in TRAINED:
        yield "trains", base, "plain", functools.partial(check_training, base)
    for name, settings in REFUSED.items():
        yield "refuses", QWEN2, name, functools.partial(check_refusal, name, settings)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path, metavar="MOE_LLAVA", help="the program")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    differs = 0
    columns = ["change", *TOLERANCES]
    print("| " + " | ".join(["what", "model", "form", *columns]) + " |\n" + "|---" * (3 + len(columns)) + "|")
    for number, (what, base, form, check) in enumerate(checks(), 1):
        print(f"check {number}: {what} {base}, {form}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as work:
            found = check(Program(options.program.resolve(), pathlib.Path(work)))
        cells = [f"{found[kind]:.1e}" if kind in found else "" for kind in columns]
        print("| " + " | ".join([what, base, form, *cells]) + " |", flush=True)
        differs += any(not found[kind] <= most for kind, most in TOLERANCES.items() if kind in found)
        differs += found.get("change", 1) < 0.1  # an adapter that does nothing shows nothing
    sys.exit(1 if differs else 0)


if __name__ == "__main__":
    main()
