"""What the builders of pictures have in common: their arguments, and a folder that is there as a whole or not at all."""
import argparse
import contextlib
import pathlib
import shutil
import sys

import PIL

PILLOW = "12.2.0"  # other versions may scale and compress differently


def make_parser(doc: str, example: str, contents: str, seed: str) -> argparse.ArgumentParser:
    """With --stamps, --out, which is replaced if it holds `contents`, and --seed, whose help is `seed`. `example` is
    the script and its flags besides --stamps."""
    parser = argparse.ArgumentParser(
        description=doc.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example:\n  tools/fetch.sh python stamps\n  cd ~/.cache/moe-llava\n"
               f"  python/bin/python .../tools/{example}")
    parser.add_argument("--stamps", type=pathlib.Path, required=True, help="folder of the stamps")
    parser.add_argument("--out", type=pathlib.Path, required=True, help=f"folder to write; replaced if {contents}")
    parser.add_argument("--seed", type=int, default=0, help=f"{seed} (default: 0)")
    return parser


@contextlib.contextmanager
def whole_folder(arguments: argparse.Namespace, manifest: str, refusal: str):
    """A folder to write into, which takes the place of --out at the end. It must not hold anything but an earlier one,
    known by its `manifest`; else the program ends with `refusal`."""
    if PIL.__version__ != PILLOW:
        sys.exit(f"Pillow: found {PIL.__version__}, expected {PILLOW} (use the Python of tools/fetch.sh python)")
    if not arguments.stamps.is_dir():
        sys.exit(f"{arguments.stamps}: no such folder (run tools/fetch.sh stamps)")
    out = arguments.out
    if out.exists() and any(out.iterdir()) and not (out / manifest).exists():
        sys.exit(f"{out}: {refusal}; it is left as it is")
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    yield partial
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
