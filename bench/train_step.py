#!/usr/bin/env python3
"""A training step of stage 3 against the original's: dispatch by dense [tokens, experts, capacity] einsum, written here
in PyTorch (libtorch of the same version), with logits of all positions and torch.optim.AdamW. Both sides start from
the same weights, compute in turns, and must come to the same numbers.

  python3 -m venv /tmp/bench && /tmp/bench/bin/pip install torch==2.11.0 numpy
  cmake --build --preset release --target train_step
  /tmp/bench/bin/python bench/train_step.py build/release/bench/train_step

Rows: the MoE layer, forward and backward, at two sizes; a whole step (8 samples, each a picture's 49 features and 80
words, in SmolLM2-135M with experts in every other layer); and the same when the original runs its vision tower
(EfficientNet-Lite0), as it does in every step, where we read what the tower saw from the feature cache. Both sides are
as they come: our program keeps freed memory between steps, PyTorch does so with --kept-memory. Exit status 1 when
results differ or a ratio is below its bar.

Two threads need two idle cores: where others compute, --threads 1 is the fairer measure."""
import argparse
import ctypes
import json
import math
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

# SmolLM2-135M with EfficientNet-Lite0, the models of the demo; train_step.cpp has the same.
VOCAB, WIDTH, INNER, LAYERS, HEADS, KV_HEADS, THETA, EPS = 49152, 576, 1536, 30, 9, 3, 100000, 1e-5
EXPERTS, CAPACITY_FACTOR, BALANCE, LEARNING_RATE = 4, 1.5, 0.01, 2e-4
SAMPLES, WORDS, TRAINED_WORDS, PICTURE_TOKENS, PICTURE_WIDTH = 8, 80, 24, 49, 1280
IGNORE = -100

ROWS = [  # what, tokens of a layer or 0, tower, bar
    ("MoE layer, 1,024 tokens", 1024, False, 2.3),
    ("MoE layer, 2,048 tokens", 2048, False, 3.0),
    ("whole step", 0, False, 1.6),
    ("whole step, tower or cache", 0, True, 3.0),
]


# --- Numbers that both sides make ----------------------------------------------------------------

def hashed(shape, bound, stream):
    x = torch.arange(math.prod(shape)).add_(stream * 0x9e3779b9).bitwise_and_(0xffffffff)
    for _ in range(2):
        x.bitwise_xor_(x >> 16)
        x.mul_(0x45d9f3b).bitwise_and_(0xffffffff)
    x.bitwise_xor_(x >> 16)
    return (x >> 8).float().mul_(1 / (1 << 24)).mul_(2 * bound).sub_(bound).view(shape)


def fill(module):
    with torch.no_grad():
        for stream, (name, tensor) in enumerate(module.named_parameters(), start=10):
            if tensor.dim() < 2:
                tensor.fill_(0 if name.endswith("bias") else 1)
            else:
                tensor.copy_(hashed(tensor.shape, 1 / math.sqrt(tensor.shape[1]), stream))


# --- The original's layer ------------------------------------------------------------------------
# S tokens, E experts, C capacity, M width.

def top2_gating(logits):
    """Combine weights [S, E, C] and the balance loss. The second expert is the second choice, not a sample."""
    tokens = logits.shape[0]
    capacity = math.ceil(tokens / EXPERTS * CAPACITY_FACTOR * 2)
    gates = F.softmax(logits, dim=1)
    first = gates.argmax(dim=1)
    mask1 = F.one_hot(first, EXPERTS)
    second = logits.masked_fill(mask1.bool(), float("-inf")).argmax(dim=1)
    mask2 = F.one_hot(second, EXPERTS)
    location1 = torch.cumsum(mask1, dim=0) - 1
    location2 = torch.cumsum(mask2, dim=0) - 1 + torch.sum(mask1, dim=0, keepdim=True)
    balance = torch.mean(torch.mean(gates, dim=0) * torch.mean(mask1.float(), dim=0)) * EXPERTS * EXPERTS
    mask1 = mask1 * torch.lt(location1, capacity)
    mask2 = mask2 * torch.lt(location2, capacity)
    place1 = torch.sum(location1 * mask1, dim=1)
    place2 = torch.sum(location2 * mask2, dim=1)
    gate1 = torch.einsum("se,se->s", gates, mask1.float())
    gate2 = torch.einsum("se,se->s", gates, mask2.float())
    sums = torch.clamp(gate1 + gate2, min=torch.finfo(gates.dtype).eps)
    gates1 = torch.einsum("s,se->se", gate1 / sums, mask1.float())
    gates2 = torch.einsum("s,se->se", gate2 / sums, mask2.float())
    combine1 = torch.einsum("se,sc->sec", gates1, F.one_hot(place1, capacity).float())
    combine2 = torch.einsum("se,sc->sec", gates2, F.one_hot(place2, capacity).float())
    return combine1 + combine2, balance


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, INNER, bias=False)
        self.up_proj = nn.Linear(WIDTH, INNER, bias=False)
        self.down_proj = nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DenseDispatch(nn.Module):
    def __init__(self):
        super().__init__()
        self.wg = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(FeedForward() for _ in range(EXPERTS))

    def forward(self, x):
        """x [S, M] -> [S, M] and the balance loss."""
        combine, balance = top2_gating(self.wg(x.float()))
        dispatched = torch.einsum("sec,sm->ecm", combine.bool().type_as(x), x)
        outputs = torch.stack([expert(part) for expert, part in zip(self.experts, dispatched)])
        return torch.einsum("sec,ecm->sm", combine.type_as(x), outputs), balance


