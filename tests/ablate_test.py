#!/usr/bin/env python3
"""tools/ablate.py on a tiny model: a table with spreads, and nothing is done twice.   Usage: ablate_test.py MOE_LLAVA"""
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

from train_tiny_folder import write_data, write_language_model, write_tower

TOOLS = pathlib.Path(__file__).resolve().parents[1] / "tools"
ABLATE = TOOLS / "ablate.py"


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_language_model(folder / "larger")
        subprocess.run([sys.executable, TOOLS / "make_small_llama.py", folder / "larger", folder / "llm", "--width", "16",
                        "--inner", "24", "--layers", "2", "--heads", "2"], check=True)
        write_tower(folder / "tower")
        write_data(folder / "data", samples=8)
        data = folder / "data"
        (data / "images").rename(data / "test_images")
        (data / "images").symlink_to("test_images")
        records = json.loads((data / "data.json").read_text())
        for stage in (1, 2, 3):
            chosen = [record for record in records if "image" in record] if stage == 1 else records
            (data / f"stage{stage}.json").write_text(json.dumps(chosen))
        questions = [{"question_id": i, "image": f"{i}.png", "text": "Is it?", "category": "presence", "answer": "yes"}
                     for i in range(3)]
        (data / "test.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))

        out = folder / "out"
        command = [sys.executable, ABLATE, "--program", program, "--data", data, "--llm", folder / "llm", "--tower",
                   folder / "tower", "--out", out, "--seeds", "2", "--only", "top_k", "stages", "--steps", "1", "1", "2",
                   "--limit", "2", "--stage-flags", *["--threads 1"] * 3]
        first = subprocess.run(command, capture_output=True, text=True, check=False)
        assert first.returncode == 0, first.stderr
        table = (out / "table.md").read_text()
        assert first.stdout == table
        rows = [line for line in table.splitlines() if line.startswith("| ") and "**" not in line]
        assert len(rows) == 1 + 2 + 4, table  # with the heading
        for row in rows[1:]:  # MoE-Tuning has nothing to be compared with
            assert row.count("±") == (2 if row.startswith(("| k = 2 ", "| dense 2, then MoE 3 ")) else 3), table
        with open(out / "table.csv", encoding="utf-8", newline="") as file:
            runs = list(csv.DictReader(file))
        assert len(runs) == 2 * (2 + 4), runs
        # k = 2 of the one group is MoE-Tuning of the other; seeds differ, and so does what is trained.
        loss = {(run["variant"], run["seed"]): float(run["loss"]) for run in runs}
        assert loss["k = 2", "1"] == loss["dense 2, then MoE 3 (MoE-Tuning)", "1"]
        assert len(set(loss.values())) == 2 * 5, loss
        active = {run["variant"]: int(run["active"]) for run in runs}
        assert active["k = 1"] < active["k = 2"]

        def made():
            return {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.parent != out}

        before = made()
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        assert again.returncode == 0 and again.stdout == table, again.stderr
        assert made() == before


if __name__ == "__main__":
    main()
