#!/usr/bin/env python3
"""A training step of stage 3 against the original's: dispatch by dense [tokens, experts, capacity] einsum, written in
PyTorch (original.py; libtorch of the same version), with logits of all positions and torch.optim.AdamW. Both sides
start from the same weights, compute in turns, and must come to the same numbers.

  python3 -m venv /tmp/bench && /tmp/bench/bin/pip install torch==2.11.0 numpy
  cmake --build --preset release --target train_step
  /tmp/bench/bin/python bench/train_step.py build/release/bench/train_step

Rows: the MoE layer, forward and backward, with experts of two matrices (Phi's) and of three (Llama's); a whole step of 8
samples, each a picture's 49 features and 80 words, in SmolLM2-135M with experts in every other layer; the same when the
original runs its vision tower, as it does in every step, where we read what the tower saw from the feature cache:
EfficientNet-Lite0, which the demo has, also in bfloat16, as the recipe and the demo's preset train, and CLIP-Large of 336
pixels, 576 features a picture, with 4 samples. The last one needs 20 GB of memory: there the sides run one after the
other. Both sides are as they come: our program keeps freed memory between steps, PyTorch does so with --kept-memory. Exit
status 1 when results differ or a ratio is below its bar.

Two threads need two idle cores: where others compute, --threads 1 is the fairer measure."""
import argparse
import ctypes
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

import torch

import original
from original import BALANCE, IGNORE, WIDTH, fill, hashed

LEARNING_RATE, WORDS, TRAINED_WORDS = 2e-4, 80, 24


class Row(NamedTuple):
    what: str
    kind: str
    size: int  # tokens of a layer, samples of a step
    tower: bool
    bar: float
    agreement: float = 1e-3  # of the results, relative


ROWS = [
    Row("MoE layer of two matrices, 1,024 tokens", "plain-layer", 1024, False, 2.3),
    Row("MoE layer of two matrices, 2,048 tokens", "plain-layer", 2048, False, 3.0),
    Row("MoE layer of three matrices, 1,024 tokens", "gated-layer", 1024, False, 2.3),
    Row("MoE layer of three matrices, 2,048 tokens", "gated-layer", 2048, False, 3.0),
    Row("whole step", "step", 8, False, 1.6),
    Row("whole step, EfficientNet-Lite0 or cache", "step", 8, True, 3.0),
    Row("whole step in bfloat16, EfficientNet-Lite0 or cache", "bf16-step", 8, True, 3.0, 1e-2),
    Row("whole step, CLIP-Large or cache", "clip-step", 4, True, 3.0),
]
EXPERT_OF_KIND = {"plain-layer": original.PlainFeedForward, "gated-layer": original.GatedFeedForward}


class Pictures(NamedTuple):
    tokens: int
    width: int
    pixels: int
    tower: type


PICTURES_OF_KIND = {"step": Pictures(49, 1280, 224, original.efficientnet_lite0),
                    "bf16-step": Pictures(49, 1280, 224, original.efficientnet_lite0),
                    "clip-step": Pictures(576, 1024, 336, original.ClipLarge)}


# --- The original's work -------------------------------------------------------------------------

class LayerWork:
    def __init__(self, kind, tokens):
        self.layer = original.DenseDispatch(EXPERT_OF_KIND[kind])
        fill(self.layer)
        self.x = hashed((tokens, WIDTH), 1, 1).requires_grad_()
        self.gradient = hashed((tokens, WIDTH), 1, 2)

    def run(self):
        self.layer.zero_grad()
        self.x.grad = None
        hidden, balance = self.layer(self.x)
        torch.autograd.backward([hidden, balance], [self.gradient, torch.tensor(BALANCE)])

    def result(self):
        return self.x.grad.abs().sum().item()


