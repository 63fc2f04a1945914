#!/usr/bin/env python3
"""Every number of a folder of goldens (of the original code, at tiny sizes) against `moe-llava dump`.
Usage: check_goldens.py GOLDENS MOE_LLAVA [FAMILY...]       (needs numpy; exit status 1 when anything differs)

For each family and each of its checkpoints: prompt ids, experts, slots, greedy ids and tokenizer cases must be the
same, pixels the same bits, all else within 1e-4 of the largest magnitude; with the model's own capacity, with dropping,
with the recorded noise. The dense model's logits are compared, too. The table shows the largest differences."""
import collections
import json
import pathlib
import subprocess
import tempfile

import numpy as np

import golden_report

TOLERANCE = 1e-4  # of the largest magnitude
EXACT = {"ids", "pixels", "experts", "slots", "argmax", "greedy", "tokenizer"}
COLUMNS = ["tokenizer", "ids", "pixels", "tower", "projector", "router", "experts", "slots", "combine", "hidden",
           "logits", "argmax", "steps", "greedy"]


class Checkpoint:
    """One model folder: runs the program on it and keeps the largest difference of each kind of array."""

    def __init__(self, goldens, program, folder, out):
        self.goldens, self.program, self.folder, self.out = goldens, program, folder, out
        self.worst = collections.defaultdict(float)
        self.count = collections.Counter()
        self.misses = []

    def dump(self, prompt, *extra):
        command = [self.program, "dump", "--model", self.folder, "--vision-tower",
                   self.goldens / "openai/clip-vit-tiny-patch14", "--threads", "1", "--out", self.out, *extra]
        for image in prompt["images"]:
            command += ["--image", self.goldens / "images" / image]
        subprocess.run(command, check=True)

    def found(self, name):
        return np.load(self.out / f"{name}.npy")

    def found_json(self, name):
        return json.loads((self.out / f"{name}.json").read_text())

    def compare(self, kind, found, expected, where):
        found, expected = np.squeeze(np.asarray(found)), np.squeeze(np.asarray(expected))
        self.count[kind] += 1
        if found.shape != expected.shape:
            difference = float("inf")
        elif kind in EXACT:
            difference = float(np.sum(found != expected))
        else:
            difference = float(np.abs(found.astype(np.float64) - expected).max() / np.abs(expected).max())
        self.worst[kind] = max(self.worst[kind], difference)
        if not difference <= (0 if kind in EXACT else TOLERANCE):
            self.misses.append(f"{self.folder}: {where}: {kind} differ by {difference:g}")

    def compare_files(self, prefix, names, where):
        """Arrays that the dump and the goldens have under the same name, those that are there."""
        for kind, name in names.items():
            path = pathlib.Path(f"{prefix}_{name}.npy")
            if path.exists():
                self.compare(kind, self.found(name), np.load(path), where)

    def compare_logits(self, prefix, where):
        """All of them where the goldens have all; else the last rows, and of every row the first largest and the
        logarithm of the summed exponentials."""
        logits = self.found("logits")
        last = pathlib.Path(f"{prefix}_logits_last48.npy")
        if not last.exists():
            self.compare("logits", logits, np.load(f"{prefix}_logits.npy"), where)
            return
        self.compare("logits", logits[-48:], np.load(last), where)
        self.compare("argmax", logits.argmax(1), np.load(f"{prefix}_argmax.npy"), where)
        top = logits.max(1)
        sums = top + np.log(np.exp(logits.astype(np.float64) - top[:, None]).sum(1))
        self.compare("logits", sums, np.load(f"{prefix}_logsumexp.npy"), f"{where}, logsumexp")

    def check_pictures(self):
        names = sorted(path.name for path in (self.goldens / "images").iterdir() if path.suffix in (".png", ".jpg"))
        self.dump({"images": names}, "--prompt", "?")
        for i, name in enumerate(names):
            stem = pathlib.Path(name).stem
            family = self.folder.parent
            for kind, mine, golden in (("pixels", "preprocessed", self.goldens / f"preprocess/{stem}_pad_pixel_values"),
                                       ("tower", "vision", self.goldens / f"vision/{stem}_selected"),
                                       ("projector", "projector", family / f"projector/{stem}")):
                self.compare(kind, self.found(mine)[i], np.load(f"{golden}.npy"), stem)

    def check_prompt(self, path):
        prompt = json.loads(path.read_text())
        prefix = path.with_suffix("")
        text = ["--raw", "--prompt", prompt["prompt"]]
        arrays = {"router": "router_logits", "experts": "top_idx", "slots": "slot", "combine": "combine",
                  "hidden": "hidden_states"}
        self.dump(prompt, *text, "--greedy", "16")
        self.compare("ids", self.found_json("ids"), prompt["input_ids"], path.stem)
        self.compare("greedy", self.found_json("greedy"), prompt["greedy_official_ids"], path.stem)
        self.compare_files(prefix, arrays, path.stem)
        self.compare_logits(prefix, path.stem)
        for variant, flags in (("drop", ["--capacity-factor", str(prompt["drop"]["eval_capacity_factor"])]),
                               ("noise", ["--router-noise", f"{prefix}_noise_gumbel.npy"])):
            if not pathlib.Path(f"{prefix}_{variant}_combine.npy").exists():
                continue
            self.dump(prompt, *text, *flags)
            self.compare_files(f"{prefix}_{variant}", arrays, f"{path.stem} {variant}")
            if pathlib.Path(f"{prefix}_{variant}_logits.npy").exists():
                self.compare_logits(f"{prefix}_{variant}", f"{path.stem} {variant}")
        self.check_steps(prompt, prefix)

    def check_steps(self, prompt, prefix):
        """The logits from which each greedy token was chosen (over the whole vocabulary), all in one pass."""
        ids = prompt["greedy_full_vocab_ids"]
        whole = self.out / "whole.json"
        whole.write_text(json.dumps(prompt["input_ids"] + ids[:-1]))
        self.dump(prompt, "--ids", whole)
        self.compare("steps", self.found("logits")[-len(ids):], np.load(f"{prefix}_greedy_step_logits.npy")[:len(ids)],
                     f"{prefix.name} steps")

    def check_tokenizer(self):
        for case in json.loads((self.folder.parent / "tokenizer_cases.json").read_text(encoding="utf-8")):
            done = subprocess.run([self.program, "tokenize", "--model", self.folder], input=case["text"].encode(),
                                  capture_output=True, check=True)
            self.compare("tokenizer", json.loads(done.stdout), case["ids"], repr(case["text"]))

    def check(self):
        prompts = sorted(self.folder.parent.glob("prompts/p?.json"))
        if self.folder.name == "ckpt_dense":
            prompt = json.loads(prompts[0].read_text())
            self.dump(prompt, "--raw", "--prompt", prompt["prompt"])
            self.compare("logits", self.found("logits"), np.load(f"{prompts[0].with_suffix('')}_dense_logits.npy"),
                         f"{prompts[0].stem} dense")
            return
        self.check_tokenizer()
        self.check_pictures()
        for path in prompts:
            self.check_prompt(path)

    def row(self):
        cells = [f"{self.folder.parent.name}/{self.folder.name}"]
        for kind in COLUMNS:
            if not self.count[kind]:
                cells.append("")
            elif kind in EXACT:
                cells.append(f"{self.count[kind]} same" if self.worst[kind] == 0 else f"{self.worst[kind]:g} differ")
            else:
                cells.append(f"{self.worst[kind]:.1e}")
        return "| " + " | ".join(cells) + " |"


def check(goldens, program, family):
    for folder in sorted((goldens / family).glob("ckpt_*")):
        with tempfile.TemporaryDirectory() as out:
            checkpoint = Checkpoint(goldens, program, folder, pathlib.Path(out))
            checkpoint.check()
        yield checkpoint.row(), checkpoint.misses


if __name__ == "__main__":
    golden_report.main(__doc__, "prompts", ["checkpoint", *COLUMNS], check)
