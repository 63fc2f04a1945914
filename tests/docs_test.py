#!/usr/bin/env python3
"""Every `moe-llava` command that docs/ and README show, run one after the other on a tiny model.
Usage: docs_test.py MOE_LLAVA"""
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

from benchmark_folder import write_benchmarks, write_lines
from processes import MPIRUN, in_processes
from train_tiny_folder import write_data, write_language_model, write_tower

PROGRAM = None
ROOT = pathlib.Path(__file__).resolve().parents[1]
# Training first: what it leaves is what the other pages work on.
PAGES = [*(f"docs/{name}.md" for name in ("training", "checkpoints", "evaluation", "routing", "formats", "architecture")),
         "README.md"]
# Real weights are not at hand in a test: the commands get tiny ones in their place.
STANDS_FOR = {"smollm2.gguf": "language-model", "efficientnet-lite0.pth": "tower"}


def commands(page: str) -> list[list[str]]:
    """What the page's blocks run, in order: each `moe-llava` command and each block of Python, as arguments. Other
    programs are left out."""
    found = []
    for language, block in re.findall(r"```(sh|python)\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S):
        if language == "python":
            found.append([sys.executable, "-c", block])
            continue
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            processes = 1
            if words[:2] == ["mpirun", "-n"]:
                processes, words = int(words[2]), words[3:]
            if words and words[0] == "moe-llava" and (processes == 1 or MPIRUN):
                command = [PROGRAM, *(STANDS_FOR.get(word, word) for word in words[1:])]
                found.append(in_processes(processes, command))
    return found


class ShownCommands(unittest.TestCase):
    def test_they_work(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_language_model(folder / "language-model")
            write_tower(folder / "tower")
            write_data(folder, samples=12)
            (folder / "images").rename(folder / "pictures")
            for stage in (1, 2, 3):
                records = json.loads((folder / "data.json").read_text(encoding="utf-8"))
                if stage == 1:
                    records = [record for record in records if "image" in record]
                (folder / f"stage{stage}.json").write_text(json.dumps(records), encoding="utf-8")
            questions = [{"question_id": i, "image": f"{i}.png", "text": "Is it?", "category": "presence",
                          "answer": ("yes", "no")[i % 2]} for i in range(4)]
            (folder / "test.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions), encoding="utf-8")
            (folder / "scene.jpg").write_bytes((folder / "pictures/0.png").read_bytes())
            write_benchmarks(folder / "eval")
            (folder / "configs").symlink_to(ROOT / "configs")
            write_lines(folder / "mm-vet.jsonl", [{"question_id": 0, "prompt": "Describe it.", "text": "a cat"}])
            write_lines(folder / "verdicts.jsonl", [{"task": "mm_vet", "question_id": 0, "verdict": "0.5"}])
            shown = [(page, words) for page in PAGES for words in commands(page)]
            self.assertGreaterEqual(len(shown), 8)
            for page, words in shown:
                done = subprocess.run(words, cwd=folder, capture_output=True, text=True,
                                      stdin=subprocess.DEVNULL, check=False)
                self.assertEqual(done.returncode, 0, f"{page}: {shlex.join(words)}\n{done.stderr}")


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