class StepWork:
    def __init__(self, kind, samples, tower):
        pictures = PICTURES_OF_KIND[kind]
        self.model = original.Model(pictures.width)
        fill(self.model)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(".mlp." in name or "projector" in name)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.trained, self.masters = trained, trained
        dtype = torch.float32
        if kind == "bf16-step":  # as DeepSpeed: float32 copies for the optimiser, routers in float32
            dtype = torch.bfloat16
            self.masters = [parameter.detach().clone().requires_grad_() for parameter in trained]
            for name, parameter in self.model.named_parameters():
                if ".wg." not in name:
                    parameter.data = parameter.data.to(dtype)
        self.optimiser = torch.optim.AdamW(self.masters, lr=LEARNING_RATE, weight_decay=0)
        self.features = torch.stack([hashed((pictures.tokens, pictures.width), 1, 1_000_000 + i) for i in range(samples)])
        self.features = self.features.to(dtype)
        self.tower = pictures.tower().to(dtype) if tower else None
        self.pixels = hashed((samples, 3, pictures.pixels, pictures.pixels), 1, 3).to(dtype)
        self.ids = torch.arange(samples * WORDS).view(samples, WORDS) * 61 % 49000
        self.labels = torch.full((samples, pictures.tokens + WORDS), IGNORE)
        self.labels[:, -TRAINED_WORDS:] = self.ids[:, -TRAINED_WORDS:]
        self.loss = 0

    def run(self):
        if self.tower is not None:  # only for its time: both sides go on with the same features
            with torch.no_grad():
                self.tower(self.pixels)
        self.model.zero_grad()
        loss = self.model(self.features, self.ids, self.labels)
        loss.backward()
        self.update()
        self.loss = loss.item()

    def update(self):
        if self.masters is self.trained:
            self.optimiser.step()
            return
        for master, parameter in zip(self.masters, self.trained):
            master.grad = parameter.grad.float()
        self.optimiser.step()
        with torch.no_grad():
            for master, parameter in zip(self.masters, self.trained):
                parameter.copy_(master)

    def result(self):
        return self.loss


def serve(arguments):
    """The other end of Side, as train_step.cpp has it."""
    torch.set_num_threads(arguments.threads)
    libc = ctypes.CDLL(None)
    if arguments.kept_memory:  # what our program does, too: M_MMAP_MAX and M_TRIM_THRESHOLD
        libc.mallopt(-4, 0)
        libc.mallopt(-1, -1)
    kind, size = arguments.serve[0], int(arguments.serve[1])
    work = LayerWork(kind, size) if kind in EXPERT_OF_KIND else StepWork(kind, size, arguments.tower)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        work.run()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"seconds": seconds, "result": work.result(), "peak": peak}), flush=True)


# --- Comparison ----------------------------------------------------------------------------------

class Side:
    """One of the two, in a process of its own; idle while the other computes."""

    def __init__(self, command):
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", command
        self.seconds, self.results, self.peak = [], [], 0

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        self.seconds.append(told["seconds"])
        self.results.append(told["result"])
        self.peak = told["peak"]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def measured(commands, repetitions):
    """A side for each command, in turns."""
    sides = [Side(command) for command in commands]
    for _ in range(repetitions):
        for side in sides:
            side.run()
    for side in sides:
        side.end()
        side.seconds.pop(0)  # the first one warms up
    return sides


def compare(arguments, row):
    """Prints a row of the table; whether it holds."""
    work = [row.kind, row.size]
    ours = [arguments.program, arguments.threads, *work]
    theirs = [sys.executable, __file__, arguments.program, "--threads", arguments.threads, "--serve", *work,
              *(["--tower"] if row.tower else []), *(["--kept-memory"] if arguments.kept_memory else [])]
    repetitions = 1 + (arguments.repeat if row.kind in EXPERT_OF_KIND else arguments.steps)
    if row.kind == "clip-step":
        a, b = measured([ours], repetitions)[0], measured([theirs], repetitions)[0]
    else:
        a, b = measured([ours, theirs], repetitions)
    difference = max(abs(x - y) / abs(y) for x, y in zip(a.results, b.results))
    ratio = statistics.median(y / x for x, y in zip(a.seconds, b.seconds))
    print(f"| {row.what} | {statistics.median(a.seconds):.3f} s | {statistics.median(b.seconds):.3f} s | "
          f"{ratio:.2f} (at least {row.bar}) | {a.peak / 1e9:.2f} GB | {b.peak / 1e9:.2f} GB | {difference:.0e} |",
          flush=True)
    return ratio >= row.bar and difference < row.agreement


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=15, help="repetitions of a layer")
    parser.add_argument("--steps", type=int, default=5, help="repetitions of a step")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--kept-memory", action="store_true",
                        help="PyTorch keeps freed memory between steps, too, which it does not by itself")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--tower", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        return serve(arguments)
    print(f"libtorch {torch.__version__}, {arguments.threads} threads; medians, ratios pair by pair\n\n"
          "| | ours | original | ratio | our memory | its memory | difference |\n|---|---|---|---|---|---|---|")
    rows = [row for row in ROWS if arguments.only in row.what]
    return 0 if all([compare(arguments, row) for row in rows]) else 1


if __name__ == "__main__":
    sys.exit(main())