# --- The original's model ------------------------------------------------------------------------

class RmsNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS))


def rotated(x, cos, sin):
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class Attention(nn.Module):
    """Written out: at these lengths faster on a CPU than the fused kernel."""

    def __init__(self):
        super().__init__()
        self.head = WIDTH // HEADS
        self.q_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.k_proj = nn.Linear(WIDTH, KV_HEADS * self.head, bias=False)
        self.v_proj = nn.Linear(WIDTH, KV_HEADS * self.head, bias=False)
        self.o_proj = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x, cos, sin, mask):
        batch, count, _ = x.shape
        q, k, v = (proj(x).view(batch, count, -1, self.head).transpose(1, 2)
                   for proj in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotated(q, cos, sin), rotated(k, cos, sin)
        k, v = (t.repeat_interleave(HEADS // KV_HEADS, dim=1) for t in (k, v))
        scores = q @ k.transpose(2, 3) / math.sqrt(self.head) + mask
        return self.o_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, count, WIDTH))


class Layer(nn.Module):
    def __init__(self, sparse):
        super().__init__()
        self.input_layernorm = RmsNorm()
        self.self_attn = Attention()
        self.post_attention_layernorm = RmsNorm()
        self.mlp = DenseDispatch() if sparse else FeedForward()

    def forward(self, x, cos, sin, mask):
        """x [B, T, M]; the balance loss is None in dense layers."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        normed = self.post_attention_layernorm(x)
        if not isinstance(self.mlp, DenseDispatch):
            return x + self.mlp(normed), None
        hidden, balance = self.mlp(normed.flatten(0, 1))
        return x + hidden.view_as(x), balance


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCAB, WIDTH)
        self.layers = nn.ModuleList(Layer(sparse=i % 2 == 0) for i in range(LAYERS))
        self.norm = RmsNorm()
        self.projector = nn.Sequential(nn.Linear(PICTURE_WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, features, ids, labels):
        x = torch.cat([self.projector(features), self.embed_tokens(ids)], dim=1)
        count = x.shape[1]
        angle = torch.outer(torch.arange(count).float(), THETA ** -(torch.arange(0, 64, 2).float() / 64))
        angle = torch.cat([angle, angle], dim=-1)
        mask = torch.full((count, count), float("-inf")).triu(1)
        balances = []
        for layer in self.layers:
            x, balance = layer(x, angle.cos(), angle.sin(), mask)
            if balance is not None:
                balances.append(balance)
        logits = F.linear(self.norm(x), self.embed_tokens.weight).float()
        entropy = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORE)
        return entropy + BALANCE * sum(balances)


# --- The original's vision tower -----------------------------------------------------------------

class ConvNorm(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, groups):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x):
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        pad = max((math.ceil(x.shape[2] / stride) - 1) * stride + kernel - x.shape[2], 0)
        return self.norm(self.conv(F.pad(x, (pad // 2, pad - pad // 2) * 2)))


class Block(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, expansion):
        super().__init__()
        inner = inputs * expansion
        self.skips = stride == 1 and inputs == outputs
        self.expand = nn.Sequential(ConvNorm(inputs, inner, 1, 1, 1), nn.ReLU6()) if expansion > 1 else nn.Identity()
        self.depthwise = nn.Sequential(ConvNorm(inner, inner, kernel, stride, inner), nn.ReLU6())
        self.project = ConvNorm(inner, outputs, 1, 1, 1)

    def forward(self, x):
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skips else y


def efficientnet_lite0():
    blocks, width = [ConvNorm(3, 32, 3, 2, 1), nn.ReLU6()], 32
    for repeats, kernel, stride, expansion, outputs in (
            (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
            (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)):
        for i in range(repeats):
            blocks.append(Block(width, outputs, kernel, stride if i == 0 else 1, expansion))
            width = outputs
    return nn.Sequential(*blocks, ConvNorm(320, PICTURE_WIDTH, 1, 1, 1), nn.ReLU6()).eval()


# --- The original's work -------------------------------------------------------------------------

class LayerWork:
    def __init__(self, tokens):
        self.layer = DenseDispatch()
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
    def __init__(self, tower):
        self.model = Model()
        fill(self.model)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(".mlp." in name or "projector" in name)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimiser = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0)
        self.features = torch.stack([hashed((PICTURE_TOKENS, PICTURE_WIDTH), 1, 1_000_000 + i) for i in range(SAMPLES)])
        self.tower = efficientnet_lite0() if tower else None
        self.pixels = hashed((SAMPLES, 3, 224, 224), 1, 3)
        self.ids = torch.arange(SAMPLES * WORDS).view(SAMPLES, WORDS) * 61 % 49000
        self.labels = torch.full((SAMPLES, PICTURE_TOKENS + WORDS), IGNORE)
        self.labels[:, -TRAINED_WORDS:] = self.ids[:, -TRAINED_WORDS:]
        self.loss = 0

    def run(self):
        if self.tower is not None:  # only for its time: both sides go on with the same features
            with torch.no_grad():
                self.tower(self.pixels)
        self.optimiser.zero_grad()
        loss = self.model(self.features, self.ids, self.labels)
        loss.backward()
        self.optimiser.step()
        self.loss = loss.item()

    def result(self):
        return self.loss


def serve(arguments):
    """The other end of Side, as train_step.cpp has it."""
    torch.set_num_threads(arguments.threads)
    libc = ctypes.CDLL(None)
    if arguments.kept_memory:  # what our program does, too: M_MMAP_MAX and M_TRIM_THRESHOLD
        libc.mallopt(-4, 0)
        libc.mallopt(-1, -1)
    work = LayerWork(arguments.serve) if arguments.serve > 0 else StepWork(arguments.tower)
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
        self.seconds, self.peak = [], 0

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        self.seconds.append(told["seconds"])
        self.peak = told["peak"]
        return told["result"]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def compare(arguments, what, tokens, tower, bar):
    """Prints a row of the table; whether it holds."""
    ours = Side([arguments.program, arguments.threads, tokens])
    theirs = Side([sys.executable, __file__, arguments.program, "--serve", tokens, "--threads", arguments.threads,
                   *(["--tower"] if tower else []), *(["--kept-memory"] if arguments.kept_memory else [])])
    difference = 0
    for _ in range(1 + (arguments.repeat if tokens else arguments.steps)):
        a, b = ours.run(), theirs.run()
        difference = max(difference, abs(a - b) / abs(b))
    for side in (ours, theirs):
        side.end()
        side.seconds.pop(0)  # the first one warms up
    ratio = statistics.median(b / a for a, b in zip(ours.seconds, theirs.seconds))
    a, b = statistics.median(ours.seconds), statistics.median(theirs.seconds)
    print(f"| {what} | {a:.3f} s | {b:.3f} s | {ratio:.2f} (at least {bar}) | {ours.peak / 1e9:.2f} GB | "
          f"{theirs.peak / 1e9:.2f} GB | {difference:.0e} |", flush=True)
    return ratio >= bar and difference < 1e-3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=15, help="repetitions of a layer")
    parser.add_argument("--steps", type=int, default=5, help="repetitions of a step")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--kept-memory", action="store_true",
                        help="PyTorch keeps freed memory between steps, too, which it does not by itself")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--tower", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        return serve(arguments)
    print(f"libtorch {torch.__version__}, {arguments.threads} threads; medians, ratios pair by pair\n\n"
          "| | ours | original | ratio | our memory | its memory | difference |\n|---|---|---|---|---|---|---|")
    rows = [row for row in ROWS if arguments.only in row[0]]
    return 0 if all([compare(arguments, *row) for row in rows]) else 1


if __name__ == "__main__":
    sys.exit(main())
