#!/usr/bin/env python3
"""Builds small versions of the published benchmarks, in their layouts, from Tux Paint stamps no model was trained on.

They need no network and no licence, and let every task of `moe-llava eval --data DIR` run. The same seed gives the
same bytes; it must be the seed of the training pictures (tools/build_stamps_dataset.py), whose stamps are left out.
"""
import argparse
import json
import pathlib
import shutil
import sys

import PIL

from build_stamps_dataset import PILLOW
from stamps.benchmarks import choice, open_ended, yes_no
from stamps.benchmarks.source import REQUEST, Source

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
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example:\n  tools/fetch.sh python stamps\n  cd ~/.cache/moe-llava\n"
               "  python/bin/python .../tools/build_stamps_benchmarks.py --stamps stamps --out /tmp/eval")
    parser.add_argument("--stamps", type=pathlib.Path, required=True, help="folder of the stamps")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder to write; replaced if benchmarks")
    parser.add_argument("--seed", type=int, default=0, help="of the training pictures, too (default: 0)")
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
    if PIL.__version__ != PILLOW:
        sys.exit(f"Pillow: found {PIL.__version__}, expected {PILLOW} (use the Python of tools/fetch.sh python)")
    if not arguments.stamps.is_dir():
        sys.exit(f"{arguments.stamps}: no such folder (run tools/fetch.sh stamps)")
    out = arguments.out
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).exists():
        sys.exit(f"{out}: is not empty and holds no benchmarks; it is left as it is")
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    build(arguments.stamps, partial, arguments.seed, arguments.plain, QUICK_DIVISOR if arguments.quick else 1)
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)


if __name__ == "__main__":
    main()
