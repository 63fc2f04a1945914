#!/usr/bin/env python3
"""Builds small versions of the published benchmarks, in their layouts, from Tux Paint stamps no model was trained on.

They need no network and no licence, and let every task of `moe-llava eval --data DIR` run. The same seed gives the
same bytes; it must be the seed of the training pictures (tools/build_stamps_dataset.py), whose stamps are left out.
"""
import argparse
import json
import pathlib
import sys

from stamps.benchmarks import choice, open_ended, yes_no
from stamps.benchmarks.source import REQUEST, Source
from stamps.command import make_parser, whole_folder

# Name of the task, what writes it, pictures (MME: of each subtask).
BENCHMARKS = (
    ("pope", yes_no.write_pope, 125),
    ("mme", yes_no.write_mme, 30),
    ("vqav2", open_ended.write_vqav2, 120),
    ("vizwiz", open_ended.write_vizwiz, 30),
    ("gqa", open_ended.write_gqa, 120),
    ("textvqa", open_ended.write_text_vqa, 100),
    ("scienceqa", choice.write_science_qa, 100),
    ("mmbench", choice.write_mmbench, 100),
    ("seed_bench", choice.write_seed_bench, 80),
    ("llava_bench", open_ended.write_llava_bench, 10),
    ("mm_vet", open_ended.write_mm_vet, 30),
)
QUICK_DIVISOR = 20
MANIFEST = "benchmarks.json"


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, "build_stamps_benchmarks.py --stamps stamps --out /tmp/eval", "benchmarks",
                         "of the training pictures, too")
    parser.add_argument("--plain", action="store_true",
                        help="without the published request for a short answer, which the demo's model never saw")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the pictures, to see that all works")
    return parser.parse_args()


def build(stamps: pathlib.Path, out: pathlib.Path, seed: int, plain: bool, divisor: int = 1) -> dict[str, int]:
    """Writes all benchmarks into `out` and returns how many questions each has."""
    source = Source(stamps, seed)
    counts = {}
    for name, write, pictures in BENCHMARKS:
        counts[name] = write(source, out, max(2, pictures // divisor), "" if plain else REQUEST)
        print(f"{name}: {counts[name]} questions", file=sys.stderr)
    (out / MANIFEST).write_text(json.dumps({"seed": seed, "plain": plain, "questions": counts}, indent=1) + "\n",
                                encoding="utf-8")
    return counts


def main() -> None:
    arguments = parse_arguments()
    with whole_folder(arguments, MANIFEST, "is not empty and holds no benchmarks") as partial:
        partial.mkdir(parents=True)
        build(arguments.stamps, partial, arguments.seed, arguments.plain, QUICK_DIVISOR if arguments.quick else 1)


if __name__ == "__main__":
    main()
