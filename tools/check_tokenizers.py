#!/usr/bin/env python3
"""Our tokenizers against their originals on random Unicode texts: every id must be the same.

    python3 -m venv /tmp/tokenizers
    /tmp/tokenizers/bin/pip install transformers==4.37.0 tokenizers==0.15.1 tiktoken==0.5.2 sentencepiece protobuf \\
        gguf 'numpy<2'
    /tmp/tokenizers/bin/python tools/check_tokenizers.py build/release/moe-llava tests/golden/*/ckpt smollm2.gguf

These are the versions that MoE-LLaVA's models were made with. A folder is checked against what its files ask for:
`tokenizer.model` and `vocab.json` against the slow tokenizer that tokenizer_config.json names, `*.tiktoken` against
tiktoken with NFC before it, as the published tokenization_qwen.py and tokenization_arcade100k.py have it, a .gguf
against the `tokenizers` pipeline of SmolLM2. Texts are drawn from a seed: words of many scripts, spaces of all kinds,
emoji, combining marks, control characters, digits, code, unassigned code points, and special tokens and what looks
like them. The exit status is 1 when ids differ; the first differences are shown with the reference's ids."""
import argparse
import base64
import json
import pathlib
import random
import subprocess
import sys
import unicodedata

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|extra_0|>", "<|extra_204|>", "<|reg0|>", "<|fim_pad|>",
           "<|pause|>", "<gh_stars>", "<s>", "</s>", "<unk>", "<image>", "<pad>"]
LOOKALIKES = ["<|endoftext|", "<|endof text|>", "<|im_start", "|>", "<|", "</s", "< s>", "<|extra_205|>", "<0x0A>",
              "<|endoftext|><|endoftext|>", "▁", "##", "Ġ", "</w>"]
SCRIPTS = [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x531, 0x586), (0x5D0, 0x5EA),
           (0x620, 0x64A), (0x904, 0x939), (0xE01, 0xE3A), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x135A),
           (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xFF01, 0xFF5E),
           (0x1D400, 0x1D7FF), (0x20000, 0x2A6DF)]
MARKS = [(0x300, 0x36F), (0x483, 0x487), (0x591, 0x5BD), (0x64B, 0x65F), (0x93A, 0x94D), (0x1DC0, 0x1DFF),
         (0x20D0, 0x20F0), (0xFE00, 0xFE0F)]
DIGITS = [(0x30, 0x39), (0x660, 0x669), (0x966, 0x96F), (0xB2, 0xB3), (0xBC, 0xBE), (0x2160, 0x2188), (0x2460, 0x249B),
          (0xFF10, 0xFF19), (0x1D7CE, 0x1D7FF)]
EMOJI = [(0x1F300, 0x1F5FF), (0x1F600, 0x1F64F), (0x1F680, 0x1F6FF), (0x1F900, 0x1F9FF), (0x2600, 0x27BF),
         (0x1F1E6, 0x1F1FF), (0x1F3FB, 0x1F3FF)]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", "\r", "\x0b", "\x0c", "\x85", "\xa0", "\u1680", "\u180e",
          "\u2003", "\u2009", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff", " " * 31, " " * 40]
CODE = ["for (int i = 0; i < n; ++i) {\n\t", "def f(x):\n    return x**2\n", "if(a&&b||!c)", "std::vector<int>", "a_b_c",
        "#include <stdio.h>\n", "https://localhost/?q=1&r=%20", "{'k': [1, 2.5e-3]}", "\\n\\t\\\\", "// ...", "$x->y()",
        "it's", "we'LL", "I'Ve", "'S", "don't", "'re'", "o'clock", "=====", "!!!???", "(((", "100,000.00", "12345678"]


def pick(rng, ranges):
    low, high = rng.choice(ranges)
    return chr(rng.randint(low, high))


def code_point(rng):
    """Any scalar value, assigned or not."""
    while True:
        value = rng.randrange(0x110000) if rng.random() < 0.5 else rng.randrange(0x3000)
        if not 0xD800 <= value < 0xE000:
            return chr(value)


