#!/usr/bin/env python3
"""PyPI's `tensorboard` reads the event files of `moe-llava train`: every number of trainer_state.json, each step once,
also when the run was killed and went on.   Usage: tensorboard_test.py MOE_LLAVA"""
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time

from train_tiny_folder import train_arguments, write_all

try:
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator
except ImportError as error:
    print(f"skipped: {error} (tools/fetch.sh python)")
    sys.exit(77)


def read_scalars(folder):
    """{tag: [(step, value)]} as TensorBoard shows it."""
    accumulator = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    accumulator.Reload()
    return {tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
            for tag in accumulator.Tags()["scalars"]}


def flatten(tag, value, kinds):
    if not isinstance(value, list):
        return {tag: value}
    found = {}
    for number, item in enumerate(value, 1):
        found |= flatten(f"{tag}/{kinds[0]}_{number}", item, kinds[1:])
    return found


def expected_scalars(output):
    scalars = {}
    for entry in json.loads((output / "trainer_state.json").read_text())["log_history"]:
        for field, value in entry.items():
            name = field if isinstance(value, list) else f"train/{field}"
            for tag, number in flatten(name, value, ["layer", "expert"]).items():
                scalars.setdefault(tag, []).append((entry["step"], number))
    del scalars["train/step"]
    return scalars


def check(output):
    found, expected = read_scalars(output / "runs"), expected_scalars(output)
    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    for tag, points in expected.items():
        assert [step for step, _ in found[tag]] == [step for step, _ in points], f"{tag}: {found[tag]}"
        for (step, value), (_, number) in zip(found[tag], points):
            assert math.isclose(value, number, rel_tol=1e-6), f"{tag} {step}: {value} {number}"
    return len(found)


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_all(folder)
        output = folder / "out"
        command = train_arguments(program, folder, output)
        run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while run.poll() is None and not (output / "checkpoint-8").exists():
            time.sleep(0.01)
        time.sleep(0.1)  # so that steps are logged that will be done again
        run.kill()
        run.wait()
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        files = list((output / "runs").iterdir())
        assert len(files) == 2, files
        print(f"{check(output)} curves, as in trainer_state.json")

        subprocess.run(train_arguments(program, folder, folder / "none", "--max_steps", "2", "--report_to", "none"),
                       check=True, stderr=subprocess.DEVNULL)
        assert not (folder / "none" / "runs").exists()


if __name__ == "__main__":
    main()
