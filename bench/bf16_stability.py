#!/usr/bin/env python3
"""Does stage 3 in bfloat16 stay as stable as in float32? Each seed trains twice, with --bf16 True and False, from the
same model on the same batches; the table shows the mean loss of the last tenth of the steps and what --on_nonfinite
left out. Exit status 1 when a step was not finite or a loss differs by more than 1 %.

  python3 bench/bf16_stability.py build/release/moe-llava --model demo-run/stage2 --data demo-run/data/stage3.json \\
      --images demo-run/data/images
  python3 bench/bf16_stability.py build/release/moe-llava --self-test        (a tiny model, 2 seeds, 30 steps)
"""
import argparse
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
LARGEST_DIFFERENCE = 0.01  # of the float32 loss


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--model", type=pathlib.Path, help="folder of stage 2")
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--images", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--flags", default="", help="further ones of every run, in one quoted word")
    parser.add_argument("--self-test", action="store_true")
    return parser.parse_args()


def train(arguments, seed, bf16, out):
    """log_history of one run."""
    subprocess.run([
        arguments.program, "train", "--config", ROOT / "configs/demo-stage3.json", "--model_name_or_path",
        arguments.model, "--data_path", arguments.data, "--image_folder", arguments.images, "--output_dir", out,
        "--overwrite_output_dir", "--seed", str(seed), "--max_steps", str(arguments.steps), "--bf16", str(bf16),
        "--on_nonfinite", "skip", "--save_steps", str(arguments.steps), *shlex.split(arguments.flags)],
        check=True, stderr=subprocess.DEVNULL)
    return json.loads((out / "trainer_state.json").read_text())["log_history"]


def last_loss(history):
    losses = [entry["loss"] for entry in history if "loss" in entry]
    last = losses[-max(1, len(history) // 10):]
    return sum(last) / len(last)


def compare(arguments, out):
    print("| seed | loss float32 | loss bfloat16 | difference | steps left out |\n|---|---|---|---|---|")
    failed = False
    for seed in range(1, arguments.seeds + 1):
        exact, rounded = (train(arguments, seed, bf16, out) for bf16 in (False, True))
        difference = last_loss(rounded) / last_loss(exact) - 1
        skipped = sum(1 for entry in rounded if entry.get("skipped"))
        failed = failed or skipped > 0 or abs(difference) > LARGEST_DIFFERENCE
        print(f"| {seed} | {last_loss(exact):.4f} | {last_loss(rounded):.4f} | {100 * difference:+.2f} % | {skipped} |",
              flush=True)
    return failed


def use_tiny_model(arguments, folder):
    sys.path.insert(0, str(ROOT / "tests"))
    from train_tiny_folder import write_all  # only the self-test needs it
    write_all(folder)
    arguments.model, arguments.data, arguments.images = folder / "model", folder / "data.json", folder / "images"
    arguments.seeds, arguments.steps = 2, 30


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if arguments.self_test:
            use_tiny_model(arguments, folder)
        return 1 if compare(arguments, folder / "run") else 0


if __name__ == "__main__":
    sys.exit(main())