def piece(rng):
    kind = rng.randrange(12)
    if kind <= 2:
        low, high = rng.choice(SCRIPTS)
        return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 8)))
    if kind == 3:
        return pick(rng, SCRIPTS) + "".join(pick(rng, MARKS) for _ in range(rng.randint(1, 3)))
    if kind == 4:
        return "".join(pick(rng, DIGITS) for _ in range(rng.randint(1, 6)))
    if kind == 5:
        joiner = rng.choice(["", "\u200d", "\ufe0f"])
        return joiner.join(pick(rng, EMOJI) for _ in range(rng.randint(1, 3)))
    if kind == 6:
        return "".join(chr(rng.choice([*range(32), 127, *range(128, 160)])) for _ in range(rng.randint(1, 3)))
    if kind == 7:
        return rng.choice(CODE)
    if kind == 8:
        return rng.choice(SPECIAL if rng.random() < 0.5 else LOOKALIKES)
    if kind == 9:
        return "".join(code_point(rng) for _ in range(rng.randint(1, 4)))
    return "".join(rng.choice(SPACES) for _ in range(rng.randint(1, 3)))


def text(rng):
    return "".join(piece(rng) + (" " if rng.random() < 0.3 else "") for _ in range(rng.randint(0, 12)))


def tiktoken_reference(path):
    import tiktoken

    special, unused = (["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{i}|>" for i in range(205))], 0)
    if path.name == "arcade100k.tiktoken":
        unused = 1
        special = ["<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<gh_stars>",
                   "<filename>", "<issue_start>", "<issue_comment>", "<issue_closed>", "<jupyter_start>",
                   "<jupyter_text>", "<jupyter_code>", "<jupyter_output>", "<empty_output>", "<commit_before>",
                   "<commit_msg>", "<commit_after>", "<reponame>", "<|endofprompt|>", "<|im_start|>", "<|im_end|>",
                   "<|pause|>", *(f"<|reg{i}|>" for i in range(8)), "<|extra0|>"]
    lines = (line.split() for line in path.read_bytes().splitlines() if line)
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    first = max(ranks.values()) + 1 + unused
    encoding = tiktoken.Encoding(
        path.name, pat_str=r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+", mergeable_ranks=ranks,
        special_tokens={token: first + i for i, token in enumerate(special)})
    return lambda string: encoding.encode(unicodedata.normalize("NFC", string), allowed_special="all")


def gguf_reference(path):
    import gguf
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    fields = gguf.GGUFReader(path).fields
    strings = {key: [bytes(fields[f"tokenizer.ggml.{key}"].parts[i]).decode() for i in
                     fields[f"tokenizer.ggml.{key}"].data] for key in ("tokens", "merges", "pre")}
    if strings["pre"] != ["smollm"]:
        raise SystemExit(f"{path}: only SmolLM2's word pattern is known, not {strings['pre'][0]}")
    types = fields["tokenizer.ggml.token_type"]
    vocabulary = {token: i for i, token in enumerate(strings["tokens"])}
    merges = [tuple(merge.split(" ", 1)) for merge in strings["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, index in zip(strings["tokens"], types.data) if types.parts[index][0] == 3]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    return lambda string: tokenizer.encode(string).ids


def slow_reference(folder):
    import transformers

    name = json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"]
    tokenizer = getattr(transformers, name).from_pretrained(folder)
    return lambda string: tokenizer(string)["input_ids"]


def reference(path):
    if path.suffix == ".gguf":
        return gguf_reference(path)
    tiktoken_files = sorted(path.glob("*.tiktoken"))
    return tiktoken_reference(tiktoken_files[0]) if tiktoken_files else slow_reference(path)


def differences(program, path, texts):
    lines = "".join(json.dumps(string) + "\n" for string in texts)
    done = subprocess.run([program, "tokenize", "--model", path, "--jsonl"], input=lines, capture_output=True, text=True,
                          check=True)
    encode = reference(path)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [(string, ours, theirs) for string, ours, theirs in zip(texts, found, map(encode, texts)) if ours != theirs]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="moe-llava")
    parser.add_argument("models", nargs="+", type=pathlib.Path, help="model folders and .gguf files")
    parser.add_argument("--count", type=int, default=10_000, help="texts (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the texts (default %(default)s)")
    parser.add_argument("--show", type=int, default=5, help="differences shown of each model (default %(default)s)")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    texts = [text(rng) for _ in range(options.count)]
    total = 0
    for path in options.models:
        differing = differences(options.program, path, texts)
        print(f"{path}: {len(differing)} of {len(texts)} texts differ", flush=True)
        for string, ours, theirs in sorted(differing, key=lambda d: len(d[0]))[:options.show]:
            print(f"  {ascii(string)}\n    ours  {ours}\n    their {theirs}")
        total += len(differing)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
