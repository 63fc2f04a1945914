#!/usr/bin/env python3
"""Fails when a folder of src/ includes one of the same or a higher rank (docs/architecture.md, "The house")."""
import pathlib
import re
import sys

RANK = {
    "base": 0,
    "kernels": 0,
    "files": 1, "text": 1, "image": 1, "draw": 1, "nn": 1, "comm": 1,
    "model": 2,
    "generate": 3, "train": 3,
    "eval": 4, "routing": 4, "serve": 4,
    "cli": 5,
}
NO_TORCH = {"base", "comm", "kernels", "files", "text", "image", "draw", "routing", "serve"}

src = pathlib.Path(__file__).resolve().parent.parent / "src"
problems = []
for path in sorted(src.rglob("*.[ch]pp")):
    folder = path.relative_to(src).parts[0]
    if folder not in RANK:
        problems.append(f"{path}: folder '{folder}' has no rank")
        continue
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
        if not match:
            continue
        target = match.group(1).split("/")[0]
        where = f"{path.relative_to(src.parent)}:{number}"
        if target in RANK and target != folder and RANK[target] >= RANK[folder]:
            problems.append(f"{where}: {folder} (rank {RANK[folder]}) includes {target} (rank {RANK[target]})")
        if target in ("ATen", "torch", "c10") and folder in NO_TORCH:
            problems.append(f"{where}: {folder}/ is kept free of torch")
print("\n".join(problems) if problems else "layers: ok")
sys.exit(1 if problems else 0)
